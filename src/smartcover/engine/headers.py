"""The headers of a stream that change in its midst, as those of a recorded broadcast do when its size changes."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from av.packet import Packet, PacketSideData
from av.video.stream import VideoStream

_BESIDE: Final = "new_extradata"
_KIND = 1
"""FFmpeg's AV_PKT_DATA_NEW_EXTRADATA."""

_make_beside: Any = PacketSideData
"""PyAV's stubs leave out that it is made of a kind and a size."""

_MOST_CHANGES = 256
_MOST_BYTES = 64 * 1024
"""Headers of every codec are far smaller; larger ones would be kept for nothing."""


class ChangingHeaders:
    """
    What a stream's packets need to be decoded, by the time from which it holds.

    FLV stores headers between the packets, and the next packet brings them along once; of MP4 the first packet that is
    read of another part does. To a decoder that is shown packets out of their order, or not that one, each keyframe
    has to bring its own.
    """

    def __init__(self, stream: VideoStream, *, told_after_seeks: bool) -> None:
        """
        Args:
            stream: Its own headers hold until the first change.
            told_after_seeks: Whether what was brought last holds for all that is read until others are, seeks included.
        """
        self._first = self._latest = stream.codec_context.extradata or b""
        self._told_after_seeks = told_after_seeks
        self._starts: list[Fraction] = []
        self._headers: dict[Fraction, bytes] = {}

    def note(self, packet: Packet[VideoStream], time_of: Callable[[Packet[VideoStream]], Fraction | None]) -> None:
        """Remember the headers of a packet that was read, where it tells them, as holding from its time on."""
        if packet.has_sidedata(_BESIDE):
            self._latest = bytes(packet.get_sidedata(_BESIDE))
        elif not (self._told_after_seeks and packet.is_keyframe):
            return
        time, headers = time_of(packet), self._latest
        # Many recorders repeat them.
        if time is None or len(headers) > _MOST_BYTES or headers == self._at(time):
            return
        if len(self._starts) >= _MOST_CHANGES:
            return
        if time not in self._headers:
            insort(self._starts, time)
        self._headers[time] = headers

    def bring(self, packet: Packet[VideoStream], time: Fraction | None) -> None:
        """Let a keyframe bring the headers of its time along, where there is more than one kind."""
        if self._starts and time is not None and packet.is_keyframe and not packet.has_sidedata(_BESIDE):
            headers = self._at(time)
            beside = _make_beside(_KIND, len(headers))
            if headers:
                beside.update(headers)
            packet.set_sidedata(beside, move=True)

    def _at(self, time: Fraction) -> bytes:
        place = bisect_right(self._starts, time)
        return self._headers[self._starts[place - 1]] if place else self._first

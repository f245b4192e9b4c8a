"""Runs of compressed packets that start at a keyframe: found in a container and read out of it, in whatever order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice

import av.error
from av.packet import Packet
from av.video.stream import VideoStream

from smartcover.engine.clock import CLOCKLESS_CODECS, counted
from smartcover.engine.headers import ChangingHeaders
from smartcover.engine.source import DAMAGE, Source

_MAX_BAD_READS = 64
"""Read errors in a row after which the rest of a container is given up."""

_STREAMS_OF_PACKETS = ("mpegts", "mpeg")
"""Formats without any index, in which the decoder can start at every byte."""

_FORMATS_WITH_HEADERS_AMONG_PACKETS = ("flv", "live_flv", "kux")
_FORMATS_WITH_HEADERS_OF_PARTS = ("mov,mp4,m4a,3gp,3g2,mj2",)
"""Formats whose headers may change, told once on the way or by each part (see headers.py)."""

_BEYOND_EVERY_END_SECONDS = 1_000_000
"""Eleven days: where to seek for the last keyframe of a video whose length is not known."""

_MAX_PACKETS_TO_KEYFRAME = 2000
"""Packets that are skipped after a seek in search of a keyframe."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """
    Compressed packets in decoding order, from a keyframe on.

    `start` is the time stamp of the first. Of a lone keyframe that was let go only that is left, and it is read again.
    """

    packets: tuple[Packet[VideoStream], ...]
    start: Fraction

    @classmethod
    def of(cls, packets: Sequence[Packet[VideoStream]]) -> Run:
        """Make a run of packets, at least one."""
        return cls(tuple(packets), packet_time(packets[0]) or Fraction(0))

    def let_go(self) -> Run:
        """Keep of a lone keyframe only where it is."""
        return replace(self, packets=())

    def end(self, frame_rate: float) -> Fraction:
        """Time stamp at which the last frame ends, all frames taken to be equally long."""
        times = [time for packet in self.packets if (time := packet_time(packet)) is not None]
        if len(times) < 2:
            return self.start + Fraction(1 / frame_rate).limit_denominator(1000)
        return max(times) + (max(times) - min(times)) / (len(times) - 1)

    def up_to(self, pts: Fraction) -> Run:
        """Leave out what is stored after the packet of a time stamp: its frame builds on nothing of that."""
        for number, packet in enumerate(self.packets, start=1):
            if shown_at(packet) == pts:
                return replace(self, packets=self.packets[:number])
        return self

    @property
    def size_bytes(self) -> int:
        return sum(packet.size for packet in self.packets)


def packet_time(packet: Packet[VideoStream]) -> Fraction | None:
    """Give when a packet is shown, or failing that decoded."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    if stamp is None or packet.time_base is None:
        return None
    return stamp * packet.time_base


def shown_at(packet: Packet[VideoStream]) -> Fraction | None:
    """Give when a packet is shown; None when only its time of decoding is known, or none."""
    return packet_time(packet) if packet.pts is not None else None


class RunReader:
    """
    Reads runs out of a container.

    `headers` are those of what was read, which decoding needs.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream = source.stream
        form = source.container.format.name
        has_parts = form in _FORMATS_WITH_HEADERS_OF_PARTS
        self._may_change_headers = has_parts or form in _FORMATS_WITH_HEADERS_AMONG_PACKETS
        self.headers = ChangingHeaders(source.stream, told_after_seeks=has_parts)
        self._places: dict[Fraction, int] = {}
        self._latest: Run | None = None

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the stream's packets from the container's present position, across what damage it can."""
        rate = self._source.frame_rate
        if self._is_clockless and rate:
            # There is no seeking without time stamps, so this is the stream's start.
            return counted(self._stored_packets(), self._stream, rate)
        return self._stored_packets()

    def _stored_packets(self) -> Iterator[Packet[VideoStream]]:
        bad_reads = 0
        while bad_reads < _MAX_BAD_READS:
            try:
                for packet in self._source.container.demux(self._stream):
                    self._source.budget.count_packet()
                    if packet.size == 0:
                        continue
                    bad_reads = 0
                    if self._may_change_headers:
                        self.headers.note(packet, packet_time)
                    yield packet
                return
            except av.error.EOFError:
                return
            except DAMAGE:
                bad_reads += 1

    @property
    def _is_clockless(self) -> bool:
        return self._source.is_raw and self._stream.codec_context.name in CLOCKLESS_CODECS

    def seek(self, pts: Fraction) -> bool:
        """Go to the keyframe at or before a time stamp; False when the container cannot."""
        if self._is_clockless:
            return False
        assert self._stream.time_base is not None
        if pts in self._places:
            return self._seek_to_byte(self._places[pts])
        try:
            # Floor: a stamp rounded up past the keyframe's own would still find it, rounded down may not.
            self._source.container.seek(-int(-pts / self._stream.time_base // 1), stream=self._stream)
        except DAMAGE:
            return False
        return True

    def _seek_to_byte(self, position: int) -> bool:
        try:
            self._source.container.seek(position, unsupported_byte_offset=True, stream=self._stream)
        except DAMAGE:
            return False
        return True

    def keyframe_at(self, pts: Fraction) -> Run | None:
        """Seek and read the one keyframe packet found there."""
        # Where it is the only one, each seek in Matroska reads the whole file in search of another.
        if self._latest is None or self._latest.start != pts:
            self._latest = self._next_keyframe() if self.seek(pts) else None
        return self._latest

    def keyframe_near(
        self, pts: Fraction, start: Fraction, end: Fraction
    ) -> tuple[Run, tuple[Fraction, Fraction]] | None:
        """
        Read a keyframe about a time stamp.

        A transport stream has no index: going by time means a search that reads far more than what it finds. There
        the bytes at the same share of the whole will do, and the keyframe that comes next.

        Args:
            start, end: Where the whole begins and ends.

        Returns:
            The keyframe, and from which to which time stamp it would be found too.
        """
        size_bytes = self._source.size_bytes
        if not self._is_stream_of_packets or not size_bytes or end <= start:
            run = self.keyframe_at(pts)
            return None if run is None else (run, (min(run.start, pts), max(run.start, pts)))
        bytes_per_second = size_bytes / (end - start)
        asked = round((pts - start) * bytes_per_second)
        run = self._next_keyframe() if self._seek_to_byte(asked) else None
        if run is None:
            return None
        self.remember(run)
        position = run.packets[0].pos
        if position is None or position < asked:
            return run, (pts, max(run.start, pts))
        return run, (pts, pts + (position - asked) / bytes_per_second)

    def remember(self, run: Run) -> None:
        """Note where a run lies, to seek there by its bytes where going by time may end behind it."""
        position = run.packets[0].pos
        if self._is_stream_of_packets and position is not None and position >= 0:
            self._places[run.start] = position

    @property
    def _is_stream_of_packets(self) -> bool:
        return self._source.container.format.name.startswith(_STREAMS_OF_PACKETS)

    def read_again(self, start: Fraction) -> tuple[Packet[VideoStream], ...]:
        """Give the packets of a lone keyframe that was let go; none where it is not found any more."""
        run = self.keyframe_at(start)
        return run.packets if run is not None and run.start == start else ()

    def last_keyframe_time(self) -> Fraction | None:
        """Give the time of the last keyframe, found by seeking beyond every end."""
        run = self.keyframe_at(Fraction(_BEYOND_EVERY_END_SECONDS))
        return run.start if run is not None else None

    def _next_keyframe(self) -> Run | None:
        for number, packet in enumerate(self.packets()):
            if packet.is_keyframe:
                return Run.of((packet,))
            if number > _MAX_PACKETS_TO_KEYFRAME:
                break
        return None

    def run_until(self, start: Fraction, end: Fraction, most_packets: int) -> Run | None:
        """
        Seek to the keyframe at `start` and read on until every frame shown up to `end` has its packets.

        It ends early after `most_packets`, or when they are as much as may still be held.
        """
        held: list[Packet[VideoStream]] = []
        room_bytes = self._source.budget.room_bytes
        for packet in islice(self.packets_until(start, end), most_packets):
            held.append(packet)
            room_bytes -= packet.size
            if room_bytes <= 0:
                break
        return Run.of(held) if held else None

    def packets_until(self, start: Fraction, end: Fraction) -> Iterator[Packet[VideoStream]]:
        """Seek to the keyframe at `start` and read on as `run_until` does."""
        if not self.seek(start):
            return
        begun, beyond = False, 0
        for number, packet in enumerate(self.packets()):
            begun = begun or packet.is_keyframe
            if begun:
                yield packet
            elif number > _MAX_PACKETS_TO_KEYFRAME:
                return
            time = packet_time(packet)
            beyond = beyond + 1 if begun and time is not None and time > end else 0
            # Frames are stored out of order: a few packets beyond the end make sure that nothing before it is left out.
            if beyond > 4:
                return

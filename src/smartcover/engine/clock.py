"""A clock for raw H.264 and HEVC, whose packets carry no time stamps: they are counted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction

from av.packet import Packet
from av.video.stream import VideoStream

CLOCKLESS_CODECS = ("h264", "hevc")
"""Codecs of which FFmpeg does not guess the times of a raw stream's packets."""

_MOST_LOST = 16
"""More pictures cannot be stored after a keyframe and shown before it."""

_UNIT_OF_PICTURE = re.compile(rb"\x00\x00\x01([\x00-\x3f])")
"""Start of a NAL unit of HEVC that holds a picture: its type is in the upper bits and below 32."""

_LOST_TYPES = (8, 9)
"""NAL unit types (H.265 table 7-1) of pictures that build on what is stored before the keyframe: RASL."""


def counted(
    packets: Iterable[Packet[VideoStream]], stream: VideoStream, rate: Fraction
) -> Iterator[Packet[VideoStream]]:
    """
    Give packets, all of a stream from its start, times of decoding at a steady rate.

    All that is stored before a keyframe is shown before all that is decoded from there on. So a keyframe's time is
    right for the first picture that is decoded from it, and pictures can be counted on from there as they are shown.

    Args:
        rate: Pictures a second.
    """
    assert stream.time_base is not None
    step = max(1, round(1 / (rate * stream.time_base)))
    may_lose = stream.codec_context.name == "hevc"
    held: list[Packet[VideoStream]] = []
    for count, packet in enumerate(packets):
        packet.dts = count * step
        if not (held and may_lose and len(held) <= _MOST_LOST and _is_lost(packet)):
            yield from held
            held.clear()
        elif held[0].dts is not None:
            held[0].dts += step
        held.append(packet)
    yield from held


def _is_lost(packet: Packet[VideoStream]) -> bool:
    """Tell whether a packet's picture is passed over where decoding starts at the keyframe before it."""
    unit = _UNIT_OF_PICTURE.search(bytes(packet))
    return unit is not None and unit[1][0] >> 1 in _LOST_TYPES

"""A recorded broadcast may change its size: each picture is decoded by the headers of its own part."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.packet
import numpy as np
import pytest

from smartcover.engine import Limits
from smartcover.engine.budget import Budget
from smartcover.engine.decode import RunDecoder
from smartcover.engine.runs import Run, RunReader
from smartcover.engine.source import Source
from tests.engine_clips import Picture, numbered, read_number, write_clip

SIZES = ((320, 192), (160, 96), (320, 192))
FRAMES_EACH = 10
KEYFRAME_EVERY = 5
NEW_HEADERS = 1
"""FFmpeg's AV_PKT_DATA_NEW_EXTRADATA."""


def _broadcast(path: Path, parts: Sequence[Path]) -> Path:
    """Join clips as a recorder of a broadcast does: the headers of each part stand before its first packet."""
    make_sidedata: Any = av.packet.PacketSideData
    with av.open(str(path), "w") as container:
        stream: Any = None
        for number, part in enumerate(parts):
            with av.open(str(part)) as clip:
                source = clip.streams.video[0]
                if stream is None:
                    stream = container.add_stream_from_template(source, opaque=True)
                headers = source.codec_context.extradata
                assert headers is not None
                beside = make_sidedata(NEW_HEADERS, len(headers))
                beside.update(headers)
                for count, packet in enumerate(packet for packet in clip.demux(source) if packet.size):
                    if number and not count:
                        packet.set_sidedata(beside)
                    packet.stream = stream
                    packet.pts = packet.dts = round((number * FRAMES_EACH + count) / (10 * packet.time_base))
                    container.mux(packet)
    return path


def _make(folder: Path, suffix: str) -> Path:
    options = {"preset": "ultrafast", "qp": "10", "tune": "zerolatency"}
    parts = []
    for number, (width_px, height_px) in enumerate(SIZES):
        first = number * FRAMES_EACH
        frames = [numbered(first + count, height_px, width_px) for count in range(FRAMES_EACH)]
        parts.append(write_clip(folder / f"{number}.{suffix}", frames, options=options, keyframe_every=KEYFRAME_EVERY))
    return _broadcast(folder / f"broadcast.{suffix}", parts)


@pytest.fixture(scope="module", params=["flv", "mp4"])
def broadcast(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    return _make(tmp_path_factory.mktemp("broadcast"), request.param)


@pytest.mark.parametrize("resting", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_keyframe_decoded_alone_and_in_any_order_is_the_picture_of_its_own_part(
    broadcast: Path, monkeypatch: pytest.MonkeyPatch, resting: bool, backwards: bool
) -> None:
    monkeypatch.setattr(Source, "has_large_frames", property(lambda _source: resting))
    with Source(broadcast, Budget(Limits()), strict=True) as source:
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        # The first keyframe of each part, whose packet brings the new headers along, is not decoded.
        runs = [Run.of((packet,)) for packet in reader.packets() if packet.is_keyframe][1::2]
        seen = []
        for run in reversed(runs) if backwards else runs:
            decoder.rest()
            for decoded in decoder.decode(run):
                picture: Picture = decoded.frame.to_ndarray(format="rgb24").astype(np.uint8)
                seen.append((read_number(picture), picture.shape[:2][::-1], decoded.damage, decoded.pts))

    expected = [(number, size, 0, Fraction(number, 10)) for number, size in zip((5, 15, 25), SIZES, strict=True)]
    assert sorted(seen) == expected


@pytest.mark.parametrize("resting", [False, True])
def test_a_part_of_an_mp4_that_is_read_from_behind_is_decoded_by_its_own_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resting: bool
) -> None:
    monkeypatch.setattr(Source, "has_large_frames", property(lambda _source: resting))
    with Source(_make(tmp_path, "mp4"), Budget(Limits()), strict=True) as source:
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        for seconds in (Fraction(3, 2), Fraction(1), Fraction(1, 2), Fraction(0), Fraction(1)):
            run = reader.keyframe_at(seconds)
            assert run is not None
            decoder.rest()
            (decoded,) = decoder.decode(run)
            assert (decoded.pts, decoded.damage) == (seconds, 0)
            assert (decoded.frame.width, decoded.frame.height) == SIZES[int(seconds)]

"""A stream in no container has no time stamps: its covers carry the time of the frame that they show all the same."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smartcover.engine import CoverOptions, Limits, Picks, pick_covers
from smartcover.engine.budget import Budget
from smartcover.engine.runs import RunReader
from smartcover.engine.source import Source
from tests.engine_clips import numbered, read_number, texture, write_clip

H264 = {"preset": "medium", "crf": "12"}
HEVC = {"preset": "ultrafast", "crf": "8"}
BFRAMES = "bframes=3:b-adapt=0"


def _assert_times(picks: Picks, rate: int) -> None:
    for cover in picks.covers:
        number = read_number(np.asarray(Image.open(io.BytesIO(cover.image)).convert("RGB")))
        assert cover.seconds == pytest.approx(number / rate, abs=0.001)


@pytest.mark.parametrize(
    ("name", "codec", "options", "rate"),
    [
        ("clip.h264", "libx264", {**H264, "x264-params": "bframes=0"}, 25),
        ("clip.h264", "libx264", {**H264, "x264-params": BFRAMES}, 10),
        ("clip.h264", "libx264", {**H264, "x264-params": f"{BFRAMES}:interlaced=1"}, 30),
        ("clip.hevc", "libx265", {**HEVC, "x265-params": f"log-level=none:open-gop=0:{BFRAMES}"}, 30),
        ("clip.hevc", "libx265", {**HEVC, "x265-params": f"log-level=none:open-gop=1:{BFRAMES}"}, 10),
        ("clip.m2v", "mpeg2video", {"qscale": "2", "bf": "2"}, 30),
    ],
)
def test_each_cover_of_a_raw_stream_is_the_frame_of_its_time(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], rate: int
) -> None:
    frames = [numbered(number) for number in range(60)]
    picks = pick_covers(
        write_clip(tmp_path / name, frames, codec=codec, rate=rate, options=options),
        CoverOptions(count=6, format="png"),
    )
    _assert_times(picks, rate)
    assert len({cover.seconds for cover in picks.covers}) == 6
    assert picks.video.frame_rate == rate
    assert picks.video.duration_seconds == pytest.approx(60 / rate, abs=0.001)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("clip.h264", "libx264", {**H264, "x264-params": BFRAMES}),
        ("clip.hevc", "libx265", {**HEVC, "x265-params": f"log-level=none:open-gop=1:{BFRAMES}"}),
    ],
)
def test_keyframes_of_a_long_raw_stream_have_their_times_too(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    clip = write_clip(tmp_path / name, [numbered(number) for number in range(60)], codec=codec, options=options)
    picks = pick_covers(clip, CoverOptions(format="png"), limits=Limits(between_pixels=160 * 96 * 20))
    _assert_times(picks, 10)


def test_nothing_is_read_in_search_of_a_place_that_a_raw_stream_cannot_tell(tmp_path: Path) -> None:
    frames = [texture(180, 320, seed=number) for number in range(400)]
    clip = write_clip(tmp_path / "clip.h264", frames, options={"preset": "ultrafast", "crf": "0"})
    assert clip.stat().st_size > 8_000_000, "more than is read to open it"
    budget = Budget(Limits())
    with Source(clip, budget, strict=True) as source:
        read_before = budget.bytes_read
        assert not RunReader(source).seek(Fraction(20))
        assert budget.bytes_read == read_before

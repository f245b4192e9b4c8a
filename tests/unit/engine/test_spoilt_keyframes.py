"""Where what spoils pictures begins at each keyframe, covers come from between them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smartcover.engine import CoverOptions, Limits, Picks, pick_covers
from tests.engine_clips import Picture, numbered, plain, read_number, shift, texture, write_clip

_KEYFRAMES_ALONE = Limits(between_pixels=160 * 96 * 80, candidates=8)
"""Too few pixels to decode all of a clip; more keyframes than moments, so that no moment lies between them."""


def _clip(
    path: Path,
    is_black: Callable[[int], bool],
    picture: Callable[[int], Picture],
    *,
    frames: int = 400,
    keyframe_every: int = 10,
) -> Path:
    pictures = [plain(0) if is_black(number) else picture(number) for number in range(frames)]
    # Without scene cuts, so that the keyframes are where the black is.
    options = {"preset": "ultrafast", "crf": "12", "sc_threshold": "0"}
    return write_clip(path, pictures, keyframe_every=keyframe_every, options=options)


def _moving(number: int) -> Picture:
    return shift(texture(seed=3 + number // 40), number * 2)


def _light(image: bytes) -> float:
    return float(np.asarray(Image.open(io.BytesIO(image)).convert("L")).mean())


def _looked_at(picks: Picks) -> list[float]:
    return sorted([cover.seconds for cover in picks.covers] + [moment.seconds for moment in picks.rejections])


@pytest.mark.parametrize("black", [3, 5, 8])
def test_black_at_each_keyframe_is_no_cover(tmp_path: Path, black: int) -> None:
    clip = _clip(tmp_path / "clip.mp4", lambda number: number % 10 < black, _moving)
    picks = pick_covers(clip, limits=_KEYFRAMES_ALONE)
    assert picks.fallback is None
    assert len(picks.covers) == 3
    assert all(_light(cover.image) > 50 for cover in picks.covers)


def test_each_cover_from_between_is_the_frame_of_its_time(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip.mp4", lambda number: number % 10 < 3, numbered)
    covers = pick_covers(clip, CoverOptions(count=3, format="png"), limits=_KEYFRAMES_ALONE).covers
    for cover in covers:
        picture = np.asarray(Image.open(io.BytesIO(cover.image)).convert("RGB"))
        assert read_number(picture) == round(cover.seconds * 10)


def test_no_moment_is_looked_at_twice(tmp_path: Path) -> None:
    # Just before the next keyframe, and nearer to it than to the frame before, where they are four frames apart.
    clip = _clip(tmp_path / "clip.mp4", lambda number: number % 12 in (0, 4), _moving, frames=120, keyframe_every=4)
    looked_at = _looked_at(pick_covers(clip, limits=replace(_KEYFRAMES_ALONE, candidates=60)))
    assert len(looked_at) > 30
    assert len(looked_at) == len(set(looked_at))


def test_keyframes_that_are_mostly_clean_are_looked_at_alone(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip.mp4", lambda number: number % 10 < 3 and number >= 250, _moving)
    picks = pick_covers(clip, limits=_KEYFRAMES_ALONE)
    assert len(_looked_at(picks)) == 8


def test_no_more_is_decoded_between_than_the_limit_allows(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip.mp4", lambda number: number % 10 < 3, _moving)
    picks = pick_covers(clip, limits=replace(_KEYFRAMES_ALONE, between_pixels=160 * 96 * 10))
    # Ten frames reach two moments half way to the next keyframe.
    assert len(_looked_at(picks)) == 10
    assert picks.fallback is not None

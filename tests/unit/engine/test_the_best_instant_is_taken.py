"""Around each winner the better instant is taken, from keyframes alone and between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from smartcover.engine import CoverOptions, Limits, pick_covers
from tests.engine_clips import numbered, write_clip

_RATE, _SECONDS = 10, 40


def _blurred(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    soft = picture.astype(float)
    for axis in (0, 1):
        soft = np.mean([np.roll(soft, step, axis=axis) for step in (-2, -1, 0, 1, 2)], axis=0)
    return soft.astype(np.uint8)


_STEP = _SECONDS / Limits().candidates
_BLURRED = {round((number + 0.5) * _STEP * _RATE) for number in range(Limits().candidates)}


def _clip(path: Path, keyframe_every: int) -> Path:
    """Write a clip that is blurred at each of the sixty moments that are looked at, and sharp beside them."""
    pictures = (numbered(number) for number in range(_RATE * _SECONDS))
    frames = (_blurred(picture) if number in _BLURRED else picture for number, picture in enumerate(pictures))
    return write_clip(path / "clip.mp4", frames, rate=_RATE, keyframe_every=keyframe_every)


def test_between_keyframes_the_sharp_instant_beside_a_blurred_moment_is_the_cover(tmp_path: Path) -> None:
    picks = pick_covers(_clip(tmp_path, keyframe_every=10), CoverOptions(count=3))
    shown = {round(cover.seconds * _RATE) for cover in picks.covers}
    assert len(shown) == 3
    assert not shown & _BLURRED


def test_looking_around_ends_with_its_budget(tmp_path: Path) -> None:
    # With one keyframe, what lies late in the clip takes more frames than a quarter of what the clip has.
    enough_once = Limits(between_pixels=_RATE * _SECONDS * 160 * 96)
    picks = pick_covers(_clip(tmp_path, keyframe_every=1000), CoverOptions(count=3), limits=enough_once)
    shown = {round(cover.seconds * _RATE) for cover in picks.covers}
    assert len(shown) == 3
    assert shown & _BLURRED

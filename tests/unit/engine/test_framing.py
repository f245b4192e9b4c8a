"""Framing: where the subject is, whether it stands out, whether the frame cuts it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from smartcover.engine.framing import framing
from tests.engine_clips import plain, texture

Picture = npt.NDArray[np.uint8]


def _spot(across: float, down: float, radius: float = 0.12, ground: int = 90) -> Picture:
    """A patterned red disc on a calm ground."""
    rows, columns = np.mgrid[0:270, 0:480]
    random = np.random.default_rng(1)
    picture = np.full((270, 480, 3), ground, dtype=np.int16) + random.integers(-3, 4, (270, 480, 1))
    inside = (columns / 480 - across) ** 2 * (480 / 270) ** 2 + (rows / 270 - down) ** 2 < radius**2
    pattern = ((rows // 6 + columns // 6) % 2)[..., None] * 80 * np.array([1.0, 0.2, 0.2]) + np.array([150, 40, 40])
    return np.where(inside[..., None], pattern, picture).clip(0, 255).astype(np.uint8)


def test_a_subject_where_the_thirds_cross_is_told() -> None:
    assert framing(_spot(1 / 3, 1 / 3)).thirds > 0.7
    assert framing(_spot(2 / 3, 2 / 3)).thirds > 0.7
    assert framing(_spot(0.5, 0.5)).thirds < 0.4


def test_a_subject_cut_by_the_frame_is_told() -> None:
    assert framing(_spot(1.0, 0.5)).cut_off > 0.3
    assert framing(_spot(0.5, 0.5)).cut_off < 0.12


def test_a_subject_that_stands_out_has_contrast_and_sharpness() -> None:
    found = framing(_spot(0.4, 0.5))
    assert found.subject_contrast > 0.1
    assert found.subject_sharpness > 2


@pytest.mark.parametrize("picture", [plain(0, 270, 480), plain(255, 3, 2), plain(9, 1, 1)])
def test_where_nothing_stands_out_nothing_is_claimed(picture: Picture) -> None:
    found = framing(picture)
    assert (found.thirds, found.cut_off, found.subject_contrast, found.subject_sharpness) == (0, 0, 0, 1)


@pytest.mark.parametrize("picture", [texture(270, 480), texture(480, 270), texture(20, 700), _spot(0.2, 0.9)])
def test_every_number_stays_in_its_range(picture: Picture) -> None:
    found = framing(picture)
    for value in (found.thirds, found.cut_off, found.subject_contrast):
        assert 0.0 <= value <= 1.0
    assert np.isfinite(found.subject_sharpness)

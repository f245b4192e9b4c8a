"""What tells in a picture alone that it is a transition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter

from smartcover.engine.signals import prepare
from smartcover.engine.transitions import transition_signals
from smartcover.engine.types import Signals
from tests.engine_clips import texture


def _signals(picture: npt.NDArray[np.uint8]) -> Signals:
    return transition_signals(prepare(picture))


def _specks(picture: npt.NDArray[np.uint8]) -> float:
    return _signals(picture)["specks"]


def test_specks_are_single_pixels_that_stand_out_of_what_is_smooth() -> None:
    smooth = np.repeat(np.linspace(60, 180, 120).astype(np.uint8)[:, None, None], 160, axis=1).repeat(3, axis=2)
    assert _specks(smooth) == 0.0
    sown = smooth.copy()
    places = np.s_[2:-2:6, 2:-2:6]
    sown[places] = 255
    sown_share = sown[places].shape[0] * sown[places].shape[1] / (118 * 158)
    assert _specks(sown) == pytest.approx(sown_share, rel=1e-6)
    dark = np.where(sown == 255, 0, sown).astype(np.uint8)
    assert _specks(dark) == pytest.approx(sown_share, rel=1e-6)
    blurred = np.asarray(Image.fromarray(sown).filter(ImageFilter.GaussianBlur(1)))
    assert _specks(blurred) == 0.0, "what a lens draws"
    assert _specks(texture(270, 480)) < 0.001


@pytest.mark.parametrize(("place", "turned"), [(90, False), (200, False), (130, True), (400, True)])
def test_the_seam_of_two_pictures_is_found_where_it_is(place: int, turned: bool) -> None:
    clouds = [np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8) for seed in (1, 2)]
    one, other = (np.asarray(Image.fromarray(cloud).resize((480, 270), Image.Resampling.BICUBIC)) for cloud in clouds)
    beside = one // 3
    if turned:
        beside[:, place:] = other[:, place:] // 2 + 120
    else:
        beside[place:] = other[place:] // 2 + 120
    signals = _signals(beside)
    assert signals["seam"] > 0.9
    assert signals["seam_at"] == pytest.approx(1 + place / 480 if turned else place / 270, abs=0.005)
    assert _signals(one)["seam"] < 0.05, "soft borders and slanted ones are none"


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 30), (30, 4), (9, 9), (11, 300), (300, 11)])
def test_the_signals_of_a_picture_of_any_size_are_shares(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(7).integers(0, 256, (*shape, 3), dtype=np.uint8)
    signals = _signals(picture)
    assert 0 <= signals["specks"] <= 1
    assert 0 <= signals["seam"] <= 1
    assert 0 <= signals["seam_at"] <= 2


def test_the_border_of_letterbox_bars_is_no_seam() -> None:
    cloud = np.random.default_rng(3).integers(90, 256, (4, 6, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(cloud).resize((480, 270), Image.Resampling.BICUBIC)).copy()
    picture[:35], picture[-35:] = 0, 0
    assert _signals(picture)["seam"] < 0.1

"""What neighbours in time tell of a moment, and the middle of the picture."""

from __future__ import annotations

import numpy as np
import pytest

from smartcover.engine.composition import centre_contrast, centre_detail, centre_saturation
from smartcover.engine.moments import cell_means, moment_signals, shortfall
from smartcover.engine.signals import prepare
from tests.engine_clips import plain, texture


def _glance(picture: np.ndarray) -> np.ndarray:
    return np.stack([cell_means(picture[..., channel].astype(np.float32), (27, 48)) for channel in range(3)], axis=-1)


def _signals(picture: np.ndarray, before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    neighbours = [(-0.05, _glance(before)), (0.05, _glance(after))]
    return dict(moment_signals(prepare(picture), _glance(picture), neighbours))


def _with_square(background: np.ndarray, left: int, square: np.ndarray) -> np.ndarray:
    picture = background.copy()
    picture[100 : 100 + square.shape[0], left : left + square.shape[1]] = square
    return picture


def test_a_small_thing_that_is_smeared_while_it_moves_is_told_from_a_sharp_one() -> None:
    background, sharp, smeared = texture(270, 480, seed=1), texture(70, 70, seed=2), plain(120, 70, 70)
    around = _with_square(background, 150, sharp), _with_square(background, 290, sharp)
    clear = _signals(_with_square(background, 220, sharp), *around)
    blurred = _signals(_with_square(background, 220, smeared), *around)
    assert blurred["moving_detail"] < clear["moving_detail"]


def test_motion_in_one_corner_counts_and_a_still_picture_has_none() -> None:
    background, thing = texture(270, 480, seed=1), plain((250, 40, 40), 60, 60)
    still = _signals(background, background, background)
    moving = _signals(_with_square(background, 40, thing), background, _with_square(background, 100, thing))
    assert still["local_motion"] == 0
    assert moving["local_motion"] > 1


def test_a_frame_halfway_into_a_fade_falls_short_of_its_neighbours() -> None:
    picture = texture(270, 480)
    faded = (picture // 2).astype(np.uint8)
    signals = _signals(faded, picture, (picture // 4).astype(np.uint8))
    assert signals["fading"] > 0.3
    assert signals["softening"] > 0.3
    assert signals["light_change"] > 20
    steady = _signals(picture, picture, picture)
    assert steady["fading"] == steady["softening"] == steady["light_change"] == 0


def test_without_neighbours_there_is_nothing_to_tell() -> None:
    picture = texture(270, 480)
    assert moment_signals(prepare(picture), _glance(picture), []) == {}


@pytest.mark.parametrize("size", [(3, 3), (2, 200), (270, 480), (480, 254)])
def test_pictures_of_every_size_have_finite_signals(size: tuple[int, int]) -> None:
    picture = texture(*size)
    prepared = prepare(picture)
    glance = np.zeros((27, 48, 3), dtype=np.uint8)
    values = moment_signals(prepared, glance, [(0.04, glance + 9)]).values()
    assert all(np.isfinite(value) for value in values)


def test_cell_means_keep_the_mean_of_even_cells_and_repeat_upwards() -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert cell_means(values, (2, 3)).tolist() == [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]]
    assert cell_means(values, (8, 6)).shape == (8, 6)


def test_shortfall_is_a_share_of_the_largest() -> None:
    assert shortfall([2.0, 4.0], 0.0) == 0.5
    assert shortfall([4.0, 2.0], 0.0) == 0.0


def test_what_stands_in_the_middle_counts_and_the_borders_do_not() -> None:
    middle, border = plain(128, 120, 160), plain(128, 120, 160)
    middle[30:90, 40:120] = texture(60, 80)
    border[:28] = texture(28, 160)
    for signal in (centre_detail, centre_contrast, centre_saturation):
        assert signal(prepare(border)) == 0
        assert signal(prepare(middle)) > 0

"""Each signal against pictures for which the answer is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.engine.signals import (
    blend_fit,
    difference,
    prepare,
    sharpness,
    signature,
    streaks,
    time_signals,
)
from tests.engine_clips import picture_signals, plain, shift, texture


def _blurred(picture: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.uint8]:
    values = picture.astype(float)
    for axis in (0, 1):
        values = np.mean([np.roll(values, step, axis=axis) for step in range(width)], axis=0)
    return values.astype(np.uint8)


def _noisy(picture: npt.NDArray[np.uint8], deviation: float) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(0)
    return np.clip(picture + random.normal(0, deviation, picture.shape), 0, 255).astype(np.uint8)


def test_plain_pictures_have_the_values_of_their_colour() -> None:
    black, white = picture_signals(plain(0)), picture_signals(plain(255))
    assert (black["brightness"], black["dark_share"], black["entropy"]) == (0, 1, 0)
    assert white["brightness"] == pytest.approx(1)
    assert (white["bright_share"], white["flat_share"]) == (1, 1)
    assert white["contrast"] == pytest.approx(0, abs=1e-5)


def test_colourfulness_is_that_of_the_paper() -> None:
    assert picture_signals(plain(90))["colourfulness"] == 0
    half = plain((255, 0, 0))
    half[:, 80:] = (0, 255, 0)
    # rg is +-255 and yb 127.5 throughout: sigma (255, 0), mu (0, 127.5).
    assert picture_signals(half)["colourfulness"] == pytest.approx(255 + 0.3 * 127.5, rel=1e-4)


def test_light_raised_beyond_full_is_cut_off_and_a_bright_sky_is_not() -> None:
    scene = np.tile(np.linspace(20, 250, 480).astype(np.uint8)[None, :, None], (270, 1, 3))
    raised = np.clip(scene.astype(np.float32) * 2.5, 0, 255).astype(np.uint8)
    assert picture_signals(scene)["cut_off_share"] == 0.0
    assert picture_signals(raised)["cut_off_share"] == pytest.approx(np.mean(scene * 2.5 >= 252), abs=0.01)


def test_blur_lowers_sharpness_and_noise_does_not_raise_it_much() -> None:
    picture = texture(270, 480)
    sharp, soft, noisy = (sharpness(prepare(entry)) for entry in (picture, _blurred(picture, 7), _noisy(picture, 12)))
    assert soft < 0.4 * sharp
    assert noisy < 1.25 * sharp


def test_noise_is_measured_in_grey_levels() -> None:
    grey = np.repeat(_noisy(plain(128, 270, 480), 8)[..., :1], 3, axis=2)
    assert picture_signals(grey)["noise"] == pytest.approx(8, rel=0.2)


def test_blur_extent_rises_with_blur() -> None:
    picture = texture(270, 480)
    assert picture_signals(picture)["blur_extent"] + 0.1 < picture_signals(_blurred(picture, 9))["blur_extent"]


@given(st.floats(0.2, 0.8))
def test_a_mixture_is_recognised_and_a_movement_is_not(share: float) -> None:
    before, after = texture(27, 48, seed=1).astype(np.float32), texture(27, 48, seed=2).astype(np.float32)
    residual, change = blend_fit(before, before + (after - before) * np.float32(share), after, share)
    assert residual < 0.01
    assert change > 20
    moved = [shift(texture(27, 48, seed=1), step).astype(np.float32) for step in (0, 12, 24)]
    assert blend_fit(moved[0], moved[1], moved[2], 0.5)[0] > 0.3


def test_a_still_shot_is_no_transition() -> None:
    still = texture(27, 48)
    signals = time_signals(still, [(-0.2, still), (0.2, still)])
    assert signals == {"motion": 0.0, "blend": 1.0, "change": 0.0}


def test_a_dissolve_that_begins_at_a_keyframe_is_recognised_without_earlier_frames() -> None:
    one, other = texture(27, 48, seed=1), texture(27, 48, seed=2)
    later = [(step / 5, (one * (1 - step / 5) + other * (step / 5)).astype(np.uint8)) for step in (1, 2)]
    assert time_signals(one, later)["blend"] < 0.05


def test_pictures_of_one_and_the_same_time_are_no_transition() -> None:
    pictures = [texture(27, 48, seed=seed) for seed in range(4)]
    signals = time_signals(pictures[0], [(0.0, picture) for picture in pictures[1:]])
    assert (signals["blend"], signals["change"]) == (1.0, 0.0)


def test_difference_sees_hue_and_place() -> None:
    base = texture(27, 48)
    assert difference(signature(base), signature(base)) == 0
    assert difference(signature(base), signature(base[..., ::-1])) > 8
    assert difference(signature(base), signature(np.ascontiguousarray(base[:, ::-1]))) > 8


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_signals_of_any_picture_are_finite(rows: int, columns: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    assert all(math.isfinite(value) for value in picture_signals(picture).values())


def test_streaks_are_the_share_of_the_picture_that_repeats_the_line_above() -> None:
    picture = texture(120, 160)
    assert streaks(picture) == 0
    picture[60:] = picture[59]
    assert streaks(picture) == pytest.approx(0.5)

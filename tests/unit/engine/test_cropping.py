"""Crops go around faces, and around what a picture shows."""

from __future__ import annotations

import numpy as np
import pytest

from smartcover.engine import CoverOptions
from smartcover.engine.arrays import Picture
from smartcover.engine.cropping import NOTHING_KNOWN, Subject, best_window, crop_window
from smartcover.engine.geometry import Box
from smartcover.engine.render import render
from tests.engine_clips import plain, texture


def with_box(box: Box, width: int = 640, height: int = 320) -> Picture:
    """A grey picture with one patterned box, given in shares."""
    picture = plain(110, height, width)
    rows, columns = round(box.height * height), round(box.width * width)
    top, left = round(box.top * height), round(box.left * width)
    picture[top : top + rows, left : left + columns] = texture(rows, columns, seed=4)
    return picture


@pytest.mark.parametrize("left", [0.02, 0.45, 0.9])
def test_a_crop_keeps_the_face(left: float) -> None:
    picture = plain(30, 200, 800)
    face = Box(left, 0.3, 0.06, 0.3)
    picture[60:120, round(left * 800) : round((left + 0.06) * 800)] = (255, 0, 0)
    cropped = render(picture, (800, 200), CoverOptions(width_px=200, height_px=200), Subject((face,)))
    assert ((cropped[..., 0] > 200) & (cropped[..., 1] < 60)).sum() >= 0.9 * 60 * 48


def test_a_flat_picture_is_cropped_in_the_middle() -> None:
    window = best_window((400, 100), (100, 100), np.full((64, 64), 1 / 4096, dtype=np.float32))
    assert window.left == pytest.approx(150, abs=8)


@pytest.mark.parametrize("left", [0.2, 0.45, 0.65])
def test_what_stands_out_comes_to_the_middle_of_a_crop(left: float) -> None:
    window = crop_window(with_box(Box(left, 0.3, 0.1, 0.3)), (640, 320), (1, 1), NOTHING_KNOWN)
    middle = (left + 0.05) * 640
    reachable = min(max(middle, 160), 480)  # a window stays within the picture
    assert window.left + window.width / 2 == pytest.approx(reachable, abs=25)


@pytest.mark.parametrize("top", [0.25, 0.6])
def test_a_tall_picture_is_cropped_around_what_stands_out_as_well(top: float) -> None:
    picture = with_box(Box(0.3, top, 0.4, 0.12), width=320, height=640)
    window = crop_window(picture, (320, 640), (16, 9), NOTHING_KNOWN)
    assert window.top + window.height / 2 == pytest.approx((top + 0.06) * 640, abs=25)


def test_of_two_things_that_stand_out_a_crop_takes_the_one_that_is_recognised() -> None:
    picture = np.maximum(with_box(Box(0.05, 0.3, 0.12, 0.3)), with_box(Box(0.8, 0.3, 0.12, 0.3)))
    for column, shown in ((1, 0.11), (5, 0.86)):
        recognised = np.full((7, 7), 0.1, dtype=np.float32)
        recognised[2:5, column] = 1.0
        window = crop_window(picture, (640, 320), (1, 2), Subject((), recognised))
        assert window.left < shown * 640 < window.right


def test_of_two_like_things_one_above_the_other_a_crop_takes_the_upper() -> None:
    recognised = np.zeros((7, 7), dtype=np.float32)
    recognised[[1, 4], 3] = 1.0  # the lower one is nearer to the middle
    grey = plain(110, 640, 320)
    window = crop_window(grey, (320, 640), (2, 1), Subject((), recognised))
    assert window.top < 640 * 1.5 / 7 < window.bottom
    nothing = crop_window(grey, (320, 640), (2, 1), NOTHING_KNOWN)
    assert nothing.top + nothing.height / 2 == pytest.approx(320, abs=16)


@pytest.mark.parametrize("left", [0.1, 0.4, 0.5])
def test_a_face_wider_than_the_crop_is_cut_on_both_sides(left: float) -> None:
    face = Box(left, 0.2, 0.4, 0.7)
    recognised = np.zeros((7, 7), dtype=np.float32)
    recognised[5:, 3] = 1.0
    window = crop_window(plain(110, 320, 640), (640, 320), (9, 16), Subject((face,), recognised))
    assert window.left + window.width / 2 == pytest.approx((left + 0.2) * 640, abs=30)


def test_what_is_known_of_a_picture_is_told_of_a_part_of_it() -> None:
    recognised = np.zeros((7, 7), dtype=np.float32)
    recognised[:, 0] = 1.0
    right = Subject((Box(0.6, 0.4, 0.2, 0.2),), recognised).within(Box(0.5, 0.25, 0.5, 0.5))
    (face,) = right.faces
    assert (face.left, face.top, face.width, face.height) == pytest.approx((0.2, 0.3, 0.4, 0.4))
    assert right.recognised is not None
    assert np.abs(right.recognised).max() < 0.1
    left = Subject((), recognised).within(Box(0, 0, 0.5, 1)).recognised
    assert left is not None
    assert left[:, 0].min() > 0.8

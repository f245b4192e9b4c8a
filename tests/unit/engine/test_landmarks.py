"""A closer look at faces: blinks are seen, false faces told, smiles by geometry, crops placed right."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from smartcover.engine.faces import Face, YuNet
from smartcover.engine.geometry import Box
from smartcover.engine.landmarks import MIN_FACE_PX, MIN_PRESENCE, Crop, face_details, openness, smile
from tests.real_frames import frames

_CARPHONE = "carphone_pristine.mp4"
_BLINKS, _OPEN = (42, 92), (5, 20, 50, 70)


def _seen(
    numbers: tuple[int, ...], turn: int = 0, mirror: bool = False, scale: float = 1.0
) -> list[npt.NDArray[np.uint8]]:
    changed = []
    for picture in frames(_CARPHONE, numbers):
        image = Image.fromarray(picture[:, ::-1] if mirror else picture).rotate(turn, Image.Resampling.BICUBIC)
        size = (round(image.width * scale), round(image.height * scale))
        changed.append(np.asarray(image.resize(size, Image.Resampling.BICUBIC)))
    return changed


@pytest.mark.parametrize(
    ("turn", "mirror", "scale"), [(0, False, 1.0), (0, True, 1.0), (-15, False, 1.0), (0, False, 4.0)]
)
def test_blinks_of_a_real_face_are_told_from_open_eyes(turn: int, mirror: bool, scale: float) -> None:
    finder = YuNet()
    found: dict[str, list[float]] = {"shut": [], "open": []}
    for name, numbers in (("shut", _BLINKS), ("open", _OPEN)):
        for picture in _seen(numbers, turn, mirror, scale):
            details = face_details(picture, finder.find(picture)[0])
            assert details is not None
            assert details.presence > 0.99
            found[name].append(details.eyes_open)
    assert max(found["shut"]) < 0.5
    assert min(found["open"]) > 0.85


def test_a_face_turned_to_its_left_has_a_positive_yaw_and_mirrored_a_negative_one() -> None:
    finder = YuNet()
    (ahead,), (turned,), (mirrored,) = _seen((20,)), _seen((89,)), _seen((89,), mirror=True)
    yaws = []
    for picture in (ahead, turned, mirrored):
        details = face_details(picture, finder.find(picture)[0])
        assert details is not None
        yaws.append(details.yaw_degrees)
    assert yaws[0] == pytest.approx(0, abs=5)
    assert yaws[1] > 8
    assert yaws[2] < -8


def test_a_mouth_that_forms_a_word_has_a_higher_upper_lip_than_one_at_rest() -> None:
    finder = YuNet()
    resting, speaking = (face_details(picture, finder.find(picture)[0]) for picture in frames(_CARPHONE, (90, 60)))
    assert resting is not None and speaking is not None
    assert 0.05 < resting.upper_lip < 0.08 < 0.09 < speaking.upper_lip < 0.12


def test_what_is_no_face_has_no_presence() -> None:
    (picture,) = frames("bikes.mp4", (80,))
    claimed = Face(Box(60, 60, 80, 100), ((80.0, 100.0), (115.0, 100.0)), 0.9)
    details = face_details(picture, claimed)
    assert details is not None
    assert details.presence < MIN_PRESENCE / 2


def test_a_face_outside_the_picture_is_no_face_and_no_error() -> None:
    picture = np.full((100, 100, 3), 120, dtype=np.uint8)
    details = face_details(picture, Face(Box(-300, -300, 50, 50), ((-290.0, -280.0), (-260.0, -280.0)), 0.9))
    assert details is not None
    assert details.presence < MIN_PRESENCE


def test_small_faces_are_not_looked_at() -> None:
    picture = np.zeros((100, 100, 3), dtype=np.uint8)
    assert face_details(picture, Face(Box(0, 0, MIN_FACE_PX - 1, 60), ((5.0, 5.0), (20.0, 5.0)), 0.9)) is None
    assert face_details(picture, Face(Box(0, 0, 60, 60), (), 0.9)) is None


@pytest.mark.parametrize("angle", [0.0, 0.5, -1.2])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("side", [80.0, 500.0])
def test_a_crop_shows_what_it_says_it_shows(angle: float, mirrored: bool, side: float) -> None:
    picture = np.zeros((700, 800, 3), dtype=np.uint8)
    crop = Crop(400, 350, side, angle, mirrored)
    wanted = np.array([[0.75, 0.4]])
    ((x, y),) = crop.to_picture(wanted)
    radius = side / 25
    rows, columns = np.mgrid[0:700, 0:800]
    picture[(columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 < radius**2] = 255
    cut = crop.cut(picture, 64).astype(float).mean(axis=2)
    assert cut.max() > 200
    down, across = np.mgrid[0:64, 0:64] + 0.5
    assert (cut * across).sum() / cut.sum() / 64 == pytest.approx(0.75, abs=0.02)
    assert (cut * down).sum() / cut.sum() / 64 == pytest.approx(0.4, abs=0.02)


def test_a_crop_over_the_edge_is_black_outside() -> None:
    cut = Crop(0, 50, 100, 0.0).cut(np.full((100, 100, 3), 200, dtype=np.uint8), 64)
    assert cut[:, :30].max() == 0
    assert cut[8:-8, 34:].min() == 200


def _lids(height: float) -> npt.NDArray[np.float64]:
    points = np.zeros((71, 3))
    points[:9, 0] = points[[0, *range(9, 16), 8], 0] = np.linspace(0, 40, 9)
    points[1:8, 1], points[9:16, 1] = height / 2, -height / 2
    return points


def test_openness_is_the_gap_of_the_lids_over_the_eye() -> None:
    assert openness(_lids(0.0)) == 0.0
    assert openness(_lids(40 * 0.14)) == pytest.approx(0.5)
    assert openness(_lids(40 * 0.3)) == 1.0


def test_lifted_corners_of_the_mouth_are_a_smile_and_hanging_ones_are_not() -> None:
    points = np.zeros((468, 3))
    points[33], points[263] = (50, 50, 0), (150, 50, 0)
    points[13] = points[14] = (100, 130, 0)
    lifts = []
    for lift in (-6, 0, 7, 14):
        points[61], points[291] = (69, 130 - lift, 0), (131, 130 - lift, 0)
        lifts.append(smile(points))
    assert lifts[0] == lifts[1] == 0.0
    assert 0.3 < lifts[2] < 0.8
    assert lifts[3] == 1.0
    assert math.isfinite(smile(np.zeros((468, 3))))


def test_a_shut_eye_is_seen_however_the_head_is_tilted() -> None:
    finder = YuNet()
    for turn in (-30, -15, 15, 30):
        (picture,) = _seen((42,), turn)
        details = face_details(picture, finder.find(picture)[0])
        assert details is not None
        assert details.eyes_open < 0.2, turn

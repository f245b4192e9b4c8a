"""Faces as signals, and what the networks add to a look."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from smartcover.engine.faces import Face, YuNet
from smartcover.engine.geometry import Box, Orientation
from smartcover.engine.looks import Look, Neighbour
from smartcover.engine.portraits import portrait_signals
from smartcover.engine.runs import Run
from smartcover.engine.scoring import MEANINGS
from smartcover.engine.study import Networks, study
from tests.engine_clips import texture
from tests.real_frames import frames

# The man in the clip blinks around frame 42 (the darkest of three blinks) and looks at the camera in frame 30.
AWAKE, BLINKING = frames("carphone_pristine.mp4", (30, 42))


def _far_away(picture: np.ndarray) -> np.ndarray:
    rows, columns = picture.shape[:2]
    wide = np.full((8 * rows, 8 * columns, 3), 90, dtype=np.uint8)
    wide[rows : 2 * rows, columns : 2 * columns] = picture
    return wide


def _portrait(picture: np.ndarray) -> dict[str, float]:
    return dict(portrait_signals(picture, YuNet().find(picture)))


def test_open_eyes_score_higher_than_a_blink() -> None:
    assert _portrait(AWAKE)["eyes_open"] > _portrait(BLINKING)["eyes_open"] + 0.2
    assert _portrait(AWAKE)["face_confidence"] > 0.7


def test_a_large_face_turned_to_the_camera_faces_it_and_less_so_small_or_turned_away() -> None:
    ahead, small = _portrait(AWAKE)["facing"], _portrait(_far_away(AWAKE))["facing"]
    turned = _portrait(frames("carphone_pristine.mp4", (89,))[0])["facing"]
    assert small < 0.6 * ahead
    assert turned < ahead - 0.005 and 0.9 < ahead <= 1.0


def test_without_a_face_nothing_is_open_and_nothing_smiles() -> None:
    signals = portrait_signals(texture(270, 480), [])
    assert set(signals.values()) == {0.0}


def test_what_is_no_face_on_a_closer_look_counts_as_none() -> None:
    picture = texture(270, 480)
    points = ((150.0, 110.0), (190.0, 110.0), (170.0, 130.0), (155.0, 150.0), (185.0, 150.0))
    signals = portrait_signals(picture, [Face(Box(120, 70, 100, 120), points, 0.9)])
    assert signals["faces"] == signals["face_confidence"] == signals["eyes_open"] == 0.0


def test_a_face_too_small_for_its_eyes_leaves_them_unknown() -> None:
    picture = texture(270, 480)
    points = ((105.0, 105.0), (113.0, 105.0), (109.0, 110.0), (106.0, 114.0), (112.0, 114.0))
    signals = portrait_signals(picture, [Face(Box(100, 100, 18, 20), points, 0.9)])
    assert signals["faces"] == 1.0
    assert "eyes_open" not in signals


def test_a_look_that_the_networks_saw_has_every_signal_that_counts() -> None:
    small = np.ascontiguousarray(AWAKE[::8, ::8])
    neighbour = np.roll(small, 1, axis=1)
    look = Look(
        pts=Fraction(1),
        seconds=1.0,
        picture=AWAKE,
        glance=small,
        damage=0,
        suspect=False,
        run=Run((), Fraction(0)),
        neighbours=(Neighbour(-0.05, neighbour), Neighbour(0.05, neighbour)),
    )
    entry = study(look, Orientation())
    assert entry.faces is None and entry.meaning is None
    seen = Networks().look(entry)
    assert {signal for signals in MEANINGS.values() for signal in signals} <= set(seen.signals)
    assert seen.faces and seen.meaning is not None
    assert abs(float(np.linalg.norm(seen.meaning)) - 1) < 1e-3

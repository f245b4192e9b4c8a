"""Drawn pictures and noise are told from filmed ones."""

from __future__ import annotations

import numpy as np
import pytest

from smartcover.engine.cards import card_signals
from smartcover.engine.defects import find_defect
from smartcover.engine.norms import Clip
from smartcover.engine.signals import prepare
from tests.engine_clips import picture_signals, plain, texture


def _signals(picture: np.ndarray) -> dict[str, float]:
    return {**picture_signals(picture), **card_signals(prepare(picture))}


def _title() -> np.ndarray:
    card = plain(8, 270, 480)
    card[100:160, 140:340][np.arange(60) % 6 < 3] = 240
    return card


def _bars() -> np.ndarray:
    card = plain(0, 270, 480)
    for place, colour in enumerate(((190, 190, 190), (190, 190, 0), (0, 190, 190), (0, 190, 0), (190, 0, 190))):
        card[:, place * 96 : place * 96 + 96] = colour
    return card


def _noise() -> np.ndarray:
    grey = np.random.default_rng(3).integers(0, 256, (270, 480, 1), dtype=np.uint8)
    return np.repeat(grey, 3, axis=2)


FILMED = _signals(texture(270, 480))


@pytest.mark.parametrize(("picture", "kind"), [(_title(), "card"), (_bars(), "card"), (_noise(), "flat")])
def test_cards_and_noise_are_out_where_filmed_frames_exist(picture: np.ndarray, kind: str) -> None:
    signals = _signals(picture)
    defect = find_defect(signals, Clip.of([FILMED, FILMED, signals, signals]), broken=False)
    assert defect is not None
    assert defect.kind == kind


@pytest.mark.parametrize("picture", [_title(), _bars()])
def test_a_film_of_drawings_keeps_its_cards(picture: np.ndarray) -> None:
    signals = _signals(picture)
    assert find_defect(signals, Clip.of([signals] * 4), broken=False) is None


def test_a_filmed_frame_is_no_card() -> None:
    assert FILMED["one_colour"] < 0.3
    assert FILMED["likeness_of_neighbours"] > 0.7
    assert FILMED["ruled"] < 0.95

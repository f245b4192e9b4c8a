"""Appeal is fitted within clips, and read apart without a glance at the owner's own grades."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.quality.appeal import fit_appeal, read, read_apart
from benchmarks.quality.features import GradedClip
from benchmarks.quality.judged import JudgedClip

_SIZE = 12


def _clip(owner: str, stages: npt.NDArray[np.float64], grades: npt.NDArray[np.float64]) -> GradedClip:
    seconds = tuple(float(place) for place in range(len(grades)))
    judged = JudgedClip(Path(f"{owner}__clip.mp4"), seconds, grades[np.newaxis])
    return GradedClip(judged, tuple({} for _second in seconds), stages.astype(np.float32))


@pytest.fixture
def clips() -> list[GradedClip]:
    """Thirty owners' clips whose grades follow the first value, each about a level of its own."""
    generator = np.random.default_rng(5)
    made = []
    for number in range(30):
        stages = generator.normal(size=(20, _SIZE)) + generator.normal(0, 5)
        made.append(_clip(f"owner{number}", stages, stages[:, 0] + generator.normal(0, 5)))
    return made


def test_the_value_that_grades_follow_is_found(clips: list[GradedClip]) -> None:
    weights = fit_appeal(clips, penalty=0.001)
    assert weights[0] == pytest.approx(1, abs=0.02)
    assert weights[1:] == pytest.approx(0, abs=0.02)


def test_a_stronger_penalty_gives_smaller_weights(clips: list[GradedClip]) -> None:
    assert 0.2 < fit_appeal(clips, penalty=1)[0] < 0.6


def test_appeal_is_added_to_the_signals_of_each_frame(clips: list[GradedClip]) -> None:
    known = read(clips[0], np.eye(_SIZE)[0])
    assert [frame["appeal"] for frame in known.signals] == pytest.approx(clips[0].stages[:, 0])


def test_a_clip_is_read_apart_the_same_whatever_its_own_grades_are(clips: list[GradedClip]) -> None:
    first = clips[0]
    turned = replace(first, clip=replace(first.clip, grades=-first.clip.grades))
    one, other = read_apart(clips)[0], read_apart([turned, *clips[1:]])[0]
    assert [frame["appeal"] for frame in one.signals] == [frame["appeal"] for frame in other.signals]


def test_grades_of_other_owners_do_change_how_a_clip_is_read(clips: list[GradedClip]) -> None:
    turned = [replace(clip, clip=replace(clip.clip, grades=-clip.clip.grades)) for clip in clips[1:]]
    one, other = read_apart(clips)[0], read_apart([clips[0], *turned])[0]
    assert [frame["appeal"] for frame in one.signals] == pytest.approx([-frame["appeal"] for frame in other.signals])

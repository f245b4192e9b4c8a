"""A moment among good moments is worth more."""

from __future__ import annotations

import numpy as np
import pytest

from smartcover.engine.steadiness import steadied


def _apart(*levels: float) -> np.ndarray:
    return np.abs(np.subtract.outer(levels, levels))


def test_one_lucky_frame_yields_to_a_stretch_that_is_nearly_as_good() -> None:
    values = [0.3, 0.62, 0.3, 0.3, 0.3, 0.6, 0.6, 0.6, 0.3]
    found = steadied(values, [True] * 9, [0.1 * place for place in range(9)], _apart(*[5.0] * 9))
    assert int(np.argmax(found)) == 6


def test_another_shot_does_not_count_as_surroundings() -> None:
    found = steadied([0.5, 0.9, 0.5], [True] * 3, [0.0, 0.1, 0.2], _apart(0.0, 180.0, 0.0))
    assert found[1] == 0.9


def test_a_defect_close_by_counts_against_a_moment() -> None:
    times = [0.0, 0.1, 0.2]
    clean = steadied([0.5, 0.5, 0.5], [True] * 3, times, _apart(1, 1, 1))
    beside = steadied([0.5, 0.5, 0.5], [True, True, False], times, _apart(1, 1, 1))
    assert beside[1] < clean[1]


def test_moments_far_apart_keep_their_scores() -> None:
    found = steadied([0.2, 0.8], [True, True], [0.0, 60.0], _apart(1, 1))
    assert found == pytest.approx([0.2, 0.8], abs=1e-6)
    assert steadied([0.4], [True], [1.0], _apart(1)) == [0.4]

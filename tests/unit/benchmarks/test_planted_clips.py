"""Where defects are planted in clips."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.planted.build import scattered_stretches


@pytest.mark.parametrize("seed", range(20))
def test_stretches_at_random_places_and_beside_cuts_stay_within_the_clip(seed: int) -> None:
    stretches = scattered_stretches(60, [1, 30, 59], np.random.default_rng(seed))
    assert len(stretches) == 8
    assert all(0 <= start < end <= 60 for start, end in stretches)

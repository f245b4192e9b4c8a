"""A moment is worth more among good moments: what looks well for one frame only is mostly luck or a lucky blur."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_SHARE = 0.75
"""Weight of the surroundings against the moment's own score; 0.5 to 1 do about as well (docs/quality.md)."""

_WIDTH = 0.015
_LEAST_SECONDS = 0.1
"""How far surroundings reach: a share of the video (the standard deviation of the weight), and at least this."""

_SAME_SHOT = 25.0
"""Distance of signatures up to which moments near in time are one shot."""

_DEFECT_COST = 0.3
"""What a defect takes off the score that a moment lends to those around it."""


def steadied(
    values: Sequence[float], clean: Sequence[bool], seconds: Sequence[float], apart: npt.NDArray[np.float64]
) -> list[float]:
    """
    Mix the score of each moment with those around it in the same shot; one without surroundings keeps its own.

    Args:
        values: Scores, 0 to 1.
        clean: Whether the moment has no defect; defects around count against a moment.
        seconds: When they are, in order.
        apart: How different any two look, (moments, moments); see `signals.difference`.
    """
    times, own = np.array(seconds), np.array(values)
    if len(own) < 2:
        return list(values)
    width = max(_LEAST_SECONDS, _WIDTH * float(times[-1] - times[0]))
    weights = np.exp(-0.5 * ((times - times[:, None]) / width) ** 2)
    weights[apart > _SAME_SHOT] = 0.0
    np.fill_diagonal(weights, 0.0)
    lent = own - _DEFECT_COST * ~np.array(clean)
    around = weights.sum(axis=1)
    # Far surroundings have little weight in all; then they hardly change the score.
    share = _SHARE * np.minimum(1.0, around)
    mean = np.array([row @ lent for row in weights]) / np.where(around > 0, around, 1.0)
    steady: list[float] = np.where(around > 0, (own + share * mean) / (1 + share), own).tolist()
    return steady

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
_DEFECT_COST = 0.3


def steadied(
    values: Sequence[float], clean: Sequence[bool], seconds: Sequence[float], signatures: npt.NDArray[np.float32]
) -> list[float]:
    """
    Mix the score of each moment with those around it in the same shot; one without surroundings keeps its own.

    Args:
        values: Scores, 0 to 1.
        clean: Whether the moment has no defect; defects around count against a moment.
        seconds: When they are, in order.
        signatures: Of each moment, (moments, planes, rows, columns); see `signals.signature`.
    """
    times, own = np.array(seconds), np.array(values)
    if len(own) < 2:
        return list(values)
    width = max(_LEAST_SECONDS, _WIDTH * float(times[-1] - times[0]))
    lent = own - _DEFECT_COST * ~np.array(clean)
    result = []
    for place in range(len(own)):
        weights = np.exp(-0.5 * ((times - times[place]) / width) ** 2)
        planes = np.abs(signatures - signatures[place]).mean(axis=(2, 3))
        weights[planes[:, 0] + planes[:, 1] / 2 + planes[:, 2] / 2 > _SAME_SHOT] = 0.0
        weights[place] = 0.0
        around = float(weights.sum())
        # Far surroundings have little weight in all; then they hardly change the score.
        share = _SHARE * min(1.0, around)
        mean = float(weights @ lent) / around if around > 0 else 0.0
        result.append((float(own[place]) + share * mean) / (1 + share) if around > 0 else float(own[place]))
    return result

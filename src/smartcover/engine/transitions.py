"""What tells in a picture alone that it is a transition: specks of another picture, and the seam between two."""

from __future__ import annotations

import math

import numpy as np

from smartcover.engine.arrays import Bytes
from smartcover.engine.signals import Prepared, share_of
from smartcover.engine.types import Signals

_SPECK, _AGREE = 25, 12
"""How far a pixel stands out of those around it that is a speck, and how far the middle four of those may differ."""

_BORDER, _BORDER_OVER_BESIDE, _BORDER_APART, _MARGIN = 12, 2.5, 4, 0.14
"""
How much light changes across the border of two pictures, and how many times as much as it changes so many pixels beside
it; and the share of a picture at its edges where none is looked for, as the bars of most letterboxes end there.
"""

_SORTING_EIGHT = (
    (0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6),
    (0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6),
)  # fmt: skip
"""Which of eight values to put in order, one pair after the other, until all are (odd-even mergesort: Batcher 1968)."""


def transition_signals(picture: Prepared) -> Signals:
    """
    Compute the signals of what is sown over a picture and of what stands beside it.

    The thresholds are this project's own.

    Returns:
        `specks` (see `_specks`). `seam`: the share of a line from side to side along which one straight border runs, as
        where two pictures meet of which one comes in; what is filmed seldom has one. `seam_at`: where that is, from the
        top 0 to 1, from the left 1 to 2.
    """
    seam, seam_at = max(_straightest(picture.light, 0), _straightest(np.ascontiguousarray(picture.light.T), 1))
    return {"specks": _specks(picture.light), "seam": seam, "seam_at": seam_at}


def _specks(light: Bytes) -> float:
    """
    Share of pixels that stand out of all of their eight neighbours but one at each end, where those agree.

    A dissolve by single pixels sows the other picture over what is smooth. Texture and grain do not agree around what
    stands out of them, and what a lens draws is wider than a pixel.
    """
    rows, columns = light.shape
    places = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2))
    around = [light[row : rows - 2 + row, column : columns - 2 + column] for row, column in places]
    for low, high in _SORTING_EIGHT:
        around[low], around[high] = (
            np.minimum(around[low], around[high]),
            np.maximum(around[low], around[high]),
        )
    here, lower, upper = light[1:-1, 1:-1], around[1], around[6]
    stands_out = ((lower > here) & (lower - here > _SPECK)) | ((here > upper) & (here - upper > _SPECK))
    return share_of(stands_out & (around[5] - around[2] <= _AGREE))


def _straightest(light: Bytes, turned: int) -> tuple[float, float]:
    rows = len(light)
    margin = max(math.floor(_MARGIN * rows), _BORDER_APART + 1)
    if rows <= 2 * margin:
        return 0.0, float(turned)
    after, before = light[2:], light[:-2]
    steps = np.maximum(after, before) - np.minimum(after, before)
    here = steps[_BORDER_APART:-_BORDER_APART]
    beside = np.maximum(steps[: -2 * _BORDER_APART], steps[2 * _BORDER_APART :])
    # A change of 102 and more is beyond any that is 2.5 times as large.
    limits = np.maximum(_BORDER, np.minimum(beside, 102) * np.float32(_BORDER_OVER_BESIDE)).astype(np.uint8)
    shares = (here > limits).mean(axis=1)
    first = margin - _BORDER_APART - 1
    found = int(shares[first : len(shares) - first].argmax()) + first
    return float(shares[found]), turned + (found + _BORDER_APART + 1) / rows

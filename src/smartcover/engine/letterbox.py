"""Black bars around the picture, found over the whole video so that a dark scene is not taken for one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from smartcover.engine.geometry import Box

_BAR_LUMA = 26
"""Limited-range black is 16 and compression leaves some dirt on it."""

_MAX_BAR_SHARE = 0.4
_MIN_BAR_SHARE = 0.006
"""Digitised tapes have black columns of 8 in 720 or 640 (0.011 and more) at their sides."""


def find_content(pictures: Sequence[npt.NDArray[np.uint8]]) -> Box | None:
    """
    Give the part of the picture inside the bars as shares (0..1), or None when there are none.

    Args:
        pictures: Upright looks at different moments, of one size; others are left out.
    """
    if not pictures:
        return None
    shape = pictures[0].shape
    brightest = np.zeros(shape[:2], dtype=np.uint8)
    for picture in pictures:
        if picture.shape == shape:
            np.maximum(brightest, picture.max(axis=2), out=brightest)
    top, bottom = _bars(np.percentile(brightest, 98, axis=1))
    left, right = _bars(np.percentile(brightest, 98, axis=0))
    if max(top, bottom, left, right) == 0.0:
        return None
    return Box(left, top, 1.0 - left - right, 1.0 - top - bottom)


def _bars(lines: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Give the shares of dark lines at both ends; (0, 0) when they look like a dark scene and not like bars."""
    light = np.flatnonzero(lines > _BAR_LUMA)
    if not len(light):
        return 0.0, 0.0
    # One line more on each side: the border line is half bar, half picture.
    before, after = float(light[0]) / len(lines), float(len(lines) - 1 - light[-1]) / len(lines)
    edge = 1.0 / len(lines)
    bars = [share + edge if _MIN_BAR_SHARE <= share <= _MAX_BAR_SHARE else 0.0 for share in (before, after)]
    return bars[0], bars[1]

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


_FEW_WITHOUT = 0.2
"""Share of a video's moments that may fill the frame, like a logo before a film or a card at its end."""


def find_content(pictures: Sequence[npt.NDArray[np.uint8]], shown: npt.NDArray[np.uint8]) -> Box | None:
    """
    Give the part of a picture inside the bars as shares (0..1), or None when there are none.

    Args:
        pictures: Upright looks at different moments, of one size; others are left out, and the few that fill the frame.
        shown: The look whose content is wanted. What it shows itself is never taken for bars.
    """
    lit = [picture.max(axis=2) for picture in pictures if picture.shape == shown.shape]
    barred = [light for light in lit if not _fills_the_frame(light)]
    if len(lit) - len(barred) > _FEW_WITHOUT * len(lit):
        return None
    brightest = shown.max(axis=2)
    for light in barred:
        np.maximum(brightest, light, out=brightest)
    top, bottom = _bars(_brightness(brightest))
    left, right = _bars(_brightness(brightest.T))
    if max(top, bottom, left, right) == 0.0:
        return None
    return Box(left, top, 1.0 - left - right, 1.0 - top - bottom)


def _brightness(lines: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Give the light of each line, but for what is a fiftieth of it or less."""
    result: npt.NDArray[np.float64] = np.percentile(lines, 98, axis=1)
    return result


def _fills_the_frame(light: npt.NDArray[np.uint8]) -> bool:
    """Tell whether something is lit up to every side."""
    return all(_brightness(lines[[0, -1]]).min() > _BAR_LUMA for lines in (light, light.T))


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

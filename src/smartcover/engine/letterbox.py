"""Black bars around the picture, found over the whole video so that a dark scene is not taken for one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from smartcover.engine.arrays import Picture
from smartcover.engine.geometry import Box

_BAR_LUMA = 26
"""Limited-range black is 16 and compression leaves some dirt on it."""

_MAX_BAR_SHARE = 0.4
_MIN_BAR_SHARE = 0.006
"""Digitised tapes have black columns of 8 in 720 or 640 (0.011 and more) at their sides."""

_FEW_WITHOUT = 0.2
"""Share of a video's moments that may fill the frame, like a logo before a film or a card at its end."""


class Letterbox:
    """
    The black bars of a video, as looks at its moments show them.

    Args:
        pictures: Upright looks at different moments. The few that fill the frame are left out.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        lit: dict[tuple[int, ...], list[Picture]] = {}
        for picture in pictures:
            lit.setdefault(picture.shape, []).append(_light(picture))
        self._brightest = {shape: _brightest_with_bars(lights) for shape, lights in lit.items()}

    def content(self, shown: Picture) -> Box | None:
        """
        Give the part of a look inside the bars as shares (0..1), or None when there are none.

        Only looks of its size count, and what it shows itself is never taken for bars.
        """
        of_others, own = self._brightest.get(shown.shape), _light(shown)
        if of_others is None:
            return None
        brightest = np.maximum(of_others, own)
        top, bottom = _bars(_brightness(brightest))
        left, right = _bars(_brightness(brightest.T))
        if max(top, bottom, left, right) == 0.0:
            return None
        return Box(left, top, 1.0 - left - right, 1.0 - top - bottom)


def _light(picture: Picture) -> Picture:
    """Give the brightest channel of each pixel."""
    red, green, blue = (picture[..., channel] for channel in range(3))
    return np.maximum(np.maximum(red, green), blue)  # thirty times as fast as the maximum over an axis of three


def _brightest_with_bars(lights: Sequence[Picture]) -> Picture | None:
    """Give the most light that each pixel has in moments with bars; None if too many have none."""
    barred = [light for light in lights if not _fills_the_frame(light)]
    if len(lights) - len(barred) > _FEW_WITHOUT * len(lights):
        return None
    brightest: Picture = np.maximum.reduce(barred)
    return brightest


def _brightness(lines: Picture) -> npt.NDArray[np.float64]:
    """Give the light of each line, but for what is a fiftieth of it or less."""
    result: npt.NDArray[np.float64] = np.percentile(lines, 98, axis=1)
    return result


def _fills_the_frame(light: Picture) -> bool:
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

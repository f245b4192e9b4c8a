"""
The middle of the picture, where covers are looked at first.

Of all cheap signals these agreed best with judges' grades (docs/quality.md). Each is taken over the middle half of
the width and of the height.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smartcover.engine.signals import Prepared
from smartcover.engine.types import Signals


def centre_detail(picture: Prepared) -> float:
    """Mean gradient: a subject with structure in the middle (`detail` of signals.py over a part of the picture)."""
    return float(_middle(picture.gradient).mean())


def centre_contrast(picture: Prepared) -> float:
    """Standard deviation of luma, 0..255: something stands out in the middle (RMS contrast: Peli 1990)."""
    return float(_middle(picture.luma).std())


def centre_saturation(picture: Prepared) -> float:
    """Mean of the largest less the smallest channel, 0..255: colour in the middle (chroma of the HSV hexagon)."""
    red, green, blue = map(_middle, picture.channels)
    largest, smallest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return float((largest - smallest).mean())


def composition_signals(picture: Prepared) -> Signals:
    """Compute all signals of this module."""
    return {
        "centre_detail": centre_detail(picture),
        "centre_contrast": centre_contrast(picture),
        "centre_saturation": centre_saturation(picture),
    }


def _middle(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    rows, columns = values.shape[:2]
    return values[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]

"""Blocks of compression: steps on the grid of the encoder's blocks."""

from __future__ import annotations

import numpy as np

from smartcover.engine.arrays import Floats, Picture
from smartcover.engine.signals import prepare

_GRID_PX = 8
"""Block side of JPEG, MPEG-2, MPEG-4 and H.263, and the transform's of most H.264."""

_LEAST_SIDE_PX = 48
_TEXTURE = 1.0
"""Added to the mean gradient, so that the slight steps of a flat picture do not count as strong ones."""


def blockiness(picture: Picture) -> float:
    """
    Tell how much stronger gradients are on the block grid than elsewhere: 0 none, 1 about twice as strong.

    After Wang, Bovik and Evans 2000 ("Blind measurement of blocking artifacts in images"): the gradients summed along
    the grid's lines have a spectrum with peaks at the multiples of 1/grid, measured over the spectrum around them. The
    grid's place does not matter, so crops and letterboxes may be measured. Reference values over ten pictures:
    undamaged 0.00 to 0.01; JPEG at quality 50 0.03 to 0.27, at 20 0.15 to 0.6, at 5 0.7 to 2.0; MPEG-2 at its lowest
    rate 0.2 to 0.9; H.264, whose decoder smooths the edges, at CRF 35 up to 0.08, at 45 up to 0.2, at 51 up to 0.4.

    Args:
        picture: As decoded; a scaled picture has another grid.

    Returns:
        0 where the picture is too small to tell.
    """
    luma = prepare(picture).luma
    both = [
        _grid_step(np.abs(np.diff(values, axis=1)).mean(axis=0))
        for values in (luma, luma.T)
        if values.shape[1] >= _LEAST_SIDE_PX
    ]
    return float(np.mean(both)) if both else 0.0


def _grid_step(profile: Floats) -> float:
    """Estimate the height of a comb of steps in a profile of gradients, relative to the profile's mean."""
    mean = float(profile.mean())
    window = np.hanning(len(profile))
    spectrum = np.abs(np.fft.rfft((profile - mean) * window)) / window.sum()
    harmonics = np.arange(1, _GRID_PX // 2 + 1) / _GRID_PX * len(profile)
    peaks = [_excess(spectrum, position) for position in harmonics if position < len(spectrum) - 0.5]
    # Another pattern's grid shares some multiples, not all: the two weakest decide.
    height = float(np.mean(sorted(peaks)[:2])) * _GRID_PX if peaks else 0.0
    return height / (mean + _TEXTURE)


def _excess(spectrum: Floats, position: float) -> float:
    """Take the amplitude at a frequency over the middle one of those around it."""
    place = round(position)
    reach = max(6, len(spectrum) // 16)
    around = np.concatenate([spectrum[max(1, place - reach) : max(1, place - 2)], spectrum[place + 3 : place + reach]])
    if not len(around):
        return 0.0
    peak = float(spectrum[max(0, place - 1) : place + 2].max())
    # Three noisy values have a larger maximum than one: twice the middle is noise.
    return max(0.0, peak - 2.0 * float(np.median(around)))

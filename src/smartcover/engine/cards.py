"""
Pictures that were drawn and not filmed: title cards, logos, credits, test cards; and the noise of a lost signal.

The signals are this project's own; the thresholds that use them are in defects.py.
"""

from __future__ import annotations

import numpy as np

from smartcover.engine.arrays import Bytes, Floats
from smartcover.engine.signals import Prepared, share_of
from smartcover.engine.types import Signals

_SAME_COLOUR = 4
"""Distance from the ground of a card, of 255 in each channel, up to which a pixel belongs to it."""

_SAME_LEVEL = 1.5
"""Step of luma to the next pixel, of 255, under which the two are alike."""

_COARSE, _ALONG, _EVEN, _EVEN_SHARE = 4, 0.1, 2.0, 0.72
"""
Pixels averaged along each side, so that grain does not count; how little an edge along an axis has across; the change
that is none, and the share of those that a drawn picture has at least.
"""


def card_signals(picture: Prepared) -> Signals:
    """Compute all signals of this module."""
    return {
        "one_colour": one_colour(picture.channels[:, ::3, ::3], picture.luma[::3, ::3]),
        "likeness_of_neighbours": likeness_of_neighbours(picture.varied),
        "ruled": ruled(picture),
        "straight": straight(picture.luma),
    }


def one_colour(channels: Bytes, luma: Floats) -> float:
    """Share of the most frequent colour, give or take 4 of 255: the ground of a card; sky and walls have shades."""
    counts = np.bincount(luma.astype(np.intp).ravel(), minlength=256)
    level = int(np.argmax(np.convolve(counts, np.ones(5), "same")))
    ground = np.abs(luma - level) <= 3
    if not ground.any():
        return 0.0
    near = np.ones(luma.shape, dtype=np.bool_)
    for channel in channels:
        usual = _median(channel[ground])
        near &= (channel >= max(0, usual - _SAME_COLOUR)) & (channel <= min(255, usual + _SAME_COLOUR))
    return share_of(near)


def _median(values: Bytes) -> int:
    """Give the median, without what is behind the point."""
    # Not numpy's: counting is several times faster than putting in order.
    up_to = np.cumsum(np.bincount(values, minlength=256))
    below, above = np.searchsorted(up_to, [(len(values) + 1) // 2, len(values) // 2 + 1])
    return int(below + above) // 2


def likeness_of_neighbours(varied: Floats) -> float:
    """
    Correlation of neighbouring pixels, the lower of both directions: over 0.7 in pictures, low in noise.

    Args:
        varied: Luma with its mean taken off.
    """
    variance = _mean_product(varied, varied)
    if variance < 1.0:
        return 1.0
    across, down = _mean_product(varied[:, :-1], varied[:, 1:]), _mean_product(varied[:-1], varied[1:])
    return min(across, down) / variance


def _mean_product(one: Floats, other: Floats) -> float:
    return float(np.einsum("ij,ij->", one, other)) / one.size


def ruled(picture: Prepared) -> float:
    """Share of pixels that are like the one below, or like the one beside if that is more: bars and ramps are."""
    return max(share_of(steps < _SAME_LEVEL) for steps in picture.steps)


def straight(luma: Floats) -> float:
    """
    Share of the coarse gradient that runs exactly down or across, by strength: what is ruled and not grown.

    Bars and grids of test cards reach 0.65 to 1 with grain too, half of filmed pictures stay under 0.4. A picture of
    many small parts, of which less than 0.72 is even along one axis, counts as grown: 0.
    """
    coarse = shrink_by(luma, _COARSE)
    if min(coarse.shape) < 2:
        return 0.0
    across, down = np.abs(np.diff(coarse, axis=1))[:-1], np.abs(np.diff(coarse, axis=0))[:, :-1]
    if max(share_of(across < _EVEN), share_of(down < _EVEN)) < _EVEN_SHARE:
        return 0.0
    strength = np.maximum(across, down)
    total = float(strength.sum())
    return float(strength[np.minimum(across, down) < _ALONG * strength].sum()) / max(total, float(strength.size) / 10)


def shrink_by(luma: Floats, factor: int) -> Floats:
    """Average squares of `factor` pixels a side; what is over at the right and the bottom is left out."""
    rows, columns = (side // factor for side in luma.shape)
    # Slices and no mean over two axes: that is ten times slower.
    means: Floats = np.zeros((rows, columns), dtype=np.float32)
    for down in range(factor):
        line = luma[down : rows * factor : factor, : columns * factor]
        for across in range(factor):
            means += line[:, across::factor]
    means /= factor * factor
    return means

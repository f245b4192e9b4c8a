"""
What the neighbours in time tell about a moment: is it sharp where things move, does light or focus just change.

All work on glances (tiny pictures of the frames around), so they cost nothing beside decoding. Motion blur in a small
moving subject does not show in signals of the whole picture; here it does. The signals are this project's own; their
weights are fitted (docs/quality.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from smartcover.engine.arrays import LUMA, Floats, Picture
from smartcover.engine.signals import Prepared
from smartcover.engine.types import Signals

_NEAR_SECONDS = 0.45
"""Neighbours further away do not belong to the moment."""

_TILE_ROWS, _TILE_COLUMNS, _BUSIEST_TILES = 9, 12, 4
"""The grid of `local_motion`, and over how many of its tiles, those where most moves, it is averaged."""


def moment_signals(picture: Prepared, here: Picture, neighbours: Sequence[tuple[float, Picture]]) -> Signals:
    """
    Compute the signals of a picture among its neighbours; empty without any.

    Args:
        picture: The picture that is looked at.
        here: The same, as small as the neighbours and turned the same way as `picture`.
        neighbours: (offset in seconds, small picture).
    """
    if not neighbours:
        return {}
    middle = here.astype(np.float32) @ LUMA
    others = [(offset, glance.astype(np.float32) @ LUMA) for offset, glance in neighbours]
    nearest = sorted(others, key=lambda entry: abs(entry[0]))[:2]
    change = np.mean([np.abs(middle - glance) for _offset, glance in nearest], axis=0)
    detail = cell_means(picture.gradient, middle.shape)
    around = [middle, *(glance for offset, glance in others if abs(offset) <= _NEAR_SECONDS)]
    return {
        "moving_detail": moving_detail(change, detail),
        "local_motion": local_motion(change, detail),
        "fading": shortfall([float(glance.std()) for glance in around], 1.0),
        "softening": shortfall([float(np.abs(np.diff(glance, axis=1)).mean()) for glance in around], 0.5),
        "light_change": float(np.ptp([glance.mean() for glance in around])),
    }


def moving_detail(change: Floats, detail: Floats) -> float:
    """Mean gradient where the picture changes, weighted by the change: low when what moves is smeared."""
    # The constant keeps noise in a still picture from counting as motion.
    return float((change * detail).sum() / (change.sum() + 20.0))


def local_motion(change: Floats, detail: Floats) -> float:
    """
    How far the fastest part of the picture moves, by change over gradient (the size of the normal flow: Horn and
    Schunck 1981), averaged in a 12x9 grid and over its four busiest tiles.
    """
    flow = change / (detail + 2.0)
    tiles = np.sort(cell_means(flow, (_TILE_ROWS, _TILE_COLUMNS)), axis=None)
    return float(tiles[-_BUSIEST_TILES:].mean())


def shortfall(values: Sequence[float], floor: float) -> float:
    """How far the first of some values stays under the largest, as a share of it, 0..1; `floor` steadies small ones."""
    most = max(values)
    return (most - values[0]) / (most + floor)


def cell_means(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Average a plane into a grid; a plane that is smaller than the grid gives a grid of its own size."""
    rows, columns = (_starts(side, cells) for side, cells in zip(values.shape, shape, strict=True))
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
    sizes = (np.diff(np.append(starts, side)) for starts, side in zip((rows, columns), values.shape, strict=True))
    means: Floats = (sums / np.outer(*sizes)).astype(np.float32)
    if means.shape == shape:
        return means
    # Upwards: repeat, so that a very small picture still compares with its glance.
    row_places, column_places = (np.arange(wide) * have // wide for wide, have in zip(shape, means.shape, strict=True))
    return means[np.ix_(row_places, column_places)]


def _starts(side: int, cells: int) -> npt.NDArray[np.intp]:
    cells = min(side, cells)
    return (np.arange(cells) * side // cells).astype(np.intp)

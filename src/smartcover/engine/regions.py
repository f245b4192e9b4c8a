"""Connected regions of a mask and the smallest rectangles around them, in numpy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartcover.engine.arrays import Mask

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A turned rectangle: centre, sides, and the angle of the `width` side in radians, within 45 degrees of level."""

    x: float
    y: float
    width: float
    height: float
    angle: float

    def grown(self, margin: float) -> Rectangle:
        return Rectangle(self.x, self.y, self.width + 2 * margin, self.height + 2 * margin, self.angle)


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Pixels that touch, corners included: as runs (row, first column, column after the last), in order of rows."""

    runs: npt.NDArray[np.intp]

    @property
    def area(self) -> int:
        return int((self.runs[:, 2] - self.runs[:, 1]).sum())

    def total(self, values: npt.NDArray[np.floating[Any]]) -> float:
        """Sum an image's values over the region."""
        return float(sum(values[row, start:end].sum() for row, start, end in self.runs))

    def rectangle(self) -> Rectangle:
        """Find the rectangle of least area around its pixels: one of its sides lies on the hull (Freeman 1975)."""
        hull = convex_hull(self._corners())
        edges = np.roll(hull, -1, axis=0) - hull
        angles = np.arctan2(edges[:, 1], edges[:, 0])
        along = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        spread_along, spread_across = hull @ along.T, hull @ across.T
        lengths, widths = np.ptp(spread_along, axis=0), np.ptp(spread_across, axis=0)
        best = int(np.argmin(lengths * widths))
        middle = (
            along[best] * (spread_along[:, best].max() + spread_along[:, best].min()) / 2
            + across[best] * (spread_across[:, best].max() + spread_across[:, best].min()) / 2
        )
        return _level(middle, float(lengths[best]), float(widths[best]), float(angles[best]))

    def _corners(self) -> Points:
        rows, starts, ends = self.runs.T.astype(np.float64)
        return np.concatenate(
            [np.stack([columns, rows + down], axis=1) for columns in (starts, ends) for down in (0.0, 1.0)]
        )


def _level(middle: Points, length: float, width: float, angle: float) -> Rectangle:
    """Name the sides so that `width` is the one nearer to level."""
    quarter_turns = round(angle / (math.pi / 2))
    if quarter_turns % 2:
        length, width = width, length
    return Rectangle(float(middle[0]), float(middle[1]), length, width, angle - quarter_turns * math.pi / 2)


def convex_hull(points: Points) -> Points:
    """Return the corners of the hull in order (Andrew 1979). Needs three points that are not on one line."""
    ordered = sorted({(float(x), float(y)) for x, y in points})
    halves = []
    for sequence in (ordered, ordered[::-1]):
        half: list[tuple[float, float]] = []
        for point in sequence:
            while len(half) > 1 and _turn(half[-2], half[-1], point) <= 0:
                half.pop()
            half.append(point)
        halves.extend(half[:-1])
    return np.array(halves)


def _turn(first: tuple[float, float], second: tuple[float, float], third: tuple[float, float]) -> float:
    return (second[0] - first[0]) * (third[1] - first[1]) - (second[1] - first[1]) * (third[0] - first[0])


def regions(mask: Mask) -> list[Region]:
    """
    Split a mask into its connected regions, in order of their first pixel.

    Runs of adjacent rows are joined by union-find, so the cost follows the number of runs, not of pixels.
    """
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    rows, edges = np.nonzero(np.diff(padded, axis=1))
    runs = np.stack([rows[::2], edges[::2], edges[1::2]], axis=1)
    parents = list(range(len(runs)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    for upper, lower in _touching(runs, mask.shape[0]):
        one, other = root(upper), root(lower)
        parents[max(one, other)] = min(one, other)
    members: dict[int, list[int]] = {}
    for run in range(len(runs)):
        members.setdefault(root(run), []).append(run)
    return [Region(runs[places]) for places in members.values()]


def _touching(runs: npt.NDArray[np.intp], height: int) -> Iterator[tuple[int, int]]:
    """List the pairs of runs in adjacent rows that touch, also by a corner."""
    borders = np.searchsorted(runs[:, 0], np.arange(height + 1)).tolist()
    starts, ends = runs[:, 1].tolist(), runs[:, 2].tolist()
    for row in range(height - 1):
        upper, lower = borders[row], borders[row + 1]
        while upper < borders[row + 1] and lower < borders[row + 2]:
            if starts[upper] <= ends[lower] and starts[lower] <= ends[upper]:
                yield upper, lower
            if ends[upper] < ends[lower]:
                upper += 1
            else:
                lower += 1

"""What is kept of a moment that was decoded, and what surrounds it in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from av.video.frame import VideoFrame

from smartcover.engine.arrays import Picture
from smartcover.engine.runs import Run

_NEIGHBOUR_SECONDS = (-0.4, -0.2, -0.05, 0.05, 0.2, 0.4)
"""Distances at which neighbours are compared: a frame away for motion, further for fades and dissolves."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbour:
    """How the video looks a little earlier or later."""

    offset_seconds: float
    glance: Picture


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Look:
    """
    A moment that was decoded: a small upright sRGB picture, what surrounds it in time, and the packets to decode it.

    `neighbours` are empty when only the keyframe was decoded. `suspect` when the decoder met damage soon after: what
    it shows may be smeared already, as damage is often noticed late. `frame` is kept where it would be too much to
    decode it again; `run` then holds only the keyframe that the decoder started from. `pixel_aspect` is that of the
    frame it was made of.
    """

    pts: Fraction
    seconds: float
    picture: Picture
    glance: Picture
    damage: int
    suspect: bool
    run: Run
    neighbours: tuple[Neighbour, ...] = ()
    frame: VideoFrame | None = None
    pixel_aspect: Fraction | None = None


def neighbours_of(trail: Sequence[tuple[float, Picture]], place: int) -> Iterator[Neighbour]:
    """Pick what lies nearest to each of the wanted distances, each frame once."""
    here = trail[place][0]
    used = {place}
    for wanted in _NEIGHBOUR_SECONDS:
        low, high = (0, place) if wanted < 0 else (place + 1, len(trail))
        if low == high:
            continue
        position = min(range(low, high), key=lambda index: abs(trail[index][0] - here - wanted))
        if position not in used:
            used.add(position)
            yield Neighbour(trail[position][0] - here, trail[position][1])

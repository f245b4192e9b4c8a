"""Which moments to look at: time first, keyframes where they serve, frames between them where keyframes are sparse."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Visit:
    """Decode from the keyframe at `start` on, and look at the frames nearest to `moments` (in order)."""

    start: Fraction
    moments: tuple[Fraction, ...]


def even_moments(start: Fraction, end: Fraction, wanted: int) -> list[Fraction]:
    """Give the middles of `wanted` equal slots of a stretch of time."""
    step = (end - start) / wanted
    return [start + step * (2 * slot + 1) / 2 for slot in range(wanted)]


def is_near(time: Fraction, moments: Sequence[Fraction], reach: Fraction) -> bool:
    """Tell whether a time lies nearer than `reach` to one of the moments, which are in order."""
    following = bisect_right(moments, time)
    return any(abs(time - moment) < reach for moment in moments[max(0, following - 1) : following + 1])


def part(
    moments: Sequence[Fraction], shown: Fraction, following: Fraction
) -> tuple[Sequence[Fraction], Sequence[Fraction]]:
    """Part moments, in order, into those that a frame is at least as near to as the one that follows it, and others."""
    middle = (shown + following) / 2
    if shown <= following:
        border = bisect_right(moments, middle)
        return moments[:border], moments[border:]
    # Time may start anew in a broken file.
    border = bisect_left(moments, middle)
    return moments[border:], moments[:border]


def plan_visits(
    keyframes: Sequence[Fraction], end: Fraction, wanted: int, frame_rate: float, frame_budget: int
) -> list[Visit]:
    """
    Choose at most `wanted` moments over the whole of a video.

    The time is cut into equal slots. A slot with keyframes is looked at in the keyframe nearest to its middle, which
    costs one decoded frame. A slot without any costs all the frames from the keyframe before; those slots are
    served cheapest first until `frame_budget` is spent.

    Args:
        keyframes: In order of time, at least one.
        end: Where the video ends.
    """
    start = keyframes[0]
    if end <= start:
        end = max(keyframes[-1], start + 1)
    moments = even_moments(start, end, wanted)
    half = (end - start) / wanted / 2
    chosen: dict[Fraction, list[Fraction]] = {}
    empty: list[tuple[Fraction, Fraction]] = []
    for moment in moments:
        # The slot is open at its end, so that a keyframe on the border serves one slot only.
        first = bisect_right(keyframes, moment - half) - 1
        if first < 0 or keyframes[first] < moment - half:
            first += 1
        inside = keyframes[first : bisect_right(keyframes, moment + half)]
        if inside:
            nearest = min(inside, key=lambda time: abs(time - moment))
            chosen.setdefault(nearest, [])
        else:
            before = keyframes[bisect_right(keyframes, moment) - 1]
            empty.append((before, moment))
    for before, moment in _affordable(empty, frame_rate, frame_budget):
        chosen.setdefault(before, []).append(moment)
    if len(keyframes) <= wanted:
        for keyframe in keyframes:
            chosen.setdefault(keyframe, [])
    return [Visit(keyframe, tuple(sorted(between))) for keyframe, between in sorted(chosen.items())]


def _affordable(
    empty: Sequence[tuple[Fraction, Fraction]], frame_rate: float, frame_budget: int
) -> list[tuple[Fraction, Fraction]]:
    """Take (keyframe, moment) pairs cheapest first; going further in a group pays only for the further frames."""
    groups: dict[Fraction, list[Fraction]] = {}
    for before, moment in empty:
        groups.setdefault(before, []).append(moment)
    queue = [(float(moments[0] - before) * frame_rate, before, 0) for before, moments in groups.items()]
    heapq.heapify(queue)
    taken = []
    left = float(frame_budget)
    while queue:
        cost, before, position = heapq.heappop(queue)
        if cost > left:
            break
        left -= cost
        moments = groups[before]
        taken.append((before, moments[position]))
        if position + 1 < len(moments):
            further = float(moments[position + 1] - moments[position]) * frame_rate
            heapq.heappush(queue, (further, before, position + 1))
    return taken

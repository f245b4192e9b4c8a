"""Which moments to look at: time first, keyframes where they serve, frames between them where keyframes are sparse."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

WIDE = Fraction(1, 3)
"""Share of a video from which a part that would not be looked at is worth a long way."""

_BETWEEN = Fraction(1, 2), Fraction(9, 10)
"""How far on the way to the next keyframe it is looked between them, in turn: what spoils keyframes may last."""

Stretch = tuple[Fraction, Fraction]
"""A part of a video: where it begins and ends."""


@dataclass(frozen=True, slots=True)
class Visit:
    """
    Decode from the keyframe at `start` on, and look at the frames nearest to `moments` (in order).

    `is_long` when that is too much to be decoded a second time.
    """

    start: Fraction
    moments: tuple[Fraction, ...]
    is_long: bool = False


def even_moments(start: Fraction, end: Fraction, wanted: int) -> list[Fraction]:
    """Give the middles of `wanted` equal slots of a stretch of time."""
    step = (end - start) / wanted
    return [start + step * (2 * slot + 1) / 2 for slot in range(wanted)]


def is_near(time: Fraction, moments: Sequence[Fraction], reach: Fraction) -> bool:
    """Tell whether a time lies nearer than `reach` to one of the moments, which are in order."""
    following = bisect_right(moments, time)
    return any(abs(time - moment) < reach for moment in moments[max(0, following - 1) : following + 1])


class Waiting:
    """Moments that wait for the frame nearest to each, while frames come one by one."""

    def __init__(self, moments: Sequence[Fraction], reach: Fraction) -> None:
        """
        Args:
            moments: In order of time.
            reach: Where time goes back, moments further ahead than this wait for it to come there again.
        """
        self.left = moments
        self._reach = reach

    def taken_by(self, shown: Fraction, following: Fraction) -> Sequence[Fraction]:
        """Let those go that a frame is at least as near to as the one that follows it, and give them."""
        first, last = 0, bisect_right(self.left, (shown + following) / 2)
        if following < shown:  # time may start anew in a broken file
            first = bisect_left(self.left, (shown + following) / 2)
            last = max(first, bisect_left(self.left, shown + self._reach))
        taken = self.left[first:last]
        self.left = [*self.left[:first], *self.left[last:]]
        return taken


def plan_visits(
    keyframes: Sequence[Fraction], end: Fraction, wanted: int, enough: int, frame_rate: float, frame_budget: int
) -> list[Visit]:
    """
    Choose at most `wanted` moments over the whole of a video.

    The time is cut into equal slots. A slot with keyframes is looked at in the keyframe nearest to its middle, which
    costs one decoded frame. A slot without any costs all the frames from the keyframe before; of those slots each
    keyframe's next one is served in turn until `frame_budget` is spent.

    Args:
        keyframes: In order of time, at least one.
        end: Where the video ends.
        enough: So many moments instead, where every one of the `wanted` would be a keyframe.
    """
    start = keyframes[0]
    if end <= start:
        end = max(keyframes[-1], start + 1)
    slots = _keyframes_of_slots(keyframes, end, wanted)
    if None not in slots.values():
        slots = _keyframes_of_slots(keyframes, end, enough)
    chosen: dict[Fraction, list[Fraction]] = {keyframe: [] for keyframe in slots.values() if keyframe is not None}
    empty = [
        (keyframes[bisect_right(keyframes, moment) - 1], moment)
        for moment, keyframe in slots.items()
        if keyframe is None
    ]
    for before, moment in _affordable(empty, frame_rate, frame_budget):
        chosen.setdefault(before, []).append(moment)
    if len(keyframes) <= len(slots):
        for keyframe in keyframes:
            chosen.setdefault(keyframe, [])
    return [Visit(keyframe, tuple(sorted(between))) for keyframe, between in sorted(chosen.items())]


def _keyframes_of_slots(keyframes: Sequence[Fraction], end: Fraction, slots: int) -> dict[Fraction, Fraction | None]:
    """
    Give the middles of equal slots of a video, each with the keyframe of its slot that is nearest to it, if any.

    A keyframe on the border is in both slots.
    """
    half = (end - keyframes[0]) / slots / 2

    def nearest(moment: Fraction) -> Fraction | None:
        inside = keyframes[bisect_left(keyframes, moment - half) : bisect_right(keyframes, moment + half)]
        return min(inside, key=lambda time: abs(time - moment), default=None)

    return {moment: nearest(moment) for moment in even_moments(keyframes[0], end, slots)}


def plan_between(
    keyframes: Sequence[Fraction],
    spoilt: Collection[Fraction],
    end: Fraction,
    wanted: int,
    frame_rate: float,
    frame_budget: int,
) -> list[Visit]:
    """
    Visit one moment behind each of the keyframes that are spoilt, or of at most `wanted` spread among them, within
    `frame_budget`.
    """
    stretches = [(begin, after) for begin, after in pairwise([*keyframes, end]) if begin in spoilt and after > begin]
    chosen = stretches[:: max(1, -(-len(stretches) // wanted))]
    moments = [
        (begin, begin + (after - begin) * _BETWEEN[place % len(_BETWEEN)])
        for place, (begin, after) in enumerate(chosen)
    ]
    return [Visit(begin, (moment,)) for begin, moment in sorted(_affordable(moments, frame_rate, frame_budget))]


def wide_stretches(visits: Sequence[Visit], end: Fraction) -> list[Stretch]:
    """Find where, from one keyframe to the next that is visited, a third of a video or more would not be looked at."""
    starts = [visit.start for visit in visits]
    much = max(Fraction(0), (end - starts[0]) * WIDE)
    return [
        (visit.start, following)
        for visit, following in zip(visits, [*starts[1:], end], strict=True)
        if following - (visit.start, *visit.moments)[-1] > much
    ]


def plan_long_visits(
    visits: Sequence[Visit],
    stretches: Sequence[Stretch],
    wanted: int,
    most_kept: int,
    frame_rate: float,
    frame_budget: int,
) -> list[Visit]:
    """
    Visit stretches anew, each from its keyframe as far as `frame_budget` lasts for all of them.

    The budget is spent on all alike, and the moments lie evenly in what it reaches: going that far costs the same with
    few of them as with many. The keyframes are still visited by themselves, and long visits come last.

    Args:
        wanted: Moments in all; half as many again when the other visits take up most of them.
        most_kept: How many moments of long visits there may be at most.
    """
    depth = _affordable_depth(
        [finish - begin for begin, finish in stretches], Fraction(frame_budget / frame_rate).limit_denominator(1000)
    )
    reached = {begin: min(finish, begin + depth) for begin, finish in stretches}
    whole = sum((finish - begin for begin, finish in reached.items()), Fraction(0))
    short = [replace(visit, moments=()) if visit.start in reached else visit for visit in visits]
    left = wanted - len(short) - sum(len(visit.moments) for visit in short)
    density = min(most_kept, max(wanted // 2, left)) / whole
    return short + [
        Visit(begin, tuple(even_moments(begin, finish, max(1, round((finish - begin) * density)))), is_long=True)
        for begin, finish in reached.items()
    ]


def _affordable_depth(lengths: Sequence[Fraction], total: Fraction) -> Fraction:
    """Tell how much of each length may be taken, if no more than all of it, until `total` is spent."""
    left = total
    for place, length in enumerate(sorted(lengths)):
        share = left / (len(lengths) - place)
        if length > share:
            return share
        left -= length
    return max(lengths)


def widest_gap(seen: Sequence[Stretch], start: Fraction, end: Fraction) -> Stretch:
    """Find the longest part of a video that was not seen."""
    last, widest = start, (end, end)
    for begin, finish in [*sorted(seen), (end, end)]:
        if begin - last > widest[1] - widest[0]:
            widest = last, begin
        last = max(last, finish)
    return widest


def _affordable(
    empty: Sequence[tuple[Fraction, Fraction]], frame_rate: float, frame_budget: int
) -> list[tuple[Fraction, Fraction]]:
    """
    Take (keyframe, moment) pairs in turn from all keyframes, the cheapest of each turn first.

    Going further from a keyframe pays only for the further frames, so going twice as far from one would cost what
    another beside it does: in turn, what is not reached is spread over the video and not one long part of it.
    """
    groups: dict[Fraction, list[Fraction]] = {}
    for before, moment in empty:
        groups.setdefault(before, []).append(moment)
    queue = [(0, float(moments[0] - before) * frame_rate, before) for before, moments in groups.items()]
    heapq.heapify(queue)
    taken = []
    left = float(frame_budget)
    while queue:
        turn, cost, before = heapq.heappop(queue)
        if cost > left:
            continue
        left -= cost
        moments = groups[before]
        taken.append((before, moments[turn]))
        if turn + 1 < len(moments):
            further = float(moments[turn + 1] - moments[turn]) * frame_rate
            heapq.heappush(queue, (turn + 1, further, before))
    return taken

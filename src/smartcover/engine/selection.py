"""Choosing a set: reject, rank, diversify, and fall back step by step when too little is clean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smartcover.engine.defects import Defect
from smartcover.engine.signals import plane_differences, weighed
from smartcover.engine.types import CoverOptions, RejectionKind

SAME_PICTURE = 8.0
"""Signature distance under which two pictures are one to the eye."""

_SAME_MOMENT_SECONDS, _SAME_MOMENT_FACTOR = 1.0, 0.4
"""Pictures within a second are mostly one shot with something moved: their difference counts for less."""

_SAME_MOMENT_DISTANCE = 3.0
"""Signature distance under which two pictures are one whatever the network makes of them."""

_SAME_MEANING = 0.9
"""Likeness of meanings that pictures must have too that are one at a glance."""

_SAME_THINGS, _NEW_FRAMING = 0.95, 20.0
"""Likeness of meanings from which the framing alone may differ, and the signature distance up to which it does."""

_SAME_LIGHT, _STRUCTURED = 0.97, 6.0
"""
Correlation of the light of two signatures from which only colours differ, and its standard deviation, of 255, from
which there is something in it to compare.
"""

_MEANING_SCALE = 60.0
"""Brings the distance of meanings (0.1 within a shot, 0.6 between videos) to that of signatures."""

_VARIETY, _FULLY_DIFFERENT = 0.05, 40.0
"""How much score a second cover may give up to be different from the first, and the distance from which it fully is."""

_REPEAT_COST, _REPEAT_COST_FAR_AWAY = 0.3, 0.2
"""
How much it may give up not to show the same picture again, at once and far away in time: a repeat is better than a bad
picture.
"""

# What is taken, step by step, when clean frames do not suffice; each step keeps what the steps before gave. Unsafe
# frames are on no step: who asked for the safety check wants no cover rather than one of those.
_LADDER: tuple[tuple[RejectionKind, ...], ...] = (
    ("frozen",),
    ("eyes",),
    ("transition",),
    ("card",),
    ("blurry",),
    ("dark", "bright"),
    ("flat",),
    ("broken",),
)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A moment with all that choosing needs. `index` is the caller's."""

    index: int
    seconds: float
    score: float
    signature: npt.NDArray[np.float32]
    defect: Defect | None
    meaning: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Chosen candidates best first, the duplicates left out on the way, and the rule that was relaxed, if any."""

    chosen: tuple[Candidate, ...]
    duplicates: tuple[Candidate, ...]
    fallback: str | None


def select(
    candidates: Sequence[Candidate],
    options: CoverOptions,
    is_reframed: Callable[[Candidate, Candidate], bool] = lambda _one, _other: False,
) -> Selection:
    """
    Choose the covers to render, best first.

    `is_reframed` tells whether one picture is another in a different framing. It is asked only with
    `options.delete_duplicates`, and only of those about to be taken.

    With `options.delete_duplicates` no two covers show the same picture, and the result may be shorter than asked
    for; otherwise it is shorter only when there are fewer candidates. When clean candidates do not suffice, rejected
    ones follow them, the least bad kind first, and `Selection.fallback` says which.
    """
    chosen: list[Candidate] = []
    duplicates: list[Candidate] = []
    for kinds in ((), *_LADDER):
        rung = [entry for entry in candidates if (entry.defect is None if not kinds else _is_of(entry, kinds))]
        if kinds and chosen and options.delete_duplicates:
            break
        # A second view of a clean picture is better than a first view of one that has a defect.
        allow_same = not kinds and not options.delete_duplicates
        _fill(chosen, rung, options, duplicates, is_reframed, allow_same=allow_same)
        if len(chosen) >= options.count:
            break
    if not options.delete_duplicates and len(chosen) < options.count:
        _fill(
            chosen,
            [entry for entry in candidates if not _is_of(entry, ("unsafe",))],
            options,
            duplicates,
            is_reframed,
            allow_same=True,
        )
    relaxed = [" or ".join(kinds) for kinds in _LADDER if any(_is_of(entry, kinds) for entry in chosen)]
    kept = {entry.index for entry in chosen}
    left_out = tuple(
        entry for entry in {entry.index: entry for entry in duplicates}.values() if entry.index not in kept
    )
    return Selection(tuple(chosen), left_out, _explain(relaxed, chosen))


def _is_of(candidate: Candidate, kinds: tuple[RejectionKind, ...]) -> bool:
    return candidate.defect is not None and candidate.defect.kind in kinds


def _fill(
    chosen: list[Candidate],
    rung: Sequence[Candidate],
    options: CoverOptions,
    duplicates: list[Candidate],
    is_reframed: Callable[[Candidate, Candidate], bool],
    *,
    allow_same: bool,
) -> None:
    """
    Add from one rung, each time the candidate with the best mix of score and difference.

    They follow what is chosen already, best score first.
    """
    left = [entry for entry in rung if all(entry.index != other.index for other in chosen)]
    nearest = dict.fromkeys((entry.index for entry in left), np.inf)
    repeated: set[int] = set()

    def compare_with(other: Candidate) -> None:
        for entry, (apart, same) in zip(left, _compared(other, left), strict=True):
            nearest[entry.index] = min(nearest[entry.index], apart)
            if same:
                repeated.add(entry.index)

    for other in chosen:
        compare_with(other)
    times = [entry.seconds for entry in rung]
    span = max(times, default=0.0) - min(times, default=0.0)
    taken: list[Candidate] = []

    def worth(entry: Candidate) -> float:
        cost = _cost_of_repeat(entry, [*chosen, *taken], span) if entry.index in repeated else 0.0
        return entry.score + _VARIETY * min(1.0, nearest[entry.index] / _FULLY_DIFFERENT) - cost

    while len(chosen) + len(taken) < options.count:
        eligible = left if allow_same else [entry for entry in left if entry.index not in repeated]
        if not eligible:
            break
        best = max(eligible, key=worth)
        left.remove(best)
        if options.delete_duplicates and any(is_reframed(best, other) for other in (*chosen, *taken)):
            duplicates.append(best)
            continue
        taken.append(best)
        compare_with(best)
    duplicates.extend(entry for entry in left if entry.index in repeated)
    chosen.extend(sorted(taken, key=lambda entry: -entry.score))


def _cost_of_repeat(entry: Candidate, chosen: Sequence[Candidate], span_seconds: float) -> float:
    """Say what it costs to show a picture again, among others of so many seconds."""
    away = min(abs(entry.seconds - other.seconds) for other in chosen)
    share = min(1.0, away * (len(chosen) + 1) / span_seconds) if span_seconds > 0 else 0.0
    return _REPEAT_COST + (_REPEAT_COST_FAR_AWAY - _REPEAT_COST) * share


def _compared(one: Candidate, others: Sequence[Candidate]) -> list[tuple[float, bool]]:
    """Tell how far each of others is from one, in what is seen and meant, and whether it is the same picture."""
    if not others:
        return []
    planes = plane_differences(one.signature, np.stack([other.signature for other in others]))
    return [
        _relation(one, other, distance, light)
        for other, distance, light in zip(others, weighed(planes).tolist(), planes[:, 0].tolist(), strict=True)
    ]


def _relation(one: Candidate, other: Candidate, distance: float, light: float) -> tuple[float, bool]:
    """
    Tell how far two candidates are apart, and whether they show one picture to the eye.

    So they do when they look the same at a glance; when only their colours differ (all structure in the light is the
    same); and when only the framing differs (the network sees the same things, and the glance has not changed much).
    The thresholds separate pairs that two judges called practically the same from others (docs/quality.md).
    """
    if abs(one.seconds - other.seconds) < _SAME_MOMENT_SECONDS:
        distance *= _SAME_MOMENT_FACTOR
    if one.meaning is None or other.meaning is None:
        return distance, distance < SAME_PICTURE or (light < SAME_PICTURE and _is_one_structure(one, other))
    likeness = float(one.meaning @ other.meaning)
    same = (
        distance < _SAME_MOMENT_DISTANCE
        or (distance < SAME_PICTURE and likeness > _SAME_MEANING)
        or (distance < _NEW_FRAMING and likeness > _SAME_THINGS)
        or (light < SAME_PICTURE and _is_one_structure(one, other))
    )
    return (distance + _MEANING_SCALE * (1.0 - likeness)) / 2, same


def _is_one_structure(one: Candidate, other: Candidate) -> bool:
    """Tell whether the light of two pictures goes up and down together, and goes up and down at all."""
    light, other_light = one.signature[0].ravel(), other.signature[0].ravel()
    if min(light.std(), other_light.std()) < _STRUCTURED:
        return False
    return bool(np.corrcoef(light, other_light)[0, 1] > _SAME_LIGHT)


def _explain(relaxed: Sequence[str], chosen: Sequence[Candidate]) -> str | None:
    if not relaxed:
        return None
    if all(entry.defect is not None for entry in chosen):
        return f"no clean frame was found; {', '.join(relaxed)} frames were allowed"
    return f"too few clean frames were found; {', '.join(relaxed)} frames were allowed after them"

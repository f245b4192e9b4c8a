"""
Signals to a score among the frames of one video, with the reasons for it.

The score is a sum of signals, each brought to a common scale within its video, with fitted weights. Why so simple:
forests and boosted trees on the same signals did worse on clips kept apart (docs/quality.md).
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np
import numpy.typing as npt

from smartcover.engine.portraits import prominence
from smartcover.engine.types import Signals

MEANINGS: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "scene": {
        "centre_detail": (1, "rich in detail"),
        "centre_contrast": (1, "stands out in the middle"),
        "centre_saturation": (1, "colour in the middle"),
        "colourfulness": (1, "colourful"),
        "moving_detail": (1, "sharp where it moves"),
        "local_motion": (-1, "a still moment"),
        "softening": (-1, ""),
        "fading": (-1, ""),
        "light_change": (-1, ""),
        "centre_recognisable": (1, "a subject in the middle"),
        "appeal": (1, "an appealing picture"),
        "faces": (1, "shows a face"),
        "face_confidence": (1, "a clear face"),
        "face_sharpness": (1, "a sharp face"),
        "open_eyes": (1, "open eyes"),
        "open_smile": (1, "a smile"),
        "facing": (1, "faces the camera"),
    },
    "portrait": {
        "open_eyes": (1, "open eyes"),
        "open_smile": (1, "a smile"),
        "facing": (1, "faces the camera"),
        "upper_lip": (-1, "a relaxed mouth"),
        "appeal": (1, "an appealing picture"),
        "local_motion": (-1, "a still moment"),
    },
}
"""
The signals that count, of a scene and of a portrait: whether more is better (1) or worse (-1), and what is said of a
frame that has the better of it.

A video counts as a portrait by how prominent its faces are (`shares_of`): there the scene stays as it is, and what
still changes of texture and colour says less than the expression (docs/quality.md). The directions are set before any
fit: a weight that data would turn round is 0 instead.
"""

_FLOOR = 0.3
"""
Share of a signal's usual spread that is added to its spread in a video: where all frames are alike, their small
differences must not be blown up to the full weight.
"""

_OF_MOMENT = frozenset(("open_eyes", "open_smile", "upper_lip"))
"""Signals of an expression, which may be gone in the next instant (`Score.momentary`)."""

_STEEPNESS = 2.0
"""Brings sums, which lie within about one grade of the mean, to most of the range from 0 to 1."""

_SPOKEN_LEVEL, _MOST_REASONS = 0.5, 4
"""Level of a signal from which it is a reason that is told, and how many are."""

_ALWAYS_TOLD = {"faces": 1.0}
"""What is said of every frame that reaches the value, even when all frames of the video do."""

_TOLD_OF_OWN = 0.005
"""By how much the caller's own scorer must think more of a frame than usually: what two decimals show."""


@dataclass(frozen=True, slots=True)
class Term:
    """
    One summand of the score: the signal's level times `weight` (negative when less is better).

    `spread` is the signal's usual standard deviation within a video. `praise` is said when the summand is high. It
    counts by how much the video is a "scene" or a "portrait", whichever `of` says.
    """

    signal: str
    weight: float
    spread: float
    praise: str = ""
    of: str = "scene"


@dataclass(frozen=True, slots=True)
class Score:
    """
    A number 0..1, higher is better, comparable within one video only; and the strongest reasons for it.

    `momentary` is the part of it that an expression gives, which may be gone in the next instant.
    """

    value: float
    reasons: tuple[str, ...]
    momentary: float = 0.0


@functools.cache
def fitted_terms() -> tuple[Term, ...]:
    """Read the weights that benchmarks/quality/fit.py wrote."""
    text = resources.files("smartcover.engine").joinpath("weights.json").read_text("utf-8")
    return tuple(
        Term(signal, entry["weight"], entry["spread"], MEANINGS[of][signal][1], of)
        for of, entries in json.loads(text)["terms"].items()
        for signal, entry in entries.items()
    )


def score_all(every: Sequence[Signals], terms: Sequence[Term] | None = None) -> list[Score]:
    """
    Score the frames of one video against each other.

    A signal that a frame lacks counts as the middle, so that frames with and without neighbours or faces compare.
    """
    terms = fitted_terms() if terms is None else terms
    shares = shares_of(every)
    amounts = [_amounts(term, shares[term.of], every) for term in terms]
    nothing = np.zeros(len(every))
    totals = sum(amounts, nothing).tolist()
    lasting = [own for term, own in zip(terms, amounts, strict=True) if term.signal not in _OF_MOMENT]
    kept = sum(lasting, nothing).tolist()
    reasons = _reasons(terms, amounts, shares, every)
    return [
        Score(_squashed(total), said, _squashed(total) - _squashed(lasts))
        for total, lasts, said in zip(totals, kept, reasons, strict=True)
    ]


def with_own(scores: Sequence[Score], every: Sequence[Signals]) -> list[Score]:
    """
    Mix scores with those of the caller's own scorer (the signal `own_score`), which count as much; all of one video.

    Where the scorer thinks more of a frame than of the video's others, that is said first.
    """
    known = [signals["own_score"] for signals in every if "own_score" in signals]
    usual = sum(known) / len(known) if known else 0.0

    def mixed(score: Score, own: float | None) -> Score:
        if own is None:
            return score
        said = (f"the scorer's {own:.2f}",) if own > usual + _TOLD_OF_OWN else ()
        return replace(score, value=(score.value + own) / 2, reasons=(*said, *score.reasons)[:_MOST_REASONS])

    return [mixed(score, signals.get("own_score")) for score, signals in zip(scores, every, strict=True)]


def _amounts(term: Term, share: float, every: Sequence[Signals]) -> npt.NDArray[np.float64]:
    """Give what one summand adds to the score of each frame."""
    if not share:
        return np.zeros(len(every))
    return term.weight * share * levels([signals.get(term.signal) for signals in every], term.spread)


def _squashed(total: float) -> float:
    return 1 / (1 + math.exp(-_STEEPNESS * max(-20.0, min(20.0, total))))


def shares_of(every: Sequence[Signals]) -> Mapping[str, float]:
    """Tell how much a video counts as a scene and as a portrait, together 1, by how prominent its faces mostly are."""
    known = [prominence(entry["face_size"]) for entry in every if "face_size" in entry]
    portrait = float(np.median(known)) if known else 0.0
    return {"scene": 1.0 - portrait, "portrait": portrait}


def _reasons(
    terms: Sequence[Term],
    amounts: Sequence[npt.NDArray[np.float64]],
    shares: Mapping[str, float],
    every: Sequence[Signals],
) -> list[tuple[str, ...]]:
    """Say of each frame what adds most to its score."""
    said: list[list[tuple[float, str]]] = [[] for _signals in every]
    for term, own in zip(terms, amounts, strict=True):
        if not term.praise:
            continue
        told = np.zeros(len(every), dtype=np.bool_)
        if term.signal in _ALWAYS_TOLD:
            least = _ALWAYS_TOLD[term.signal]
            told = np.array([signals.get(term.signal, 0.0) >= least for signals in every], dtype=np.bool_)
        high = own > _SPOKEN_LEVEL * shares[term.of] * abs(term.weight)
        for place in np.flatnonzero(high | told).tolist():
            said[place].append((float(own[place]) + (1.0 if told[place] else 0.0), term.praise))
    return [tuple(dict.fromkeys(text for _amount, text in sorted(own, reverse=True)))[:_MOST_REASONS] for own in said]


def levels(values: Sequence[float | None], spread: float) -> npt.NDArray[np.float64]:
    """
    Bring the values of one signal to about -2..2 within their video; 0 where missing.

    Half of a level is the distance from the mean in standard deviations, flattened at the ends so that one outlier
    does not decide; half is the rank, which does not see outliers at all.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    result = np.zeros(len(values))
    own_spread = float(known.std()) if len(known) > 1 else 0.0
    if own_spread < 1e-9:
        return result
    steady = math.hypot(own_spread, _FLOOR * spread)
    distance = 2 * np.tanh((known - known.mean()) / steady / 2)
    rank = 3 * (_ranks(known) / (len(known) - 1) - 0.5)
    result[[value is not None for value in values]] = (distance + rank * own_spread / steady) / 2
    return result


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give each value its place from 0; equal ones share the mean of theirs."""
    _unique, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: npt.NDArray[np.float64] = np.cumsum(counts) - (counts + 1) / 2
    return means[places]

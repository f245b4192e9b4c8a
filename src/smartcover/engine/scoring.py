"""Signals to a verdict: hard reasons against a frame, and a score, with its reasons, among those of its own video."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smartcover.engine.types import RejectionKind

Signals = Mapping[str, float]


_STREAKED = 0.1


@dataclass(frozen=True, slots=True)
class Defect:
    """A reason not to use a frame."""

    kind: RejectionKind
    reason: str


@dataclass(frozen=True, slots=True)
class Clip:
    """
    What is normal in this video: the best that its frames reach. A rule that compares with it cannot empty a video
    that is dark, soft or grey throughout.
    """

    sharp: float
    detailed: float
    contrasty: float
    bright: float

    @classmethod
    def of(cls, every: Sequence[Signals]) -> Clip:
        return cls(
            sharp=_quantile([signals["sharpness"] for signals in every], 0.8),
            detailed=_quantile([signals["detail"] for signals in every], 0.8),
            contrasty=_quantile([signals["contrast"] for signals in every], 0.8),
            bright=_quantile([signals["bright_share"] for signals in every], 0.5),
        )


def find_defect(signals: Signals, clip: Clip, *, broken: bool) -> Defect | None:
    """Name the first hard reason against a frame, gravest first, or None when it is clean."""
    if broken:
        return Defect("broken", "the data of this frame, or of one it builds on, is damaged")
    if signals.get("streaks", 0.0) > _STREAKED:
        return Defect("broken", "the frame is smeared: the data around it is damaged")
    if signals["contrast"] < 0.02 and signals["detail"] < 0.8:
        if signals["highlights"] < 0.14:
            return Defect("dark", "the frame is black")
        if signals["brightness"] > 0.9:
            return Defect("bright", "the frame is white")
        return Defect("flat", "the frame is one plain colour")
    if signals["highlights"] < 0.16 or (signals["dark_share"] > 0.93 and signals["highlights"] < 0.35):
        return Defect("dark", f"{signals['dark_share']:.0%} of the frame is nearly black")
    # White pages are what a screen recording shows; a white card or an over-exposed moment is an exception.
    exceptional = signals["contrast"] < 0.08 or clip.bright < 0.5
    if signals["bright_share"] > 0.75 and exceptional:
        return Defect("bright", f"{signals['bright_share']:.0%} of the frame is nearly white")
    if signals["flat_share"] > 0.97 and signals["entropy"] < 1.5 and signals["contrast"] < 0.06:
        return Defect("flat", f"{signals['flat_share']:.0%} of the frame is plain")
    if signals.get("blend", 1.0) < 0.12 and signals.get("change", 0.0) > 8.0:
        return Defect("transition", "the frame is a mixture of what comes before and after: a fade or dissolve")
    if signals["sharpness"] < 0.3 * clip.sharp and signals["detail"] < 0.5 * clip.detailed:
        return Defect("blurry", "the frame is far less sharp than others of this video")
    if signals["contrast"] < 0.35 * clip.contrasty and signals["detail"] < 0.5 * clip.detailed:
        return Defect("transition", "the frame is washed out beside others of this video, as in a fade")
    return None


def wreckage(signals: Signals) -> float:
    """Rank broken frames: errors met, and ten of them for a picture that is smeared all over. 0 for an intact frame."""
    return signals["damage"] + 10.0 * signals.get("streaks", 0.0)


@dataclass(frozen=True, slots=True)
class Term:
    """
    One part of the score.

    `absolute` signals count by `value / scale` up to 1 wherever they occur; the others count by their rank within
    the video. `praise` is said when the part is high.
    """

    signal: str
    weight: float
    praise: str = ""
    absolute: bool = False
    scale: float = 1.0


# Weights of the picture's terms by hand, from what carried most in fits on graded frames: detail and colour
# relative to the video, nearness to its typical content, little motion; faces by what editors ask for.
TERMS = (
    Term("detail", 1.0, "rich in detail"),
    Term("sharpness", 0.8, "sharp"),
    Term("colourfulness", 0.8, "colourful"),
    Term("contrast", 0.4, "rich in contrast"),
    Term("entropy", 0.5, "well exposed"),
    Term("typical", 0.5, "typical of the video"),
    Term("centre_weight", 0.3, "subject in the middle"),
    Term("motion", -0.5),
    Term("edge_clutter", -0.3),
    Term("blur_extent", -0.4),
    Term("dark_share", -0.5, absolute=True),
    Term("bright_share", -0.8, absolute=True),
    Term("faces", 0.4, "shows a face", absolute=True),
    Term("face_size", 0.8, "large face", absolute=True, scale=0.35),
    Term("face_centred", 0.3, "face well placed", absolute=True),
    Term("face_sharpness", 0.4, "sharp face", absolute=True, scale=12.0),
    Term("face_cut", -0.6, absolute=True, scale=0.3),
)


@dataclass(frozen=True, slots=True)
class Score:
    """A number 0..1, higher is better, comparable within one video only; and the strongest reasons for it."""

    value: float
    reasons: tuple[str, ...]


def score_all(every: Sequence[Signals], terms: Sequence[Term] = TERMS) -> list[Score]:
    """
    Score the frames of one video against each other.

    A signal that a frame lacks counts as the middle, so that frames with and without neighbours or faces compare.
    """
    parts: list[list[tuple[float, str]]] = [[] for _signals in every]
    for term in terms:
        for position, level in enumerate(_levels(every, term)):
            parts[position].append((term.weight * (level if level is not None else _neutral(term)), _say(term, level)))
    lowest = sum(min(0.0, term.weight) for term in terms)
    highest = sum(max(0.0, term.weight) for term in terms)
    scores = []
    for own in parts:
        total = sum(amount for amount, _text in own)
        spoken = sorted((entry for entry in own if entry[1]), reverse=True)[:4]
        scores.append(Score((total - lowest) / (highest - lowest), tuple(text for _amount, text in spoken)))
    return scores


def _neutral(term: Term) -> float:
    return 0.0 if term.absolute else 0.5


def _say(term: Term, level: float | None) -> str:
    return term.praise if level is not None and level >= (0.3 if term.absolute else 0.6) else ""


def _levels(every: Sequence[Signals], term: Term) -> list[float | None]:
    """Bring one signal to 0..1 for each frame, None where the frame lacks it."""
    values = [signals.get(term.signal) for signals in every]
    if term.absolute:
        return [None if value is None else min(1.0, max(0.0, value / term.scale)) for value in values]
    known = sorted(value for value in values if value is not None)
    if len(known) < 2 or known[-1] - known[0] < 1e-9:
        return [None for _value in values]
    spread = known[-1] - known[0]
    levels: list[float | None] = []
    for value in values:
        if value is None:
            levels.append(None)
            continue
        rank = sum(1 for other in known if other < value) / (len(known) - 1)
        # Rank alone would blow tiny differences up to the full weight; the plain position alone bows to outliers.
        levels.append(0.5 * rank + 0.5 * (value - known[0]) / spread)
    return levels


def _quantile(values: Sequence[float], share: float) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))]

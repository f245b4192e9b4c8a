"""The model behind the weights: levels of signals within a clip, ridge regression, no weight against its sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.quality.appeal import fit_appeal, folds_of_owners, read, read_apart
from benchmarks.quality.features import GradedClip
from smartcover.engine.scoring import MEANINGS, fitted_terms, levels, shares_of

Array = npt.NDArray[np.float64]

Key = tuple[str, str]
"""What a weight belongs to: of a scene or of a portrait, and the signal."""

SIGNALS: tuple[Key, ...] = tuple((of, signal) for of, signals in MEANINGS.items() for signal in signals)
RIDGE = 0.27
"""Penalty a frame: 1000 on 3,711 frames. A third does about as well, a tenth worse (docs/quality.md)."""

_ROUNDS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Weights (signed), usual spreads, and the weights that appeal is read with (None: those of the engine)."""

    weights: dict[Key, float]
    spreads: dict[Key, float]
    appeal: Array | None = None


def fit_all(clips: Sequence[GradedClip], held: Fitted | None = None) -> Fitted:
    """Fit appeal, and the weights of all signals that `held` lacks."""
    return replace(fit(read_apart(clips), held=held), appeal=fit_appeal(clips))


def of_engine() -> Fitted:
    """Give what the engine holds."""
    terms = fitted_terms()
    return Fitted(
        {(term.of, term.signal): term.weight for term in terms}, {(term.of, term.signal): term.spread for term in terms}
    )


def fit(
    clips: Sequence[GradedClip],
    signals: Sequence[Key] = SIGNALS,
    ridge: float = RIDGE,
    held: Fitted | None = None,
) -> Fitted:
    """
    Fit the grades of each clip, less their mean: what a clip is worth as a whole is not asked.

    The weights that `held` has stay as they are. Appeal must have been read apart (`appeal.read_apart`).
    """
    held = Fitted({}, {}) if held is None else held
    free = [key for key in signals if key not in held.weights]
    spreads = {**held.spreads, **{key: _spread(clips, key[1]) for key in free}}
    rows = np.concatenate([design(clip, free, spreads) for clip in clips])
    grades = np.concatenate([clip.grades - clip.grades.mean() - _centred(scores(clip, held)) for clip in clips])
    amounts = _ridge_of_positive(rows, grades, ridge * len(rows))
    weights = {key: float(_direction(key) * amount) for key, amount in zip(free, amounts, strict=True)}
    return Fitted({**held.weights, **weights}, spreads)


def scores(clip: GradedClip, fitted: Fitted) -> Array:
    """Score the frames of a clip."""
    signals = list(fitted.weights)
    if not signals:
        return np.zeros(len(clip.signals))
    rows = design(clip, signals, fitted.spreads)
    result: Array = rows @ np.array([fitted.weights[key] * _direction(key) for key in signals])
    return result


def design(clip: GradedClip, signals: Sequence[Key], spreads: dict[Key, float]) -> Array:
    """Give (frames, signals): levels, turned so that more is better."""
    shares = shares_of(clip.signals)
    columns = [
        _direction(key) * shares[key[0]] * levels([frame.get(key[1]) for frame in clip.signals], spreads[key])
        for key in signals
    ]
    return np.stack(columns, axis=1)


def _centred(values: Array) -> Array:
    result: Array = values - values.mean()
    return result


def _direction(key: Key) -> int:
    of, signal = key
    return MEANINGS[of][signal][0]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Clips to fit on and clips of other owners to score, the appeal of each read apart."""

    others: Sequence[GradedClip]
    apart: Sequence[GradedClip]


def folds(clips: Sequence[GradedClip]) -> list[Fold]:
    """Leave a twentieth of the owners out in turn."""
    result = []
    for others, apart in folds_of_owners(clips):
        weights = fit_appeal(others)
        result.append(Fold(read_apart(others), [read(clip, weights) for clip in apart]))
    return result


def cross_validated(
    parts: Sequence[Fold], signals: Sequence[Key] = SIGNALS, ridge: float = RIDGE, held: Fitted | None = None
) -> dict[str, Array]:
    """Score each clip (by name) with weights fitted without its owner."""
    result: dict[str, Array] = {}
    for fold in parts:
        fitted = fit(fold.others, signals, ridge, held)
        result |= {clip.clip.name: scores(clip, fitted) for clip in fold.apart}
    return result


def _spread(clips: Sequence[GradedClip], signal: str) -> float:
    """Median over clips of the standard deviation, of clips where the signal varies at all."""
    deviations = []
    for clip in clips:
        known = [frame[signal] for frame in clip.signals if signal in frame]
        if len(known) > 1 and np.std(known) > 1e-9:
            deviations.append(float(np.std(known)))
    return float(np.median(deviations)) if deviations else 0.0


def _ridge_of_positive(rows: Array, grades: Array, ridge: float) -> Array:
    """Minimise |rows w - grades|^2 + ridge |w|^2 over w >= 0, coordinate by coordinate."""
    gram, target = rows.T @ rows + ridge * np.eye(rows.shape[1]), rows.T @ grades
    amounts = np.zeros(rows.shape[1])
    for _round in range(_ROUNDS):
        for place in range(len(amounts)):
            slope = target[place] - gram[place] @ amounts
            amounts[place] = max(0.0, amounts[place] + slope / gram[place, place])
    return amounts

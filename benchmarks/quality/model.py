"""The model behind the weights: levels of signals within a clip, ridge regression, no weight against its sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.quality.features import GradedClip
from smartcover.engine.scoring import MEANINGS, levels, shares_of

Array = npt.NDArray[np.float64]

Key = tuple[str, str]
"""What a weight belongs to: of a scene or of a portrait, and the signal."""

SIGNALS: tuple[Key, ...] = tuple((of, signal) for of, signals in MEANINGS.items() for signal in signals)
RIDGE = 1000.0
"""Strength of the penalty; 300 does about as well, 100 worse (docs/quality.md)."""

_ROUNDS = 200
_FOLDS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Weights (signed) and usual spreads."""

    weights: dict[Key, float]
    spreads: dict[Key, float]


def fit(clips: Sequence[GradedClip], signals: Sequence[Key] = SIGNALS, ridge: float = RIDGE) -> Fitted:
    """Fit the grades of each clip, less their mean: what a clip is worth as a whole is not asked."""
    spreads = {key: _spread(clips, key[1]) for key in signals}
    rows = np.concatenate([design(clip, signals, spreads) for clip in clips])
    grades = np.concatenate([clip.grades - clip.grades.mean() for clip in clips])
    amounts = _ridge_of_positive(rows, grades, ridge)
    weights = {key: float(_direction(key) * amount) for key, amount in zip(signals, amounts, strict=True)}
    return Fitted(weights, spreads)


def scores(clip: GradedClip, fitted: Fitted) -> Array:
    """Score the frames of a clip."""
    signals = list(fitted.weights)
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


def _direction(key: Key) -> int:
    of, signal = key
    return MEANINGS[of][signal][0]


def cross_validated(clips: Sequence[GradedClip], signals: Sequence[Key] = SIGNALS, ridge: float = RIDGE) -> list[Array]:
    """Score each clip with weights fitted without its source: a twentieth of the sources is left out in turn."""
    result: dict[str, Array] = {}
    sources = sorted({clip.clip.source for clip in clips})
    for fold in range(min(_FOLDS, len(sources))):
        apart = set(sources[fold::_FOLDS])
        fitted = fit([clip for clip in clips if clip.clip.source not in apart], signals, ridge)
        result |= {clip.clip.name: scores(clip, fitted) for clip in clips if clip.clip.source in apart}
    return [result[clip.clip.name] for clip in clips]


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

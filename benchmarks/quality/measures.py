"""How well a ranking agrees with the judges, with intervals over clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.quality.judged import UNUSABLE

Array = npt.NDArray[np.float64]

_RESAMPLES = 10_000
_GAIN_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Measures:
    """Means over clips; `low` and `high` bound 90 % of `first` when clips are drawn anew (bootstrap)."""

    first: float
    low: float
    high: float
    unusable: float
    first_three: float
    gain: float

    def row(self, name: str) -> str:
        return (
            f"| {name} | {self.first:.2f} | {self.low:.2f}-{self.high:.2f} | {self.unusable:.1%} | "
            f"{self.first_three:.2f} | {self.gain:.2f} |"
        )


HEADER = "| scorer | first pick | 90 % interval | unusable | first three | NDCG@5 |\n|---|---|---|---|---|---|"


def measure(grades: Sequence[Array], scores: Sequence[Array]) -> Measures:
    """Measure rankings: per clip the grades of its frames and their scores, higher first."""
    orders = [np.argsort(-score, kind="stable") for score in scores]
    first = np.array([grade[order[0]] for grade, order in zip(grades, orders, strict=True)])
    three = np.array([grade[order[:3]].mean() for grade, order in zip(grades, orders, strict=True)])
    gains = np.array(
        [_gain(grade[order]) / _gain(np.sort(grade)[::-1]) for grade, order in zip(grades, orders, strict=True)]
    )
    low, high = bootstrap(first, np.mean)
    return Measures(
        float(first.mean()), low, high, float((first <= UNUSABLE).mean()), float(three.mean()), float(gains.mean())
    )


def bootstrap(values: Array, statistic: Callable[[Array], float], seed: int = 7) -> tuple[float, float]:
    """Bound 90 % of a statistic over clips drawn with replacement."""
    generator = np.random.default_rng(seed)
    draws = [statistic(values[generator.integers(0, len(values), len(values))]) for _draw in range(_RESAMPLES)]
    low, high = np.percentile(draws, [5, 95])
    return float(low), float(high)


def _gain(ordered: Array) -> float:
    top = ordered[:_GAIN_DEPTH]
    return float(((2**top - 1) / np.log2(np.arange(2, len(top) + 2))).sum())

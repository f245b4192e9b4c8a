"""
The fit of `appeal` (engine/appeal.py): ridge regression of grades on the network's stages, within each clip.

Hundreds of values fit the clips they were fitted on far better than others. So wherever `appeal` is weighed against
other signals, each clip's is read with weights that were fitted without its owner (`read_apart`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from benchmarks.quality.features import GradedClip

Array = npt.NDArray[np.float64]

PENALTY = 3.0
"""Ridge penalty a frame, of values brought to the deviation 1; 1 and 10 do about as well (docs/quality.md)."""

_LEAST_SPREAD = 1e-3
_FOLDS = 20


def fit_appeal(clips: Sequence[GradedClip], penalty: float = PENALTY) -> Array:
    """Fit the weights of the stages, (384,), on the grades of each clip less their mean."""
    values = np.concatenate([clip.stages - clip.stages.mean(axis=0) for clip in clips]).astype(np.float64)
    grades = np.concatenate([clip.grades - clip.grades.mean() for clip in clips])
    spread = np.sqrt((values**2).mean(axis=0)) + _LEAST_SPREAD
    values /= spread
    gram = values.T @ values + penalty * len(values) * np.eye(values.shape[1])
    weights: Array = np.linalg.solve(gram, values.T @ grades) / spread
    return weights


def read(clip: GradedClip, weights: Array) -> GradedClip:
    """Give the clip with its `appeal` read with these weights."""
    amounts = clip.stages @ weights
    signals = ({**frame, "appeal": float(amount)} for frame, amount in zip(clip.signals, amounts, strict=True))
    return replace(clip, signals=tuple(signals))


def read_apart(clips: Sequence[GradedClip]) -> list[GradedClip]:
    """Give the clips, each one's `appeal` read with weights fitted without any clip of its owner."""
    result: dict[str, GradedClip] = {}
    for others, apart in folds_of_owners(clips):
        weights = fit_appeal(others)
        result |= {clip.clip.name: read(clip, weights) for clip in apart}
    return [result[clip.clip.name] for clip in clips]


def folds_of_owners(clips: Sequence[GradedClip]) -> Iterator[tuple[list[GradedClip], list[GradedClip]]]:
    """Leave a twentieth of the owners out in turn: (the other clips, the clips left out)."""
    owners = sorted({clip.clip.source for clip in clips})
    for fold in range(min(_FOLDS, len(owners))):
        apart = set(owners[fold::_FOLDS])
        yield (
            [clip for clip in clips if clip.clip.source not in apart],
            [clip for clip in clips if clip.clip.source in apart],
        )

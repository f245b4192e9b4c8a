"""What the engine knows of judged frames, and grades beside it."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import smartcover.engine
from benchmarks.quality.judged import JudgedClip, decoded, read_clips
from smartcover.engine.study import Networks, Studied, study


@dataclass(frozen=True, slots=True, eq=False)
class GradedClip:
    """The judged frames of a clip with their signals (by frame) and mean grades."""

    clip: JudgedClip
    signals: tuple[Mapping[str, float], ...]
    meanings: npt.NDArray[np.float32]
    signatures: npt.NDArray[np.float32]

    @property
    def grades(self) -> npt.NDArray[np.float64]:
        return self.clip.mean_grades


def graded_clips(data: Path, cache: Path) -> list[GradedClip]:
    """Compute signals and embeddings of all judged frames with the engine as it stands; kept until its code changes."""
    kept = cache / f"signals-{_engine_version()}.pickle"
    if kept.exists():
        loaded: list[GradedClip] = pickle.loads(kept.read_bytes())
        return loaded
    networks = Networks()
    result = []
    for clip in read_clips(data):
        frames = decoded(clip, cache)
        studied: list[Studied] = [
            networks.look(study(frames.look(frames.nearest(second)), frames.orientation)) for second in clip.seconds
        ]
        result.append(
            GradedClip(
                clip,
                tuple(entry.signals for entry in studied),
                np.stack([entry.meaning for entry in studied if entry.meaning is not None]),
                np.stack([entry.signature for entry in studied]),
            )
        )
    kept.write_bytes(pickle.dumps(result))
    return result


def _engine_version() -> str:
    """Name the engine's code by its content."""
    content = hashlib.sha256()
    for path in sorted(Path(smartcover.engine.__path__[0]).rglob("*")):
        if path.suffix in {".py", ".onnx"}:
            content.update(path.read_bytes())
    return content.hexdigest()[:16]

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
from smartcover.engine import embedding
from smartcover.engine.study import Networks, study


@dataclass(frozen=True, slots=True, eq=False)
class GradedClip:
    """The judged frames of a clip with their signals (by frame), what the network's stages gave, and mean grades."""

    clip: JudgedClip
    signals: tuple[Mapping[str, float], ...]
    stages: npt.NDArray[np.float32]

    @property
    def grades(self) -> npt.NDArray[np.float64]:
        return self.clip.mean_grades


def graded_clips(data: Path, cache: Path) -> list[GradedClip]:
    """Compute the signals of all judged frames with the engine as it stands; kept until its code changes."""
    networks = Networks()
    folder = cache / f"signals-{_engine_version()}"
    folder.mkdir(parents=True, exist_ok=True)
    return [_graded(clip, networks, folder, cache) for clip in read_clips(data)]


def _graded(clip: JudgedClip, networks: Networks, folder: Path, cache: Path) -> GradedClip:
    kept = folder / f"{clip.name}.{hashlib.sha256(repr(clip.seconds).encode()).hexdigest()[:8]}.pickle"
    if not kept.exists():
        frames = decoded(clip, cache)
        looks = [frames.look(frames.nearest(second)) for second in clip.seconds]
        seen = [networks.look(study(look, frames.orientation)).signals for look in looks]
        stages = np.stack([embedding.see(look.picture).stages for look in looks])
        kept.write_bytes(pickle.dumps((seen, stages)))
    signals, stages = pickle.loads(kept.read_bytes())
    return GradedClip(clip, tuple(signals), stages)


def _engine_version() -> str:
    """Name the engine's code by its content."""
    content = hashlib.sha256()
    for path in sorted(Path(smartcover.engine.__path__[0]).rglob("*")):
        if path.suffix in {".py", ".onnx"}:
            content.update(path.read_bytes())
    return content.hexdigest()[:16]

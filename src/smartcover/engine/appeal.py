"""
How much a picture resembles the frames that judges preferred: a linear reading of the network's stages.

A network that was taught to name things holds on its way there much of what makes a picture look good: clear shapes
before a calm ground, textures that are in focus. Stages before the last say more of it than the vector does (docs/
quality.md), and what lies in the middle more than the mean. Linear readings of inner layers: Alain and Bengio 2016,
"Understanding intermediate layers using linear classifier probes"; several layers at once for the looks of pictures:
Hosu et al. 2019, "Effective Aesthetics Prediction with Multi-level Spatially Pooled Features".
"""

from __future__ import annotations

import functools
import json
from importlib import resources

import numpy as np

from smartcover.engine.arrays import Floats


def appeal(stages: Floats) -> float:
    """
    Read a picture's stages (`embedding.Seen.stages`), in grades of the judges.

    Only differences within a video mean something: that is what the weights were fitted on.
    """
    return float(stages @ fitted_weights())


@functools.cache
def fitted_weights() -> Floats:
    """Read the weights that benchmarks/quality/fit.py wrote, (384,)."""
    text = resources.files("smartcover.engine").joinpath("appeal.json").read_text("utf-8")
    return np.array(json.loads(text)["weights"], dtype=np.float32)

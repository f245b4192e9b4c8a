"""
Networks in onnxruntime, opened when first used.

A session belongs to the process that opened it, so a child made by fork opens its own. With one thread, the default,
a session runs in the caller's thread and starts none: the process may be limited to little.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from smartcover.engine.arrays import Floats, Picture

_ACCELERATORS = (
    "CUDAExecutionProvider",
    "ROCMExecutionProvider",
    "MIGraphXExecutionProvider",
    "CoreMLExecutionProvider",
    "DmlExecutionProvider",
)
_FATAL_ONLY = 4


@dataclass(frozen=True, slots=True)
class Runtime:
    """
    How networks are run.

    `threads` are those of one network. With `gpu`, whichever accelerator the installed onnxruntime brings is tried
    first; the CPU takes what it cannot do, or all when there is none.
    """

    threads: int = 1
    gpu: bool = False


DEFAULT_RUNTIME = Runtime()

_SESSIONS: dict[tuple[str, Runtime, int], Any] = {}
"""By the model's name, how it is run, and the process; those that a child inherits stay unused."""


def providers(available: Sequence[str], *, gpu: bool) -> list[str]:
    """Order the execution providers to ask for."""
    wanted = [name for name in _ACCELERATORS if name in available] if gpu else []
    return [*wanted, "CPUExecutionProvider"]


def accelerated() -> bool:
    """Tell whether an accelerator of the installed onnxruntime can be opened here, as seen by a network of ours."""
    session = vendored("efficientnet-lite0.onnx", Runtime(gpu=True))
    return bool(session.get_providers()[0] in _ACCELERATORS)


def vendored(name: str, runtime: Runtime = DEFAULT_RUNTIME) -> Any:
    """Return the session of a model file of this package, one for each process."""
    key = name, runtime, os.getpid()
    session = _SESSIONS.get(key)
    if session is None:
        model = resources.files("smartcover.engine").joinpath("models", name).read_bytes()
        session = _SESSIONS[key] = _open(model, runtime)
    return session


def close_all() -> None:
    """
    Close the sessions of model files of this package, which open again when they are next used.

    With what they compute in they take 60 MB, and 10 to 40 ms each to open. Whoever runs one at this moment goes on.
    """
    _SESSIONS.clear()


def from_file(path: Path, runtime: Runtime = DEFAULT_RUNTIME) -> Any:
    """
    Open a model file from elsewhere; nothing is kept.

    Raises:
        Exception: Whatever onnxruntime raises of a bad file; its classes have no common ancestor.
    """
    return _open(str(path), runtime)


def _open(model: bytes | str, runtime: Runtime) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Else each size of picture gets one block for all that is computed of it, on top of what was taken before that.
    options.enable_mem_pattern = False
    # Waiting threads would otherwise spin and take the processor from the decoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = providers(onnxruntime.get_available_providers(), gpu=runtime.gpu)
    return onnxruntime.InferenceSession(model, options, providers=wanted)


def resized(picture: Picture, width_px: int, height_px: int) -> Picture:
    """Resize with an antialiasing triangle filter, without regard to shape."""
    from PIL import Image

    if picture.shape[:2] == (height_px, width_px):
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BILINEAR))


def planes(pictures: Sequence[Picture], mean: Floats | np.float32, scale: Floats | np.float32) -> Floats:
    """Stack pictures of one size, channels first, each channel as (value - mean) / scale."""
    rows, columns, channels = pictures[0].shape
    result = np.empty((len(pictures), channels, rows, columns), dtype=np.float32)
    # Plane by plane and in place: arithmetic along an axis of three at the end is several times slower.
    result[:] = np.stack(pictures).transpose(0, 3, 1, 2)
    result -= np.reshape(mean, (-1, 1, 1))
    result /= np.reshape(scale, (-1, 1, 1))
    return result


@functools.cache
def returning() -> Any:
    """Give the options of a run after which what it computed with is freed: for a network that needs much, seldom."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options

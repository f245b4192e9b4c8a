"""Where to cut a picture that is to have another shape: around its faces, and around what it shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from smartcover.engine.arrays import Floats, Picture
from smartcover.engine.framing import subject_map
from smartcover.engine.geometry import Box

_GRID = 64
_EVERYWHERE = 0.05
"""Interest that is the same all over, beside 1 for what the picture shows."""

_ABOVE = 0.25
"""
At the top of a picture what it shows counts for this much more than half way down, at the bottom for less: heads are
above, also those that are turned away and those that are drawn.
"""

_FACES = 2.0
"""Interest in the first face, on the same scale; the second has half of it, the third a third."""

_AT_THE_BORDER = 0.5
"""
What lies at the border of a window counts for this much of what lies in its middle, and hardly less than all half way
to it: a subject comes to the middle, but not at the price of cutting another beside it.
"""

_BORDER_OF_FACE = 0.1
"""The border of a face's box counts for this much of its middle: a face that does not fit is cut on both sides."""

_STEPS, _FINER = 64, 8
"""At how many places a window is tried along its way, and how much finer than the map it is weighed there."""


@dataclass(frozen=True, slots=True)
class Subject:
    """
    What is known of a picture's subject.

    Attributes:
        faces: Boxes as shares (0..1) of the picture, most important first.
        recognised: How much the embedding network recognises at each place of a grid over the picture
            (`Seen.strength`); None if it did not see the picture.
    """

    faces: tuple[Box, ...] = ()
    recognised: Floats | None = None

    def within(self, content: Box) -> Subject:
        """Tell the same of a part of the picture, given in shares of it."""
        faces = tuple(
            Box(face.left - content.left, face.top - content.top, face.width, face.height).scaled(
                1 / content.width, 1 / content.height
            )
            for face in self.faces
        )
        if self.recognised is None:
            return Subject(faces)
        rows, columns = self.recognised.shape
        part = content.scaled(columns, rows)
        box = (max(0.0, part.left), max(0.0, part.top), min(columns, part.right), min(rows, part.bottom))
        return Subject(faces, _resampled(self.recognised, (columns, rows), box))


NOTHING_KNOWN = Subject()
"""Of a picture that no network saw: a crop goes by what stands out."""


def crop_window(picture: Picture, square: tuple[int, int], shape: tuple[int, int], subject: Subject) -> Box:
    """
    Place the largest window of the proportions of `shape` around the subject.

    Faces are kept whole with their hair if they fit, the first before the others, and what matters comes to the middle.

    Args:
        square: The (width, height) that the picture has with square pixels.

    Returns:
        The window in square pixels.
    """
    heads = tuple(_with_hair(face).scaled(*square) for face in subject.faces)
    return best_window(square, shape, _interest(picture, subject), heads)


def best_window(picture: tuple[int, int], shape: tuple[int, int], interest: Floats, keep: tuple[Box, ...] = ()) -> Box:
    """
    Place the largest window of the proportions of `shape` where it holds most of what matters, rather in its middle.

    Args:
        picture: Size in pixels.
        interest: A map of any size over the whole picture, higher where more matters; not negative.
        keep: Boxes (faces), most important first. A window that cuts one loses to one that does not.
    """
    scale = min(picture[0] / shape[0], picture[1] / shape[1])
    width, height = shape[0] * scale, shape[1] * scale
    spare_x, spare_y = picture[0] - width, picture[1] - height
    # Such a window has the whole width or the whole height: it moves one way only.
    along, length = (1, width / picture[0]) if spare_x > spare_y else (0, height / picture[1])
    profile = np.repeat(interest.sum(axis=1 - along, dtype=np.float64), _FINER)
    profile /= max(float(profile.sum()), 1e-9)
    places = (np.arange(profile.size) + 0.5) / profile.size
    best, best_value = Box(spare_x / 2, spare_y / 2, width, height), -np.inf
    for step in np.linspace(0.0, 1.0, _STEPS + 1):
        window = Box(spare_x * step, spare_y * step, width, height)
        from_middle = 2 * (places - (1 - length) * step) / length - 1
        counts = np.where(np.abs(from_middle) <= 1, 1 - (1 - _AT_THE_BORDER) * from_middle**4, 0.0)
        # Half a percent of the mass is worth less than the middle: flat maps must not push the window to an edge.
        value = float(profile @ counts) - 0.02 * abs(step - 0.5) - _cut_penalty(window, keep)
        if value > best_value:
            best, best_value = window, value
    return best


def _interest(picture: Picture, subject: Subject) -> Floats:
    """
    Map what matters in a picture on a 64x64 grid.

    Half of it is what stands out (framing.py), half what is recognised: the one finds any object on a plain ground, the
    other people, animals and things among much that stands out.
    """
    step = max(1, max(picture.shape[:2]) // 480)
    interest = subject_map(np.ascontiguousarray(picture[::step, ::step]))
    if subject.recognised is not None:
        grid = _resampled(subject.recognised, (_GRID, _GRID))
        squared = np.maximum(grid, np.float32(0)) ** 2
        interest = ((interest + squared / max(float(squared.sum()), 1e-9)) / 2).astype(np.float32)
    above = np.linspace(1 + _ABOVE, 1 - _ABOVE, _GRID, dtype=np.float32)[:, np.newaxis]
    interest = interest * above + np.float32(_EVERYWHERE / _GRID**2)
    for rank, face in enumerate(subject.faces):
        left, right = int(face.left * _GRID), int(np.ceil(face.right * _GRID))
        top, bottom = int(face.top * _GRID), int(np.ceil(face.bottom * _GRID))
        region = interest[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
        if region.size:
            weights = np.outer(*(1 - (1 - _BORDER_OF_FACE) * np.linspace(-1, 1, side) ** 2 for side in region.shape))
            region += np.asarray(_FACES / (rank + 1) * weights / weights.sum(), dtype=np.float32)
    return interest


def _resampled(
    grid: Floats, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> npt.NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(grid, dtype=np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box))


def _with_hair(face: Box) -> Box:
    """Widen a face box to the head: detectors frame brow to chin."""
    return Box(face.left - 0.15 * face.width, face.top - 0.35 * face.height, face.width * 1.3, face.height * 1.5)


def _cut_penalty(window: Box, keep: tuple[Box, ...]) -> float:
    penalty = 0.0
    for rank, box in enumerate(keep):
        across = min(box.right, window.right) - max(box.left, window.left)
        down = min(box.bottom, window.bottom) - max(box.top, window.top)
        inside = max(across, 0.0) * max(down, 0.0) / max(box.width * box.height, 1e-9)
        penalty += (1.0 - inside) * 2.0 / (rank + 1)
    return penalty

"""Where text is: titles, subtitles, credits, captions. PP-OCRv6's smallest detector; weights in NOTICE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smartcover.engine.arrays import Floats, Picture
from smartcover.engine.regions import Rectangle, regions
from smartcover.engine.sessions import DEFAULT_RUNTIME, Runtime, planes, resized, returning, vendored

_LONGEST_PX = 480
"""Enough for subtitles and credits, which are made to be read; the cost follows the area."""

_STEP_PX = 32
"""What the sides of the detector's input must be multiples of."""

# PaddleOCR's own numbers for this detector, on values in blue-green-red order.
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32) * np.float32(255)
_SCALE = np.array([0.229, 0.224, 0.225], dtype=np.float32) * np.float32(255)
_THRESHOLD, _MEAN_PROBABILITY, _MIN_SIDE_PX, _GROWTH = 0.3, 0.6, 3.0, 1.5
"""Also PaddleOCR's: of a place, of a core on the whole, of a core's shorter side, and what it is grown by."""

_MOST_HEIGHT, _LEAST_SHAPE = 0.15, 1.5
"""Height over the picture's that a line has at most, and width over its height that it has at least."""

_MOST_REGIONS = 400


@dataclass(frozen=True, slots=True)
class TextArea:
    """
    How much text a picture shows.

    Attributes:
        share: Of the picture's area, 0 to 1.
        lines: Rows of text; boxes side by side are one.
    """

    share: float
    lines: int


def text_area(picture: Picture, runtime: Runtime = DEFAULT_RUNTIME) -> TextArea:
    """
    Find the text of a picture.

    The detector takes large plain things (plates, domes, sky) for text; those are left out by their shape: what is
    higher than 15 % of the picture or not wider than 1.5 times its height is no line of text. So single letters and
    vertical titles are not counted.
    """
    rows, columns = picture.shape[:2]
    width_px, height_px = _input_size(columns, rows)
    small = resized(picture, width_px, height_px)[..., ::-1]
    (output,) = vendored("text-detector.onnx", runtime).run(None, {"x": planes([small], _MEAN, _SCALE)}, returning())
    return describe(find_boxes(output[0, 0]), (width_px, height_px))


def _input_size(width: int, height: int) -> tuple[int, int]:
    """Fit into the longest side in steps of the network, up or down by at most half a step."""
    scale = min(1.0, _LONGEST_PX / max(width, height))
    across, down = (max(1, round(side * scale / _STEP_PX)) * _STEP_PX for side in (width, height))
    return across, down


def find_boxes(probability: Floats) -> list[Rectangle]:
    """
    Turn the detector's map of probabilities into rectangles around lines of text (Liao et al. 2020, "DB").

    The network marks text shrunk to its core; each core is grown by 1.5 times its area over its perimeter.
    """
    height = probability.shape[0]
    found = []
    cores = sorted(regions(probability > _THRESHOLD), key=lambda region: region.area, reverse=True)
    for region in cores[:_MOST_REGIONS]:
        if region.total(probability) / region.area < _MEAN_PROBABILITY:
            continue
        core = region.rectangle()
        if min(core.width, core.height) < _MIN_SIDE_PX:
            continue
        box = core.grown(_GROWTH * core.width * core.height / (2 * (core.width + core.height)))
        if box.height < _MOST_HEIGHT * height and box.width > _LEAST_SHAPE * box.height:
            found.append(box)
    return sorted(found, key=lambda box: (box.y, box.x))


def describe(found: list[Rectangle], size: tuple[int, int]) -> TextArea:
    """
    Sum the rectangles up.

    Args:
        found: From top to bottom, in pixels of a picture of `size`.
    """
    covered = sum(box.width * box.height for box in found) / (size[0] * size[1])
    return TextArea(min(1.0, covered), len(_lines(found)))


def _lines(found: list[Rectangle]) -> list[list[Rectangle]]:
    """Group rectangles whose middles lie within the height of the line's first."""
    lines: list[list[Rectangle]] = []
    for box in found:
        for line in lines:
            if abs(box.y - line[0].y) < 0.5 * min(box.height, line[0].height):
                line.append(box)
                break
        else:
            lines.append([box])
    return lines

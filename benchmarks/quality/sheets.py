"""Pictures for a blind judge: tiles of one size with letters and nothing else to tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

_WIDTH_PX, _LEAST_HEIGHT_PX, _MOST_HEIGHT_PX = 480, 240, 560
_GAP_PX, _CAPTION_PX = 8, 26
_GREY = (96, 96, 96)
_GLANCE = (64, 36)
_SAME_LEVELS = 1.5
"""Mean difference of grey glances up to which two pictures are one: what JPEG and scaling leave of one frame."""


def same_picture(first: Path, second: Path) -> bool:
    """Tell whether two files show the same frame, by different encoders."""
    return float(np.abs(_glance(first) - _glance(second)).mean()) <= _SAME_LEVELS


def _glance(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize(_GLANCE, Image.Resampling.BOX), dtype=float)


def draw_sheet(title: str, pictures: Sequence[Path], columns: int) -> Image.Image:
    """Draw tiles in rows under their letters; all have the shape that fits the first letter's picture."""
    box = _box(pictures[0])
    tiles = []
    for letter, path in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", pictures, strict=False):
        with Image.open(path) as image:
            fitted = ImageOps.pad(image.convert("RGB"), box, color=_GREY)
        tile = Image.new("RGB", (box[0], box[1] + _CAPTION_PX), "white")
        tile.paste(fitted, (0, _CAPTION_PX))
        _write(tile, (4, 2), letter)
        tiles.append(tile)
    grid = stack(tiles, columns)
    sheet = Image.new("RGB", (grid.width, grid.height + _CAPTION_PX), "white")
    sheet.paste(grid, (0, _CAPTION_PX))
    _write(sheet, (4, 2), title)
    return sheet


def stack(tiles: Sequence[Image.Image], columns: int) -> Image.Image:
    """Lay pictures out in rows; each cell is as large as the largest."""
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    sheet = Image.new("RGB", (columns * (width + _GAP_PX), rows * (height + _GAP_PX)), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, ((place % columns) * (width + _GAP_PX), (place // columns) * (height + _GAP_PX)))
    return sheet


def _box(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        height = round(_WIDTH_PX * image.height / image.width)
    if height > _MOST_HEIGHT_PX:
        return round(_WIDTH_PX * _MOST_HEIGHT_PX / height), _MOST_HEIGHT_PX
    return _WIDTH_PX, max(height, _LEAST_HEIGHT_PX)


def _write(image: Image.Image, place: tuple[int, int], text: str) -> None:
    ImageDraw.Draw(image).text(place, text, fill="black", font=ImageFont.load_default(20))

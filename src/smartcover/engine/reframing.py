"""
Whether one picture is another in a different framing: moved, or zoomed by up to a third.

Signatures and meanings tell that two pictures show about the same things, which any two moments of a scene do. That
nothing but the framing differs shows only when one is laid over the other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from smartcover.engine.arrays import Floats, Picture

_COARSE_PX, _FINE_PX = (48, 27), (160, 90)
_ZOOMS = 1.0, 1.04, 1.08, 1.12, 1.17, 1.22, 1.28, 1.34
_MIDDLE, _SMALL_ZOOM = 0.72, 1.12
"""Share of each side that is looked for in the other picture; from this zoom on all of it has room to be moved."""

_LEAST_ALIKE = 0.8
"""Correlation of the coarse pictures under which a closer look is in vain."""

_STEPS = (0.03, 0.015), (0.015, 0.007), (0.007, 0.004), (0.004, 0.002)
"""By how much zoom and place are changed in search of the best, round by round."""

_LEAST_ZOOM, _LEAST_SHIFT = 0.02, 0.015
"""Zoom beyond 1, and way of the middle in shares of a side, up to which a framing is the same."""

_LEAST_SPREAD = 6.0
"""Standard deviation of light, of 255, under which there is too little in a picture to find it in another."""


class _Framing(NamedTuple):
    """Where a picture lies in another: how much larger it shows things, and its middle's way, in shares of a side."""

    zoom: float
    across: float
    down: float

    @property
    def differs(self) -> bool:
        return abs(self.zoom - 1) > _LEAST_ZOOM or max(abs(self.across), abs(self.down)) > _LEAST_SHIFT


def likeness_when_reframed(one: Picture, other: Picture) -> float:
    """
    Say how well one picture is the other moved or zoomed, as the correlation of what both show, 0..1; 20 ms.

    The middle of one, made smaller, is looked for all over the other and the other way round (normalised correlation:
    Lewis 1995, "Fast Normalized Cross-Correlation"), then zoom and place are varied. Cuts of one picture give 0.99 or
    more (docs/quality.md).

    Returns:
        0 where the pictures fit best in the same framing, or there is too little in them to tell.
    """
    coarse, fine = (
        [
            Image.fromarray(picture).convert("L").convert("F").resize(size, Image.Resampling.BOX)
            for picture in (one, other)
        ]
        for size in (_COARSE_PX, _FINE_PX)
    )
    first, second = (np.asarray(picture, dtype=np.float32) for picture in coarse)
    found = [_found(first, second, zoom) for zoom in _ZOOMS]
    turned = [_found(second, first, zoom) for zoom in _ZOOMS[1:]]
    likeness, framing = max(found + [(likeness, _turned(framing)) for likeness, framing in turned])
    if likeness < _LEAST_ALIKE:
        return 0.0
    for zoom_step, step in _STEPS:
        likeness, framing = max(
            (_likeness_in(tried, fine[0], fine[1]), tried)
            for tried in (
                _Framing(framing.zoom * (1 + zoom), framing.across + across, framing.down + down)
                for zoom in (-zoom_step, 0, zoom_step)
                for across in (-step, 0, step)
                for down in (-step, 0, step)
            )
        )
    return likeness if framing.differs else 0.0


def _found(narrow: Floats, wide: Floats, zoom: float) -> tuple[float, _Framing]:
    """Look for a picture in one of a wider framing: how well it fits, and where it does best."""
    height, width = narrow.shape
    scaled = Image.fromarray(narrow).resize((round(width / zoom), round(height / zoom)), Image.Resampling.BILINEAR)
    template: Floats = np.asarray(scaled, dtype=np.float32)
    if zoom < _SMALL_ZOOM:
        top, left = (int(side * (1 - _MIDDLE) / 2) for side in template.shape)
        template = template[top : template.shape[0] - top, left : template.shape[1] - left]
    template = template - template.mean()
    energy, least = float(np.einsum("ij,ij->", template, template)), _LEAST_SPREAD**2 * template.size
    if energy < least:
        return 0.0, _Framing(1.0, 0.0, 0.0)
    windows = sliding_window_view(wide, template.shape)
    fits = np.einsum("ijkl,kl->ij", windows, template)
    own = np.einsum("ijkl,ijkl->ij", windows, windows) - windows.sum(axis=(2, 3)) ** 2 / template.size
    likeness = fits / np.sqrt(np.maximum(own, least) * energy)
    row, column = np.unravel_index(np.argmax(likeness), likeness.shape)
    down, across = row - (likeness.shape[0] - 1) / 2, column - (likeness.shape[1] - 1) / 2
    return float(likeness[row, column]), _Framing(zoom, float(across) / width, float(down) / height)


def _turned(framing: _Framing) -> _Framing:
    """Say where the second lies in the first when the first lies so in the second."""
    return _Framing(1 / framing.zoom, -framing.across * framing.zoom, -framing.down * framing.zoom)


def _likeness_in(framing: _Framing, one: Image.Image, other: Image.Image) -> float:
    """Correlate what both pictures show when one lies in the other so."""
    width, height = one.size
    size = 1 / framing.zoom
    left, top = 0.5 + framing.across - size / 2, 0.5 + framing.down - size / 2
    shared = max(left, 0.0), max(top, 0.0), min(left + size, 1.0), min(top + size, 1.0)
    corner = left, top, left, top
    own = tuple(min(1.0, (edge - start) * framing.zoom) for edge, start in zip(shared, corner, strict=True))
    shown = max(8, round(width * (own[2] - own[0]))), max(8, round(height * (own[3] - own[1])))
    first, second = (
        np.asarray(
            picture.resize(
                shown,
                Image.Resampling.BILINEAR,
                box=(box[0] * width, box[1] * height, box[2] * width, box[3] * height),
            ),
            dtype=np.float32,
        )
        for picture, box in ((one, own), (other, shared))
    )
    first, second = first - first.mean(), second - second.mean()
    energy = float(np.einsum("ij,ij->", first, first)) * float(np.einsum("ij,ij->", second, second))
    return float(np.einsum("ij,ij->", first, second)) / math.sqrt(max(energy, 1e-6))

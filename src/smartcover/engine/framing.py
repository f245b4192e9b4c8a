"""
How a picture is framed: where is its subject, does it stand out, is it cut off.

All from a map of what stands out (image signature: Hou, Harel and Koch 2012), which unlike the spectral residual sees
colour and does not take one edge of the picture for the neighbour of the opposite one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smartcover.engine.arrays import OPPONENT, Floats, Mask, Picture
from smartcover.engine.signals import prepare, shrink

_GRID = 64
_SUBJECT_MASS = 0.5
"""The subject is the smallest part of the picture that holds half of what stands out."""

_RING = 0.08
_THIRDS_REACH = 0.15
"""Distance, in shares of a side, from where lines of thirds cross at which `thirds` has fallen to 0.37."""

_FLAT = 2.0
"""Range of a plane, of 255, under which nothing in it stands out."""

_BLUR = 5
"""Side, in places of the grid, of the box that smooths the map of what stands out."""


def _cosine_matrix(size: int) -> Floats:
    """Make the orthonormal matrix of the cosine transform (DCT-II): its transpose undoes it."""
    frequency, place = np.mgrid[0:size, 0:size]
    matrix = np.cos(np.pi * (2 * place + 1) * frequency / (2 * size)) * np.sqrt(2 / size)
    matrix[0] /= np.sqrt(2)
    result: Floats = matrix.astype(np.float32)
    return result


_COSINES = _cosine_matrix(_GRID)


@dataclass(frozen=True, slots=True)
class Framing:
    """
    Numbers of one picture, each 0 to 1 but for `subject_sharpness`.

    Attributes:
        thirds: 1 with the subject where two lines of thirds cross, falling off around them (the rule of thirds as a
            measure: Datta et al. 2006).
        cut_off: Share of what stands out at the side of the picture that holds the most of it, in a ring of 8 %: a
            subject cut by the frame.
        subject_contrast: Distance in colour and light between the subject and the rest.
        subject_sharpness: Gradients of the subject over those of the rest: a sharp subject before a soft background
            is over 1 (low depth of field: Datta et al. 2006).
    """

    thirds: float
    cut_off: float
    subject_contrast: float
    subject_sharpness: float


def framing(picture: Picture) -> Framing:
    """
    Measure how a picture is framed.

    Where nothing stands out at all, the sharpness is 1 and the rest is 0.
    """
    planes = _colour_planes(picture)
    salient = _signature_map(planes)
    if not salient.any():
        return Framing(0.0, 0.0, 0.0, 1.0)
    subject = _subject(salient)
    across, down = _middle(np.where(subject, salient, np.float32(0)))
    gradient = shrink(prepare(picture).gradient, _GRID)
    return Framing(
        thirds=_thirds(across, down),
        cut_off=_cut_off(salient),
        subject_contrast=_contrast(planes, subject),
        subject_sharpness=float((gradient[subject].mean() + 0.5) / (gradient[~subject].mean() + 0.5)),
    )


def subject_map(picture: Picture) -> Floats:
    """Map what stands out on a 64x64 grid over the whole picture: not negative, sums to 1, or 0 if nothing does."""
    return _signature_map(_colour_planes(picture))


def _colour_planes(picture: Picture) -> Floats:
    """Light, red against green and yellow against blue, (3, 64, 64)."""
    colours = picture.astype(np.float32) @ OPPONENT
    return np.stack([shrink(plane, _GRID) for plane in np.moveaxis(colours, -1, 0)])


def _signature_map(planes: Floats) -> Floats:
    """Keep only the signs of the cosine transform: what comes back is strong where the picture is unlike its rest."""
    energy = np.zeros((_GRID, _GRID), dtype=np.float32)
    for plane in planes:
        if float(np.ptp(plane)) < _FLAT:
            continue
        transformed = _COSINES @ plane @ _COSINES.T
        signs = np.sign(transformed) * (np.abs(transformed) > 1e-3)
        energy += (_COSINES.T @ signs @ _COSINES) ** 2
    for _direction in range(2):
        # Two passes of a box are near enough to the Gaussian that the method asks for.
        energy = _blurred(_blurred(energy)).T
    total = float(energy.sum())
    return energy / np.float32(total) if total > 0 else energy


def _blurred(values: Floats) -> Floats:
    padded = np.pad(values, ((_BLUR // 2, _BLUR // 2), (0, 0)), mode="edge")
    result: Floats = np.mean([padded[row : row + _GRID] for row in range(_BLUR)], axis=0, dtype=np.float32)
    return result


def _subject(salient: Floats) -> Mask:
    order = np.argsort(salient, axis=None, kind="stable")[::-1]
    count = int(np.searchsorted(salient.ravel()[order].cumsum(), _SUBJECT_MASS)) + 1
    subject = np.zeros(salient.size, dtype=np.bool_)
    subject[order[:count]] = True
    return subject.reshape(salient.shape)


def _middle(weights: Floats) -> tuple[float, float]:
    """Centre of mass, each 0 to 1 from the left and the top."""
    places = (np.arange(_GRID) + 0.5) / _GRID
    total = float(weights.sum())
    return float(weights.sum(axis=0) @ places) / total, float(weights.sum(axis=1) @ places) / total


def _thirds(across: float, down: float) -> float:
    distance = float(np.hypot(min(abs(across - 1 / 3), abs(across - 2 / 3)), min(abs(down - 1 / 3), abs(down - 2 / 3))))
    return float(np.exp(-((distance / _THIRDS_REACH) ** 2)))


def _cut_off(salient: Floats) -> float:
    width = max(1, round(_GRID * _RING))
    sides = (salient[:width], salient[-width:], salient[:, :width], salient[:, -width:])
    return max(float(side.sum()) for side in sides)


def _contrast(planes: Floats, subject: Mask) -> float:
    apart = planes[:, subject].mean(axis=1) - planes[:, ~subject].mean(axis=1)
    return min(1.0, float(np.linalg.norm(apart)) / 255)

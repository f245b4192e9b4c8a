"""Faces by YuNet: where they are, how large, how sharp. They change a score, never a result's presence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from smartcover.engine.arrays import Picture
from smartcover.engine.geometry import Box
from smartcover.engine.sessions import DEFAULT_RUNTIME, Runtime, vendored
from smartcover.engine.signals import blur_extent, prepare

_STRIDES = (8, 16, 32)
_OUTPUTS = [f"{kind}_{stride}" for stride in _STRIDES for kind in ("cls", "obj", "bbox", "kps")]
_MIN_SCORE = 0.7
"""Below this a motorcycle was taken for a face; every real face of the reference pictures was above."""

_SURE_SCORE = 0.86
"""Confidence from which a face counts in full; down to the least it counts for less and less."""

_MAX_OVERLAP = 0.3
"""Intersection over union beyond which two finds are one face; the default of OpenCV for this detector."""

_MAX_FACES, _MIN_SIDE_PX = 20, 10
"""How many faces of a picture are kept; and the shorter side, in the picture looked at, under which a find is none."""

_NO_FACE = {
    "faces": 0.0, "face_size": 0.0, "face_closeness": 0.0, "face_centred": 0.0, "face_sharpness": 0.0,
    "face_focus": 0.0, "face_cut": 0.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Face:
    """
    One face in pixels of the picture that was looked at.

    `landmarks` are right eye, left eye, nose, right and left corner of the mouth, as the person has them, each (x, y).
    """

    box: Box
    landmarks: tuple[tuple[float, float], ...]
    confidence: float


class FaceFinder(Protocol):
    def find(self, picture: Picture) -> list[Face]: ...


@dataclass(frozen=True, slots=True)
class YuNet:
    """The vendored YuNet (2023mar)."""

    runtime: Runtime = DEFAULT_RUNTIME

    def find(self, picture: Picture) -> list[Face]:
        """Find faces in an RGB picture, most prominent first."""
        rows, columns = picture.shape[:2]
        padded_rows, padded_columns = -(-rows // 32) * 32, -(-columns // 32) * 32
        blob = np.zeros((1, 3, padded_rows, padded_columns), dtype=np.float32)
        blob[0, :, :rows, :columns] = picture[..., ::-1].transpose(2, 0, 1)
        found = vendored("yunet.onnx", self.runtime).run(_OUTPUTS, {"input": blob})
        outputs = dict(zip(_OUTPUTS, found, strict=True))
        return decode_outputs(outputs, (padded_columns, padded_rows), (columns, rows))


def decode_outputs(
    outputs: dict[str, npt.NDArray[np.float32]], padded: tuple[int, int], size: tuple[int, int]
) -> list[Face]:
    """
    Turn YuNet's anchor-free outputs into faces (Wu, Peng, Yu 2023, "YuNet: A Tiny Millisecond-level Face Detector").

    Each cell of stride s at (column, row) gives a centre ((column + dx) s, (row + dy) s), a size (s exp w, s exp h),
    landmarks as offsets from the cell, and a confidence, the geometric mean of class and objectness.
    """
    found: list[Face] = []
    for stride in _STRIDES:
        columns = padded[0] // stride
        confidence = np.sqrt(
            outputs[f"cls_{stride}"][0, :, 0].clip(0, 1) * outputs[f"obj_{stride}"][0, :, 0].clip(0, 1)
        )
        for cell in np.flatnonzero(confidence >= _MIN_SCORE):
            row, column = divmod(int(cell), columns)
            dx, dy, log_width, log_height = (float(value) for value in outputs[f"bbox_{stride}"][0, cell])
            width, height = float(np.exp(log_width)) * stride, float(np.exp(log_height)) * stride
            box = Box((column + dx) * stride - width / 2, (row + dy) * stride - height / 2, width, height)
            points = outputs[f"kps_{stride}"][0, cell].reshape(5, 2)
            landmarks = tuple((float(x + column) * stride, float(y + row) * stride) for x, y in points)
            if min(width, height) >= _MIN_SIDE_PX and box.left < size[0] and box.top < size[1]:
                found.append(Face(box, landmarks, float(confidence[cell])))
    found.sort(key=lambda face: face.confidence, reverse=True)
    kept: list[Face] = []
    for face in found:
        if len(kept) < _MAX_FACES and all(overlap(face.box, other.box) <= _MAX_OVERLAP for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: face.box.width * face.box.height * face.confidence, reverse=True)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    if across <= 0 or down <= 0:
        return 0.0
    shared = across * down
    return shared / (one.width * one.height + other.width * other.height - shared)


def face_signals(picture: Picture, faces: Sequence[Face]) -> dict[str, float]:
    """
    Describe the faces of a picture.

    `faces` is their number; of the most prominent one: `face_size` its height over the picture's, `face_closeness` the
    same over the picture's shorter side, `face_centred` 1 at the upper middle and 0 in a corner, `face_sharpness` the
    mean gradient inside it, `face_focus` what is left of 1 without the blur extent inside it, `face_cut` the share of
    it that lies outside the frame. Size, place and sharpness count less for a face that the detector is not sure of.
    """
    if not faces:
        return dict(_NO_FACE)
    rows, columns = picture.shape[:2]
    box = faces[0].box
    left, top = max(0, int(box.left)), max(0, int(box.top))
    inside = picture[top : max(top + 3, int(box.bottom)), left : max(left + 3, int(box.right))]
    seen = prepare(inside) if inside.size else None
    gradient = 0.0 if seen is None else float(seen.gradient.mean())
    across = (box.left + box.width / 2) / columns - 0.5
    down = (box.top + box.height / 2) / rows - 0.4
    visible_width = max(0.0, min(box.right, columns) - max(box.left, 0.0))
    visible_height = max(0.0, min(box.bottom, rows) - max(box.top, 0.0))
    sure = min(1.0, max(0.0, (faces[0].confidence - _MIN_SCORE) / (_SURE_SCORE - _MIN_SCORE)))
    return {
        "faces": float(len(faces)),
        "face_size": sure * box.height / rows,
        "face_closeness": sure * box.height / min(rows, columns),
        "face_centred": sure * max(0.0, 1.0 - float(np.hypot(across / 0.5, down / 0.6))),
        "face_sharpness": sure * gradient,
        "face_focus": 0.0 if seen is None else 1.0 - blur_extent(seen),
        "face_cut": max(0.0, 1.0 - visible_width * visible_height / max(box.width * box.height, 1e-9)),
    }

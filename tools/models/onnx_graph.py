"""Write an ONNX graph node by node, in float32, with its large constants kept in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_OPSET = 13
_IR_VERSION = 8
"""Read by every onnxruntime since 1.12."""

_HALF_FROM = 64
"""Smaller constants gain nothing from half precision."""


class GraphWriter:
    """
    Collects nodes and constants; `finish` gives the bytes of the model, the same for the same calls.

    Half-precision constants are cast to float32 by a node, which the runtime folds away when it loads the file: the
    file is half as large and the arithmetic stays float32.
    """

    def __init__(self, name: str) -> None:
        import onnx  # type: ignore[import-not-found, unused-ignore]

        self._onnx: Any = onnx
        self._name = name
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, name: str, value: Array) -> str:
        """Add a constant and return the name to use it by."""
        if value.dtype != np.float32 or value.size < _HALF_FROM:
            self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
            return name
        if float(np.abs(value).max()) > float(np.finfo(np.float16).max):
            raise SystemExit(f"{name} does not fit into half precision")
        half = np.ascontiguousarray(value.astype(np.float16))
        self._constants.append(self._onnx.numpy_helper.from_array(half, f"{name}.half"))
        return self.node("Cast", [f"{name}.half"], name, to=self._onnx.TensorProto.FLOAT)

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add an operator with one output and return the output's name."""
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [output], output, **attributes))
        return output

    def finish(self, source: tuple[str, tuple[Any, ...]], results: Sequence[tuple[str, tuple[Any, ...]]]) -> bytes:
        """Close the graph; shapes may name free dimensions."""
        helper, float32 = self._onnx.helper, self._onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info(source[0], float32, source[1])],
            [helper.make_tensor_value_info(name, float32, shape) for name, shape in results],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="smartcover")
        model.ir_version = _IR_VERSION
        self._onnx.checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def same_pads(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> list[int]:
    """
    Say the padding that TensorFlow calls SAME, as ONNX wants it: top, left, bottom, right.

    With a stride it is larger at the bottom and right. Spelt out because runtimes differ in their reading of
    ONNX's own `auto_pad`.
    """
    before, after = [], []
    for length, width, step in zip(size, kernel, stride, strict=True):
        missing = max(0, (-(-length // step) - 1) * step + width - length)
        before.append(missing // 2)
        after.append(missing - missing // 2)
    return before + after

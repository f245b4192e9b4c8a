"""Tiny ONNX files written byte by byte, so that tests need no package that makes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

_FLOAT, _INT64 = 1, 7
Dimension = int | str


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _value_info(name: str, shape: Sequence[Dimension], element: int) -> bytes:
    dims = b"".join(_bytes(1, _number(1, side) if isinstance(side, int) else _bytes(2, side)) for side in shape)
    tensor = _number(1, element) + _bytes(2, dims)
    return _bytes(1, name) + _bytes(2, _bytes(1, tensor))


def node(kind: str, inputs: Sequence[str], output: str, **ints: int | Sequence[int]) -> bytes:
    """An operator with integer attributes."""
    out = b"".join(_bytes(1, name) for name in inputs) + _bytes(2, output) + _bytes(4, kind)
    for name, value in ints.items():
        if isinstance(value, int):
            out += _bytes(5, _bytes(1, name) + _number(3, value) + _number(20, 2))
        else:
            out += _bytes(5, _bytes(1, name) + b"".join(_number(8, item) for item in value) + _number(20, 7))
    return out


def constant(name: str, values: Sequence[float], shape: Sequence[int]) -> bytes:
    """A float32 tensor."""
    raw = struct.pack(f"<{len(values)}f", *values)
    return b"".join(_number(1, side) for side in shape) + _number(2, _FLOAT) + _bytes(8, name) + _bytes(9, raw)


def write_model(
    path: Path,
    nodes: Sequence[bytes],
    *,
    source: Sequence[Dimension] = ("n", 3, 224, 224),
    result: Sequence[Dimension] = ("n", "m"),
    constants: Sequence[bytes] = (),
    metadata: Mapping[str, str] | None = None,
    extra_inputs: Sequence[str] = (),
    integers: bool = False,
) -> Path:
    """Write a model from `x` to `y`."""
    element = _INT64 if integers else _FLOAT
    graph = b"".join(_bytes(1, item) for item in nodes) + _bytes(2, "g")
    graph += b"".join(_bytes(5, item) for item in constants)
    graph += b"".join(_bytes(11, _value_info(name, source, element)) for name in ("x", *extra_inputs))
    graph += _bytes(12, _value_info("y", result, _FLOAT))
    model = _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13))
    for key, value in (metadata or {}).items():
        model += _bytes(14, _bytes(1, key) + _bytes(2, value))
    path.write_bytes(model)
    return path

"""Read the weights of an old torch checkpoint (the format before zip files) without torch and without its code."""

from __future__ import annotations

import collections
import io
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

_TYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_MAGIC = 0x1950A86A20F9469CFC6C


class _Reader(pickle.Unpickler):
    """An unpickler that makes dictionaries and descriptions of tensors, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_unused: (storage, offset, shape, strides)
        if module == "torch" and name in _TYPES:
            return type(name, (), {})
        raise pickle.UnpicklingError(f"the checkpoint wants {module}.{name}; only tensors are read")

    def persistent_load(self, pid: Any) -> Any:
        kind, storage_type, key, _device, length, _view = pid
        assert kind == "storage"
        return key, storage_type.__name__, length


def read_weights(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """
    Return the tensors by name.

    Tensors are views of storages with strides: reading a storage as if it were in order gives a network whose
    answers are all alike.
    """
    stream = io.BytesIO(content)
    if _Reader(stream).load() != _MAGIC:
        raise SystemExit("the file is no torch checkpoint of the old format")
    _Reader(stream).load()  # protocol version
    _Reader(stream).load()  # sizes of the machine's types
    described = _Reader(stream).load()
    types = {storage[0]: _TYPES[storage[1]] for storage, *_rest in described.values()}
    storages: dict[str, npt.NDArray[Any]] = {}
    for key in _Reader(stream).load():
        (length,) = np.frombuffer(stream.read(8), dtype="<i8")
        item = types[key].itemsize
        storages[key] = np.frombuffer(stream.read(int(length) * item), dtype=types[key])
    return {
        name: np.lib.stride_tricks.as_strided(
            storages[storage[0]][offset:],
            shape=shape,
            strides=tuple(step * storages[storage[0]].itemsize for step in strides),
            writeable=False,
        ).copy()
        for name, (storage, offset, shape, strides) in described.items()
    }

"""What of the memory that is freed stays with the process."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np

_KEPT_BYTES = 30 * 2**20
"""Just under the most that glibc learns from (32 MB on 64 bits: mallopt(3), M_MMAP_THRESHOLD)."""


def keep_freed_memory() -> None:
    """
    Let the allocator keep the arrays of one picture for the next.

    glibc gives large blocks back to the system as soon as they are freed, until it has seen a larger one freed. The
    arrays of a picture come to some 5 MB, and asking the system for their pages again for each picture takes nearly
    as long as what is computed in them (docs/benchmarks.md). No page of the block here is touched, so it costs
    nothing; other allocators make nothing of it.
    """
    np.empty(_KEPT_BYTES, dtype=np.uint8)


def give_back_freed_memory() -> None:
    """
    Have the allocator give back to the system what is free now, where it can be told to.

    What decoders of 4K and networks free between blocks that stay would else lie unused beside what is allocated next.
    It takes some milliseconds.
    """
    _trimmer()(0)


@functools.cache
def _trimmer() -> Callable[[int], int]:
    """Find glibc's malloc_trim(3); other C libraries have none, and nothing is done."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # TypeError: on Windows a library has to be named
        return lambda _pad: 0
    return trim

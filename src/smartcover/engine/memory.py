"""What of the memory that is freed stays with the process."""

from __future__ import annotations

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

"""
A worker of a chaotic run: `python -m tests.chaos.worker`, which is `smartcover worker` with two things put in.

Most videos of a run are stand-ins (`STAND_IN`): they are read from the store as any other, take a moment, and give
covers with bytes of their own, but no decoder is started for them, so that a thousand jobs take minutes. All other
videos go to the real engine. And where CHAOS_FULL_DISK names a file, no blob can be written while that file is there.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
from pathlib import Path
from typing import Any
from uuid import uuid4

#: How the content of a video begins that stands for one.
STAND_IN = b"stands for a video\n"
FULL_DISK = "CHAOS_FULL_DISK"
_LONGEST_SECONDS = 0.6


def main() -> None:
    """Put both in, and run the command line."""
    from smartcover.cli import run
    from smartcover.engine import CoverOptions
    from smartcover.storage import VideoSource
    from smartcover.storage.blobs import BlobWriter
    from smartcover.worker import EngineRunner
    from smartcover.worker.isolate import PickedCover, PickedCovers

    pick_really, write_really = EngineRunner.pick, BlobWriter._write
    flag = Path(os.environ[FULL_DISK]) if FULL_DISK in os.environ else None

    def content(source: VideoSource) -> bytes:
        with source.open() as opened:
            return opened.read(1 << 10)

    async def pick(self: EngineRunner, source: VideoSource, options: CoverOptions, **hooks: Any) -> PickedCovers:
        if not (await asyncio.to_thread(content, source)).startswith(STAND_IN):
            return await pick_really(self, source, options, **hooks)
        await asyncio.sleep(random.uniform(0.05, _LONGEST_SECONDS))
        # Bytes of this attempt alone: what an earlier one publishes too late is seen.
        covers = [
            PickedCover(b"\xff\xd8" + uuid4().bytes, "jpg", 64, 48, number / 10, 0.5, {}, ())
            for number in range(options.count)
        ]
        return PickedCovers(tuple(covers), None, 0.5, {})

    def write(self: BlobWriter, block: bytes) -> int:
        if flag is not None and flag.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_really(self, block)

    EngineRunner.pick = pick  # type: ignore[method-assign]
    BlobWriter._write = write  # type: ignore[method-assign]
    run()


if __name__ == "__main__":
    main()

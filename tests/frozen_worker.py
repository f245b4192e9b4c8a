"""
A worker in a process of its own, which a test may freeze: `python -m tests.frozen_worker DSN FOLDER NAME SECONDS`.

Its engine takes SECONDS and draws covers whose bytes are NAME; it prints `working` when it begins and each log line.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from smartcover.ledger import CallbackTarget, Job, Ledger, NewDelivery
from smartcover.storage import LocalStore
from smartcover.worker import Worker, WorkerConfig
from smartcover.worker.isolate import PickedCover, PickedCovers


class Engine:
    """Draws the worker's name, slowly."""

    def __init__(self, name: str, seconds: float) -> None:
        self._image = name.encode()
        self._seconds = seconds

    async def pick(self, *_: Any, **__: Any) -> PickedCovers:
        print("working", flush=True)
        await asyncio.sleep(self._seconds)
        return PickedCovers((PickedCover(self._image, "jpg", 64, 36, 0.0, 1.0, {}, ()),), None, 10.0, {})


def deliveries_of(job: Job) -> Sequence[NewDelivery]:
    target = CallbackTarget(url="http://receiver.example/")
    return [NewDelivery(str(uuid4()), target, "receiver.example:80", "application/xml", job.state.encode())]


async def main(dsn: str, folder: str, name: str, seconds: str) -> None:
    ledger = await Ledger.connect(dsn, pool_size=4)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
        store = LocalStore(Path(folder), pool, reserve_bytes=0)
        worker = Worker(
            ledger,
            store,
            Engine(name, float(seconds)),  # type: ignore[arg-type] # stands for the runner of children
            config=WorkerConfig(worker_id=name, concurrency=1, lease_seconds=1.0, grace_seconds=5.0),
            deliveries_of=deliveries_of,
        )
        await worker.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

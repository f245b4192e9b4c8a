"""
A worker in a process of its own, which a test may freeze: `python -m tests.frozen_worker DSN PLACE NAME SECONDS`.

Its engine takes SECONDS and draws covers whose bytes are NAME; it prints `working` when it begins and each log line.
PLACE is a folder, or the address of an S3 store; there it prints `placing` before the store copies a cover and what
came of it afterwards. With a fifth word `blocks` or `waits` it stops before the copy, for a second with nothing else
going on in the process, or for three while the rest of it goes on.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from smartcover.errors import SmartCoverError
from smartcover.ledger import CallbackTarget, Job, Ledger, NewDelivery, connections
from smartcover.storage import BucketStore, LocalStore, S3Store
from smartcover.worker import Worker, WorkerConfig
from smartcover.worker.isolate import PickedCover, PickedCovers
from tests.moto_server import options_of


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


class Place(S3Store):
    """An S3 store that says what it copies."""

    def __init__(self, address: str, pool: Any, stop: str) -> None:
        super().__init__("s3://everything/p", options_of(address), pool)
        copy = self._objects.copy

        async def told(*arguments: str) -> Any:
            print("placing", flush=True)
            if stop == "blocks":
                time.sleep(1.0)  # so that nothing comes between thawing and the copy
            elif stop == "waits":
                await asyncio.sleep(3.0)
            # Sent to its end although the worker, told that its lease is lost, may give the work up meanwhile.
            return await asyncio.shield(asyncio.create_task(sent(*arguments)))

        async def sent(*arguments: str) -> Any:
            try:
                found = await copy(*arguments)
            except SmartCoverError as error:
                print(f"not placed: {error.detail}", flush=True)
                raise
            print("placed", flush=True)
            return found

        self._objects.copy = told  # type: ignore[method-assign, assignment]


async def main(dsn: str, place: str, name: str, seconds: str, stop: str = "") -> None:
    connections._SESSION["idle_in_transaction_session_timeout"] = (
        "1s"  # what takes longer than the limit is tested quickly
    )
    ledger = await Ledger.connect(dsn, pool_size=4)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
        store: BucketStore = (
            Place(place, pool, stop) if place.startswith("http") else LocalStore(Path(place), pool, reserve_bytes=0)
        )
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

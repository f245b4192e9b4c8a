"""
A worker process whose work is nothing, or a sleep: the product's own work loop with another engine put in.

Everything but decoding is done as always: the claim with lease and attempt, the look for the input object, the
staging and publishing of covers if there are any, and the end of the job together with its callback.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import Any

from smartcover.app.foundation import foundation
from smartcover.app.logs import configure_logs
from smartcover.app.parts import make_worker
from smartcover.settings import read_settings
from smartcover.worker.isolate import PickedCover, PickedCovers


class NothingEngine:
    """Finds the same covers in every video after the same time."""

    def __init__(self, sleep_seconds: float, covers: int) -> None:
        self._sleep_seconds = sleep_seconds
        cover = PickedCover(b"x" * 50_000, "jpg", 1280, 720, 1.0, 0.5, {"sharpness": 0.5}, ("a still moment",))
        self._picked = PickedCovers((cover,) * covers, None, 60.0, {})

    async def pick(self, source: object, options: object, **hooks: object) -> PickedCovers:
        """Stand for `EngineRunner.pick`."""
        if self._sleep_seconds:
            await asyncio.sleep(self._sleep_seconds)
        return self._picked


async def run(slots: int, engine: Any) -> None:
    """Work until SIGTERM."""
    settings = read_settings(worker_concurrency=slots)
    configure_logs(settings)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with foundation(settings, None, slots=slots) as base:
        print("ready", flush=True)
        await make_worker(settings, base.ledger, base.store, engine).run(stop)


def main() -> None:
    """Read the command line and work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=8, help="jobs at once (default: 8)")
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds that each job takes (default: 0)")
    parser.add_argument("--covers", type=int, default=0, help="covers of 50 kB that each job publishes (default: 0)")
    given = parser.parse_args()
    asyncio.run(run(given.slots, NothingEngine(given.sleep, given.covers)))


if __name__ == "__main__":
    main()

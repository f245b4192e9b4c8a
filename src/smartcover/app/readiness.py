"""When a process is ready: what each of its roles needs is there, and it is not about to stop."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from smartcover import api
from smartcover.app.foundation import Foundation
from smartcover.errors import SmartCoverError
from smartcover.worker import EngineRunner

#: A child that started just now would start again; asking for more would cost a probe of each second 20 ms.
_ENGINE_SECONDS: Final = 30.0


class EngineCheck:
    """Whether an engine child can start; a good answer holds for a while."""

    def __init__(self, engine: EngineRunner) -> None:
        self._engine = engine
        self._good_until = 0.0
        self._asking = asyncio.Lock()

    async def __call__(self) -> None:
        """
        Return if a child starts and answers.

        Raises:
            VideoError: If it does not.
        """
        async with self._asking:
            if time.monotonic() < self._good_until:
                return
            await self._engine.probe()
            self._good_until = time.monotonic() + _ENGINE_SECONDS


def checks(
    base: Foundation, stop: asyncio.Event, *, store: bool, engine: EngineRunner | None = None
) -> dict[str, api.Check]:
    """Gather what must be well: the database, for some roles the store, for a worker its engine, and no stop."""

    async def going_on() -> None:
        if stop.is_set():
            raise SmartCoverError("the process is stopping")

    found: dict[str, api.Check] = {"database": api.check_database(base.ledger)}
    if store:
        found["storage"] = api.check_store(base.store)
    if engine is not None:
        found["engine"] = EngineCheck(engine)
    return {**found, "process": going_on}

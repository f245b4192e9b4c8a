"""
The loop that turns stored uploads into workflow runs.

An upload is taken in the transaction that stores its runs, so a loop that dies has started nothing, and the next one
starts all. Any number of loops may run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog

from smartcover.errors import LedgerError, QueueFull, SmartCoverError, StorageError
from smartcover.ledger import Ledger
from smartcover.service import start_runs_of
from smartcover.storage import BucketStore
from smartcover.worker.waiting import first_of

_log = structlog.get_logger(__name__)

#: Seconds until the loop looks for uploads although nobody woke it.
_IDLE_LOOK_SECONDS: Final = 5.0
#: Seconds to wait after a failure of the database before the next look.
_PAUSE_AFTER_FAILURE_SECONDS: Final = 1.0
#: Seconds after which an upload whose runs could not start is tried again.
_RETRY_SECONDS: Final = 10.0
#: Tries of an upload that fails by our own fault, before it is given up.
_MOST_TRIES: Final = 20
#: How long an upload stays remembered, so that it starts nothing when it is told again.
_REMEMBER_SECONDS: Final = 7 * 86_400.0
_FORGET_EVERY_SECONDS: Final = 600.0
_FORGET_PAUSE_SECONDS: Final = 0.1


class TriggerLoop:
    """Starts runs until told to stop; `new_id` makes an identifier of the kind that its letter names."""

    def __init__(self, ledger: Ledger, store: BucketStore, *, new_id: Callable[[str], str]) -> None:
        self._ledger = ledger
        self._workflows = ledger.workflows
        self._store = store
        self._new_id = new_id

    async def run(self, stop: asyncio.Event) -> None:
        """Start what uploads owe until `stop` is set."""
        async with self._ledger.listen() as wakeups:
            forgetting = asyncio.create_task(self._forget_for_ever())
            try:
                while not stop.is_set():
                    if forgetting.done():  # a fault of ours: better no loop than one that keeps all for ever
                        forgetting.result()
                    if not await self._step():
                        await first_of(stop.wait(), wakeups.wait("uploads", _IDLE_LOOK_SECONDS))
            finally:
                forgetting.cancel()
                await asyncio.gather(forgetting, return_exceptions=True)

    async def _step(self) -> bool:
        """Deal with one upload, and tell whether there was one."""
        try:
            return await self.start_one()
        except LedgerError as error:
            _log.warning("cannot look for uploads", error=error.public, detail=error.detail)
            await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)
            return False

    async def start_one(self) -> bool:
        """
        Start what one stored upload owes, and tell whether there was one.

        Raises:
            LedgerError: If the database is away.
        """
        event_id = ""
        try:
            async with self._workflows.taking_upload() as taken:
                if taken is None:
                    return False
                event = taken.upload.event
                event_id = event.event_id
                runs = await start_runs_of(taken, self._store, new_id=self._new_id)
        except (QueueFull, StorageError) as error:
            await self._postpone(event_id, error.public, counted=False)
        except LedgerError:
            raise
        except SmartCoverError as error:
            await self._postpone(event_id, error.public, counted=True)
        except Exception:
            # Our own fault: the upload must neither be lost at once nor stop all others.
            log = _log.bind(event_id=event_id)
            log.exception("an upload cannot be dealt with by a fault of smartcover")
            await self._postpone(event_id, "a fault of smartcover", counted=True)
        else:
            for run in runs:
                _log.info(
                    "run started", run_id=run.run_id, workflow_id=run.workflow_id, bucket=run.bucket, object=event.key
                )
        return True

    async def _postpone(self, event_id: str, why: str, *, counted: bool) -> None:
        given_up = await self._workflows.postpone_upload(
            event_id, delay_seconds=_RETRY_SECONDS, counted=counted, most_tries=_MOST_TRIES
        )
        say = _log.error if given_up else _log.warning
        say("an upload starts no run" if given_up else "an upload waits", event_id=event_id, error=why)

    async def _forget_for_ever(self) -> None:
        forgotten = 0
        while True:
            await asyncio.sleep(_FORGET_PAUSE_SECONDS if forgotten else _FORGET_EVERY_SECONDS)
            with contextlib.suppress(LedgerError):  # it is tried again, and nothing depends on it
                forgotten = await self._workflows.forget_old(older_than_seconds=_REMEMBER_SECONDS)

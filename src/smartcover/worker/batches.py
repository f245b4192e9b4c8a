"""
The loop that works through batches, a step at a time.

Any number of loops may run. A batch that a dead one was working on is taken up where its last step ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from smartcover.errors import LedgerError, ObjectMissing, QueueFull, SmartCoverError
from smartcover.ledger import Batch, Ledger
from smartcover.service import BatchReader
from smartcover.storage import BucketStore
from smartcover.worker.patience import given_up_message, longest_held_up_seconds, next_wait_seconds
from smartcover.worker.waiting import first_of

_log = structlog.get_logger(__name__)

_IDLE_LOOK_SECONDS: Final = 5.0
_PAUSE_AFTER_FAILURE_SECONDS: Final = 1.0
#: How long a batch is left alone by others after its last step.
_LEASE_SECONDS: Final = 60.0
#: Objects of one step, and so of one transaction.
_STEP: Final = 200
#: Seconds to wait for room in a queue.
_WAIT_FOR_ROOM_SECONDS: Final = 1.0
#: Seconds after which a batch is tried again that met a fault of ours.
_RETRY_SECONDS: Final = 10.0
#: Faults of ours in a row before a batch fails.
_MOST_TRIES: Final = 5


class BatchLoop:
    """
    Works on one batch after another until told to stop.

    Args:
        storage_wait_seconds: How long a batch is tried again that the store fails, before it fails.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: BucketStore,
        *,
        new_id: Callable[[str], str],
        storage_wait_seconds: float = 86_400.0,
    ) -> None:
        self._ledger = ledger
        self._batches = ledger.batches
        self._store = store
        self._new_id = new_id
        self._storage_wait_seconds = storage_wait_seconds

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a step under way is finished."""
        async with self._ledger.listen() as wakeups:
            while not stop.is_set():
                try:
                    worked = await self.work_on_one(stop)
                except LedgerError as error:
                    _log.warning("cannot work on batches", error=error.public, detail=error.detail)
                    await first_of(stop.wait(), asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS))
                    continue
                if not worked:
                    await first_of(stop.wait(), wakeups.wait("batches", _IDLE_LOOK_SECONDS))

    async def work_on_one(self, stop: asyncio.Event) -> bool:
        """
        Work on the batch that has waited longest until it ends or must wait, and tell whether there was one.

        Raises:
            LedgerError: If the database is away; the batch is taken up again later.
        """
        batch = await self._batches.claim(lease_seconds=_LEASE_SECONDS)
        if batch is None:
            return False
        batch_id = batch.new.batch_id
        log = _log.bind(batch_id=batch_id, bucket=batch.new.bucket)
        reader = BatchReader(batch, self._store, self._ledger.workflows, new_id=self._new_id)
        try:
            await self._work(batch_id, reader, stop)
        except LedgerError:
            raise
        except SmartCoverError as error:
            if error.retryable:
                await self._try_later(batch, error)
            else:
                message = _message(batch, error)
                log.info("batch failed", code=error.code, message=message)
                await self._batches.fail(batch_id, error.code, message)
        except Exception:
            log.exception("the batch met a fault of smartcover")
            tries = await self._batches.postpone(batch_id, delay_seconds=_RETRY_SECONDS, counted=True)
            if tries >= _MOST_TRIES:
                await self._batches.fail(batch_id, "InternalError", "Something went wrong in smartcover.")
        finally:
            await reader.close()
        return True

    async def _try_later(self, batch: Batch, error: SmartCoverError) -> None:
        """Postpone a batch that the store failed, or fail it when that has lasted for too long."""
        batch_id = batch.new.batch_id
        log = _log.bind(batch_id=batch_id, bucket=batch.new.bucket)
        held_up_seconds = await self._batches.held_up_seconds(batch_id)
        if held_up_seconds < longest_held_up_seconds(error, self._storage_wait_seconds):
            log.warning("the batch waits", error=error.public, detail=error.detail)
            wait_seconds = next_wait_seconds(held_up_seconds)
            await self._batches.postpone(batch_id, delay_seconds=wait_seconds, counted=False, held_up=True)
        else:
            place = f"Input.{batch.new.plan.source} {batch.new.plan.place}"
            message = given_up_message(error, held_up_seconds, place)
            log.info("batch failed", code=error.code, message=message)
            await self._batches.fail(batch_id, error.code, message)

    async def _work(self, batch_id: str, reader: BatchReader, stop: asyncio.Event) -> None:
        most = _STEP
        while not stop.is_set():
            step = await reader.step(most)
            try:
                if not await self._batches.advance(batch_id, reader.marker, step, lease_seconds=_LEASE_SECONDS):
                    _log.info("the batch was cancelled or is worked on elsewhere", batch_id=batch_id)
                    return
            except QueueFull:
                if most > 1:
                    most //= 2
                    continue
                # Others may need us meanwhile: the batch goes to the end of the line.
                await self._batches.postpone(batch_id, delay_seconds=_WAIT_FOR_ROOM_SECONDS, counted=False)
                return
            reader.moved(step)
            most = min(_STEP, most * 2)
            if step.ended:
                _log.info("batch ended", batch_id=batch_id)
                return
        await self._batches.postpone(batch_id, delay_seconds=0.0, counted=False)


def _message(batch: Batch, error: SmartCoverError) -> str:
    if isinstance(error, ObjectMissing):
        return f"Input.{batch.new.plan.source} names {batch.new.plan.place}, or a file it lists, which does not exist"
    return error.public

"""Queues: where the jobs of a bucket wait, how many may run, and who hears of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import aiosql

from smartcover.errors import QueueFull, UnknownQueue
from smartcover.ledger import rows
from smartcover.ledger.database import Database, notify
from smartcover.ledger.model import NotifyConfig, Queue, QueueState

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("queues.sql"), "asyncpg", mandatory_parameters=False)

_DEFAULT_NAME: Final = "queue-1"
#: Room below which submits to one queue are let in one at a time, so that max_size is exact. With more room than all
#: submits in flight could take, nobody needs to wait for anybody.
SCARCE_ROOM: Final = 1000


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many jobs of a queue may run at once over all workers, and how many may wait."""

    max_concurrent: int = 10
    max_size: int = 10_000


DEFAULT_LIMITS: Final = QueueLimits()


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Some of the queues that fit, in order of their making, and how many fit in all."""

    queues: tuple[Queue, ...]
    total: int


class Queues:
    """
    The queues of all buckets. Every method raises `LedgerUnavailable` when the database does not answer.

    Args:
        limits: What new queues get; those that exist keep theirs.
    """

    def __init__(
        self, database: Database, *, make_hex: Callable[[], str], limits: QueueLimits = DEFAULT_LIMITS
    ) -> None:
        self._database = database
        self._make_hex = make_hex
        self._limits = limits

    async def default(self, bucket: str) -> Queue:
        """Give the bucket's default queue, made if it is missing."""
        async with self._database.connection("default queue") as connection:
            row = await QUERIES.default_queue(connection, bucket=bucket)
            if row is None:
                await QUERIES.add_default_queue(
                    connection,
                    queue_id=f"p{self._make_hex()}",
                    bucket=bucket,
                    name=_DEFAULT_NAME,
                    max_concurrent=self._limits.max_concurrent,
                    max_size=self._limits.max_size,
                )
                row = await QUERIES.default_queue(connection, bucket=bucket)
        return rows.queue(row)

    async def get(self, bucket: str, queue_id: str) -> Queue:
        """Give a queue of the bucket, or raise `UnknownQueue`."""
        async with self._database.connection("queue") as connection:
            return _queue(await QUERIES.queue(connection, bucket=bucket, queue_id=queue_id), bucket, queue_id)

    async def add(self, bucket: str, name: str, limits: QueueLimits | None = None) -> Queue:
        """Make one more queue."""
        limits = limits or self._limits
        async with self._database.connection("add queue") as connection:
            row = await QUERIES.add_queue(
                connection,
                queue_id=f"p{self._make_hex()}",
                bucket=bucket,
                name=name,
                max_concurrent=limits.max_concurrent,
                max_size=limits.max_size,
            )
        return rows.queue(row)

    async def page(
        self,
        bucket: str,
        *,
        queue_ids: Sequence[str] | None = None,
        state: QueueState | None = None,
        skip: int = 0,
        limit: int = 10,
    ) -> QueuePage:
        """List queues that fit everything given."""
        wanted = {
            "bucket": bucket,
            "queue_ids": None if queue_ids is None else list(queue_ids),
            "state": None if state is None else state.value,
        }
        async with self._database.connection("queues") as connection:
            found = [row async for row in QUERIES.queues(connection, **wanted, skip=skip, most=limit)]
            total = found[0]["total"] if found else await QUERIES.count_queues(connection, **wanted)
        return QueuePage(tuple(rows.queue(row) for row in found), total)

    async def change(
        self, bucket: str, queue_id: str, *, name: str, state: QueueState, notify_config: NotifyConfig
    ) -> Queue:
        """
        Replace what a client may set, and wake the workers.

        Once this returns, a paused queue starts nothing; what runs goes on. Jobs that were accepted keep the callback
        that they were accepted with.

        Raises:
            UnknownQueue: If the bucket has no such queue.
        """
        async with self._database.transaction("change queue") as connection:
            row = await QUERIES.change_queue(
                connection,
                bucket=bucket,
                queue_id=queue_id,
                name=name,
                state=state.value,
                notify=rows.notify_json(notify_config),
            )
            await notify(connection, "jobs")
        return _queue(row, bucket, queue_id)

    async def set_limits(self, bucket: str, queue_id: str, limits: QueueLimits) -> Queue:
        """Change how many jobs may run and wait; those that run or wait already stay. Raises `UnknownQueue`."""
        async with self._database.transaction("set queue limits") as connection:
            row = await QUERIES.set_queue_limits(
                connection,
                bucket=bucket,
                queue_id=queue_id,
                max_concurrent=limits.max_concurrent,
                max_size=limits.max_size,
            )
            await notify(connection, "jobs")
        return _queue(row, bucket, queue_id)


async def lock_room(connection: Any, queue_id: str) -> None:
    """Let one submit at a time count what waits in a queue, until the transaction ends."""
    await QUERIES.lock_queue_room(connection, queue_id=queue_id)


async def refuse(connection: Any, queue_id: str, jobs: int) -> NoReturn:
    """
    Say why jobs cannot wait in a queue.

    Raises:
        QueueFull: It would hold more than its max_size.
        UnknownQueue: There is none of that id.
    """
    found = await QUERIES.queue_room(connection, queue_id=queue_id)
    if found is None:
        raise UnknownQueue(f"queue {queue_id!r} does not exist")
    raise QueueFull(
        f"queue {queue_id} has room for {max(0, found['room'])} of its {found['max_size']} waiting jobs and "
        f"{jobs} were submitted; submit again when some have started"
    )


def _queue(row: Any, bucket: str, queue_id: str) -> Queue:
    if row is None:
        raise UnknownQueue(f"queue {queue_id[:80]!r} does not exist in bucket {bucket}")
    return rows.queue(row)

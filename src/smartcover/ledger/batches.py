"""
Batches in PostgreSQL: one thing done to many objects.

A batch is worked through in steps. Each step is one transaction that starts some objects and moves the batch's
marker behind them, and it happens only if the marker stands where the step began. So a process that dies loses
nothing, and two that work on one batch at once never start an object twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import aiosql
from pydantic import TypeAdapter

from smartcover.errors import UnknownBatch
from smartcover.ledger import rows
from smartcover.ledger.database import Database, notify
from smartcover.ledger.finishing import owe
from smartcover.ledger.listing import times_left
from smartcover.ledger.model import NewJob
from smartcover.ledger.runs import WhenRunEnds, settle_run, start_run
from smartcover.ledger.submissions import add_jobs
from smartcover.ledger.wakeups import CANCEL
from smartcover.ledger.workflow_model import NewRun
from smartcover.protocol import Tree

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("batches.sql"), "asyncpg", mandatory_parameters=False)

_CANCEL_BATCH: Final = 500


class BatchState(StrEnum):
    """How a batch stands: it is a Success when each of its objects has been started."""

    SUBMITTED = "Submitted"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCEL = "Cancel"


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """
    What a batch does, complete when it was accepted.

    `source` is `Prefix`, `UrlFile`, `Manifest` or `Object`, and `place` the prefix or key. `job` is the job of each
    object but for its id and input; None when workflows are run instead.
    """

    source: str
    place: str
    since: datetime | None = None
    until: datetime | None = None
    job: NewJob | None = None


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch about to be stored; the trees are as sent, for the echo."""

    batch_id: str
    bucket: str
    name: str
    kind: str
    input_tree: dict[str, Tree]
    operation_tree: dict[str, Tree]
    plan: BatchPlan
    workflow_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """
    A batch as the ledger holds it.

    `marker` is where its objects were last taken from, in the words of its source. `seen` objects were looked at,
    of which `started` were started.
    """

    new: NewBatch
    seq: int
    state: BatchState
    code: str
    message: str
    marker: str
    seen: int
    started: int
    tries: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class BatchFilter:
    """Which batches are listed: those that fit everything given."""

    kind: str | None = None
    batch_id: str | None = None
    workflow_id: str | None = None
    name_part: str | None = None
    states: frozenset[BatchState] = frozenset(BatchState)
    since: datetime | None = None
    until: datetime | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A page of batches; `next_position` leads to the next one, None at the end."""

    batches: tuple[Batch, ...]
    next_position: tuple[datetime, int] | None


@dataclass(frozen=True, slots=True)
class BatchStep:
    """Some objects of a batch, started together: `seen` of them lead to the new marker; `ended` when they were all."""

    marker: str
    seen: int
    jobs: Sequence[NewJob] = ()
    runs: Sequence[NewRun] = ()
    ended: bool = False


class Batches:
    """The batches of all buckets. Every method raises `LedgerUnavailable` when the database does not answer."""

    def __init__(self, database: Database, when_run_ends: WhenRunEnds) -> None:
        self._database = database
        self._when_run_ends = when_run_ends
        #: Jobs that were cancelled with their batch through this object.
        self.cancelled_jobs = 0

    async def add(self, new: NewBatch) -> Batch:
        """Store a batch and wake those who work on batches."""
        async with self._database.transaction("add a batch") as connection:
            row = await QUERIES.add_batch(
                connection,
                batch_id=new.batch_id,
                bucket=new.bucket,
                name=new.name,
                kind=new.kind,
                input=json.dumps(new.input_tree, ensure_ascii=False),
                operation=json.dumps(new.operation_tree, ensure_ascii=False),
                plan=_PLAN.dump_json(new.plan).decode(),
                workflow_ids=list(new.workflow_ids),
            )
            await notify(connection, "batches")
        return _batch(row)

    async def added_lately(self, like: NewBatch, *, seconds: float) -> Batch | None:
        """Give the newest batch that says the same and was added within the time, None when there is none."""
        async with self._database.connection("look for an earlier batch") as connection:
            row = await QUERIES.batch_lately(
                connection,
                bucket=like.bucket,
                name=like.name,
                kind=like.kind,
                input=json.dumps(like.input_tree, ensure_ascii=False),
                operation=json.dumps(like.operation_tree, ensure_ascii=False),
                seconds=seconds,
            )
        return None if row is None else _batch(row)

    async def batch(self, bucket: str, batch_id: str) -> Batch:
        """Give a batch of the bucket, or raise `UnknownBatch`."""
        async with self._database.connection("batch") as connection:
            row = await QUERIES.batch(connection, bucket=bucket, batch_id=batch_id)
        if row is None:
            raise UnknownBatch(f"batch {batch_id[:80]!r} does not exist in bucket {bucket}")
        return _batch(row)

    async def page(
        self, bucket: str, wanted: BatchFilter, *, after: tuple[datetime, int] | None = None, limit: int = 10
    ) -> BatchPage:
        """List batches, newest first unless asked otherwise, after a position of an earlier page."""
        query = QUERIES.batches_oldest_first if wanted.oldest_first else QUERIES.batches_newest_first
        at, seq = after or (None, None)
        since, until = times_left(wanted.since, wanted.until, at, newest_first=not wanted.oldest_first)
        async with self._database.listing("list batches") as connection:
            found = query(
                connection,
                bucket=bucket,
                kind=wanted.kind,
                batch_id=wanted.batch_id,
                workflow_id=wanted.workflow_id,
                name_part=wanted.name_part,
                states=[state.value for state in wanted.states],
                since=since,
                until=until,
                at=at,
                seq=seq,
                most=limit + 1,
            )
            batches = [_batch(row) async for row in found]
        shown = tuple(batches[:limit])
        more = len(batches) > limit
        return BatchPage(shown, (shown[-1].created_at, shown[-1].seq) if more else None)

    async def cancel(self, bucket: str, batch_id: str) -> None:
        """
        Stop a batch and cancel those of its jobs that have not ended; no callbacks are sent for these.

        Cancelling it again cancels what a crash may have left.

        Raises:
            UnknownBatch: If the bucket has no such batch.
        """
        async with self._database.connection("cancel a batch") as connection:
            row = await QUERIES.cancel_batch(connection, bucket=bucket, batch_id=batch_id)
        if row is None:
            await self.batch(bucket, batch_id)
        while await self._cancel_some(batch_id) == _CANCEL_BATCH:
            continue

    async def _cancel_some(self, batch_id: str) -> int:
        async with self._database.transaction("cancel jobs of a batch") as connection:
            found = QUERIES.cancel_jobs_of_batch(connection, batch_id=batch_id, most=_CANCEL_BATCH)
            ended = [(rows.job(row), row["ended_at"]) async for row in found]
            for job, ended_at in sorted(ended, key=lambda entry: entry[0].job_id):
                await notify(connection, f"{CANCEL}{job.job_id}")
                await owe(connection, await settle_run(connection, job, ended_at, self._when_run_ends), job)
            if ended:
                await notify(connection, "jobs")
        self.cancelled_jobs += len(ended)
        return len(ended)

    # Work

    async def claim(self, *, lease_seconds: float) -> Batch | None:
        """Take the batch that has waited longest; others leave it alone while the lease lasts."""
        async with self._database.connection("claim a batch") as connection:
            row = await QUERIES.claim_batch(connection, lease_seconds=lease_seconds)
        return None if row is None else _batch(row)

    async def advance(self, batch_id: str, marker: str, step: BatchStep, *, lease_seconds: float) -> bool:
        """
        Start some objects and move on from `marker`, all or nothing; False when the batch is not there any more.

        Raises:
            QueueFull: If a queue has no room for the step.
        """
        async with self._database.transaction("advance a batch") as connection:
            if await QUERIES.lock_batch(connection, batch_id=batch_id, marker=marker) is None:
                return False
            if step.jobs:
                await add_jobs(connection, step.jobs)
            for run in step.runs:
                await start_run(connection, run)
            await QUERIES.move_batch(
                connection,
                batch_id=batch_id,
                marker=step.marker,
                seen=step.seen,
                started=len(step.jobs) + len(step.runs),
                ended=step.ended,
                lease_seconds=lease_seconds,
            )
        return True

    async def postpone(self, batch_id: str, *, delay_seconds: float, counted: bool, held_up: bool = False) -> int:
        """
        Leave a batch for a while, and tell how many counted tries in a row it has had; 0 when it has ended.

        Args:
            held_up: Whether the delay counts for `held_up_seconds`, as when the store is away.
        """
        async with self._database.connection("postpone a batch") as connection:
            row = await QUERIES.postpone_batch(
                connection,
                batch_id=batch_id,
                delay_seconds=delay_seconds,
                counted=counted,
                held_up=held_up,
            )
        return 0 if row is None else int(row["tries"])

    async def held_up_seconds(self, batch_id: str) -> float:
        """Tell for how long a batch has been held up since its last step."""
        async with self._database.connection("how long a batch was held up") as connection:
            return float(await QUERIES.held_up_seconds(connection, batch_id=batch_id))

    async def fail(self, batch_id: str, code: str, message: str) -> None:
        """End a batch badly; what it has started goes on."""
        async with self._database.connection("fail a batch") as connection:
            await QUERIES.fail_batch(connection, batch_id=batch_id, code=code, message=message.replace("\0", "\ufffd"))


_PLAN = TypeAdapter(BatchPlan)


def _batch(row: Mapping[str, Any]) -> Batch:
    return Batch(
        new=NewBatch(
            batch_id=row["batch_id"],
            bucket=row["bucket"],
            name=row["name"],
            kind=row["kind"],
            input_tree=json.loads(row["input"]),
            operation_tree=json.loads(row["operation"]),
            plan=_PLAN.validate_json(row["plan"]),
            workflow_ids=tuple(row["workflow_ids"]),
        ),
        seq=row["seq"],
        state=BatchState(row["state"]),
        code=row["code"],
        message=row["message"],
        marker=row["marker"],
        seen=row["seen"],
        started=row["started"],
        tries=row["tries"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )

"""Lists of jobs: what may be asked, and pages that cost the same wherever they start."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiosql

from smartcover.ledger import rows
from smartcover.ledger.database import Database
from smartcover.ledger.model import Job, JobState

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("listing.sql"), "asyncpg", mandatory_parameters=False)

_STORED = tuple(state for state in JobState if state is not JobState.PAUSE)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """
    Which jobs are meant: those that fit everything given.

    `states` are those shown, `PAUSE` included; none means all. `since` and `until` are times of creation, both
    included.
    """

    states: Collection[JobState] = ()
    queue_id: str | None = None
    tag: str | None = None
    workflow_id: str | None = None
    batch_id: str | None = None
    input_object: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobPosition:
    """A place in a list: behind the job that was created at this time with this number."""

    created_at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs in order, and the place where the next page starts, None when there is none."""

    jobs: tuple[Job, ...]
    next: JobPosition | None


async def list_jobs(
    database: Database, bucket: str, wanted: JobFilter, *, newest_first: bool, after: JobPosition | None, limit: int
) -> JobPage:
    """Give one page of a bucket's jobs in the order of creation."""
    shown = frozenset(wanted.states) or frozenset(JobState)
    waiting_in = [
        queue_state
        for state, queue_state in ((JobState.SUBMITTED, "Active"), (JobState.PAUSE, "Paused"))
        if state in shown
    ]
    stored = [state.value for state in _STORED if state in shown or (state is JobState.SUBMITTED and waiting_in)]
    query = QUERIES.newest_jobs if newest_first else QUERIES.oldest_jobs
    async with database.transaction("list jobs") as connection:
        await QUERIES.plan_for_values(connection)
        found = [
            rows.job(row)
            async for row in query(
                connection,
                bucket=bucket,
                states=stored,
                waiting_in=waiting_in,
                queue_id=wanted.queue_id,
                tag=wanted.tag,
                workflow_id=wanted.workflow_id,
                batch_id=wanted.batch_id,
                input_object=wanted.input_object,
                since=wanted.since,
                until=wanted.until,
                after_time=None if after is None else after.created_at,
                after_seq=None if after is None else after.seq,
                most=limit + 1,
            )
        ]
    jobs = tuple(found[:limit])
    return JobPage(jobs, JobPosition(jobs[-1].created_at, jobs[-1].seq) if len(found) > limit else None)

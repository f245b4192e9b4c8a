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
from smartcover.ledger.model import Job, JobState, QueueState
from smartcover.protocol import TAG

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("listing.sql"), "asyncpg", mandatory_parameters=False)

_STORED = tuple(state for state in JobState if state is not JobState.PAUSE)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """
    Which jobs are meant: those that fit everything given.

    `states` are those shown, `PAUSE` included; none means all. All jobs have one tag, so another fits none. `since` and
    `until` are times of creation, both included.
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


def times_left(
    since: datetime | None, until: datetime | None, after: datetime | None, *, newest_first: bool
) -> tuple[datetime | None, datetime | None]:
    """
    Narrow the times of a list to what lies behind a position, both bounds included.

    PostgreSQL enters an index at one bound only. Left with two, it may take the wider one and pass over all between.
    """
    if after is None:
        return since, until
    if newest_first:
        return since, after if until is None else min(until, after)
    return after if since is None else max(since, after), until


async def list_jobs(
    database: Database, bucket: str, wanted: JobFilter, *, newest_first: bool, after: JobPosition | None, limit: int
) -> JobPage:
    """Give one page of a bucket's jobs in the order of creation."""
    if wanted.tag not in (None, TAG):
        return JobPage((), None)
    shown = frozenset(wanted.states) or frozenset(JobState)
    stored = [state.value for state in _STORED if state in shown and state is not JobState.SUBMITTED]
    waiting_in = None
    if JobState.SUBMITTED in shown and JobState.PAUSE in shown:
        stored.append(JobState.SUBMITTED.value)
    elif JobState.SUBMITTED in shown or JobState.PAUSE in shown:
        waiting_in = QueueState.ACTIVE.value if JobState.SUBMITTED in shown else QueueState.PAUSED.value
    since, until = times_left(
        wanted.since, wanted.until, None if after is None else after.created_at, newest_first=newest_first
    )
    query = QUERIES.newest_jobs if newest_first else QUERIES.oldest_jobs
    async with database.listing("list jobs") as connection:
        found = [
            rows.job(row)
            async for row in query(
                connection,
                bucket=bucket,
                states=stored,
                waiting_in=waiting_in,
                queue_id=wanted.queue_id,
                workflow_id=wanted.workflow_id,
                batch_id=wanted.batch_id,
                input_object=wanted.input_object,
                since=since,
                until=until,
                after_time=None if after is None else after.created_at,
                after_seq=None if after is None else after.seq,
                most=limit + 1,
            )
        ]
    jobs = tuple(found[:limit])
    return JobPage(jobs, JobPosition(jobs[-1].created_at, jobs[-1].seq) if len(found) > limit else None)

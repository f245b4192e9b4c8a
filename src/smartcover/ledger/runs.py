"""
Starting and ending runs, inside a transaction of the caller.

A run ends in the transaction that ends its last job, whoever ends that: a worker, or a cancel. The run's row is
locked before its jobs are looked at, so of two jobs that end at once the second sees the first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import aiosql

from smartcover.ledger import rows, workflow_rows
from smartcover.ledger.model import Job, JobState, NewDelivery
from smartcover.ledger.submissions import add_jobs
from smartcover.ledger.workflow_model import NewRun, Run, RunState

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("workflows.sql"), "asyncpg", mandatory_parameters=False)

#: Makes the callbacks that a run owes at its end.
WhenRunEnds = Callable[[Run], Sequence[NewDelivery]]


def owes_nothing(_run: Run) -> Sequence[NewDelivery]:
    """Stand for `WhenRunEnds` where nobody listens."""
    return ()


async def start_run(connection: Any, new: NewRun) -> Run:
    """
    Store a run and its jobs, or give the run that the same cause has started before.

    Raises:
        QueueFull: If a queue has no room for the jobs.
    """
    row = await QUERIES.add_run(
        connection,
        run_id=new.run_id,
        bucket=new.bucket,
        workflow_id=new.workflow_id,
        workflow_name=new.workflow_name,
        object_key=new.object_key,
        topology=workflow_rows.tree_json(new.topology),
        cos_headers=workflow_rows.pairs_json(new.cos_headers),
        finish_target=rows.target_json(new.finish_target),
        start_key=new.start_key,
        batch_id=new.batch_id,
    )
    if row is None:
        row = await QUERIES.run_started_by(connection, workflow_id=new.workflow_id, start_key=new.start_key)
        return workflow_rows.run(row, await tasks_of(connection, row["run_id"]))
    return workflow_rows.run(row, await add_jobs(connection, new.jobs))


async def tasks_of(connection: Any, run_id: str) -> list[Job]:
    """Give the jobs of a run in the order of its nodes."""
    return [rows.job(row) async for row in QUERIES.tasks(connection, run_id=run_id)]


async def settle_run(connection: Any, job: Job, ended_at: datetime, when_run_ends: WhenRunEnds) -> list[NewDelivery]:
    """
    Bring the run of a job that has just ended up to date, and give the callbacks owed if that was its last job.

    Does nothing for a job of no run. The caller stores the deliveries.
    """
    if job.spec.workflow is None:
        return []
    row = await QUERIES.lock_run(connection, run_id=job.spec.workflow.run_id)
    if row is None or row["ended_at"] is not None:
        return []
    tasks = await tasks_of(connection, row["run_id"])
    ended = all(task.state.final for task in tasks)
    state = run_state([task.state for task in tasks])
    row = await QUERIES.end_run(connection, run_id=row["run_id"], state=state.value, ended=ended, at=ended_at)
    if not ended:
        return []
    return list(when_run_ends(workflow_rows.run(row, tasks)))


def run_state(states: Collection[JobState]) -> RunState:
    """Tell a run's state from those of its jobs: one failure is the run's, one cancelled job too unless one failed."""
    if JobState.FAILED in states:
        return RunState.FAILED
    if not all(state.final for state in states):
        return RunState.RUNNING
    return RunState.CANCEL if JobState.CANCEL in states else RunState.SUCCESS

"""The end of a job and all that it owes, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiosql

from smartcover.ledger import rows
from smartcover.ledger.model import Job, JobResult, JobState, NewDelivery
from smartcover.ledger.runs import WhenRunEnds, settle_run

#: The statements about jobs and deliveries.
QUERIES: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "asyncpg", mandatory_parameters=False)


@dataclass(slots=True)
class Finishing:
    """
    A job about to end: its row as locked, and the time that becomes its end.

    `succeed` or `fail` is called once.
    """

    job: Job
    ended_at: datetime
    _connection: Any
    _when_run_ends: WhenRunEnds
    called: bool = False

    async def succeed(self, result: JobResult, deliveries: Sequence[NewDelivery]) -> None:
        """End the job well, together with the callbacks it owes."""
        await self._end(JobState.SUCCESS, "Success", "", rows.result_json(result), deliveries)

    async def fail(self, code: str, message: str, deliveries: Sequence[NewDelivery]) -> None:
        """End the job badly, together with the callbacks it owes."""
        await self._end(JobState.FAILED, code, stored_text(message), None, deliveries)

    async def _end(
        self, state: JobState, code: str, message: str, result: str | None, deliveries: Sequence[NewDelivery]
    ) -> None:
        await QUERIES.end_job(
            self._connection,
            job_id=self.job.job_id,
            state=state.value,
            ended_at=self.ended_at,
            code=code,
            message=message,
            result=result,
        )
        await owe(self._connection, deliveries, self.job)
        of_run = await settle_run(self._connection, self.job, self.ended_at, self._when_run_ends)
        await owe(self._connection, of_run, self.job)
        self.called = True


async def owe(connection: Any, deliveries: Sequence[NewDelivery], job: Job) -> None:
    """Store the callbacks that the end of a job owes, in its transaction."""
    if not deliveries:
        return
    await QUERIES.add_deliveries(
        connection,
        job_id=job.job_id,
        bucket=job.bucket,
        delivery_ids=[delivery.delivery_id for delivery in deliveries],
        targets=[rows.target_json(delivery.target) for delivery in deliveries],
        destinations=[delivery.destination for delivery in deliveries],
        content_types=[delivery.content_type for delivery in deliveries],
        bodies=[delivery.body for delivery in deliveries],
    )


def stored_text(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold: NUL, and the half characters of undecodable names in messages."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")

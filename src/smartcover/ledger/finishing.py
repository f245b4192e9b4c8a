"""The end of a job and all that it owes, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import aiosql

from smartcover.ledger import rows
from smartcover.ledger.database import notify
from smartcover.ledger.model import Job, JobResult, NewDelivery
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
        await QUERIES.succeed_job(
            self._connection, job_id=self.job.job_id, ended_at=self.ended_at, result=rows.result_json(result)
        )
        await self._owe(deliveries)

    async def fail(self, code: str, message: str, deliveries: Sequence[NewDelivery]) -> None:
        """End the job badly, together with the callbacks it owes."""
        await QUERIES.fail_job(
            self._connection, job_id=self.job.job_id, ended_at=self.ended_at, code=code, message=stored_text(message)
        )
        await self._owe(deliveries)

    async def _owe(self, deliveries: Sequence[NewDelivery]) -> None:
        await owe(self._connection, deliveries, self.job)
        of_run = await settle_run(self._connection, self.job, self.ended_at, self._when_run_ends)
        await owe(self._connection, of_run, self.job)
        await notify(self._connection, "jobs")  # a place in the queue became free
        self.called = True


async def owe(connection: Any, deliveries: Sequence[NewDelivery], job: Job) -> None:
    """Store the callbacks that the end of a job owes, in its transaction."""
    for delivery in deliveries:
        await QUERIES.add_delivery(
            connection,
            delivery_id=delivery.delivery_id,
            job_id=job.job_id,
            bucket=job.bucket,
            target=rows.target_json(delivery.target),
            destination=delivery.destination,
            content_type=delivery.content_type,
            body=delivery.body,
        )
    if deliveries:
        await notify(connection, "deliveries")


def stored_text(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold: NUL, and the half characters of undecodable names in messages."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")

"""What waits and runs now, read from the ledger for metrics; and whether this version can use its schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosql

from smartcover.errors import LedgerUnavailable
from smartcover.ledger.database import Database
from smartcover.ledger.revisions import expected_revision, known_revisions

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("census.sql"), "asyncpg", mandatory_parameters=False)


@dataclass(frozen=True, slots=True)
class LiveQueue:
    """The jobs of a queue that have not ended; `oldest_waiting_seconds` is 0 when none waits."""

    bucket: str
    queue_id: str
    paused: bool
    waiting: int
    running: int
    oldest_waiting_seconds: float


@dataclass(frozen=True, slots=True)
class Census:
    """All that has not ended: jobs by queue, the fullest queue first, deliveries, uploads and batches."""

    queues: Sequence[LiveQueue]
    deliveries_pending: int
    deliveries_in_flight: int
    oldest_delivery_seconds: float
    uploads_waiting: int
    batches_open: int


async def take_census(database: Database) -> Census:
    """
    Count what has not ended; what has is not looked at, however much there is.

    Raises:
        LedgerUnavailable: If the database does not answer.
    """
    async with database.connection("take the census") as connection:
        queues = [
            LiveQueue(
                bucket=row["bucket"],
                queue_id=row["queue_id"],
                paused=row["paused"],
                waiting=row["waiting"],
                running=row["running"],
                oldest_waiting_seconds=max(0.0, row["oldest_waiting_seconds"] or 0.0),
            )
            async for row in QUERIES.live_jobs(connection)
        ]
        owed = await QUERIES.owed_deliveries(connection)
        work = await QUERIES.open_work(connection)
    return Census(
        queues=queues,
        deliveries_pending=owed["pending"],
        deliveries_in_flight=owed["in_flight"],
        oldest_delivery_seconds=max(0.0, owed["oldest_seconds"] or 0.0),
        uploads_waiting=work["uploads"],
        batches_open=work["batches"],
    )


async def require_usable_schema(database: Database) -> None:
    """
    Return if the database answers with a schema that this version can work on: its own, or a newer one.

    A newer schema is usable because migrations only add: while an upgrade goes on, processes of both versions work.

    Raises:
        LedgerUnavailable: If the database does not answer, or its schema is older (a restored backup), or it has none.
    """
    async with database.connection("read the schema's revision") as connection:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            raise LedgerUnavailable("the database holds no schema of smartcover; run smartcover db upgrade")
        found = await QUERIES.schema_revision(connection)
    if found != expected_revision() and found in known_revisions():
        raise LedgerUnavailable(
            f"the database's schema is at {found} and this version needs {expected_revision()}; "
            "run smartcover db upgrade"
        )

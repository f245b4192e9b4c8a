"""Deleting what has been over for long, so that the database does not grow for ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiosql

from smartcover.ledger.database import Database

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("retention.sql"), "asyncpg", mandatory_parameters=False)

_DAY_SECONDS: Final = 86_400.0
#: Rows of one transaction: locks are held for milliseconds.
_BATCH: Final = 500
#: Batches of one call and kind, so that a first run over years of rows leaves room for other work in between.
_MOST_BATCHES: Final = 200


@dataclass(frozen=True, slots=True)
class Retention:
    """How many days ended things are kept; 0 keeps them for ever."""

    jobs_days: float = 30.0
    deliveries_days: float = 30.0
    events_days: float = 7.0


async def expire(database: Database, retention: Retention) -> Mapping[str, int]:
    """
    Delete what ended longer ago than it is kept, and count it by kind.

    Deliveries go with their attempts. A job stays while a callback of it is owed or its workflow run goes on, whatever
    its age; several processes may do this at once.

    Raises:
        LedgerUnavailable: If the database does not answer; what was deleted before stays deleted.
    """
    kinds = (
        ("deliveries", QUERIES.expire_deliveries, retention.deliveries_days),
        ("jobs", QUERIES.expire_jobs, retention.jobs_days),
        ("workflow_runs", QUERIES.expire_runs, retention.jobs_days),
        ("batches", QUERIES.expire_batches, retention.jobs_days),
        ("upload_events", QUERIES.expire_upload_events, retention.events_days),
        ("own_outputs", QUERIES.expire_own_outputs, retention.jobs_days),
    )
    return {kind: await _expire_kind(database, query, days) for kind, query, days in kinds if days > 0}


async def _expire_kind(database: Database, query: Any, days: float) -> int:
    total = 0
    for _ in range(_MOST_BATCHES):
        async with database.connection("delete what is old") as connection:
            gone = [row["id"] async for row in query(connection, age_seconds=days * _DAY_SECONDS, most=_BATCH)]
        total += len(gone)
        if len(gone) < _BATCH:
            break
    return total

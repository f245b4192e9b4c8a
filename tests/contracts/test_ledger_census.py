"""The census counts what lives, exactly, and looks at nothing that has ended."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from smartcover.errors import LedgerUnavailable
from smartcover.ledger import Ledger, require_usable_schema, take_census
from smartcover.ledger.census import QUERIES
from tests.postgres import cluster

FINISHED = 20_000


@pytest.fixture
async def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(dsn)
    yield opened
    await opened.close()


async def test_what_lives_is_counted_by_queue_and_what_ended_is_not_looked_at(ledger: Ledger, dsn: str) -> None:
    busy, idle = [(await ledger.default_queue(name)).queue_id for name in ("busy-1", "idle-1")]
    connection = await asyncpg.connect(dsn)
    add = """
        INSERT INTO jobs (job_id, bucket, region, queue_id, tag, spec, state, created_at, ended_at, lease_token)
        SELECT 'j' || gen_random_uuid(), 'busy-1', 'r', $1, 'SmartCover', '{}', $2,
            now() - make_interval(secs => number), CASE WHEN $2 = 'Success' THEN now() END,
            CASE WHEN $2 = 'Running' THEN gen_random_uuid() END
        FROM generate_series($3::int, $4::int) AS number
    """
    await connection.execute(add, busy, "Success", 1, FINISHED)
    await connection.execute(add, busy, "Submitted", 100, 110)
    await connection.execute(add, busy, "Running", 1, 3)
    await connection.execute("UPDATE queues SET state = 'Paused' WHERE queue_id = $1", idle)
    await connection.execute("VACUUM ANALYZE jobs")
    census = await take_census(ledger.database)
    first, second = census.queues
    assert (first.bucket, first.waiting, first.running, first.paused) == ("busy-1", 11, 3, False)
    assert 110 <= first.oldest_waiting_seconds < 1110
    assert (second.queue_id, second.waiting, second.running, second.paused) == (idle, 0, 0, True)
    assert second.oldest_waiting_seconds == 0
    assert (census.deliveries_pending, census.oldest_delivery_seconds, census.uploads_waiting) == (0, 0, 0)

    plan = await connection.fetch(f"EXPLAIN (ANALYZE, COSTS OFF) {QUERIES.live_jobs.sql.rstrip(';')}")
    await connection.close()
    lines = [row[0] for row in plan]
    looked_at = [
        int(float(match[1])) for line in lines if "jobs" in line and (match := re.search(r"rows=([\d.]+) loops", line))
    ]
    assert not any("Seq Scan on jobs" in line for line in lines), "\n".join(lines)
    assert max(looked_at) < 100, "\n".join(lines)


async def test_a_schema_that_is_older_is_not_usable_and_one_that_is_newer_is(ledger: Ledger, dsn: str) -> None:
    await require_usable_schema(ledger.database)
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE alembic_version SET version_num = $1", uuid4().hex)
    await require_usable_schema(ledger.database)
    await connection.execute("UPDATE alembic_version SET version_num = '0002'")
    with pytest.raises(LedgerUnavailable, match="smartcover db upgrade"):
        await require_usable_schema(ledger.database)
    await connection.execute("DROP TABLE alembic_version")
    await connection.close()
    with pytest.raises(LedgerUnavailable, match="no schema"):
        await require_usable_schema(ledger.database)

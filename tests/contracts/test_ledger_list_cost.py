"""Pages of deliveries and runs read only what they show, however many others there are and however deep they lie."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from smartcover.ledger import DeliveryState, Ledger, RunFilter, RunState
from tests.postgres import cluster

BUCKET = "cost-1250000000"
ROWS = 20_000
MOST_READ = 600
SEED = f"""
INSERT INTO deliveries (
    delivery_id, job_id, bucket, target, destination, content_type, body, state, next_at, created_at, ended_at
)
SELECT md5(n::text), 'j' || n, '{BUCKET}', '{{"url": "http://receiver.example/cb"}}', 'receiver' || n % 5, 'text/xml',
    '<a/>', CASE WHEN n % 4000 = 7 THEN 'exhausted' ELSE 'delivered' END, NULL,
    now() - make_interval(secs => {ROWS} - n), now()
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO workflow_runs (
    run_id, bucket, workflow_id, workflow_name, object_key, state, topology, cos_headers, start_key, batch_id,
    created_at, ended_at
)
SELECT 'i' || n, '{BUCKET}', 'w' || n % 2, 'name', 'in/' || n, CASE WHEN n % 4000 = 8 THEN 'Failed' ELSE 'Success' END,
    '{{}}', '[]', n::text, 'b' || n % 3, now() - make_interval(secs => {ROWS} - n), now()
FROM generate_series(1, {ROWS}) AS n;
"""


@pytest.fixture(scope="module")
def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def watcher(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE deliveries, workflow_runs CASCADE")
    await connection.execute(SEED)
    await connection.execute("VACUUM ANALYZE deliveries")
    await connection.execute("VACUUM ANALYZE workflow_runs")
    yield connection
    await connection.close()


@pytest.fixture
async def ledger(dsn: str, watcher: Any) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(dsn, pool_size=1)  # one session, whose counts can be told to be written out
    yield opened
    await opened.close()


async def rows_read(ledger: Ledger, watcher: Any, table: str) -> int:
    async with ledger.database.connection("write out counts") as used:
        await used.execute("SELECT pg_stat_force_next_flush()")
    count: int = await watcher.fetchval(
        "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables WHERE relname = $1", table
    )
    return count


async def test_a_page_of_deliveries_reads_what_it_shows(ledger: Ledger, watcher: Any) -> None:
    middle, at = await watcher.fetchrow("SELECT seq, created_at FROM deliveries ORDER BY seq OFFSET 10000 LIMIT 1")
    late = at + timedelta(seconds=9000)
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 100),
        ({"before": middle}, 100),
        ({"state": DeliveryState.EXHAUSTED}, 5),
        ({"state": DeliveryState.PENDING}, 0),
        ({"destination": "receiver3"}, 100),
        ({"destination": "receiver3", "before": middle}, 100),
        ({"destination": "nobody"}, 0),
        ({"job_id": "j77"}, 1),
        ({"until": at}, 100),
        ({"since": at, "until": at + timedelta(seconds=10)}, 10),
        ({"state": DeliveryState.DELIVERED, "until": at, "before": middle}, 100),
        ({"destination": "receiver1", "until": late, "before": middle}, 100),
    ]
    for wanted, shown in cases:
        for _ in range(7):  # the plan for any values, if there were one, would be taken from the sixth time on
            before = await rows_read(ledger, watcher, "deliveries")
            assert len(await ledger.deliveries(**wanted, limit=100)) == shown, wanted
            assert await rows_read(ledger, watcher, "deliveries") - before <= MOST_READ, wanted


async def test_deliveries_go_on_behind_one_that_was_deleted_meanwhile(ledger: Ledger, watcher: Any) -> None:
    first = await ledger.deliveries(limit=10)
    await watcher.execute("DELETE FROM deliveries WHERE seq = $1", first[-1].seq)
    second = await ledger.deliveries(limit=10, before=first[-1].seq)
    assert [entry.seq for entry in second] == [first[-1].seq - number for number in range(1, 11)]
    assert await ledger.deliveries(before=1) == []


async def test_a_page_of_runs_reads_what_it_shows(ledger: Ledger, watcher: Any) -> None:
    place = tuple(await watcher.fetchrow("SELECT created_at, seq FROM workflow_runs ORDER BY seq OFFSET 10000 LIMIT 1"))
    every = frozenset(RunState)
    cases = [
        (RunFilter(workflow_id="w0", states=every), 100),
        (RunFilter(workflow_id="w0", states=frozenset({RunState.FAILED})), 5),
        (RunFilter(workflow_id="w1", states=frozenset({RunState.FAILED, RunState.RUNNING})), 0),
        (RunFilter(batch_id="b1", states=every), 100),
        (RunFilter(workflow_id="none", states=every), 0),
        (RunFilter(workflow_id="w1", states=every, until=place[0]), 100),
        (RunFilter(workflow_id="w1", states=every, since=place[0], oldest_first=True), 100),
        (RunFilter(workflow_id="w1", states=every, until=place[0] + timedelta(seconds=9000)), 100),
    ]
    for wanted, shown in cases:
        for after in (None, place):
            before = await rows_read(ledger, watcher, "workflow_runs")
            page = await ledger.workflows.runs(BUCKET, wanted, after=after, limit=100)
            assert after or len(page.runs) == shown, wanted
            assert await rows_read(ledger, watcher, "workflow_runs") - before <= MOST_READ, wanted

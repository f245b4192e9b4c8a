"""Pages of deliveries and runs read only what they show, however many others there are and however deep they lie."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from smartcover.ledger import DeliveryState, JobFilter, JobState, Ledger, RunFilter, RunState, workflows
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
INSERT INTO queues (queue_id, bucket, name, state) VALUES
    ('p-busy', '{BUCKET}', 'busy', 'Active'), ('p-paused', '{BUCKET}', 'paused', 'Paused');
INSERT INTO jobs (job_id, bucket, region, queue_id, tag, spec, state, created_at)
SELECT 'j' || n, '{BUCKET}', 'local', CASE WHEN n % 4000 = 9 THEN 'p-paused' ELSE 'p-busy' END, 'SmartCover',
    '{{"object_key": "in/a.mp4", "covers": {{"count": 1}}, "output": {{"region": "local", "bucket": "{BUCKET}",
      "object_pattern": "out/a.jpg"}}}}', 'Submitted', now() - make_interval(secs => {ROWS} - n)
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
    await connection.execute("TRUNCATE deliveries, workflow_runs, jobs, queues CASCADE")
    await connection.execute(SEED)
    await connection.execute("VACUUM ANALYZE deliveries")
    await connection.execute("VACUUM ANALYZE workflow_runs")
    await connection.execute("VACUUM ANALYZE jobs")
    yield connection
    await connection.close()


@pytest.fixture
async def ledger(dsn: str, watcher: Any) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(dsn, pool_size=1)  # one session, whose counts can be told to be written out
    yield opened
    await opened.close()


async def rows_read(ledger: Ledger, watcher: Any, table: str) -> int:
    # Of both sessions: what the watcher itself has read would else be counted whenever its own interval ends.
    async with ledger.database.connection("write out counts") as used:
        await used.execute("SELECT pg_stat_force_next_flush()")
    await watcher.execute("SELECT pg_stat_force_next_flush()")
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


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_a_part_of_a_name_is_looked_for_so_far_and_the_rest_is_left_to_the_next_page(
    ledger: Ledger, watcher: Any, monkeypatch: pytest.MonkeyPatch, oldest_first: bool
) -> None:
    """Runs of w0 are the even ones, 10,000 of them; each page looks at 200."""
    monkeypatch.setattr(workflows, "MOST_WALKED", 200)
    wanted = RunFilter(workflow_id="w0", object_part="00", states=frozenset(RunState), oldest_first=oldest_first)
    found: list[str] = []
    sizes: list[int] = []
    after = None
    while True:
        before = await rows_read(ledger, watcher, "workflow_runs")
        page = await ledger.workflows.runs(BUCKET, wanted, after=after, limit=7)
        if after is None:  # near the other end PostgreSQL may sort the few that are left
            assert await rows_read(ledger, watcher, "workflow_runs") - before <= 200 + MOST_READ
        found += [run.object_key for run in page.runs]
        sizes.append(len(page.runs))
        after = page.next_position
        if after is None:
            break
    every = [f"in/{number}" for number in range(2, ROWS + 1, 2) if "00" in str(number)]
    assert found == (every if oldest_first else every[::-1]), "all of them, each once, in order"
    assert max(sizes) == 7
    none = replace(wanted, object_part="no such name")
    page = await ledger.workflows.runs(BUCKET, none, limit=7)
    assert (page.runs, page.next_position is None) == ((), False), "an empty page with more behind it"


async def test_the_last_page_of_a_search_says_so(ledger: Ledger, watcher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows, "MOST_WALKED", 5000)
    wanted = RunFilter(workflow_id="w0", object_part="no such name", states=frozenset(RunState))
    pages = 0
    after = None
    while pages == 0 or after is not None:
        after = (await ledger.workflows.runs(BUCKET, wanted, after=after, limit=7)).next_position
        pages += 1
    assert pages == 3, "10,000 runs are two pages, and the third finds that there is nothing more"
    failed = replace(wanted, states=frozenset({RunState.FAILED}))
    assert (await ledger.workflows.runs(BUCKET, failed, limit=7)).next_position is None


@pytest.mark.parametrize(("state", "shown"), [(JobState.PAUSE, 5), (JobState.SUBMITTED, 100)])
async def test_waiting_jobs_of_paused_queues_are_found_without_passing_over_the_others(
    ledger: Ledger, watcher: Any, state: JobState, shown: int
) -> None:
    for newest_first in (True, False):
        before = await rows_read(ledger, watcher, "jobs")
        page = await ledger.list_jobs(BUCKET, JobFilter(states=[state]), newest_first=newest_first, limit=100)
        assert [job.queue_id for job in page.jobs] == [f"p-{'paused' if state is JobState.PAUSE else 'busy'}"] * shown
        assert await rows_read(ledger, watcher, "jobs") - before <= MOST_READ

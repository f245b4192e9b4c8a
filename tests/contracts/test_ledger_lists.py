"""Lists of jobs on a real PostgreSQL: every filter, in any order, page by page, against a plain reading of the same."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from smartcover.ledger import (
    CoverSpec,
    Job,
    JobFilter,
    JobPosition,
    JobSpec,
    JobState,
    Ledger,
    NewJob,
    NotifyConfig,
    OutputSpec,
    QueueState,
    WorkflowOrigin,
)
from tests.postgres import cluster

BUCKET = "lists-1250000000"
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE jobs, queues CASCADE")
    await connection.close()
    opened = await Ledger.connect(dsn, pool_size=4)
    yield opened
    await opened.close()


def new_job(queue_id: str, *, bucket: str = BUCKET, key: str = "a.mp4", **spec: Any) -> NewJob:
    return NewJob(
        job_id=f"j{next(NUMBERS):032x}",
        bucket=bucket,
        region="ap-x",
        queue_id=queue_id,
        spec=JobSpec(object_key=key, output=OutputSpec("ap-x", bucket, "o"), covers=CoverSpec(), **spec),
        callback=None,
    )


async def every_job(ledger: Ledger, wanted: JobFilter, *, newest_first: bool = True, size: int = 7) -> list[Job]:
    """Read a list to its end, page by page."""
    found: list[Job] = []
    after: JobPosition | None = None
    for _ in range(200):
        page = await ledger.list_jobs(BUCKET, wanted, newest_first=newest_first, after=after, limit=size)
        assert len(page.jobs) <= size
        found += page.jobs
        after = page.next
        if after is None:
            return found
    raise AssertionError("the list does not end")


async def many_jobs(ledger: Ledger, dsn: str) -> list[Job]:
    """Make jobs of two queues in every state, many of which share their time of creation."""
    chance = random.Random(7)
    queues = [await ledger.default_queue(BUCKET), await ledger.queues.add(BUCKET, "second")]
    other = await ledger.default_queue("other-1250000000")
    made: list[NewJob] = []
    for number in range(60):
        origin = WorkflowOrigin("i" + "1" * 32, f"w{number % 2}", "name", "SmartCover_1") if number % 3 == 0 else None
        batch_id = f"b{number % 2}" if number % 5 == 0 else None
        queue = chance.choice(queues)
        made.append(new_job(queue.queue_id, key=f"in/视频 {number % 4}.mp4", workflow=origin, batch_id=batch_id))
    await ledger.submit(made)
    await ledger.submit([new_job(other.queue_id, bucket="other-1250000000")])
    connection = await asyncpg.connect(dsn)
    for job in made:
        state = chance.choice(["Submitted", "Submitted", "Running", "Success", "Failed", "Cancel"])
        await connection.execute(
            """
            UPDATE jobs SET state = $2, created_at = timestamptz '2026-01-01 00:00:00Z' + make_interval(secs => $3),
                lease_token = CASE WHEN $2 = 'Running' THEN gen_random_uuid() END,
                ended_at = CASE WHEN $2 IN ('Success', 'Failed', 'Cancel') THEN now() END
            WHERE job_id = $1
            """,
            job.job_id,
            state,
            float(chance.randrange(20)),
        )
    await connection.close()
    await ledger.queues.change(
        BUCKET, queues[1].queue_id, name="second", state=QueueState.PAUSED, notify_config=NotifyConfig()
    )
    stored = await ledger.jobs(BUCKET, [job.job_id for job in made])
    assert {job.state for job in stored.values()} == set(JobState)
    return sorted(stored.values(), key=lambda job: (job.created_at, job.seq))


async def test_a_list_gives_what_fits_and_nothing_twice_in_both_orders_and_any_page_size(
    ledger: Ledger, dsn: str
) -> None:
    jobs = await many_jobs(ledger, dsn)
    middle = jobs[30].created_at
    queue_id = jobs[0].queue_id
    cases: Sequence[tuple[JobFilter, Callable[[Job], bool]]] = [
        (JobFilter(), lambda job: True),
        *[(JobFilter(states=[state]), lambda job, state=state: job.state is state) for state in JobState],
        (
            JobFilter(states=[JobState.PAUSE, JobState.FAILED]),
            lambda job: job.state in (JobState.PAUSE, JobState.FAILED),
        ),
        (JobFilter(queue_id=queue_id), lambda job: job.queue_id == queue_id),
        (
            JobFilter(queue_id=queue_id, states=[JobState.RUNNING, JobState.SUBMITTED]),
            lambda job: job.queue_id == queue_id and job.state in (JobState.RUNNING, JobState.SUBMITTED),
        ),
        (JobFilter(tag="SmartCover"), lambda job: True),
        (JobFilter(tag="Transcode"), lambda job: False),
        (
            JobFilter(workflow_id="w0"),
            lambda job: job.spec.workflow is not None and job.spec.workflow.workflow_id == "w0",
        ),
        (JobFilter(batch_id="b1"), lambda job: job.spec.batch_id == "b1"),
        (JobFilter(input_object="in/视频 2.mp4"), lambda job: job.spec.object_key == "in/视频 2.mp4"),
        (JobFilter(since=middle), lambda job: job.created_at >= middle),
        (JobFilter(until=middle), lambda job: job.created_at <= middle),
        (
            JobFilter(since=middle, until=middle + timedelta(seconds=3), states=[JobState.SUCCESS]),
            lambda job: middle <= job.created_at <= middle + timedelta(seconds=3) and job.state is JobState.SUCCESS,
        ),
        (JobFilter(since=middle, until=middle - timedelta(seconds=1)), lambda job: False),
        (JobFilter(queue_id="p" + "0" * 32), lambda job: False),
    ]
    for wanted, fits in cases:
        expected = [job for job in jobs if fits(job)]
        for size in (1, 7, 100):
            assert await every_job(ledger, wanted, newest_first=False, size=size) == expected, wanted
            assert await every_job(ledger, wanted, newest_first=True, size=size) == expected[::-1], wanted


async def test_a_job_that_comes_in_between_two_pages_moves_no_other(ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    await ledger.submit([new_job(queue.queue_id) for _ in range(4)])
    first = await ledger.list_jobs(BUCKET, JobFilter(), limit=2)
    await ledger.submit([new_job(queue.queue_id) for _ in range(3)])
    second = await ledger.list_jobs(BUCKET, JobFilter(), after=first.next, limit=10)
    assert [job.seq for job in (*first.jobs, *second.jobs)] == sorted(
        (job.seq for job in (*first.jobs, *second.jobs)), reverse=True
    )
    assert len(second.jobs) == 2
    assert second.next is None


async def test_a_page_that_ends_exactly_with_the_list_has_no_next(ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    await ledger.submit([new_job(queue.queue_id) for _ in range(4)])
    page = await ledger.list_jobs(BUCKET, JobFilter(), limit=4)
    assert (len(page.jobs), page.next) == (4, None)


async def test_waiting_jobs_show_pause_while_their_queue_is_paused(ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    (job,) = await ledger.submit([new_job(queue.queue_id)])

    async def switch(state: QueueState) -> JobState:
        await ledger.queues.change(BUCKET, queue.queue_id, name="q", state=state, notify_config=NotifyConfig())
        return (await ledger.jobs(BUCKET, [job.job_id]))[job.job_id].state

    assert await switch(QueueState.PAUSED) is JobState.PAUSE
    assert await switch(QueueState.ACTIVE) is JobState.SUBMITTED
    await switch(QueueState.PAUSED)
    assert (await ledger.cancel(BUCKET, job.job_id)).state is JobState.CANCEL


@pytest.mark.slow
async def test_pages_of_a_long_list_read_only_what_they_show(ledger: Ledger, dsn: str) -> None:
    """Half a million jobs, of which a handful wait: no page may walk over the others."""
    queue = await ledger.default_queue(BUCKET)
    (waiting,) = await ledger.submit([new_job(queue.queue_id, key="rare.mp4")])
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        """
        INSERT INTO jobs (job_id, bucket, region, queue_id, tag, state, spec, created_at, ended_at)
        SELECT 'j' || md5(n::text), $1, 'ap-x', $2, 'SmartCover', CASE WHEN n % 50 = 0 THEN 'Failed' ELSE 'Success' END,
            json_build_object('object_key', 'in/' || n, 'output', json_build_object('region', 'r', 'bucket', 'b',
            'object_pattern', 'o'), 'covers', json_build_object()), now() - make_interval(secs => n), now()
        FROM generate_series(1, 500000) AS n
        """,
        BUCKET,
        queue.queue_id,
        timeout=600,
    )
    await connection.execute("VACUUM ANALYZE jobs", timeout=600)
    deep = JobPosition(waiting.created_at - timedelta(seconds=400_000), 1)
    cases: list[tuple[JobFilter, JobPosition | None]] = [
        (JobFilter(), deep),
        (JobFilter(queue_id=queue.queue_id), deep),
        (JobFilter(states=[JobState.SUBMITTED, JobState.RUNNING]), None),
        (JobFilter(states=[JobState.RUNNING], queue_id=queue.queue_id), None),
        (JobFilter(states=[JobState.FAILED]), deep),
        (JobFilter(input_object="rare.mp4"), None),
        (JobFilter(workflow_id="w1"), None),
        (JobFilter(batch_id="b1"), None),
        (JobFilter(until=waiting.created_at - timedelta(seconds=300_000)), None),
    ]
    lonely = await Ledger.connect(dsn, pool_size=1)

    async def rows_read() -> int:
        async with lonely.database.connection("flush") as used:
            await used.execute("SELECT pg_stat_force_next_flush()")
        count: int = await connection.fetchval(
            "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables WHERE relname = 'jobs'"
        )
        return count

    before = await rows_read()
    await lonely.list_jobs(BUCKET, JobFilter(), limit=100)
    assert await rows_read() - before >= 100, "the database does not count what is read"
    for wanted, after in cases:
        for newest_first in (True, False):
            before = await rows_read()
            await lonely.list_jobs(BUCKET, wanted, after=after, limit=100, newest_first=newest_first)
            assert await rows_read() - before <= 1000, (wanted, newest_first)
    await lonely.close()
    await connection.close()

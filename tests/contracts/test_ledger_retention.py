"""Old rows go, and nothing that is still owed goes with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from smartcover.errors import UnknownJob
from smartcover.ledger import (
    AttemptReport,
    CallbackTarget,
    CoverSpec,
    DeliveryState,
    JobResult,
    JobSpec,
    Ledger,
    NewDelivery,
    NewJob,
    OutputSpec,
    Retention,
    expire,
)
from tests.postgres import cluster

BUCKET = "old-1250000000"
DAY = Retention(jobs_days=1, deliveries_days=1, events_days=1)


@pytest.fixture(scope="module")
def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE jobs, queues, deliveries, delivery_attempts CASCADE")
    await connection.close()
    opened = await Ledger.connect(dsn, pool_size=4)
    yield opened
    await opened.close()


async def finished(ledger: Ledger, *, delivered: bool) -> tuple[str, str]:
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec(object_key="a", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec())
    await ledger.submit([NewJob(f"j{uuid4().hex}", BUCKET, "r", queue.queue_id, spec, None)])
    (taken,) = await ledger.claim_jobs("w", limit=1, lease_seconds=30)
    owed = NewDelivery(str(uuid4()), CallbackTarget(url="http://r/"), "r", "application/xml", b"<a/>")
    async with ledger.finishing(taken) as finishing:
        await finishing.succeed(JobResult(covers=()), [owed])
    if delivered:
        await ledger.claim_deliveries(limit=10, lease_seconds=30, per_destination=10)
        await ledger.record_attempt(
            owed.delivery_id,
            AttemptReport("ok", 0.1, http_status=200),
            state=DeliveryState.DELIVERED,
            retry_in_seconds=None,
            reason="",
        )
    return taken.job.job_id, owed.delivery_id


async def age(dsn: str, days: float) -> None:
    connection = await asyncpg.connect(dsn)
    for table in ("jobs", "deliveries"):
        await connection.execute(f"UPDATE {table} SET ended_at = ended_at - make_interval(secs => $1)", days * 86400.0)
    await connection.close()


async def test_what_ended_long_ago_is_deleted_with_its_attempts(ledger: Ledger, dsn: str) -> None:
    job_id, delivery_id = await finished(ledger, delivered=True)
    await age(dsn, 2)
    recent, _ = await finished(ledger, delivered=True)
    gone = await expire(ledger.database, DAY)
    assert (gone["jobs"], gone["deliveries"]) == (1, 1)
    with pytest.raises(UnknownJob):
        await ledger.job(job_id)
    assert await ledger.attempts(delivery_id) == []
    assert (await ledger.job(recent)).state.final


async def test_a_job_whose_callback_is_still_owed_stays(ledger: Ledger, dsn: str) -> None:
    job_id, delivery_id = await finished(ledger, delivered=False)
    await age(dsn, 400)
    gone = await expire(ledger.database, DAY)
    assert (gone["jobs"], gone["deliveries"]) == (0, 0)
    assert (await ledger.job(job_id)).state.final
    assert (await ledger.delivery(delivery_id)).state is DeliveryState.PENDING


async def test_jobs_that_wait_or_run_stay_whatever_their_age(ledger: Ledger, dsn: str) -> None:
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec(object_key="a", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec())
    await ledger.submit([NewJob(f"j{uuid4().hex}", BUCKET, "r", queue.queue_id, spec, None) for _ in range(2)])
    await ledger.claim_jobs("w", limit=1, lease_seconds=30)
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE jobs SET created_at = created_at - interval '10 years'")
    await connection.close()
    assert (await expire(ledger.database, DAY))["jobs"] == 0


async def test_zero_days_keep_everything(ledger: Ledger, dsn: str) -> None:
    await finished(ledger, delivered=True)
    await age(dsn, 4000)
    assert await expire(ledger.database, Retention(jobs_days=0, deliveries_days=0, events_days=0)) == {}


async def test_many_rows_go_in_batches(ledger: Ledger, dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "INSERT INTO deliveries"
        " (delivery_id, bucket, target, destination, content_type, body, state, next_at, ended_at)"
        " SELECT 'd' || n, 'b', '{}', 'x', 't', '', 'delivered', NULL, now() - interval '9 days'"
        " FROM generate_series(1, 1301) AS n"
    )
    await connection.close()
    assert (await expire(ledger.database, DAY))["deliveries"] == 1301

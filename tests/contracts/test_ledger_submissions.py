"""A submit that is sent twice makes its jobs once, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest

from smartcover.errors import BadParameter, QueueFull
from smartcover.ledger import CoverSpec, JobSpec, Ledger, NewJob, OutputSpec, QueueLimits, Submission
from tests.postgres import cluster

BUCKET = "twice-1250000000"
NUMBERS = itertools.count(1)
NAMED = Submission("key", b"body", token="once")
FIRST = Submission("key", b"body")
RETRY = replace(FIRST, retried=True)


@pytest.fixture(scope="module")
def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    await execute(dsn, "TRUNCATE jobs, queues, submissions CASCADE")
    opened = await Ledger.connect(dsn, pool_size=12)
    yield opened
    await opened.close()


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


async def send(ledger: Ledger, submission: Submission | None, *, jobs: int = 1, bucket: str = BUCKET) -> list[str]:
    queue = await ledger.default_queue(bucket)
    spec = JobSpec(object_key="a", output=OutputSpec("r", bucket, "o"), covers=CoverSpec())
    new = [NewJob(f"j{next(NUMBERS):032x}", bucket, "r", queue.queue_id, spec, None) for _ in range(jobs)]
    return [job.job_id for job in await ledger.submit(new, submission)]


async def test_a_submit_of_the_same_name_gives_the_first_jobs_in_order(ledger: Ledger) -> None:
    first = await send(ledger, NAMED, jobs=3)
    assert await send(ledger, NAMED, jobs=3) == first
    seen = await ledger.submitted_before(BUCKET, NAMED)
    assert seen is not None
    assert [job.job_id for job in seen] == first


@pytest.mark.parametrize(
    "other", [replace(NAMED, token="other"), replace(NAMED, secret_id="somebody"), FIRST, None], ids=str
)
async def test_another_name_key_pair_or_none_is_another_submit(ledger: Ledger, other: Submission | None) -> None:
    first = await send(ledger, NAMED)
    assert await send(ledger, other) != first


async def test_another_bucket_is_another_submit(ledger: Ledger) -> None:
    first = await send(ledger, NAMED)
    assert await send(ledger, NAMED, bucket="other-1") != first


async def test_a_name_that_was_used_for_another_body_is_refused_and_adds_nothing(ledger: Ledger, dsn: str) -> None:
    first = await send(ledger, NAMED)
    other = replace(NAMED, digest=b"another")
    with pytest.raises(BadParameter, match="'once' was used for another body"):
        await send(ledger, other)
    with pytest.raises(BadParameter, match="'once' was used for another body"):
        await ledger.submitted_before(BUCKET, other)
    assert await send(ledger, NAMED) == first


async def test_a_marked_retry_of_the_same_body_gives_the_first_jobs_and_an_unmarked_one_new_ones(
    ledger: Ledger,
) -> None:
    first = await send(ledger, FIRST)
    assert await send(ledger, RETRY) == first
    again = await send(ledger, FIRST)
    assert again != first
    assert await send(ledger, RETRY) == again, "the latest is the one that is retried"


async def test_a_retry_whose_original_never_came_is_the_first_itself(ledger: Ledger) -> None:
    first = await send(ledger, RETRY)
    assert await send(ledger, RETRY) == first
    assert await send(ledger, replace(RETRY, digest=b"another")) != first


async def test_what_is_too_old_is_new_again(ledger: Ledger, dsn: str) -> None:
    named, retried = await send(ledger, NAMED), await send(ledger, replace(RETRY, digest=b"b"))
    await execute(dsn, "UPDATE submissions SET created_at = created_at - interval '61 s'")
    assert await send(ledger, NAMED) == named
    assert await send(ledger, replace(RETRY, digest=b"b")) != retried
    for submission in (NAMED, replace(NAMED, digest=b"another body")):
        await execute(dsn, "UPDATE submissions SET created_at = created_at - interval '1 day'")
        assert await send(ledger, submission) != named


async def test_twenty_repetitions_at_once_make_the_jobs_once(ledger: Ledger, dsn: str) -> None:
    for submission in (NAMED, RETRY):
        answers = await asyncio.gather(*(send(ledger, submission, jobs=2) for _ in range(20)))
        assert len({tuple(answer) for answer in answers}) == 1


async def test_a_submit_that_failed_is_not_remembered(ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    await ledger.queues.set_limits(BUCKET, queue.queue_id, QueueLimits(1, 1))
    with pytest.raises(QueueFull):
        await send(ledger, NAMED, jobs=2)
    assert await ledger.submitted_before(BUCKET, NAMED) is None
    assert await send(ledger, NAMED)


async def test_what_nobody_can_repeat_any_more_is_forgotten(ledger: Ledger, dsn: str) -> None:
    for number in range(10):
        await send(ledger, replace(FIRST, digest=bytes([number])))
    await send(ledger, NAMED)
    await execute(dsn, "UPDATE submissions SET created_at = created_at - interval '2 minutes'")
    for number in range(4):
        await send(ledger, replace(FIRST, digest=bytes([100 + number])))
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT count(*) FROM submissions") == 5, "four fresh ones and the name"
    await connection.close()

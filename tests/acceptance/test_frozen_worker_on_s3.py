"""
Publishing in an S3 store by workers that freeze or take long: real processes, SIGSTOP and SIGCONT, a moto server.

The copy to a cover's own key is the store's; a worker that froze just before it asked for it, and asks once it thaws,
must not put its cover over that of the worker which did the job meanwhile.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from smartcover import service
from smartcover.ledger import CoverSpec, JobSpec, JobState, Ledger, NewJob, OutputSpec
from smartcover.storage import S3Store
from tests.acceptance.test_frozen_worker import ended, says, worker
from tests.moto_server import client_of, fresh, keys_in, options_of, running_moto
from tests.postgres import cluster

BUCKET = "frozen-1250000000"
KEY = "out/0.jpg"
ROOT = f"p/{BUCKET}/"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_moto() as address:
        yield address


@pytest.fixture
def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(dsn, pool_size=4)
    yield opened
    await opened.close()


@pytest.fixture
async def store(dsn: str, server: str) -> AsyncIterator[S3Store]:
    fresh(server, "everything")
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
        made = S3Store("s3://everything/p", options_of(server), pool)
        await made.create_bucket(BUCKET, "r")

        async def body() -> AsyncIterator[bytes]:
            yield b"a video"

        await made.put(BUCKET, "in.mp4", body(), headers={})
        yield made


async def submitted(ledger: Ledger) -> str:
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec("in.mp4", OutputSpec("r", BUCKET, "out/${Number}.jpg"), CoverSpec(count=1))
    job_id = f"j{uuid4().hex}"
    await ledger.submit([NewJob(job_id, BUCKET, "r", queue.queue_id, spec, None)])
    return job_id


def cover(server: str) -> bytes:
    body: bytes = client_of(server).get_object(Bucket="everything", Key=ROOT + KEY)["Body"].read()
    return body


async def thaws_and_asks_for_its_copy(process: subprocess.Popen[str], said: Path) -> None:
    """Wake a worker that froze before its copy; the copy must be asked for, and refused."""
    process.send_signal(signal.SIGCONT)
    await says(said, "placed")
    assert "not placed: copy an object" in said.read_text()
    await says(said, "the job")  # was stopped, or went to another worker
    await asyncio.sleep(0.5)
    assert "job succeeded" not in said.read_text()


async def test_a_copy_that_a_worker_sends_after_another_did_its_job_changes_no_object(
    ledger: Ledger, store: S3Store, server: str, dsn: str, tmp_path: Path
) -> None:
    job_id = await submitted(ledger)
    with worker(dsn, server, tmp_path, "first", 0.0, "blocks") as (first, first_said):
        await says(first_said, "placing")
        first.send_signal(signal.SIGSTOP)
        with worker(dsn, server, tmp_path, "second", 0.0):
            job = await ended(ledger, job_id)
            assert (job.state, job.attempt) == (JobState.SUCCESS, 2), "run once more, and once only"
            before = await store.head(BUCKET, KEY)
            await thaws_and_asks_for_its_copy(first, first_said)
    assert cover(server) == b"second"
    assert await store.head(BUCKET, KEY) == before
    assert await ledger.job(job_id) == job
    assert len(await ledger.deliveries(job_id=job_id)) == 1
    assert keys_in(server, "everything") == [f"{ROOT}in.mp4", ROOT + KEY], "nothing is left of what was staged"


async def test_a_copy_that_a_worker_sends_after_its_job_was_cancelled_shows_no_cover(
    ledger: Ledger, store: S3Store, server: str, dsn: str, tmp_path: Path
) -> None:
    job_id = await submitted(ledger)
    with worker(dsn, server, tmp_path, "first", 0.0, "blocks") as (first, first_said):
        await says(first_said, "placing")
        first.send_signal(signal.SIGSTOP)
        await service.cancel(ledger, store, await store.bucket(BUCKET), job_id)
        await thaws_and_asks_for_its_copy(first, first_said)
    assert (await ledger.job(job_id)).state is JobState.CANCEL
    assert keys_in(server, "everything") == [f"{ROOT}in.mp4"]


async def test_a_store_that_takes_long_to_copy_costs_no_attempt(
    ledger: Ledger, store: S3Store, server: str, dsn: str, tmp_path: Path
) -> None:
    """The copies take three seconds; the lease lasts one, and so long may a transaction stand idle."""
    job_id = await submitted(ledger)
    with worker(dsn, server, tmp_path, "slow", 0.0, "waits") as (_, said):
        job = await ended(ledger, job_id)
        assert (job.state, job.attempt) == (JobState.SUCCESS, 1)
        await says(said, "job succeeded")
    assert said.read_text().count("placing") == 1
    assert cover(server) == b"slow"

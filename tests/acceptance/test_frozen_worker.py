"""A worker that froze while another did its job changes nothing when it thaws: real processes, SIGSTOP and SIGCONT."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from smartcover.ledger import CoverSpec, Job, JobSpec, JobState, Ledger, NewJob, OutputSpec
from smartcover.storage import LocalStore
from tests.postgres import cluster

BUCKET = "frozen-1250000000"
KEY = "out/0.jpg"
pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(dsn, pool_size=4)
    yield opened
    await opened.close()


@pytest.fixture
async def store(dsn: str, tmp_path: Path) -> AsyncIterator[LocalStore]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as pool:
        made = LocalStore(tmp_path, pool, reserve_bytes=0)
        await made.create_bucket(BUCKET, "r")

        async def body() -> AsyncIterator[bytes]:
            yield b"a video"

        await made.put(BUCKET, "in.mp4", body(), headers={})
        yield made


@contextlib.contextmanager
def worker(
    dsn: str, place: Path | str, folder: Path, name: str, seconds: float, *stop: str
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a worker, and give its process and the file of what it prints."""
    said = folder / f"{name}.log"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.frozen_worker", dsn, str(place), name, str(seconds), *stop],
            cwd=Path(__file__).resolve().parents[2],
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield process, said
    finally:
        process.kill()  # also ends a stopped one
        process.wait()


async def says(said: Path, words: str) -> None:
    async with asyncio.timeout(30):
        while words not in said.read_text():
            await asyncio.sleep(0.02)


async def ended(ledger: Ledger, job_id: str) -> Job:
    async with asyncio.timeout(30):
        while not (job := await ledger.job(job_id)).state.final:
            await asyncio.sleep(0.02)
    return job


async def content(store: LocalStore) -> bytes:
    async with store.read(BUCKET, KEY) as (_, stream):
        return b"".join([block async for block in stream])


async def test_a_worker_that_thaws_after_another_did_its_job_changes_no_row_and_no_object(
    ledger: Ledger, store: LocalStore, dsn: str, tmp_path: Path
) -> None:
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec("in.mp4", OutputSpec("r", BUCKET, "out/${Number}.jpg"), CoverSpec(count=1))
    job_id = f"j{uuid4().hex}"
    await ledger.submit([NewJob(job_id, BUCKET, "r", queue.queue_id, spec, None)])
    with worker(dsn, tmp_path, tmp_path, "first", 2.0) as (first, first_said):
        await says(first_said, "working")
        first.send_signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        with worker(dsn, tmp_path, tmp_path, "second", 0.0):
            job = await ended(ledger, job_id)
            assert (job.state, job.attempt) == (JobState.SUCCESS, 2), "run once more, and once only"
            assert await content(store) == b"second"
            before = await store.head(BUCKET, KEY)
            # Long enough that the thawed worker's engine is done before it looks at its lease.
            await asyncio.sleep(max(0.0, 2.5 - (time.monotonic() - frozen_at)))
            first.send_signal(signal.SIGCONT)
            await says(first_said, "the job")  # was stopped, or went to another worker
            await asyncio.sleep(0.5)
    assert "job succeeded" not in first_said.read_text()
    assert await ledger.job(job_id) == job
    assert await store.head(BUCKET, KEY) == before
    assert await content(store) == b"second"
    assert len(await ledger.deliveries(job_id=job_id)) == 1

"""The work loop on the real ledger: each claimed job ends once, or goes back to where another worker finds it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
import structlog
from prometheus_client import CollectorRegistry

from smartcover import callbacks
from smartcover.engine import CoverOptions
from smartcover.errors import BadKey, EngineKilled, LedgerUnavailable, NotAVideo, StorageUnavailable
from smartcover.ledger import (
    CallbackTarget,
    CoverSpec,
    Job,
    JobSpec,
    JobState,
    Ledger,
    NewDelivery,
    NewJob,
    OutputSpec,
)
from smartcover.storage import MemoryStore, VideoSource
from smartcover.worker import Worker, WorkerConfig, WorkerMetrics
from smartcover.worker.isolate import PickedCover, PickedCovers
from tests.postgres import cluster

BUCKET = "work-1250000000"
Stored = TypeVar("Stored", bound=MemoryStore)
pytestmark = pytest.mark.timeout(60)


def picked(count: int = 2) -> PickedCovers:
    covers = tuple(
        PickedCover(f"image {n}".encode(), "jpg", 64, 36, float(n), 1.0 - n / 10, {"luma": 0.5}, ("sharp",))
        for n in range(count)
    )
    return PickedCovers(covers, None, 10.0, {"total": 0.1})


@dataclass
class Engine:
    """Answers as it is told, without a child process."""

    answer: Callable[[], Awaitable[PickedCovers]]
    calls: int = 0
    options: list[CoverOptions] = field(default_factory=list)

    async def pick(self, source: VideoSource, options: CoverOptions, **_: Any) -> PickedCovers:
        self.calls += 1
        self.options.append(options)
        return await self.answer()


async def at_once() -> PickedCovers:
    return picked()


async def never() -> PickedCovers:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    yield cluster().make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE jobs, queues, deliveries, delivery_attempts CASCADE")
    await connection.close()
    opened = await Ledger.connect(dsn, pool_size=8)
    yield opened
    await opened.close()


async def stocked(made: Stored) -> Stored:
    """Put a bucket with a video into the store."""
    await made.create_bucket(BUCKET, "r")

    async def body() -> AsyncIterator[bytes]:
        yield b"a video"

    await made.put(BUCKET, "in/clip.mp4", body(), headers={})
    return made


@pytest.fixture
async def store() -> MemoryStore:
    return await stocked(MemoryStore())


def deliveries_of(job: Job) -> list[NewDelivery]:
    owed = callbacks.task_finish_delivery(
        job, delivery_id=str(uuid4()), zone_offset_minutes=480, json_array=False, md5_info=False
    )
    return [owed] if owed else []


def worker_on(
    ledger: Ledger, store: MemoryStore, engine: Engine, *, metrics: WorkerMetrics | None = None, **config: Any
) -> Worker:
    settled = WorkerConfig(**{"worker_id": "w", "concurrency": 2, "lease_seconds": 2.0, "grace_seconds": 5.0, **config})
    return Worker(
        ledger,
        store,
        engine,  # type: ignore[arg-type]
        config=settled,
        deliveries_of=deliveries_of,
        metrics=metrics,
    )


@contextlib.asynccontextmanager
async def running(worker: Worker) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(worker.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def submit(ledger: Ledger, **changes: Any) -> str:
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec(
        **{
            "object_key": "in/clip.mp4",
            "output": OutputSpec("r", BUCKET, "out/${jobid}-${Number}.${ext}"),
            "covers": CoverSpec(count=2, width_px=640),
            **changes,
        }
    )
    job = NewJob(f"j{uuid4().hex}", BUCKET, "r", queue.queue_id, spec, CallbackTarget(url="http://r.example/"))
    return (await ledger.submit([job]))[0].job_id


async def ended(ledger: Ledger, job_id: str) -> Job:
    async with asyncio.timeout(20):
        while not (job := await ledger.job(job_id)).state.final:
            await asyncio.sleep(0.01)
    return job


async def test_a_job_is_run_published_and_finished_with_its_callback(ledger: Ledger, store: MemoryStore) -> None:
    engine = Engine(at_once)
    async with running(worker_on(ledger, store, engine)):
        job_id = await submit(ledger)
        job = await ended(ledger, job_id)
    assert job.state is JobState.SUCCESS
    assert job.result is not None
    names = [f"out/{job_id}-{n}.jpg" for n in range(2)]
    assert [cover.key for cover in job.result.covers] == names
    assert (await store.head(BUCKET, names[0])).headers["content-type"] == "image/jpeg"
    assert engine.options[0].width_px == 640
    (owed,) = await ledger.deliveries(job_id=job_id)
    assert names[1].encode() in owed.body


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"object_key": "in/none.mp4"}, "NoSuchKey", "in/none.mp4"),
        ({"output": OutputSpec("r", "gone-1250000000", "o")}, "NoSuchBucket", "gone-1250000000"),
    ],
)
async def test_what_is_missing_fails_the_job_and_says_what(
    ledger: Ledger, store: MemoryStore, changes: dict[str, Any], code: str, words: str
) -> None:
    engine = Engine(at_once)
    async with running(worker_on(ledger, store, engine)):
        job = await ended(ledger, await submit(ledger, **changes))
    assert (job.state, job.code) == (JobState.FAILED, code)
    assert words in job.message
    assert engine.calls == 0
    assert len(await ledger.deliveries(job_id=job.job_id)) == 1


async def test_a_slash_in_front_of_the_input_does_not_count_unless_the_key_has_one(
    ledger: Ledger, store: MemoryStore
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"another video"

    await store.put(BUCKET, "/own/clip.mp4", body(), headers={})
    engine = Engine(at_once)
    async with running(worker_on(ledger, store, engine)):
        ends = [await ended(ledger, await submit(ledger, object_key=key)) for key in ("/in/clip.mp4", "/own/clip.mp4")]
        missing = await ended(ledger, await submit(ledger, object_key="/"))
    assert [(job.state, job.spec.object_key) for job in ends] == [
        (JobState.SUCCESS, "/in/clip.mp4"),
        (JobState.SUCCESS, "/own/clip.mp4"),
    ]
    assert missing.code == "NoSuchKey"


async def test_a_slash_in_front_of_the_input_does_not_count_in_a_store_that_can_hold_no_such_key(
    ledger: Ledger,
) -> None:
    class Strict(MemoryStore):
        async def video(self, bucket: str, key: str) -> VideoSource:
            if key.startswith("/"):
                raise BadKey
            return await super().video(bucket, key)

    async with running(worker_on(ledger, await stocked(Strict()), Engine(at_once))):
        job = await ended(ledger, await submit(ledger, object_key="/in/clip.mp4"))
    assert job.state is JobState.SUCCESS


async def test_a_bad_video_fails_at_once_and_is_not_tried_again(ledger: Ledger, store: MemoryStore) -> None:
    async def refuse() -> PickedCovers:
        raise NotAVideo

    engine = Engine(refuse)
    async with running(worker_on(ledger, store, engine)):
        job = await ended(ledger, await submit(ledger))
    assert (job.state, job.code, engine.calls) == (JobState.FAILED, "InputUnreadable", 1)


async def test_a_job_started_too_often_fails_without_another_start(ledger: Ledger, store: MemoryStore) -> None:
    job_id = await submit(ledger)
    for _ in range(2):
        await ledger.claim_jobs("crashed", limit=1, lease_seconds=0.0)
        assert await ledger.sweep() == 1
    engine = Engine(at_once)
    async with running(worker_on(ledger, store, engine, max_attempts=2)):
        job = await ended(ledger, job_id)
    assert (job.state, job.code, engine.calls) == (JobState.FAILED, "ProcessFailed", 0)
    assert "2 times" in job.message


async def test_an_unreachable_store_costs_no_attempt(ledger: Ledger, store: MemoryStore) -> None:
    asked = asyncio.Event()

    class Away(MemoryStore):
        async def bucket(self, name: str) -> Any:
            asked.set()
            raise StorageUnavailable

    async with running(worker_on(ledger, Away(), Engine(at_once))), asyncio.timeout(10):
        job_id = await submit(ledger)
        await asked.wait()
    job = await ledger.job(job_id)
    assert (job.state, job.attempt) == (JobState.SUBMITTED, 0)


class Refusing(MemoryStore):
    """Refuses one call while it is told to, as a store does that is away."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self.asked, self.refusing = 0, False
        answer = getattr(self, call)

        async def refuse(*arguments: Any, **named: Any) -> Any:
            self.asked += 1
            if self.refusing:
                raise StorageUnavailable(detail="10.0.0.7 says 503")
            return await answer(*arguments, **named)

        setattr(self, call, refuse)


@pytest.mark.parametrize("call", ["bucket", "video", "stage", "place", "publish"])
async def test_a_job_that_its_store_fails_for_too_long_fails_with_a_callback(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr("smartcover.worker.patience._SHORTEST_WAIT_SECONDS", 0.2)
    monkeypatch.setattr("smartcover.worker.loop._IDLE_LOOK_SECONDS", 0.1)
    store = await stocked(Refusing(call))
    store.asked, store.refusing = 0, True
    async with running(worker_on(ledger, store, Engine(at_once), storage_wait_seconds=0.5)):
        job_id = await submit(ledger)
        job = await ended(ledger, job_id)
    assert (job.state, job.code, job.attempt) == (JobState.FAILED, "ServiceUnavailable", 1)
    assert "object in/clip.mp4" in job.message
    assert "10.0.0.7" not in job.message
    assert 2 <= store.asked <= 4, "three waits, or fewer if a start takes long, and a last try when the time is over"
    (owed,) = await ledger.deliveries(job_id=job_id)
    assert b"<Code>ServiceUnavailable</Code>" in owed.body
    store.refusing = False
    assert (await store.list(BUCKET, prefix="out/")).objects == ()


async def test_many_jobs_whose_videos_cannot_be_read_leave_the_slots_to_others_and_have_their_turn(
    ledger: Ledger, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartcover.worker.patience._SHORTEST_WAIT_SECONDS", 0.01)  # all of them are due again at once
    tries = 0

    async def unreadable() -> PickedCovers:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.05)
        raise StorageUnavailable

    engine = Engine(unreadable)
    bad = [await submit(ledger) for _ in range(50)]
    async with running(worker_on(ledger, store, engine, concurrency=1)), asyncio.timeout(20):
        while tries < len(bad):
            await asyncio.sleep(0.01)
        engine.answer = lambda: at_once() if engine.options[-1].count == 1 else unreadable()
        good = [await submit(ledger, covers=CoverSpec(count=1)) for _ in range(20)]
        before = tries
        for job_id in good:
            assert (await ended(ledger, job_id)).state is JobState.SUCCESS
        assert 1 <= tries - before <= 10, "the others have their turn meanwhile"
    assert {(await ledger.job(job_id)).state for job_id in bad} == {JobState.SUBMITTED}


async def test_an_outage_that_ends_in_time_fails_no_job(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartcover.worker.patience._SHORTEST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr("smartcover.worker.loop._IDLE_LOOK_SECONDS", 0.1)
    store = await stocked(Refusing("video"))
    store.asked, store.refusing = 0, True
    async with running(worker_on(ledger, store, Engine(at_once))), asyncio.timeout(20):
        job_id = await submit(ledger)
        while store.asked < 5:
            await asyncio.sleep(0.01)
        store.refusing = False
        assert (await ended(ledger, job_id)).state is JobState.SUCCESS
    assert (await ledger.job(job_id)).attempt == 1


async def test_a_job_that_crashed_and_then_meets_a_store_that_never_comes_back_ends_too(ledger: Ledger) -> None:
    """Its second start must first take back what the one before staged, and cannot."""
    store = await stocked(Refusing("revoke"))
    store.refusing = True
    job_id = await submit(ledger)
    await ledger.claim_jobs("crashed", limit=1, lease_seconds=0.0)
    assert await ledger.sweep() == 1
    engine = Engine(at_once)
    async with running(worker_on(ledger, store, engine, storage_wait_seconds=0.0)):
        job = await ended(ledger, job_id)
    assert (job.state, job.code, engine.calls) == (JobState.FAILED, "ServiceUnavailable", 0)


async def test_a_hiccup_of_the_database_fails_no_job_of_a_worker_without_patience(
    ledger: Ledger, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartcover.worker.patience._SHORTEST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr("smartcover.worker.loop._IDLE_LOOK_SECONDS", 0.1)
    asked, note = 0, ledger.workflows.note_outputs

    async def note_outputs(*arguments: Any) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise LedgerUnavailable
        await note(*arguments)

    monkeypatch.setattr(ledger.workflows, "note_outputs", note_outputs)
    async with running(worker_on(ledger, store, Engine(at_once), storage_wait_seconds=0.0)):
        job = await ended(ledger, await submit(ledger))
    assert (job.state, asked) == (JobState.SUCCESS, 2)


async def test_a_job_whose_decoder_was_killed_is_tried_again_and_not_for_ever(
    ledger: Ledger, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed() -> PickedCovers:
        raise EngineKilled

    monkeypatch.setattr("smartcover.worker.loop._RETRY_DELAY_SECONDS", 0.0)
    engine = Engine(killed)
    job_id = await submit(ledger)
    async with running(worker_on(ledger, store, engine, max_attempts=3)):
        job = await ended(ledger, job_id)
    assert engine.calls == 3
    assert (job.state, job.code) == (JobState.FAILED, "ProcessFailed")
    assert "started 3 times" in job.message


async def test_a_cancel_stops_a_running_job_at_once_and_publishes_nothing(ledger: Ledger, store: MemoryStore) -> None:
    engine = Engine(never)
    worker = worker_on(ledger, store, engine, lease_seconds=60.0)
    async with running(worker):
        job_id = await submit(ledger)
        async with asyncio.timeout(10):
            while not engine.calls:
                await asyncio.sleep(0.01)
        await ledger.cancel(BUCKET, job_id)
        async with asyncio.timeout(2):
            while worker._running:
                await asyncio.sleep(0.01)
    assert (await ledger.job(job_id)).state is JobState.CANCEL
    assert await ledger.deliveries(job_id=job_id) == []
    assert (await store.list(BUCKET, prefix="out/")).objects == ()


async def test_a_result_that_comes_after_the_lease_was_lost_changes_nothing(
    ledger: Ledger, store: MemoryStore, dsn: str
) -> None:
    go_on = asyncio.Event()

    async def late() -> PickedCovers:
        await go_on.wait()
        return picked()

    job_id = await submit(ledger)
    worker = worker_on(ledger, store, Engine(late), lease_seconds=600.0, concurrency=1)
    async with running(worker):
        async with asyncio.timeout(10):
            while (await ledger.job(job_id)).state is not JobState.RUNNING:
                await asyncio.sleep(0.01)
        connection = await asyncpg.connect(dsn)
        await connection.execute("UPDATE jobs SET lease_until = now() - interval '1 second'")
        await connection.close()
        assert await ledger.sweep() == 1
        (other,) = await ledger.claim_jobs("other", limit=1, lease_seconds=600)
        go_on.set()
        async with asyncio.timeout(10):
            while worker._running:
                await asyncio.sleep(0.01)
    assert (await store.list(BUCKET, prefix="out/")).objects == ()
    job = await ledger.job(job_id)
    assert (job.state, job.attempt) == (JobState.RUNNING, 2)
    assert await ledger.deliveries(job_id=job_id) == []
    await ledger.hand_back(other)


async def test_a_stop_lets_short_work_end_and_hands_back_the_rest(ledger: Ledger, store: MemoryStore) -> None:
    async def short() -> PickedCovers:
        await asyncio.sleep(0.3)
        return picked()

    for answer, grace, state in ((short, 10.0, JobState.SUCCESS), (never, 0.1, JobState.SUBMITTED)):
        job_id = await submit(ledger)
        engine = Engine(answer)
        async with running(worker_on(ledger, store, engine, grace_seconds=grace)):
            async with asyncio.timeout(10):
                while not engine.calls:
                    await asyncio.sleep(0.01)
        job = await ledger.job(job_id)
        assert (job.state, job.attempt) == (state, 1 if state is JobState.SUCCESS else 0)


@pytest.mark.parametrize("steps", range(8))
async def test_a_second_signal_ends_the_wait_for_running_jobs_however_soon_it_comes(
    ledger: Ledger, store: MemoryStore, steps: int
) -> None:
    """`steps` is how often the loop went round between the two."""
    engine, stop = Engine(never), asyncio.Event()
    job_id = await submit(ledger)
    working = asyncio.create_task(worker_on(ledger, store, engine, grace_seconds=3600.0).run(stop))
    async with asyncio.timeout(10):
        while not engine.calls:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)  # for it to rest
    stop.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait([working], timeout=20)
    assert working.done(), "the second signal was lost"
    job = await ledger.job(job_id)
    assert (job.state, job.attempt) == (JobState.SUBMITTED, 0)


async def test_a_stop_while_a_refusing_store_is_tidied_leaves_no_error_that_nobody_heard_of(ledger: Ledger) -> None:
    tidying, refuse = asyncio.Event(), asyncio.Event()

    class Untidy(MemoryStore):
        async def discard(self, staged: Any) -> None:
            tidying.set()
            await refuse.wait()
            raise StorageUnavailable

    store = await stocked(Untidy())
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
    async with running(worker_on(ledger, store, Engine(at_once), grace_seconds=0.1)):
        job_id = await submit(ledger)
        async with asyncio.timeout(10):
            await tidying.wait()
    refuse.set()
    await asyncio.sleep(0.05)
    gc.collect()
    assert unheard == []
    assert (await ledger.job(job_id)).state is JobState.SUCCESS


async def test_a_job_that_succeeded_is_not_taken_for_lost_while_a_slow_store_is_tidied(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidying, renewed, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        async def discard(self, staged: Any) -> None:
            tidying.set()
            await go_on.wait()

    renew = ledger.renew

    async def told(*arguments: Any, **named: Any) -> Any:
        ended_before = tidying.is_set()
        kept = await renew(*arguments, **named)
        if ended_before:
            renewed.set()
        return kept

    monkeypatch.setattr(ledger, "renew", told)
    registry = CollectorRegistry()
    worker = worker_on(
        ledger, await stocked(Slow()), Engine(at_once), metrics=WorkerMetrics(registry, slots=2), lease_seconds=1.0
    )
    with structlog.testing.capture_logs() as lines:
        async with running(worker), asyncio.timeout(20):
            job_id = await submit(ledger)
            await renewed.wait()
            go_on.set()
    assert (await ledger.job(job_id)).state is JobState.SUCCESS
    assert [line["event"] for line in lines if line["event"].startswith("the job")] == []
    assert registry.get_sample_value("smartcover_jobs_lost_total") == 0
    assert registry.get_sample_value("smartcover_engine_step_seconds_count", {"step": "publish"}) == 1


async def test_no_more_jobs_run_at_once_than_the_worker_may(ledger: Ledger, store: MemoryStore) -> None:
    now = most = 0

    async def counted() -> PickedCovers:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return picked(1)

    async with running(worker_on(ledger, store, Engine(counted), concurrency=3)):
        jobs = [await submit(ledger) for _ in range(12)]
        for job_id in jobs:
            assert (await ended(ledger, job_id)).state is JobState.SUCCESS
    assert 2 <= most <= 3

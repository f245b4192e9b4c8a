"""The ledger's promises about jobs, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from smartcover.errors import AlreadyFinished, BadParameter, LeaseLost, LedgerError, UnknownJob, UnknownQueue
from smartcover.ledger import (
    TRANSITIONS,
    CallbackTarget,
    Claim,
    CoverReport,
    CoverSpec,
    JobResult,
    JobSpec,
    JobState,
    Ledger,
    NewDelivery,
    NewJob,
    OutputSpec,
)
from tests.postgres import SERVERS, cluster

BUCKET = "ledger-1250000000"
LEASE_SECONDS = 30.0


@pytest.fixture(scope="module", params=SERVERS)
def dsn(request: pytest.FixtureRequest) -> str:
    return cluster(request.param).make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    """A ledger without jobs."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE jobs, queues, deliveries, delivery_attempts CASCADE")
    await connection.close()
    opened = await Ledger.connect(dsn, pool_size=12)
    yield opened
    await opened.close()


async def new_job(ledger: Ledger, *, level: int = 0, bucket: str = BUCKET, **changes: object) -> NewJob:
    queue = await ledger.default_queue(bucket)
    job = NewJob(
        job_id=f"j{uuid4().hex}",
        bucket=bucket,
        region="ap-chongqing",
        queue_id=queue.queue_id,
        spec=JobSpec(
            object_key="in/视频 +%.mp4",
            output=OutputSpec("ap-chongqing", bucket, "out/${Number}.jpg"),
            covers=CoverSpec(count=2),
            smart_cover={"Width": "640", "Count": "2", "Format": "jpg"},
            user_data="order 77 🎬",
            level=level,
        ),
        callback=CallbackTarget(url="http://receiver.example/cb", format="JSON"),
    )
    return replace(job, **changes)  # type: ignore[arg-type] # the caller names fields of NewJob


async def submit(ledger: Ledger, count: int = 1, *, level: int = 0, bucket: str = BUCKET) -> list[str]:
    jobs = [await new_job(ledger, level=level, bucket=bucket) for _ in range(count)]
    return [job.job_id for job in await ledger.submit(jobs)]


async def ledger_whose_clock_jumped(dsn: str, jump: str) -> Ledger:
    return await Ledger.connect(
        f"{dsn}{'&' if '?' in dsn else '?'}options=-csmartcover.clock_offset%3D{jump.replace(' ', '')}", pool_size=2
    )


async def claim(ledger: Ledger, limit: int = 1, *, lease_seconds: float = LEASE_SECONDS) -> list[Claim]:
    return await ledger.claim_jobs("worker-1", limit=limit, lease_seconds=lease_seconds)


def delivery(number: int = 0) -> NewDelivery:
    return NewDelivery(
        delivery_id=str(uuid4()),
        target=CallbackTarget(url=f"http://receiver-{number}.example/cb"),
        destination=f"http://receiver-{number}.example:80",
        content_type="application/xml",
        body=b"<Response/>\x00\xff",
    )


async def set_limit(dsn: str, bucket: str, limit: int) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE queues SET max_concurrent = $2 WHERE bucket = $1", bucket, limit)
    await connection.close()


async def test_a_submitted_job_reads_back_as_it_was_asked_for(ledger: Ledger) -> None:
    asked = await new_job(ledger, level=2)
    (job,) = await ledger.submit([asked])
    assert job.state is JobState.SUBMITTED
    assert (job.spec, job.callback, job.bucket) == (asked.spec, asked.callback, BUCKET)
    assert list(job.spec.smart_cover or {}) == ["Width", "Count", "Format"], "the order of the echo is kept"
    assert job.created_at.tzinfo is not None
    assert await ledger.job(job.job_id) == job
    assert await ledger.jobs(BUCKET, [job.job_id, "j0"]) == {job.job_id: job}
    assert await ledger.jobs("other-1250000000", [job.job_id]) == {}


async def test_a_submit_stores_all_jobs_or_none(ledger: Ledger) -> None:
    good = await new_job(ledger)
    with pytest.raises(UnknownQueue):
        await ledger.submit([good, await new_job(ledger, queue_id="p-nowhere")])
    with pytest.raises(UnknownJob):
        await ledger.job(good.job_id)
    with pytest.raises(BadParameter):
        await ledger.submit([])


async def test_the_default_queue_is_made_once(ledger: Ledger) -> None:
    queues = await asyncio.gather(*(ledger.default_queue("fresh-1250000000") for _ in range(8)))
    assert len({queue.queue_id for queue in queues}) == 1
    assert await ledger.queue("fresh-1250000000", queues[0].queue_id) == queues[0]
    with pytest.raises(UnknownQueue):
        await ledger.queue("other-1250000000", queues[0].queue_id)


async def test_claims_take_the_highest_level_first_and_then_the_oldest(ledger: Ledger) -> None:
    low = await submit(ledger, 2, level=0)
    high = await submit(ledger, 2, level=2)
    middle = await submit(ledger, 1, level=1)
    claims = [(await claim(ledger))[0] for _ in range(5)]
    assert [c.job.job_id for c in claims] == high + middle + low
    assert all(c.job.state is JobState.RUNNING and c.job.attempt == 1 and c.job.started_at for c in claims)
    assert len({c.lease_token for c in claims}) == 5
    assert await claim(ledger) == []


async def test_no_job_is_claimed_twice_and_no_queue_exceeds_its_limit(ledger: Ledger, dsn: str) -> None:
    buckets = [f"limit{n}-1250000000" for n in range(4)]
    for bucket in buckets:
        await submit(ledger, 12, bucket=bucket)
        await set_limit(dsn, bucket, 3)
    watcher = await asyncpg.connect(dsn)
    worst = 0
    done: list[str] = []

    async def work() -> None:
        nonlocal worst
        while len(done) < 48:
            for taken in await claim(ledger, 4):
                running = await watch()
                worst = max(worst, running)
                await asyncio.sleep(0.002)
                async with ledger.finishing(taken) as finishing:
                    await finishing.succeed(JobResult(covers=()), [])
                done.append(taken.job.job_id)
            await asyncio.sleep(0)

    lock = asyncio.Lock()

    async def watch() -> int:
        async with lock:
            rows = await watcher.fetch("SELECT count(*) AS n FROM jobs WHERE state = 'Running' GROUP BY queue_id")
        return max((row["n"] for row in rows), default=0)

    await asyncio.gather(*(work() for _ in range(8)))
    await watcher.close()
    assert len(done) == len(set(done)) == 48
    assert worst <= 3


async def test_a_full_queue_keeps_no_other_queue_waiting(ledger: Ledger, dsn: str) -> None:
    for number in range(20):
        bucket = f"full{number}-1250000000"
        await submit(ledger, 2, level=2, bucket=bucket)
        await set_limit(dsn, bucket, 1)
    while await claim(ledger, 50):
        pass
    waiting = await submit(ledger, 1, bucket="free-1250000000")
    assert [c.job.job_id for c in await claim(ledger, 50)] == waiting


async def test_a_paused_queue_starts_nothing(ledger: Ledger, dsn: str) -> None:
    await submit(ledger)
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE queues SET state = 'Paused'")
    assert await claim(ledger) == []
    await connection.execute("UPDATE queues SET state = 'Active'")
    await connection.close()
    assert len(await claim(ledger)) == 1


async def test_a_job_ends_once_together_with_the_callbacks_it_owes(ledger: Ledger) -> None:
    await submit(ledger)
    (taken,) = await claim(ledger)
    result = JobResult(
        covers=(CoverReport("out/0.jpg", "d41d8", 10, 64, 36, 1.5, 0.7, ("sharp",), {"luma": 0.5}),),
        fallback="blurry",
        timings={"look": 0.1},
    )
    owed = delivery()
    async with ledger.finishing(taken) as finishing:
        await finishing.succeed(result, [owed])
        assert await ledger.deliveries(job_id=taken.job.job_id) == [], "nothing is seen before the commit"
    job = await ledger.job(taken.job.job_id)
    assert (job.state, job.result, job.ended_at) == (JobState.SUCCESS, result, finishing.ended_at)
    (stored,) = await ledger.deliveries(job_id=job.job_id)
    assert (stored.delivery_id, stored.body, stored.tries) == (owed.delivery_id, owed.body, 0)
    with pytest.raises(LeaseLost):
        async with ledger.finishing(taken) as again:
            await again.fail("ProcessFailed", "late", [])
    assert (await ledger.job(job.job_id)).state is JobState.SUCCESS


async def test_a_failure_keeps_its_code_and_message(ledger: Ledger) -> None:
    await submit(ledger)
    (taken,) = await claim(ledger)
    async with ledger.finishing(taken) as finishing:
        await finishing.fail("InputUnreadable", "no frame\0 decodes 视频", [delivery()])
    job = await ledger.job(taken.job.job_id)
    assert (job.state, job.code) == (JobState.FAILED, "InputUnreadable")
    assert job.message == "no frame� decodes 视频"


async def test_an_end_that_breaks_off_leaves_neither_end_nor_callback(ledger: Ledger) -> None:
    await submit(ledger)
    (taken,) = await claim(ledger)
    with pytest.raises(ZeroDivisionError):
        async with ledger.finishing(taken) as finishing:
            await finishing.succeed(JobResult(covers=()), [delivery()])
            raise ZeroDivisionError
    with pytest.raises(LedgerError):
        async with ledger.finishing(taken):
            pass  # neither succeed nor fail
    assert (await ledger.job(taken.job.job_id)).state is JobState.RUNNING
    assert await ledger.deliveries(job_id=taken.job.job_id) == []


async def test_of_two_holders_only_the_one_with_the_lease_ends_the_job(ledger: Ledger) -> None:
    await submit(ledger)
    (first,) = await claim(ledger, lease_seconds=0.0)
    assert await ledger.sweep() == 1
    (second,) = await claim(ledger)
    assert second.job.attempt == 2, "a start that ended in silence counts"
    assert await ledger.renew([first.lease_token, second.lease_token], lease_seconds=5) == {second.lease_token}
    with pytest.raises(LeaseLost):
        async with ledger.finishing(first) as finishing:
            await finishing.succeed(JobResult(covers=()), [delivery(1)])
    async with ledger.finishing(second) as finishing:
        await finishing.succeed(JobResult(covers=()), [delivery(2)])
    (owed,) = await ledger.deliveries(job_id=first.job.job_id)
    assert owed.destination == "http://receiver-2.example:80"


async def test_a_lease_that_is_renewed_is_not_swept(ledger: Ledger) -> None:
    await submit(ledger, 2)
    short, kept = await claim(ledger, 2, lease_seconds=0.0)
    assert await ledger.renew([kept.lease_token], lease_seconds=60) == {kept.lease_token}
    assert await ledger.sweep() == 1
    assert (await ledger.job(short.job.job_id)).state is JobState.SUBMITTED
    assert (await ledger.job(kept.job.job_id)).state is JobState.RUNNING


async def test_a_job_handed_back_costs_no_attempt_and_waits_for_its_delay(ledger: Ledger) -> None:
    await submit(ledger)
    (taken,) = await claim(ledger)
    await ledger.hand_back(taken)
    (again,) = await claim(ledger)
    assert again.job.attempt == 1
    await ledger.hand_back(taken)  # the old lease changes nothing
    assert (await ledger.job(taken.job.job_id)).state is JobState.RUNNING
    await ledger.hand_back(again, delay_seconds=60)
    assert await claim(ledger) == []


async def test_jobs_that_were_handed_back_to_wait_go_last_where_asked_for(ledger: Ledger) -> None:
    await submit(ledger, 3, level=2)
    stopped, *held_up = await claim(ledger, 3)
    for one in held_up:
        await ledger.hand_back(one, delay_seconds=0.01, held_up=True)
    await ledger.hand_back(stopped)  # through no failure: it waits for nothing and loses no place
    (late,) = await submit(ledger)
    (elsewhere,) = await submit(ledger, bucket="elsewhere-1250000000")
    await asyncio.sleep(0.02)
    first = await ledger.claim_jobs("w", limit=3, lease_seconds=60, fresh_first=True)
    assert {one.job.job_id for one in first} == {stopped.job.job_id, late, elsewhere}
    rest = await ledger.claim_jobs("w", limit=3, lease_seconds=60, fresh_first=True)
    assert [one.job.job_id for one in rest] == [one.job.job_id for one in held_up], "when nobody else waits"
    for one in rest:
        await ledger.hand_back(one, delay_seconds=0.01, held_up=True)
    await submit(ledger)
    await asyncio.sleep(0.02)
    (in_turn,) = await claim(ledger)
    assert in_turn.job.job_id == held_up[0].job.job_id, "in their order otherwise"


async def test_a_job_may_be_handed_back_with_its_attempt_counted(ledger: Ledger) -> None:
    await submit(ledger)
    (taken,) = await claim(ledger)
    assert await ledger.hand_back(taken, counted=True)
    (again,) = await claim(ledger)
    assert again.job.attempt == 2


async def test_a_job_that_is_held_up_is_known_for_how_long(ledger: Ledger, dsn: str) -> None:
    (job_id,) = await submit(ledger)
    assert await ledger.held_up_seconds(job_id) == 0
    (taken,) = await claim(ledger)
    await ledger.hand_back(taken, delay_seconds=0.2)
    assert await ledger.held_up_seconds(job_id) == 0, "nothing failed"
    await asyncio.sleep(0.2)
    (taken,) = await claim(ledger)
    await ledger.hand_back(taken, delay_seconds=0.5, held_up=True)
    first = await ledger.held_up_seconds(job_id)
    assert 0.5 <= first < 60
    await ledger.hand_back(taken, delay_seconds=60, held_up=True)  # the old lease counts for nothing
    assert await ledger.held_up_seconds(job_id) == first
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE jobs SET not_before = now() - interval '3 days'")  # its queue was paused
    await connection.close()
    (taken,) = await claim(ledger)
    await ledger.hand_back(taken, delay_seconds=300, held_up=True)
    assert 3900 <= await ledger.held_up_seconds(job_id) - first < 3960


async def test_a_jump_of_the_clock_makes_no_short_outage_a_long_one(ledger: Ledger, dsn: str) -> None:
    (job_id,) = await submit(ledger)
    (taken,) = await claim(ledger)
    moved = await ledger_whose_clock_jumped(dsn, "1 hour")
    await moved.hand_back(taken, delay_seconds=10, held_up=True)
    assert 10 <= await moved.held_up_seconds(job_id) <= 130
    await moved.close()


@pytest.mark.parametrize("running", [False, True])
async def test_a_cancelled_job_is_nobodys_any_more(ledger: Ledger, running: bool) -> None:
    (job_id,) = await submit(ledger)
    claims = await claim(ledger) if running else []
    job = await ledger.cancel(BUCKET, job_id)
    assert job.state is JobState.CANCEL
    assert job.ended_at is not None
    assert await claim(ledger) == []
    for taken in claims:
        assert await ledger.renew([taken.lease_token], lease_seconds=5) == frozenset()
        with pytest.raises(LeaseLost):
            async with ledger.finishing(taken) as finishing:
                await finishing.succeed(JobResult(covers=()), [delivery()])
    with pytest.raises(AlreadyFinished):
        await ledger.cancel(BUCKET, job_id)
    with pytest.raises(UnknownJob):
        await ledger.cancel("other-1250000000", job_id)
    assert ledger.cancelled_jobs == 1, "refused cancels are not counted"


async def test_cancelling_while_a_job_ends_gives_one_end(ledger: Ledger) -> None:
    for _ in range(10):
        (job_id,) = await submit(ledger)
        (taken,) = await claim(ledger)

        async def end(held: Claim = taken) -> str:
            try:
                async with ledger.finishing(held) as finishing:
                    await finishing.succeed(JobResult(covers=()), [delivery()])
            except LeaseLost:
                return "lost"
            return "ended"

        async def cancel(wanted: str = job_id) -> str:
            try:
                await ledger.cancel(BUCKET, wanted)
            except AlreadyFinished:
                return "too late"
            return "cancelled"

        outcome = list(await asyncio.gather(end(), cancel()))
        owed = await ledger.deliveries(job_id=job_id)
        state = (await ledger.job(job_id)).state
        assert (outcome, state, len(owed)) in (
            (["ended", "too late"], JobState.SUCCESS, 1),
            (["lost", "cancelled"], JobState.CANCEL, 0),
        )


async def test_a_cancelled_task_leaves_the_ledger_usable(ledger: Ledger) -> None:
    await submit(ledger, 30)
    for _ in range(30):
        task = asyncio.create_task(claim(ledger))
        await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await ledger.ping()
    assert len(await submit(ledger)) == 1


async def test_workers_hear_of_new_jobs_of_free_places_and_of_cancels(ledger: Ledger) -> None:
    async with ledger.listen() as wakeups:
        await wakeups.wait("jobs", 10)  # said once the connection stands
        await submit(ledger, 2)
        async with asyncio.timeout(5):
            await wakeups.wait("jobs", 60)
            (taken,) = await claim(ledger)  # the other one still waits
            async with ledger.finishing(taken) as finishing:
                await finishing.succeed(JobResult(covers=()), [delivery()])
            await wakeups.wait("jobs", 60)
            await wakeups.wait("deliveries", 60)
            (job_id,) = await submit(ledger)
            await ledger.cancel(BUCKET, job_id)
            assert await wakeups.cancelled.get() == job_id


async def test_wake_ups_come_back_after_their_connection_was_cut(ledger: Ledger, dsn: str) -> None:
    async with ledger.listen() as wakeups:
        await wakeups.wait("jobs", 10)
        connection = await asyncpg.connect(dsn)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query ILIKE '%listen%' AND pid <> pg_backend_pid()"
        )
        await connection.close()
        async with asyncio.timeout(10):
            await wakeups.wait("jobs", 60)  # woken once for what was said meanwhile
            await submit(ledger)
            await wakeups.wait("jobs", 60)


@pytest.mark.parametrize("jump", ["1 hour", "-1 hour"])
async def test_a_jump_of_the_clock_loses_no_job(ledger: Ledger, dsn: str, jump: str) -> None:
    """Forward, leases look expired and jobs run again; backward, they last longer. Nothing is lost or ended twice."""
    await submit(ledger)
    (taken,) = await claim(ledger, lease_seconds=5)
    moved = await ledger_whose_clock_jumped(dsn, jump)
    swept = await moved.sweep()
    assert swept == (1 if jump == "1 hour" else 0)
    if swept:
        (again,) = await moved.claim_jobs("worker-2", limit=1, lease_seconds=5)
        with pytest.raises(LeaseLost):
            async with ledger.finishing(taken) as finishing:
                await finishing.succeed(JobResult(covers=()), [])
        taken = again
    async with moved.finishing(taken) as finishing:
        await finishing.succeed(JobResult(covers=()), [delivery()])
    await moved.close()
    assert (await ledger.job(taken.job.job_id)).state is JobState.SUCCESS
    assert len(await ledger.deliveries(job_id=taken.job.job_id)) == 1


async def test_the_database_refuses_every_illegal_move(ledger: Ledger, dsn: str) -> None:
    """A final state is final for the statements of the ledger, whoever calls them."""
    for final in (state for state in JobState if state.final):
        (job_id,) = await submit(ledger)
        (taken,) = await claim(ledger)
        connection = await asyncpg.connect(dsn)
        await connection.execute(
            "UPDATE jobs SET state = $2, ended_at = now(), lease_token = NULL WHERE job_id = $1", job_id, final.value
        )
        await connection.close()
        await ledger.hand_back(taken)
        await ledger.sweep()
        assert await claim(ledger) == []
        with pytest.raises(AlreadyFinished):
            await ledger.cancel(BUCKET, job_id)
        assert (await ledger.job(job_id)).state is final


def test_the_table_of_moves_says_which_states_are_final() -> None:
    assert {state for state in JobState if state.final} == {JobState.SUCCESS, JobState.FAILED, JobState.CANCEL}
    assert all(target in TRANSITIONS for targets in TRANSITIONS.values() for target in targets)


async def test_tokens_come_from_the_maker_that_was_passed_in(dsn: str, ledger: Ledger) -> None:
    fixed = UUID(int=7)
    own = await Ledger.connect(dsn, pool_size=2, make_token=lambda: fixed)
    await submit(own)
    (taken,) = await claim(own)
    assert taken.lease_token == fixed
    await own.close()


@pytest.mark.parametrize("claiming", ["smartcover_claim_jobs", "smartcover_claim_jobs_fresh_first"])
async def test_a_claim_looks_at_no_queue_in_which_nothing_waits(ledger: Ledger, dsn: str, claiming: str) -> None:
    wanted = [await submit(ledger, bucket=f"busy-{number}") for number in range(3)]
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO queues SELECT (jsonb_populate_record(NULL::queues, to_jsonb(one) || jsonb_build_object("
            "    'queue_id', 'p' || number, 'bucket', 'idle' || number"
            "))).* FROM (SELECT * FROM queues LIMIT 1) AS one CROSS JOIN generate_series(1, 500) AS number"
        )
        await connection.execute("ANALYZE queues, jobs")
        for expected in ({job_id for (job_id,) in wanted}, set()):
            async with connection.transaction():
                taken = await connection.fetch(
                    f"SELECT job_id FROM {claiming}('w', 3, $1::uuid[], 60, 16)", [uuid4() for _ in range(3)]
                )
                looks = await connection.fetchval(
                    "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables WHERE relname = 'jobs'"
                )
            assert {row["job_id"] for row in taken} == expected
            assert looks < 40, "of the 503 queues 3 have jobs"
    finally:
        await connection.close()

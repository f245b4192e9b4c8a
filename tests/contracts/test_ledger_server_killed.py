"""A PostgreSQL that is killed under the ledger: what was said is kept, and what broke off is not half done."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
import pytest

from smartcover.errors import LedgerUnavailable
from smartcover.ledger import (
    CallbackTarget,
    CoverSpec,
    EmbeddedPostgres,
    JobResult,
    JobSpec,
    JobState,
    Ledger,
    NewDelivery,
    NewJob,
    OutputSpec,
    upgrade,
)

pytestmark = pytest.mark.timeout(180)

T = TypeVar("T")
BUCKET = "killed-1250000000"
#: Longest outage that is accepted: a restart with crash recovery on a machine that is busy with other tests.
OUTAGE_SECONDS = 30.0


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server of the test's own, which it may kill."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    await upgrade(await server.start())
    yield server
    await server.stop()


@pytest.fixture
async def ledger(postgres: EmbeddedPostgres) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(postgres.dsn, pool_size=6)
    yield opened
    await opened.close()


def kill(postgres: EmbeddedPostgres) -> None:
    """End the server and all its processes at once, as a loss of power to the database would."""
    assert postgres.pid is not None
    backends = Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children").read_text().split()
    for pid in (postgres.pid, *map(int, backends)):
        os.kill(pid, signal.SIGKILL)


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call that fails with `LedgerUnavailable`, the one failure that callers are told to expect."""
    async with asyncio.timeout(OUTAGE_SECONDS):
        while True:
            try:
                return await call()
            except LedgerUnavailable:
                await asyncio.sleep(0.02)


def new_job(queue_id: str) -> NewJob:
    spec = JobSpec(object_key="a", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec())
    return NewJob(f"j{uuid4().hex}", BUCKET, "r", queue_id, spec, CallbackTarget(url="http://receiver.example/"))


def delivery() -> NewDelivery:
    target = CallbackTarget(url="http://receiver.example/")
    return NewDelivery(str(uuid4()), target, "http://receiver.example:80", "application/xml", b"<a/>")


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the server's processes in /proc")


@needs_proc
async def test_each_submit_that_was_answered_is_there_after_the_server_was_killed_under_load(
    postgres: EmbeddedPostgres, ledger: Ledger
) -> None:
    queue = await ledger.default_queue(BUCKET)
    answered: list[str] = []
    unanswered = 0
    stop = asyncio.Event()

    async def submit_for_ever() -> None:
        nonlocal unanswered
        while not stop.is_set():
            try:
                (job,) = await ledger.submit([new_job(queue.queue_id)])
                answered.append(job.job_id)
            except LedgerUnavailable:
                unanswered += 1
                await asyncio.sleep(0.01)

    clients = [asyncio.create_task(submit_for_ever()) for _ in range(4)]
    for _ in range(3):
        enough = len(answered) + 40
        async with asyncio.timeout(OUTAGE_SECONDS):
            while len(answered) < enough:
                await asyncio.sleep(0.005)
        kill(postgres)
    enough = len(answered) + 10
    async with asyncio.timeout(OUTAGE_SECONDS):
        while len(answered) < enough:
            await asyncio.sleep(0.005)
    stop.set()
    await asyncio.gather(*clients)
    assert unanswered, "no kill hit a submit"
    stored = await ledger.jobs(BUCKET, answered)
    assert set(stored) == set(answered)
    assert {job.state for job in stored.values()} == {JobState.SUBMITTED}


@needs_proc
async def test_a_lease_outlives_the_server_and_its_job_ends_once(postgres: EmbeddedPostgres, ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    await ledger.submit([new_job(queue.queue_id)])
    (taken,) = await ledger.claim_jobs("worker-1", limit=1, lease_seconds=60)
    kill(postgres)
    kept = await insist(lambda: ledger.renew([taken.lease_token], lease_seconds=60))
    assert kept == {taken.lease_token}
    async with ledger.finishing(taken) as finishing:
        await finishing.succeed(JobResult(covers=()), [delivery()])
    assert (await ledger.job(taken.job.job_id)).state is JobState.SUCCESS
    assert len(await ledger.deliveries(job_id=taken.job.job_id)) == 1


@needs_proc
async def test_an_end_that_the_kill_cut_off_is_neither_end_nor_callback(
    postgres: EmbeddedPostgres, ledger: Ledger
) -> None:
    queue = await ledger.default_queue(BUCKET)
    await ledger.submit([new_job(queue.queue_id)])
    (taken,) = await ledger.claim_jobs("worker-1", limit=1, lease_seconds=60)
    with pytest.raises(LedgerUnavailable):
        async with ledger.finishing(taken) as finishing:
            await finishing.succeed(JobResult(covers=()), [delivery()])
            kill(postgres)
    job = await insist(lambda: ledger.job(taken.job.job_id))
    assert (job.state, job.ended_at) == (JobState.RUNNING, None)
    assert await ledger.deliveries(job_id=taken.job.job_id) == []
    async with ledger.finishing(taken) as again:
        await again.fail("ProcessFailed", "as before", [delivery()])
    assert len(await ledger.deliveries(job_id=taken.job.job_id)) == 1


@needs_proc
async def test_listeners_hear_again_after_the_server_was_killed(postgres: EmbeddedPostgres, ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    async with ledger.listen() as wakeups:
        await wakeups.wait("jobs", OUTAGE_SECONDS)  # said once the connection stands
        kill(postgres)
        async with asyncio.timeout(OUTAGE_SECONDS):
            await wakeups.wait("jobs", 2 * OUTAGE_SECONDS)  # woken once for what was said meanwhile
            (job,) = await insist(lambda: ledger.submit([new_job(queue.queue_id)]))
            await wakeups.wait("jobs", 2 * OUTAGE_SECONDS)
            await ledger.cancel(BUCKET, job.job_id)
            assert await wakeups.cancelled.get() == job.job_id


async def test_a_ledger_says_unavailable_while_there_is_no_server(postgres: EmbeddedPostgres, ledger: Ledger) -> None:
    await ledger.ping()
    await postgres.stop()
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            await ledger.ping()
        with pytest.raises(LedgerUnavailable):
            await ledger.claim_jobs("worker-1", limit=1, lease_seconds=1)


@needs_proc
@pytest.mark.parametrize(
    "fault",
    [
        asyncpg.InternalClientError("cannot switch to state 11"),  # as asyncpg says it to a connection just killed
        RuntimeError("nobody thought of this one"),
    ],
    ids=["the driver's own", "any other"],
)
async def test_a_fault_while_the_server_is_brought_back_does_not_leave_it_down_for_good(
    postgres: EmbeddedPostgres, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    faults = [fault]
    ask_for_real = EmbeddedPostgres._make_database

    async def ask(server: EmbeddedPostgres) -> None:
        if faults:
            kill(server)
            raise faults.pop()
        await ask_for_real(server)

    monkeypatch.setattr(EmbeddedPostgres, "_make_database", ask)
    kill(postgres)
    await insist(lambda: ledger.default_queue(BUCKET))
    assert not faults, "the server came back unasked"


@pytest.mark.parametrize("steps", range(4))
async def test_a_stop_that_comes_just_when_a_server_that_did_not_answer_ends_is_heard(
    tmp_path: Path, steps: int
) -> None:
    """`steps` is how often the loop went round between the two."""
    ends = asyncio.Event()

    class Server:
        returncode = None
        wait = ends.wait

        def send_signal(self, _number: int) -> None:
            """Take it, and end in one's own time."""

    ending = asyncio.create_task(EmbeddedPostgres(tmp_path)._end(Server()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    ends.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    came_in_time = ending.cancel()
    await asyncio.wait([ending], timeout=10)
    assert ending.cancelled() == came_in_time


@needs_proc
async def test_a_server_killed_before_it_had_noted_its_number_keeps_no_later_one_from_starting(tmp_path: Path) -> None:
    """PostgreSQL refuses to start beside a note without a number; it fears another server that is starting."""
    note = tmp_path / "cluster" / "postmaster.pid"
    server = EmbeddedPostgres(tmp_path)
    try:
        await server.start()
        await server.stop()
        note.write_text("")
        server = EmbeddedPostgres(tmp_path)
        async with asyncio.timeout(OUTAGE_SECONDS):
            dsn = await server.start()
        for left in (note, Path(parse_qs(urlsplit(dsn).query)["host"][0]) / ".s.PGSQL.5432.lock"):
            kill(server)
            left.write_text("")
            pid = server.pid
            async with asyncio.timeout(OUTAGE_SECONDS):
                while server.pid == pid or not await answers(dsn):
                    await asyncio.sleep(0.05)
    finally:
        await server.stop()


async def answers(dsn: str) -> bool:
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
        connection = await asyncpg.connect(dsn, timeout=5)
        await connection.close()
        return True
    return False


async def test_a_lock_that_a_dying_process_still_holds_is_waited_for(tmp_path: Path) -> None:
    """What a killed process had forked a moment before keeps its locks until it runs its own program."""
    server = EmbeddedPostgres(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_FOR_A_MOMENT, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        await server.start()
    finally:
        await server.stop()
        holder.kill()
        holder.wait()
        holder.stdout.close()


HOLD_FOR_A_MOMENT = """
import fcntl, sys, time
lock = open(sys.argv[1], "a+")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(0.3)
lock.close()
time.sleep(60)
"""

FIRST_START = """
import asyncio, sys
from pathlib import Path
from smartcover.ledger import EmbeddedPostgres
asyncio.run(EmbeddedPostgres(Path(sys.argv[1])).start())
"""


@pytest.mark.parametrize("made", ["", "PG_VERSION", "base", "global/pg_control"])
async def test_a_first_start_killed_while_it_makes_the_cluster_is_made_good_by_the_next(
    tmp_path: Path, made: str
) -> None:
    """`made` is the part of the cluster that exists when the kill comes."""

    def begun() -> list[Path]:
        return [draft for draft in tmp_path.glob("cluster.new-*") if (draft / made).exists()]

    process = subprocess.Popen([sys.executable, "-c", FIRST_START, str(tmp_path)])
    try:
        async with asyncio.timeout(OUTAGE_SECONDS):
            while not begun() and process.poll() is None:
                await asyncio.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert list(tmp_path.glob("cluster*")), "nothing had begun when the kill came"
    for _start in range(2):
        # What the killed start had begun may write on for a moment: the start after that clears it away.
        server = EmbeddedPostgres(tmp_path)
        try:
            await upgrade(await server.start())
            ledger = await Ledger.connect(server.dsn, pool_size=1)
            await ledger.default_queue(BUCKET)
            await ledger.close()
        finally:
            await server.stop()
        if not list(tmp_path.glob("cluster.new*")):
            break
    assert not list(tmp_path.glob("cluster.new*"))

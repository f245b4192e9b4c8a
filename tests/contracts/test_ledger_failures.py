"""The ledger's promises while connections break, processes freeze and callers give up, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import asyncpg
import pytest

from smartcover.errors import LeaseLost, LedgerUnavailable
from smartcover.ledger import (
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
    connections,
)
from tests.postgres import cluster

BUCKET = "broken-1250000000"
NOTHING = JobResult(covers=())
SOCKET = ".s.PGSQL.5432"


@pytest.fixture(scope="module")
def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    """A ledger without jobs."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE jobs, queues, deliveries, delivery_attempts CASCADE")
    await connection.close()
    opened = await Ledger.connect(dsn, pool_size=6)
    yield opened
    await opened.close()


async def running(ledger: Ledger, count: int = 1, *, lease_seconds: float = 30.0) -> list[Claim]:
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec(object_key="in/a.mp4", output=OutputSpec("r", BUCKET, "o/${Number}.jpg"), covers=CoverSpec())
    await ledger.submit([NewJob(f"j{uuid4().hex}", BUCKET, "r", queue.queue_id, spec, None) for _ in range(count)])
    return await ledger.claim_jobs("worker-1", limit=count, lease_seconds=lease_seconds)


def owed() -> NewDelivery:
    return NewDelivery(str(uuid4()), CallbackTarget(url="http://r.example/"), "r.example:80", "text/xml", b"<a/>")


async def state_and_callbacks(ledger: Ledger, claim: Claim) -> tuple[JobState, int]:
    job = await ledger.job(claim.job.job_id)
    return job.state, len(await ledger.deliveries(job_id=job.job_id))


class Cutter:
    """
    A relay in front of PostgreSQL that cuts a client off at its next COMMIT, before or after the server hears it.

    `at` is what else marks the message to cut at: a statement without a transaction around it is its own COMMIT.
    """

    def __init__(self, dsn: str, folder: Path) -> None:
        parts = urlsplit(dsn)
        self._server = Path(parse_qs(parts.query)["host"][0]) / SOCKET
        self._folder = folder
        self.dsn = parts._replace(query=f"host={quote(str(folder), safe='')}").geturl()
        self.cut: str | None = None
        self.at = b"COMMIT"
        self._relays: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Cutter:
        self._listener = await asyncio.start_unix_server(self._accept, self._folder / SOCKET)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listener.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)
        await self._listener.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._relays.add(asyncio.create_task(self._relay(reader, writer)))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server: asyncio.StreamWriter
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        silent = asyncio.Event()

        async def answers() -> None:
            while data := await from_server.read(65536):
                if silent.is_set():
                    break
                writer.write(data)

        back = asyncio.create_task(answers())
        try:
            while data := await reader.read(65536):
                if self.cut and self.at in data:
                    silent.set()
                    if self.cut == "after":
                        to_server.write(data)
                        await asyncio.gather(back, return_exceptions=True)
                    break
                to_server.write(data)
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)
            for end in (to_server, writer):
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()


@pytest.fixture
async def cutter(dsn: str) -> AsyncIterator[Cutter]:
    if cluster().embedded is None:
        pytest.skip("the relay speaks to the embedded server's socket")
    with TemporaryDirectory(prefix="smartcover-relay-", dir="/tmp") as folder:
        async with Cutter(dsn, Path(folder)) as relay:
            yield relay


@pytest.mark.parametrize(("cut", "found"), [("before", (JobState.RUNNING, 0)), ("after", (JobState.SUCCESS, 1))])
async def test_a_connection_lost_at_the_commit_leaves_the_end_with_its_callback_or_neither(
    ledger: Ledger, cutter: Cutter, cut: str, found: tuple[JobState, int]
) -> None:
    """The worker cannot know which; it hands back, and the job still ends once."""
    (taken,) = await running(ledger)
    relayed = await Ledger.connect(cutter.dsn, pool_size=1)
    await relayed.ping()
    with pytest.raises(LedgerUnavailable):
        async with relayed.finishing(taken) as finishing:
            await finishing.succeed(NOTHING, [owed()])
            cutter.cut = cut
    cutter.cut = None
    assert await state_and_callbacks(ledger, taken) == found
    await relayed.hand_back(taken)
    await relayed.close()
    for again in await ledger.claim_jobs("worker-2", limit=1, lease_seconds=30):
        async with ledger.finishing(again) as finishing:
            await finishing.succeed(NOTHING, [owed()])
    assert await state_and_callbacks(ledger, taken) == (JobState.SUCCESS, 1)


async def test_a_submit_whose_answer_got_lost_may_have_happened_and_says_so(ledger: Ledger, cutter: Cutter) -> None:
    relayed = await Ledger.connect(cutter.dsn, pool_size=1)
    queue = await relayed.default_queue(BUCKET)
    spec = JobSpec(object_key="a", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec())
    await relayed.submit([NewJob("j-before", BUCKET, "r", queue.queue_id, spec, None)])  # the statement is known now
    cutter.cut, cutter.at = "after", b"j-lost"
    with pytest.raises(LedgerUnavailable):
        await relayed.submit([NewJob("j-lost", BUCKET, "r", queue.queue_id, spec, None)])
    cutter.cut = None
    assert (await relayed.job("j-lost")).state is JobState.SUBMITTED, "the pool has a sound connection again"
    await relayed.close()


async def test_a_server_process_that_dies_before_the_commit_takes_the_end_and_the_callback_along(
    ledger: Ledger, dsn: str
) -> None:
    (taken,) = await running(ledger)
    killer = await asyncpg.connect(dsn)
    with pytest.raises(LedgerUnavailable):
        async with ledger.finishing(taken) as finishing:
            await finishing.succeed(NOTHING, [owed()])
            assert await killer.fetchval(
                "SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
            )
    await killer.close()
    assert await state_and_callbacks(ledger, taken) == (JobState.RUNNING, 0)
    async with ledger.finishing(taken) as finishing:
        await finishing.succeed(NOTHING, [owed()])
    assert await state_and_callbacks(ledger, taken) == (JobState.SUCCESS, 1)


async def test_a_holder_that_freezes_while_it_ends_a_job_loses_it(
    ledger: Ledger, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (taken,) = await running(ledger, lease_seconds=0.0)
    monkeypatch.setitem(connections._SESSION, "idle_in_transaction_session_timeout", "200ms")
    frozen = await Ledger.connect(dsn, pool_size=1)
    with pytest.raises(LedgerUnavailable):
        async with frozen.finishing(taken) as finishing:
            assert await ledger.sweep() == 0, "whoever holds the row is not swept"
            async with asyncio.timeout(10):
                while not await ledger.sweep():
                    await asyncio.sleep(0.02)
            await finishing.succeed(NOTHING, [owed()])
    assert await state_and_callbacks(ledger, taken) == (JobState.SUBMITTED, 0)
    (second,) = await ledger.claim_jobs("worker-2", limit=1, lease_seconds=30)
    with pytest.raises(LeaseLost):
        async with frozen.finishing(taken) as finishing:
            await finishing.succeed(NOTHING, [owed()])
    async with ledger.finishing(second) as finishing:
        await finishing.succeed(NOTHING, [owed()])
    await frozen.close()


async def test_a_job_being_published_keeps_no_other_lease_from_being_renewed(ledger: Ledger, dsn: str) -> None:
    ending, other = await running(ledger, 2, lease_seconds=0.0)
    async with ledger.finishing(ending) as finishing:
        async with asyncio.timeout(2):
            kept = await ledger.renew([ending.lease_token, other.lease_token], lease_seconds=60)
        assert kept == {ending.lease_token, other.lease_token}
        assert await ledger.sweep() == 0
        await finishing.succeed(NOTHING, [])
    assert await ledger.renew([ending.lease_token, other.lease_token], lease_seconds=60) == {other.lease_token}


async def test_submits_do_not_wait_for_claims(ledger: Ledger) -> None:
    queue = await ledger.default_queue(BUCKET)
    async with ledger.database.transaction("a claim that takes its time") as connection:
        held = "SELECT queue_id FROM queues WHERE queue_id = $1 FOR NO KEY UPDATE"  # as smartcover_claim_jobs does
        assert await connection.fetchval(held, queue.queue_id) == queue.queue_id
        async with asyncio.timeout(2):
            await ledger.submit(
                [
                    NewJob(
                        f"j{uuid4().hex}",
                        BUCKET,
                        "r",
                        queue.queue_id,
                        JobSpec(object_key="a", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec()),
                        None,
                    )
                ]
            )


async def test_a_pool_with_no_free_connection_is_an_answer_and_not_a_hang(
    ledger: Ledger, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = connections.Pool.acquire
    monkeypatch.setattr(connections.Pool, "acquire", lambda pool: acquire(pool, timeout=0.1))
    (taken,) = await running(ledger)
    small = await Ledger.connect(dsn, pool_size=1)
    async with small.finishing(taken) as finishing:
        with pytest.raises(LedgerUnavailable):
            await small.ping()
        await finishing.succeed(NOTHING, [])
    await small.ping()
    await small.close()


async def test_a_task_that_is_cancelled_while_it_ends_a_job_leaves_nothing_behind(ledger: Ledger, dsn: str) -> None:
    (taken,) = await running(ledger)
    small = await Ledger.connect(dsn, pool_size=1)
    inside = asyncio.Event()

    async def end(waits_for: Any) -> None:
        async with small.finishing(taken) as finishing:
            await finishing.succeed(NOTHING, [owed()])
            inside.set()
            await waits_for()

    for _ in range(10):
        inside.clear()
        task = asyncio.create_task(end(asyncio.Event().wait))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await state_and_callbacks(ledger, taken) == (JobState.RUNNING, 0)
    assert await small.renew([taken.lease_token], lease_seconds=5) == {taken.lease_token}, "the row is free"
    await small.close()


async def test_a_task_that_is_cancelled_while_it_waits_for_a_row_leaves_its_connection_clean(
    ledger: Ledger, dsn: str
) -> None:
    (taken,) = await running(ledger)
    small = await Ledger.connect(dsn, pool_size=1)
    async with ledger.finishing(taken) as finishing:
        for _ in range(5):
            task = asyncio.create_task(small.cancel(BUCKET, taken.job.job_id))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await small.ping()
        await finishing.succeed(NOTHING, [])
    assert (await small.job(taken.job.job_id)).state is JobState.SUCCESS
    await small.close()


async def test_closing_cuts_off_calls_under_way_and_refuses_later_ones(ledger: Ledger, dsn: str) -> None:
    (taken,) = await running(ledger)
    closed = await Ledger.connect(dsn, pool_size=2)
    async with ledger.finishing(taken) as finishing:
        waiting = asyncio.create_task(closed.cancel(BUCKET, taken.job.job_id))
        await asyncio.sleep(0.05)
        await closed.close()
        with pytest.raises(LedgerUnavailable):
            await waiting
        with pytest.raises(LedgerUnavailable):
            await closed.ping()
        await finishing.succeed(NOTHING, [])
    assert (await ledger.job(taken.job.job_id)).state is JobState.SUCCESS


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    nowhere = await Ledger.connect(f"postgresql://u:p@/d?host={quote(str(tmp_path), safe='')}", pool_size=1)
    with pytest.raises(LedgerUnavailable) as failure:
        await nowhere.ping()
    assert str(tmp_path) not in failure.value.public
    await nowhere.close()


ODD = ("a\0b\\u0000\\\0", "🎬 视频 \u202e", "'; DROP TABLE jobs; --", "x" * (1 << 20))


@pytest.mark.parametrize("text", ODD, ids=["nul", "unicode", "sql", "long"])
async def test_any_text_comes_back_as_it_was_given(ledger: Ledger, text: str) -> None:
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec(
        object_key="in/a.mp4",
        output=OutputSpec("r", BUCKET, "o"),
        covers=CoverSpec(),
        user_data=text,
        smart_cover={"Format": text},
        cos_headers=(("x-cos-meta-a", text),),
    )
    (job,) = await ledger.submit([NewJob(f"j{uuid4().hex}", BUCKET, "r", queue.queue_id, spec, None)])
    shown = text.replace("\0", "\N{REPLACEMENT CHARACTER}")  # PostgreSQL holds no NUL
    spec = replace(spec, user_data=shown, smart_cover={"Format": shown}, cos_headers=(("x-cos-meta-a", shown),))
    assert job.spec == spec
    assert (await ledger.job(job.job_id)).spec == spec
    (taken,) = await ledger.claim_jobs("worker-1", limit=1, lease_seconds=30)
    async with ledger.finishing(taken) as finishing:
        await finishing.fail("ProcessFailed", text + "\udce9", [])
    assert (await ledger.job(job.job_id)).message == shown + "?"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_cannot_hold_never_reaches_the_database(number: float) -> None:
    sound = CoverReport("k", "m", 1, 1, 1, 0.5, 0.5, (), {"luma": 0.5})
    for changes in ({"seconds": number}, {"score": number}, {"signals": {"luma": number}}):
        with pytest.raises(ValueError, match="not finite"):
            replace(sound, **changes)
    for result in ({"duration_seconds": number}, {"timings": {"look": number}}):
        with pytest.raises(ValueError, match="not finite"):
            JobResult(covers=(), **result)

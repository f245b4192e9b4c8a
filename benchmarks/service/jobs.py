"""Jobs end to end: how many a second, and how long a submit and the wait for a start take."""

from __future__ import annotations

import asyncio
import random
import time
from uuid import uuid4

import asyncpg

from benchmarks.service.client import Client
from benchmarks.service.node import Node, load, node, percentile

_WARM_UP = 100


async def throughput(jobs: int, slots: int, covers: int, in_flight: int) -> None:
    """Submit so many jobs, `in_flight` at once, and print how many a second went from submit to callback."""
    async with node() as running:
        _start(running, slots, covers)
        limits = {count: await _bare_commits(running, count) for count in (1, 8)}
        async with Client(running.url) as client:
            await client.put_object()
            await _submit_all(client, running, _WARM_UP, in_flight)
            await running.wait_for_callbacks(_WARM_UP, 60)
            written = await _written(running)
            before, started = running.cpu(), time.time()
            await _submit_all(client, running, jobs, in_flight)
            submitted = time.time()
            ended = await running.wait_for_callbacks(_WARM_UP + jobs, 600)
        after, written_after = running.cpu(), await _written(running)
        rate = jobs / (ended - started)
        cpu = {name: 1000 * (after[name] - before[name]) / jobs for name in after}
        print(f"{jobs} jobs, {covers} covers each, {slots} slots, {in_flight} submits at once, {load()}")
        print(f"  end to end        {rate:6.0f} jobs/s (submits alone {jobs / (submitted - started):.0f}/s)")
        for count, limit in limits.items():
            print(f"  bare inserts      {limit:6.0f} commits/s over {count} connections; ours {rate / limit:.3f} of it")
        print(f"  CPU a job         {sum(cpu.values()):6.2f} ms: " + ", ".join(f"{n} {v:.2f}" for n, v in cpu.items()))
        wal, commits = ((new - old) / jobs for new, old in zip(written_after, written, strict=True))
        print(
            f"  database, a job   {commits:.1f} commits, {wal / 1000:.1f} kB of WAL, checkpoints' full pages included"
        )


async def latency(rate: float, seconds: float, slots: int) -> None:
    """Submit at a rate that nothing slows down, beside the work itself, and print how long submits and starts took."""
    async with node() as running:
        _start(running, slots, 0)
        bare = await _bare_latencies(running, rate, min(seconds, 10.0))
        async with Client(running.url) as client:
            await client.put_object()
            await _submit_all(client, running, _WARM_UP, 8)
            await running.wait_for_callbacks(_WARM_UP, 60)
            chance, waits, tasks, refused = random.Random(1), [], [], []
            begin = asyncio.get_running_loop().time() + 0.1
            due = begin

            async def one(at: float) -> None:
                try:
                    await client.submit(running.callback)
                except RuntimeError as error:  # 503 of a machine that cannot keep up: counted, not hidden
                    refused.append(str(error))
                    return
                waits.append(asyncio.get_running_loop().time() - at)

            while due < begin + seconds:
                await asyncio.sleep(due - asyncio.get_running_loop().time())
                tasks.append(asyncio.create_task(one(due)))
                due += chance.expovariate(rate)
            await asyncio.gather(*tasks)
            await running.wait_for_callbacks(_WARM_UP + len(waits), 120)
        print(f"open loop of {rate:g} submits/s for {seconds:g} s, arrivals at random, {load()}")
        _print("submit, from when it was due", waits)
        _print("bare INSERT and COMMIT at that rate", bare)
        _print("from stored to started", await _starts(running, len(waits)))
        if refused:
            print(f"  {len(refused)} submits were refused, the first so: {refused[0][:200]}")


async def idle_start(jobs: int) -> None:
    """Submit a job now and then to an idle node, and print how long it took from the submit to the start."""
    async with node() as running:
        _start(running, 2, 0)
        chance, sent = random.Random(2), {}
        async with Client(running.url) as client:
            await client.put_object()
            await _submit_all(client, running, 5, 1)
            for _ in range(jobs):
                await asyncio.sleep(chance.uniform(0.2, 0.8))
                at = time.time()
                sent[await client.submit(running.callback)] = at
        connection = await asyncpg.connect(running.dsn)
        rows = await connection.fetch("SELECT job_id, extract(epoch FROM started_at)::float8 AS at FROM jobs")
        await connection.close()
        print(f"{jobs} jobs one by one on an idle node, {load()}")
        _print(
            "from before the submit to started",
            [row["at"] - sent[row["job_id"]] for row in rows if row["job_id"] in sent],
        )


def _start(running: Node, slots: int, covers: int) -> None:
    running.start_receiver()
    running.start_api(queue_max_concurrent=str(max(10, slots)))
    running.start_dispatcher()
    running.start_worker(slots=slots, covers=covers)


async def _submit_all(client: Client, running: Node, jobs: int, in_flight: int) -> None:
    left = iter(range(jobs))

    async def some() -> None:
        for _ in left:
            await client.submit(running.callback)

    await asyncio.gather(*(some() for _ in range(in_flight)))


async def _starts(running: Node, jobs: int) -> list[float]:
    connection = await asyncpg.connect(running.dsn)
    rows = await connection.fetch(
        "SELECT extract(epoch FROM started_at - created_at)::float8 AS wait FROM jobs ORDER BY seq DESC LIMIT $1", jobs
    )
    await connection.close()
    return [row["wait"] for row in rows]


_INSERT = "INSERT INTO bare (id, body) VALUES ($1, $2)"


async def _bare(running: Node) -> asyncpg.Connection[asyncpg.Record]:
    connection = await asyncpg.connect(running.dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS bare (id uuid PRIMARY KEY, body text)")
    return connection


async def _bare_commits(running: Node, connections: int, seconds: float = 3.0) -> float:
    """Give how many rows a second of a job's size the same PostgreSQL stores, each committed by itself."""
    opened = [await _bare(running) for _ in range(connections)]
    end, count = time.perf_counter() + seconds, 0

    async def insert(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        nonlocal count
        while time.perf_counter() < end:
            await connection.execute(_INSERT, uuid4(), "x" * 1000)
            count += 1

    await asyncio.gather(*(insert(connection) for connection in opened))
    for connection in opened:
        await connection.close()
    return count / seconds


async def _bare_latencies(running: Node, rate: float, seconds: float) -> list[float]:
    connection, waits = await _bare(running), []
    for _ in range(int(rate * seconds)):
        at = time.perf_counter()
        await connection.execute(_INSERT, uuid4(), "x" * 1000)
        waits.append(time.perf_counter() - at)
        await asyncio.sleep(max(0.0, 1 / rate - waits[-1]))
    await connection.close()
    return waits


async def _written(running: Node) -> tuple[float, float]:
    """Give the WAL bytes written so far, and the transactions committed."""
    connection = await asyncpg.connect(running.dsn)
    row = await connection.fetchrow(
        "SELECT wal_bytes::float8, xact_commit::float8 FROM pg_stat_wal, pg_stat_database "
        "WHERE datname = current_database()"
    )
    await connection.close()
    return row[0], row[1]


def _print(what: str, seconds: list[float]) -> None:
    marks = ", ".join(f"p{round(share * 100)} {1000 * percentile(seconds, share):.1f}" for share in (0.5, 0.95, 0.99))
    print(f"  {what:36} {marks} ms ({len(seconds)})")

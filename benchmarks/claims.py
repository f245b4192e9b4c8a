"""
How fast no-op jobs drain through our claims, against pgqueuer, under a limit of 20 at once.

    pip install --target /tmp/peer "pgqueuer==1.6.0" asyncpg
    PYTHONPATH=/tmp/peer python -m benchmarks.claims

Both run on one embedded PostgreSQL, in turn, with four workers. Ours does all its bookkeeping (claim with lease and
attempt, lock, finish); pgqueuer claims and completes, and its handler does nothing, though in this product it would
have to write the same job rows too. The bias is in pgqueuer's favour.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from smartcover.ledger import CoverSpec, EmbeddedPostgres, JobResult, JobSpec, Ledger, NewJob, OutputSpec, upgrade

LIMIT = 20
WORKERS = 4
BUCKET = "bench-1250000000"


async def ours(dsn: str, jobs: int) -> float:
    """Give jobs per second through the ledger."""
    ledger = await Ledger.connect(dsn, pool_size=16)
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec(object_key="a", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec())
    for start in range(0, jobs, 100):
        await ledger.submit(
            [NewJob(f"j{uuid4().hex}", BUCKET, "r", queue.queue_id, spec, None) for _ in range(min(100, jobs - start))]
        )
    done = 0

    async def finish(claim: Any) -> None:
        nonlocal done
        async with ledger.finishing(claim) as finishing:
            await finishing.succeed(JobResult(covers=()), [])
        done += 1

    async def work(name: str) -> None:
        while done < jobs:
            claims = await ledger.claim_jobs(name, limit=LIMIT // WORKERS, lease_seconds=30)
            if claims:
                await asyncio.gather(*(finish(claim) for claim in claims))
            else:
                await asyncio.sleep(0.002)

    started = time.perf_counter()
    await asyncio.gather(*(work(f"w{n}") for n in range(WORKERS)))
    seconds = time.perf_counter() - started
    await ledger.close()
    return jobs / seconds


async def pgqueuer(dsn: str, jobs: int) -> float:
    """Give jobs per second through pgqueuer."""
    from pgqueuer import PgQueuer  # type: ignore[import-not-found] # a peer, installed for this run only
    from pgqueuer.db import AsyncpgPoolDriver  # type: ignore[import-not-found]
    from pgqueuer.queries import Queries  # type: ignore[import-not-found]

    done = 0
    finished = asyncio.Event()
    async with asyncpg.create_pool(dsn, min_size=1, max_size=16) as pool:
        queries = Queries.from_asyncpg_pool(pool)
        await queries.enqueue(["noop"] * jobs, [b"x"] * jobs, [0] * jobs)
        queuers = []
        for _ in range(WORKERS):
            queuer = PgQueuer(AsyncpgPoolDriver(pool))

            @queuer.entrypoint("noop", concurrency_limit=LIMIT)  # type: ignore[untyped-decorator] # the peer is no dependency
            async def noop(_: Any) -> None:
                nonlocal done
                done += 1
                if done >= jobs:
                    finished.set()

            queuers.append(queuer)
        started = time.perf_counter()
        tasks = [asyncio.create_task(queuer.run(batch_size=LIMIT // WORKERS)) for queuer in queuers]
        await asyncio.wait_for(finished.wait(), 300)
        seconds = time.perf_counter() - started
        for queuer in queuers:
            queuer.shutdown.set()
        await asyncio.wait(tasks, timeout=30)
    return jobs / seconds


async def run(rounds: int, jobs: int) -> None:
    """Measure in turn and print each round and the ratio of the medians."""
    from pgqueuer.queries import Queries

    with tempfile.TemporaryDirectory(prefix="smartcover-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        dsn = await postgres.start()
        try:
            await upgrade(dsn)
            connection = await asyncpg.connect(dsn)
            await Queries.from_asyncpg_connection(connection).install()
            await connection.close()
            mine, theirs = [], []
            for number in range(rounds):
                # Whoever goes second finds a warmer and a fuller database.
                if number % 2 == 0:
                    mine.append(await ours(dsn, jobs))
                    theirs.append(await pgqueuer(dsn, jobs))
                else:
                    theirs.append(await pgqueuer(dsn, jobs))
                    mine.append(await ours(dsn, jobs))
                print(f"round {number + 1}: ours {mine[-1]:.0f}/s, pgqueuer {theirs[-1]:.0f}/s", flush=True)
        finally:
            await postgres.stop()
    ratio = statistics.median(mine) / statistics.median(theirs)
    load = os.getloadavg()[0]
    print(f"median ours / pgqueuer = {ratio:.2f} ({rounds} x {jobs} jobs, load {load:.1f}, {os.cpu_count()} cores)")


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=600)
    given = parser.parse_args()
    asyncio.run(run(given.rounds, given.jobs))


if __name__ == "__main__":
    main()

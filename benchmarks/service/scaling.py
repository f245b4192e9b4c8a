"""
How work grows with worker slots, shown with jobs that sleep, and what stops it.

The jobs are stored before the clock starts, so that nothing but workers and the database is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from uuid import uuid4

import asyncpg

from benchmarks.service.client import BUCKET, OBJECT, REGION, Client
from benchmarks.service.node import Node, load, node
from smartcover.ledger import CoverSpec, JobSpec, Ledger, NewJob, NotifyConfig, OutputSpec, QueueLimits, QueueState

_SLOTS_OF_ONE_WORKER = 8
_WAITS = """
SELECT coalesce(wait_event_type || ':' || wait_event, 'on the CPU') AS what, count(*) AS backends
FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
GROUP BY 1
"""


async def scaling(slots: list[int], sleep: float, seconds: float) -> None:
    """Print jobs a second by number of worker slots, against slots / sleep, and what the database did meanwhile."""
    async with node() as running:
        running.start_api(queue_max_concurrent=str(max(slots)))
        async with Client(running.url) as client:
            await client.put_object()
        running.stop()  # the jobs are stored directly
        ledger = await Ledger.connect(running.dsn, pool_size=4, queue_limits=QueueLimits(10_000, 1_000_000))
        print(f"jobs that sleep {1000 * sleep:g} ms, workers of up to {_SLOTS_OF_ONE_WORKER} slots, {load()}")
        for count in slots:
            await _round(running, ledger, count, sleep, seconds)
        await ledger.close()


async def _round(running: Node, ledger: Ledger, slots: int, sleep: float, seconds: float) -> None:
    ideal = slots / sleep
    jobs = max(20, int(min(ideal, 400) * seconds))
    queue = await ledger.default_queue(BUCKET)
    await ledger.queues.change(BUCKET, queue.queue_id, name="q", state=QueueState.PAUSED, notify_config=NotifyConfig())
    spec = JobSpec(object_key=OBJECT, output=OutputSpec(REGION, BUCKET, "o"), covers=CoverSpec())
    for start in range(0, jobs, 500):
        await ledger.submit(
            [
                NewJob(f"j{uuid4().hex}", BUCKET, REGION, queue.queue_id, spec, None)
                for _ in range(min(500, jobs - start))
            ]
        )
    workers = [
        running.start_worker(slots=min(_SLOTS_OF_ONE_WORKER, slots - start), sleep=sleep, name=f"worker-{start}")
        for start in range(0, slots, _SLOTS_OF_ONE_WORKER)
    ]
    connection = await asyncpg.connect(running.dsn)
    waits: Counter[str] = Counter()
    cpu, wal = running.cpu(), await connection.fetchval("SELECT wal_bytes FROM pg_stat_wal")
    watching = asyncio.create_task(_watch(running.dsn, waits))
    started = time.perf_counter()
    await ledger.queues.change(BUCKET, queue.queue_id, name="q", state=QueueState.ACTIVE, notify_config=NotifyConfig())
    unfinished = "SELECT EXISTS (SELECT FROM jobs WHERE state IN ('Submitted', 'Running'))"
    async with asyncio.timeout(300):
        while await connection.fetchval(unfinished):
            await asyncio.sleep(0.05)
    spent = time.perf_counter() - started
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    after = running.cpu()
    wal = await connection.fetchval("SELECT wal_bytes FROM pg_stat_wal") - wal
    await connection.close()
    running.stop(*workers)
    cores = {name: (after[name] - cpu.get(name, 0.0)) / spent for name in after}
    of_workers = sum(share for name, share in cores.items() if name.startswith("worker"))
    busiest = ", ".join(f"{what} {number / max(1, sum(waits.values())):.0%}" for what, number in waits.most_common(4))
    print(
        f"  {slots:4} slots: {jobs / spent:6.1f} jobs/s, {jobs / spent / ideal:5.2f} of slots/sleep; cores: "
        f"postgres {cores['postgres']:.2f}, workers {of_workers:.2f}; WAL {float(wal) / jobs / 1000:.1f} kB a job; "
        f"database: {busiest or 'idle'}; {load()}",
        flush=True,
    )


async def _watch(dsn: str, waits: Counter[str]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        while True:
            for row in await connection.fetch(_WAITS):
                waits[row["what"]] += row["backends"]
            await asyncio.sleep(0.1)
    finally:
        with contextlib.suppress(OSError):
            connection.terminate()

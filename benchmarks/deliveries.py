"""
`make bench` or `python -m benchmarks.deliveries`: how many callbacks a second reach receivers on this machine.

The embedded PostgreSQL, one dispatcher and the receivers share the machine. Each delivery is claimed, posted over a
connection of its own and recorded with its attempt, as in the service. The bare limit beside it is the same posts by
aiohttp without a database.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import uuid4

import aiohttp

from smartcover.callbacks import (
    DispatchConfig,
    Dispatcher,
    EgressPolicy,
    HttpConfig,
    HttpSender,
    Schedule,
    destination_of,
)
from smartcover.ledger import (
    CallbackTarget,
    CoverSpec,
    DeliveryState,
    EmbeddedPostgres,
    JobResult,
    JobSpec,
    Ledger,
    NewDelivery,
    NewJob,
    OutputSpec,
    upgrade,
)

BUCKET = "bench-1250000000"
BODY = b"<Response>" + b"x" * 2000 + b"</Response>"

#: A process that answers 200 on as many ports as it is told.
RECEIVERS = """
import asyncio, re, sys

async def answer(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    await reader.readexactly(int(re.search(rb"content-length: *(\\d+)", head.lower())[1]))
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    await writer.drain()
    writer.close()

async def main():
    servers = [await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024) for _ in range(int(sys.argv[1]))]
    print(*[server.sockets[0].getsockname()[1] for server in servers], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def owe(ledger: Ledger, urls: Sequence[str]) -> None:
    """End one job that owes a delivery to each URL."""
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec(object_key="a", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec())
    await ledger.submit([NewJob(f"j{uuid4().hex}", BUCKET, "r", queue.queue_id, spec, None)])
    (claim,) = await ledger.claim_jobs("bench", limit=1, lease_seconds=60)
    targets = [CallbackTarget(url=url) for url in urls]
    owed = [NewDelivery(str(uuid4()), each, destination_of(each), "application/xml", BODY) for each in targets]
    async with ledger.finishing(claim) as finishing:
        await finishing.succeed(JobResult(covers=()), owed)


async def dispatched(ledger: Ledger, urls: Sequence[str]) -> float:
    """Give deliveries per second through the ledger and one dispatcher."""
    await owe(ledger, urls)
    sender = HttpSender(
        HttpConfig(policy=EgressPolicy(allow=("127.0.0.1",)), user_agent="smartcover-bench"),
        now=lambda: datetime.now(UTC),
    )
    config = DispatchConfig(schedule=Schedule((3600.0,)))
    dispatcher = Dispatcher(ledger, {"Url": sender}, config=config, random=Random(1))
    stop = asyncio.Event()
    started = time.perf_counter()
    task = asyncio.create_task(dispatcher.run(stop))
    while await ledger.deliveries(state=DeliveryState.PENDING, limit=1):
        await asyncio.sleep(0.02)
    seconds = time.perf_counter() - started
    stop.set()
    await task
    return len(urls) / seconds


async def bare(urls: Sequence[str]) -> float:
    """Give posts per second by aiohttp alone, 64 at once, each over a connection of its own."""
    gate = asyncio.Semaphore(64)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=0)) as session:

        async def post(url: str) -> None:
            async with gate, session.post(url, data=BODY) as answer:
                await answer.read()

        started = time.perf_counter()
        await asyncio.gather(*(post(url) for url in urls))
        return len(urls) / (time.perf_counter() - started)


async def run(deliveries: int) -> None:
    """Measure with few and many receivers, the bare limit in turn with ours."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {deliveries} deliveries of {len(BODY)} bytes a row")
    with tempfile.TemporaryDirectory(prefix="smartcover-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "postgres")
        dsn = await postgres.start()
        try:
            await upgrade(dsn)
            ledger = await Ledger.connect(dsn)
            for receivers in (1, 8, 100):
                process = subprocess.Popen(
                    [sys.executable, "-c", RECEIVERS, str(receivers)], stdout=subprocess.PIPE, text=True
                )
                assert process.stdout is not None
                ports = process.stdout.readline().split()
                urls = [f"http://127.0.0.1:{ports[n % receivers]}/cb" for n in range(deliveries)]
                limit = await bare(urls)
                ours = await dispatched(ledger, urls)
                process.kill()
                process.wait()
                process.stdout.close()
                print(f"{receivers:4} receivers: {ours:6.0f}/s, {ours / limit:.2f} of aiohttp alone", flush=True)
            await ledger.close()
        finally:
            await postgres.stop()


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=1500)
    asyncio.run(run(parser.parse_args().deliveries))


if __name__ == "__main__":
    main()

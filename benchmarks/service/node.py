"""One node for a run: the embedded PostgreSQL, and the service's roles as processes of their own beside it."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.service.client import BUCKET, REGION, SECRET_ID, SECRET_KEY
from benchmarks.service.processes import Part, cpu_seconds
from smartcover.ledger import EmbeddedPostgres, upgrade


@dataclass(slots=True)
class Node:
    """What runs, and where it answers. `url` and `callback` are empty until their parts are started."""

    folder: Path
    dsn: str
    postgres: EmbeddedPostgres
    parts: list[Part] = field(default_factory=list)
    url: str = ""
    callback: str = ""

    def start(self, name: str, *arguments: str, **settings: str) -> Part:
        """Start a part; what is not said stays at the product's defaults."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("SMARTCOVER_")}
        environment = own | {
            "SMARTCOVER_DATABASE_URL": self.dsn,
            "SMARTCOVER_STORAGE": f"file:{self.folder / 'objects'}",
            "SMARTCOVER_SECRET_ID": SECRET_ID,
            "SMARTCOVER_SECRET_KEY": SECRET_KEY,
            "SMARTCOVER_REGION": REGION,
            "SMARTCOVER_BUCKETS": BUCKET,
            "SMARTCOVER_CALLBACK_ALLOW": "127.0.0.1",
            **{f"SMARTCOVER_{key.upper()}": value for key, value in settings.items()},
        }
        part = Part(name, ["-m", *arguments], self.folder / f"{name}.log", environment)
        self.parts.append(part)
        return part

    def start_api(self, **settings: str) -> None:
        """Start `smartcover api`."""
        self.url = self.start("api", "smartcover", "api", "--port", "0", **settings).line().rpartition(" ")[2]

    def start_receiver(self) -> None:
        """Start the receiver of callbacks."""
        self.callback = f"http://127.0.0.1:{self.start('receiver', 'benchmarks.service.receiver').line()}/covers"

    def start_worker(self, *, slots: int, sleep: float = 0.0, covers: int = 0, name: str = "worker") -> Part:
        """Start a worker whose jobs do nothing."""
        numbers = ("--slots", str(slots), "--sleep", str(sleep), "--covers", str(covers))
        worker = self.start(name, "benchmarks.service.noop_worker", *numbers)
        worker.line()
        return worker

    def start_dispatcher(self) -> None:
        """Start `smartcover dispatcher`."""
        self.start("dispatcher", "smartcover", "dispatcher").line()

    def stop(self, *parts: Part) -> None:
        """Stop some parts, the last started first."""
        for part in reversed(parts or tuple(self.parts)):
            part.stop()
            self.parts.remove(part)

    def cpu(self) -> dict[str, float]:
        """Give the CPU seconds that each part has taken so far, this process as client."""
        assert self.postgres.pid is not None
        found = {"client": time.process_time(), "postgres": sum(cpu_seconds(self.postgres.pid).values())}
        for part in self.parts:
            found[part.name] = found.get(part.name, 0.0) + sum(cpu_seconds(part.pid).values())
        return found

    async def received(self) -> tuple[int, int, float]:
        """Ask the receiver: jobs whose callback came, callbacks that came again, unix time of the last new one."""
        async with aiohttp.ClientSession() as session, session.get(self.callback) as answer:
            jobs, again, last = (await answer.text()).split()
        return int(jobs), int(again), float(last)

    async def wait_for_callbacks(self, jobs: int, timeout_seconds: float) -> float:
        """Wait until each of so many jobs has called back, and give the unix time when the last one did."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                count, again, last = await self.received()
                if count >= jobs:
                    if again:
                        print(f"  {again} callbacks came twice")
                    return last
                await asyncio.sleep(0.25)


@asynccontextmanager
async def node() -> AsyncIterator[Node]:
    """Run PostgreSQL at the newest schema for as long as the block lasts, and stop every part at its end."""
    with _folder() as folder:
        postgres = EmbeddedPostgres(folder / "postgres")
        dsn = await postgres.start()
        running = Node(folder, dsn, postgres)
        try:
            await upgrade(dsn)
            yield running
        finally:
            running.stop()
            await postgres.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="smartcover-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # started as root, PostgreSQL runs as another user
        yield folder


def load() -> str:
    """Say how busy the machine was over the last minute."""
    return f"load {os.getloadavg()[0]:.1f}"


def percentile(values: list[float], share: float) -> float:
    """Give the value below which that share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]

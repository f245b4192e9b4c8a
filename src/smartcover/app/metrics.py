"""What a process tells Prometheus: its own counters, and what lives in the ledger now."""

from __future__ import annotations

import asyncio
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from smartcover.errors import SmartCoverError
from smartcover.ledger import Census, Database, LiveQueue, PoolUsage, take_census

_log = structlog.get_logger(__name__)

#: Several scrapers, and one that scrapes every second, cost the database one census in this time.
_CENSUS_SECONDS: Final = 5.0
#: Longest wait for it; the page shows what this process knows by itself then.
_PATIENCE_SECONDS: Final = 5.0
#: Queues shown one by one, the fullest; clients make buckets, and each has a queue.
_MOST_QUEUES: Final = 50
_REST: Final = "other"


class Metrics:
    """
    The registry of one process, and the page made of it.

    Args:
        pools: How each pool of database connections is used, by name.
        cancelled_jobs: How many jobs were cancelled through this process.
        folder: Where objects lie; None where a store of its own keeps them.
    """

    def __init__(
        self,
        database: Database,
        pools: Mapping[str, Callable[[], PoolUsage]],
        *,
        cancelled_jobs: Callable[[], int],
        folder: Path | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        self._database = database
        self._ledger = LedgerCollector()
        self._taken_at: float | None = None
        self._taking = asyncio.Lock()
        self._disk = DiskCollector(folder)
        self.registry.register(self._ledger)
        self.registry.register(PoolCollector(pools))
        self.registry.register(CancelCollector(cancelled_jobs))
        self.registry.register(self._disk)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build_info(self.registry)

    async def page(self) -> bytes:
        """Write the page, with a census of the ledger that is a few seconds old at most."""
        async with self._taking:
            if self._taken_at is None or time.monotonic() - self._taken_at >= _CENSUS_SECONDS:
                self._ledger.census, _ = await asyncio.gather(self._census(), self._disk.look())
                self._taken_at = time.monotonic()
        return generate_latest(self.registry)

    async def _census(self) -> Census | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await take_census(self._database)
        except SmartCoverError as error:
            _log.warning("no census for metrics", error=error.public, detail=error.detail)
        except TimeoutError:
            _log.warning("no census for metrics", error=f"no answer within {_PATIENCE_SECONDS:g} seconds")
        return None


async def metrics_without_ledger() -> bytes:
    """Write the page of a process that still waits for its database."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    ProcessCollector(registry=registry)
    build_info(registry)
    return generate_latest(registry)


def build_info(registry: CollectorRegistry) -> None:
    """Tell which smartcover this is."""
    info = Gauge(
        "smartcover_build_info", "Always 1; the labels tell the build.", ["version", "python"], registry=registry
    )
    info.labels(package_version("smartcover"), platform.python_version()).set(1)


class LedgerCollector(Collector):
    """
    What lives in the ledger, as last seen; without a census only that there is none, never old numbers.

    Every process that is scraped shows the same numbers: take their maximum, not their sum.
    """

    def __init__(self) -> None:
        self.census: Census | None = None

    def collect(self) -> Iterable[Metric]:
        """Give the families of the page."""
        census = self.census
        yield GaugeMetricFamily(
            "smartcover_database_up", "Whether the ledger answered the last census.", float(census is not None)
        )
        if census is None:
            return
        yield from _queue_families(census.queues)
        owed = census.deliveries_pending
        for name, text, value in (
            ("deliveries_pending", "Callbacks owed, whether due or waiting for their next try.", owed),
            ("deliveries_in_flight", "Callbacks that a dispatcher is sending.", census.deliveries_in_flight),
            ("deliveries_oldest_seconds", "Age of the oldest callback owed, or 0.", census.oldest_delivery_seconds),
            ("uploads_waiting", "Uploads whose workflow runs have not started.", census.uploads_waiting),
            ("batches_open", "Batches that have not ended.", census.batches_open),
        ):
            yield GaugeMetricFamily(f"smartcover_{name}", text, value)


def _queue_families(queues: Iterable[LiveQueue]) -> Iterable[Metric]:
    labels = ("bucket", "queue")
    jobs = GaugeMetricFamily(
        "smartcover_jobs",
        f"Jobs that have not ended, by queue and state; queues after the {_MOST_QUEUES} fullest count as {_REST}.",
        labels=(*labels, "state"),
    )
    oldest = GaugeMetricFamily(
        "smartcover_jobs_oldest_waiting_seconds", "Age of the oldest waiting job, 0 without one.", labels=labels
    )
    paused = GaugeMetricFamily("smartcover_queue_paused", "Whether the queue is paused by its owner.", labels=labels)
    shown = list(queues)
    rest = shown[_MOST_QUEUES:]
    for queue in shown[:_MOST_QUEUES] + ([_sum(rest)] if rest else []):
        names = (queue.bucket, queue.queue_id)
        jobs.add_metric((*names, "waiting"), queue.waiting)
        jobs.add_metric((*names, "running"), queue.running)
        oldest.add_metric(names, queue.oldest_waiting_seconds)
        paused.add_metric(names, float(queue.paused))
    return jobs, oldest, paused


def _sum(queues: list[LiveQueue]) -> LiveQueue:
    return LiveQueue(
        bucket=_REST,
        queue_id=_REST,
        paused=False,
        waiting=sum(queue.waiting for queue in queues),
        running=sum(queue.running for queue in queues),
        # A queue that its owner paused has old jobs by his will.
        oldest_waiting_seconds=max((q.oldest_waiting_seconds for q in queues if not q.paused), default=0.0),
    )


class PoolCollector(Collector):
    """How the process uses its connections to the database."""

    def __init__(self, pools: Mapping[str, Callable[[], PoolUsage]]) -> None:
        self._pools = pools

    def collect(self) -> Iterable[Metric]:
        """Give the families of the page."""
        connections = GaugeMetricFamily(
            "smartcover_database_pool_connections",
            "Connections to the database by pool, lent (busy) or not (idle).",
            labels=("pool", "state"),
        )
        most = GaugeMetricFamily("smartcover_database_pool_size", "Most connections of the pool.", labels=("pool",))
        waiting = GaugeMetricFamily(
            "smartcover_database_pool_waiting", "Calls that wait for a connection.", labels=("pool",)
        )
        for name, usage_of in self._pools.items():
            usage = usage_of()
            connections.add_metric((name, "busy"), usage.busy)
            connections.add_metric((name, "idle"), usage.idle)
            most.add_metric((name,), usage.most)
            if usage.waiting is not None:
                waiting.add_metric((name,), usage.waiting)
        return connections, most, waiting


class DiskCollector(Collector):
    """The room on the disk of the objects, as last seen; nothing where it does not say."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._looking: asyncio.Task[Room] | None = None
        self.room: Room | None = None

    async def look(self) -> None:
        """See how much room there is now."""
        if self._folder is None:
            return
        if self._looking is None or self._looking.done():  # a share may hang: one thread waits for it and no more
            self._looking = asyncio.create_task(asyncio.to_thread(_room, self._folder))
        self.room = None
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                self.room = await asyncio.shield(self._looking)
        except (OSError, TimeoutError) as error:
            _log.warning("cannot see how much room there is for objects", error=str(error) or type(error).__name__)

    def collect(self) -> Iterable[Metric]:
        """Give the families of the page."""
        if self.room is None:
            return
        for name, text, value in (
            ("free", "Room left on the disk of the objects; uploads end before it is all used.", self.room.free_bytes),
            ("size", "Size of the disk of the objects.", self.room.size_bytes),
        ):
            yield GaugeMetricFamily(f"smartcover_storage_{name}_bytes", text, value)


@dataclass(frozen=True, slots=True)
class Room:
    """What a disk has."""

    free_bytes: int
    size_bytes: int


def _room(folder: Path) -> Room:
    usage = shutil.disk_usage(folder)
    return Room(free_bytes=usage.free, size_bytes=usage.total)


class CancelCollector(Collector):
    """Jobs that clients cancelled; workers end all others, and count those."""

    def __init__(self, cancelled_jobs: Callable[[], int]) -> None:
        self._cancelled_jobs = cancelled_jobs

    def collect(self) -> Iterable[Metric]:
        """Give the family of the page."""
        yield CounterMetricFamily(
            "smartcover_jobs_cancelled",
            "Jobs cancelled by calls to this process, one by one or with their batch.",
            float(self._cancelled_jobs()),
        )


class HouseMetrics:
    """What housekeeping did."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._deleted = Counter(
            "smartcover_retention_deleted",
            "Rows deleted because they were kept long enough.",
            ["kind"],
            registry=registry,
        )
        self._rounds = Counter(
            "smartcover_housekeeping_rounds",
            "Rounds of housekeeping (sweep of the store, retention), by how they ended.",
            ["result"],
            registry=registry,
        )
        for result in ("ok", "failed"):
            self._rounds.labels(result)

    def round_ended(self, gone: Mapping[str, int], *, failed: bool) -> None:
        """Count a round with the rows that it deleted by kind; it failed if database or store cut it short."""
        self._rounds.labels("failed" if failed else "ok").inc()
        for kind, rows in gone.items():
            self._deleted.labels(kind).inc(rows)

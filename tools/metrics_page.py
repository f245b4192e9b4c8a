"""docs/metrics.md: every metric with its labels and meaning, read from the objects that count."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from smartcover.api import HttpMetrics
from smartcover.app.metrics import (
    CancelCollector,
    DiskCollector,
    HouseMetrics,
    LedgerCollector,
    PoolCollector,
    Room,
    build_info,
)
from smartcover.callbacks import DispatchMetrics
from smartcover.ledger import Census, LiveQueue, PoolUsage
from smartcover.worker import WorkerMetrics

_CENSUS = Census([LiveQueue("bucket", "queue", False, 0, 0, 0.0)], 0, 0, 0.0, 0, 0)


def metrics_page() -> str:
    """List every metric by the part that counts it."""
    worker, house, callbacks, http, build = (CollectorRegistry() for _ in range(5))
    WorkerMetrics(worker, slots=1)
    HouseMetrics(house)
    DispatchMetrics(callbacks)
    HttpMetrics(http)
    build_info(build)
    ledger = LedgerCollector()
    ledger.census = _CENSUS
    disk = DiskCollector(None)
    disk.room = Room(free_bytes=1, size_bytes=2)
    pools = PoolCollector({"ledger": lambda: PoolUsage(1, 0, 1, 0)})
    lines = [
        "# Metrics\n",
        "`GET /metrics` in the text format of Prometheus: on the port of the API (`serve`, `api`), and of a worker or "
        "dispatcher on `--metrics-port`. A process shows what its own roles count; what lives in the ledger is the "
        "same on every process, so take `max`, not `sum`, of it over processes. Besides these there are the usual "
        "`process_…` and `python_gc_…` of the client library. A histogram has `_bucket`, `_sum` and `_count`; each "
        "histogram and counter has a gauge `_created` beside it: when it began.\n",
    ]
    for title, found in (
        ("What lives in the ledger (every process)", _families(ledger)),
        ("Jobs (workers)", _counted(worker)),
        ("Jobs (APIs)", _families(CancelCollector(lambda: 0))),
        ("Callbacks (dispatchers)", _counted(callbacks)),
        ("HTTP (APIs)", _counted(http)),
        ("The disk of the objects (APIs and workers, where they lie on one)", _families(disk)),
        ("Housekeeping (workers)", _counted(house)),
        ("The process", [*_families(pools), *_counted(build)]),
    ):
        lines += [f"## {title}\n", "| metric | type | labels | meaning |", "|---|---|---|---|"]
        lines += [f"| `{name}` | {kind} | {labels} | {text} |" for name, kind, labels, text in found]
        lines.append("")
    return "\n".join(lines)


def _counted(registry: CollectorRegistry) -> Iterable[tuple[str, str, str, str]]:
    for collector in registry._collector_to_names:
        assert isinstance(collector, MetricWrapperBase)
        (family,) = collector.describe()
        yield _row(family, collector._labelnames)


def _families(collector: Collector) -> Iterable[tuple[str, str, str, str]]:
    for family in collector.collect():
        yield _row(family, [name for sample in family.samples[:1] for name in sample.labels])


def _row(family: Metric, labels: Iterable[str]) -> tuple[str, str, str, str]:
    name = family.name + ("_total" if family.type == "counter" else "")
    return name, family.type, ", ".join(f"`{label}`" for label in labels), family.documentation

"""What a dispatcher counts for Prometheus; an exhausted or refused delivery is what an operator alerts on."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from smartcover.ledger import AttemptReport, DeliveryState

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
#: Broken destinations that are named one by one.
_MOST_SHOWN = 50


class DispatchMetrics:
    """
    Counts tries, their times, ends of deliveries and broken destinations.

    Destinations are a label only while they are broken, and only some of them: clients choose them, and each would be
    a time series of its own for ever.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._tries = Counter(
            "smartcover_callback_tries", "Tries of callbacks by how they ended.", ["outcome"], registry=registry
        )
        self._seconds = Histogram(
            "smartcover_callback_try_seconds", "How long tries took.", buckets=_SECONDS, registry=registry
        )
        self._ends = Counter(
            "smartcover_callback_deliveries",
            "Deliveries that ended: delivered, exhausted (gave up) or refused (may not be called).",
            ["state"],
            registry=registry,
        )
        self._broken = Gauge(
            "smartcover_callback_destinations_broken",
            "Receivers that fail and are left alone between probes.",
            registry=registry,
        )
        self._open = Gauge(
            "smartcover_callback_breaker_open",
            f"1 for a receiver that is left alone between probes; at most {_MOST_SHOWN} at once, none when it is well.",
            ["destination"],
            registry=registry,
        )
        self._shown: set[str] = set()
        for state in (DeliveryState.DELIVERED, DeliveryState.EXHAUSTED, DeliveryState.REFUSED):
            self._ends.labels(state.value)  # shown as 0 from the start, so that the first one is a change

    def tried(self, report: AttemptReport) -> None:
        """Count a try."""
        self._tries.labels(report.outcome).inc()
        self._seconds.observe(report.duration_seconds)

    def ended(self, state: DeliveryState) -> None:
        """Count the end of a delivery."""
        self._ends.labels(state.value).inc()

    def destination_broken(self, destination: str, broken: bool) -> None:
        """Count a destination in or out."""
        self._broken.inc(1 if broken else -1)
        if broken and len(self._shown) < _MOST_SHOWN:
            self._shown.add(destination)
            self._open.labels(destination).set(1)
        elif not broken and destination in self._shown:
            self._shown.discard(destination)
            self._open.remove(destination)

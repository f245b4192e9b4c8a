"""What the HTTP edge counts for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"})


class HttpMetrics:
    """Counts requests by the route that they found, never by path: clients choose those."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "smartcover_http_requests",
            "Requests answered, by route template, method and status; route none found no route.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "smartcover_http_request_seconds",
            "From the request's headers to the end of its answer; uploads and downloads last as long as their client.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge("smartcover_http_requests_in_flight", "Requests under way.", registry=registry)

    def began(self) -> None:
        """Count a request in."""
        self._in_flight.inc()

    def ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count its end; status 0 says that no answer was begun."""
        self._in_flight.dec()
        self._requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(route).observe(seconds)

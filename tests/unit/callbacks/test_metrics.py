"""What the dispatcher counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from smartcover.callbacks import DispatchMetrics
from smartcover.ledger import AttemptReport, DeliveryState


def test_ends_are_shown_as_zero_before_the_first_one() -> None:
    registry = CollectorRegistry()
    DispatchMetrics(registry)
    assert registry.get_sample_value("smartcover_callback_deliveries_total", {"state": "exhausted"}) == 0


def test_tries_ends_and_broken_destinations_are_counted() -> None:
    registry = CollectorRegistry()
    metrics = DispatchMetrics(registry)
    metrics.tried(AttemptReport("timed_out", 15.0))
    metrics.tried(AttemptReport("ok", 0.02, http_status=200))
    metrics.ended(DeliveryState.EXHAUSTED)
    for broken in (True, True, False):
        metrics.destination_broken("http://a:80", broken)
    assert registry.get_sample_value("smartcover_callback_tries_total", {"outcome": "timed_out"}) == 1
    assert registry.get_sample_value("smartcover_callback_try_seconds_count") == 2
    assert registry.get_sample_value("smartcover_callback_deliveries_total", {"state": "exhausted"}) == 1
    assert registry.get_sample_value("smartcover_callback_destinations_broken") == 1

"""/metrics shows what the process counts, and shadows no object of that name."""

from __future__ import annotations

import http.client

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from smartcover.api.probes import OWN_PAGES
from smartcover.callbacks import DispatchMetrics
from smartcover.ledger import DeliveryState
from tests.edge_server import BUCKET, running_edge


def test_the_page_is_among_our_own() -> None:
    assert b"/metrics" in OWN_PAGES


def test_deliveries_are_counted_on_the_page() -> None:
    registry = CollectorRegistry()
    counter = DispatchMetrics(registry)
    counter.ended(DeliveryState.EXHAUSTED)
    with running_edge(metrics=lambda: generate_latest(registry)) as edge:
        status, kind, body = _get(edge.port, "127.0.0.1")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        samples = {
            (sample.name, sample.labels.get("state")): sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
        }
        assert samples[("smartcover_callback_deliveries_total", "exhausted")] == 1
        assert samples[("smartcover_callback_deliveries_total", "delivered")] == 0
        assert _get(edge.port, f"{BUCKET}.cos.local")[0] != 200, "a bucket's object of that name is not ours to show"


def _get(port: int, host: str) -> tuple[int, str | None, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics", headers={"Host": host})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), body

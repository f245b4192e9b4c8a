"""/metrics shows what the process counts, and shadows no object of that name."""

from __future__ import annotations

import http.client

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from smartcover.api import HttpMetrics
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
    with running_edge(page=lambda: generate_latest(registry)) as edge:
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


def test_requests_are_counted_by_the_route_they_found_and_never_by_their_path() -> None:
    registry = CollectorRegistry()
    with running_edge(metrics=HttpMetrics(registry)) as edge:
        for path in ("/readyz", "/no-bucket-of-ours/a-key", "/nothing/here?acl"):
            connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=10)
            connection.request("BREW" if "acl" in path else "GET", path)
            connection.getresponse().read()
            connection.close()
        assert edge.wait_until_idle(10)
    counted = {
        (sample.labels["route"], sample.labels["method"], sample.labels["status"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "smartcover_http_requests_total"
    }
    assert counted[("/readyz", "GET", "200")] == 1
    assert all("a-key" not in route for route, _, _ in counted)
    assert {route for route, _, _ in counted} == {"/readyz", "none"}
    assert any(method == "other" for _, method, _ in counted), "a client's own word for a method is no label"
    assert registry.get_sample_value("smartcover_http_requests_in_flight") == 0


def _get(port: int, host: str) -> tuple[int, str | None, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics", headers={"Host": host})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), body

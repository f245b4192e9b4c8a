"""
The Grafana dashboard and the Prometheus alerts ask for what a server really tells.

Each expression is parsed, and each metric, label and label value in it is looked for in scrapes of real processes that
ran a job, failed others, delivered callbacks, and met a receiver that is broken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.installed import Installation, installed
from tests.roles import Receiver

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/smartcover.json").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
ROLES = ("api", "worker", "dispatcher")

#: Prometheus puts these on every series of a target, and `up` beside them.
TARGET_LABELS = {"job", "instance"}
COUNTING = {"rate", "increase", "irate"}

pytestmark = pytest.mark.timeout(240)


class Scraped:
    """What was scraped: the type of each series' family, and the labels of its samples."""

    def __init__(self) -> None:
        self.types: dict[str, str] = {"up": "gauge"}
        self.samples: dict[str, list[dict[str, str]]] = {"up": [{}]}

    def add(self, page: str) -> None:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                self.types[sample.name] = family.type
                self.samples.setdefault(sample.name, []).append(sample.labels)

    def labels(self, name: str) -> set[str]:
        return {label for held in self.samples[name] for label in held} | TARGET_LABELS


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    receiver = Receiver()
    try:
        with installed(tmp_path_factory.mktemp("scraped"), *ROLES) as here:
            here.submit_clip(receiver.url)
            here.submit("in/none.mp4", receiver.url)
            for _ in range(6):
                here.submit("in/none.mp4", "http://127.0.0.1:1/nobody-listens")
            here.roles.wait_until(lambda: len(receiver.bodies) == 2, "the callbacks do not come")
            here.roles.wait_until(lambda: _breaker_is_open(here), "no breaker opened")
            found = Scraped()
            for role in ROLES:
                found.add(here.get(role, "/metrics")[1])
            yield found
    finally:
        receiver.close()


def _breaker_is_open(here: Installation) -> bool:
    return "smartcover_callback_breaker_open{" in here.get("dispatcher", "/metrics")[1]


def expressions() -> list[tuple[str, str]]:
    shown = [
        (f"panel {panel['title']}", target["expr"])
        for panel in DASHBOARD["panels"]
        for target in panel.get("targets", ())
    ]
    alerts = [(rule["alert"], rule["expr"]) for group in ALERTS["groups"] for rule in group["rules"]]
    return [(where, text.replace("$__rate_interval", "5m").replace("$job", ".+")) for where, text in shown + alerts]


def nodes(expression: Any, inside: tuple[str, ...] = ()) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Walk an expression: each node with the functions around it, the outermost first."""
    yield expression, inside
    if isinstance(expression, promql.Call):
        for argument in expression.args:
            yield from nodes(argument, (*inside, expression.func.name))
    elif isinstance(expression, promql.BinaryExpr):
        yield from nodes(expression.lhs, inside)
        yield from nodes(expression.rhs, inside)
    elif isinstance(expression, promql.MatrixSelector):
        yield from nodes(expression.vector_selector, inside)
    elif isinstance(expression, promql.AggregateExpr | promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        yield from nodes(expression.expr, inside)
    else:
        assert isinstance(expression, promql.VectorSelector | promql.NumberLiteral | promql.StringLiteral), expression


def selectors(expression: Any) -> list[tuple[Any, tuple[str, ...]]]:
    return [(node, inside) for node, inside in nodes(expression) if isinstance(node, promql.VectorSelector)]


@pytest.mark.parametrize(("where", "text"), expressions())
def test_each_expression_asks_for_what_a_server_tells(scraped: Scraped, where: str, text: str) -> None:
    parsed = promql.parse(text)
    found = selectors(parsed)
    assert found
    for selector, _ in found:
        assert selector.name in scraped.samples, f"{where}: no server tells {selector.name}"
        labels = scraped.labels(selector.name)
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels, f"{where}: {selector.name} has no label {matcher.name}, only {labels}"
            if matcher.op == promql.MatchOp.Equal:
                values = {held.get(matcher.name) for held in scraped.samples[selector.name]}
                assert matcher.value in values, f"{where}: {matcher.name} is never {matcher.value}, only {values}"
    for node, _ in nodes(parsed):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            below = set.intersection(*(scraped.labels(selector.name) for selector, _ in selectors(node)))
            assert set(node.modifier.labels) <= below, f"{where}: sums by {node.modifier.labels}, and there are {below}"


@pytest.mark.parametrize(("where", "text"), expressions())
def test_rates_are_of_counters_and_quantiles_of_buckets(scraped: Scraped, where: str, text: str) -> None:
    for selector, inside in selectors(promql.parse(text)):
        counts = scraped.types[selector.name] in ("counter", "histogram")
        counted = bool(COUNTING.intersection(inside))
        assert counts == counted, f"{where}: {selector.name} is a {scraped.types[selector.name]}, inside {inside}"
        if "histogram_quantile" in inside:
            assert selector.name.endswith("_bucket"), f"{where}: a quantile of {selector.name}"
        else:
            assert not selector.name.endswith("_bucket"), f"{where}: buckets without a quantile"
    for node, inside in nodes(promql.parse(text)):
        if isinstance(node, promql.AggregateExpr) and "histogram_quantile" in inside:
            assert node.modifier is not None and "le" in node.modifier.labels, f"{where}: a quantile needs le"


def test_legends_show_labels_that_their_expression_keeps() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) - TARGET_LABELS
            kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))))
            assert wanted <= kept, f"{panel['title']}: {wanted - kept} is in the legend and not in the answer"


def test_the_dashboard_can_be_imported() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == [
        "Is it healthy?",
        "Jobs",
        "Deliveries",
        "Engine",
        "Database",
        "HTTP",
    ]
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"


def test_each_alert_has_its_line_of_what_to_do() -> None:
    page = (ROOT / "docs/operating.md").read_text()
    alerts = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    missing = [rule["alert"] for rule in alerts if f"`{rule['alert']}`" not in page]
    assert not missing, f"docs/operating.md says nothing of {missing}"
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in alerts)

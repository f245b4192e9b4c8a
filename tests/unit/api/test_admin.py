"""The admin API: what the operator's programs read and do, and nobody without the key pair."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from smartcover.ledger import (
    AttemptReport,
    CallbackTarget,
    CoverReport,
    CoverSpec,
    DeliveryState,
    JobResult,
    JobSpec,
    NewDelivery,
    NewJob,
    OutputSpec,
)
from tests.edge_server import BUCKET, SECRET_ID, SECRET_KEY, RunningEdge, running_edge


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    with running_edge() as running:
        yield running


def ask(
    edge: RunningEdge,
    method: str,
    path: str,
    body: Any = None,
    *,
    login: str | None = f"{SECRET_ID}:{SECRET_KEY}",
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=10)
    sent = dict(headers or {})
    if login is not None:
        sent["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    payload = None if body is None else json.dumps(body).encode()
    if payload is not None:
        sent["Content-Type"] = "application/json"
    connection.request(method, path, payload, sent)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text.startswith((b"{", b"[")) else text


async def finish_a_job(edge: RunningEdge, deliveries: int) -> tuple[str, list[str]]:
    ledger = edge.ledger
    spec = JobSpec(object_key="in/a.mp4", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec())
    await ledger.submit([NewJob(f"j{uuid4().hex}", BUCKET, "r", edge.queue_id, spec, None)])
    (taken,) = await ledger.claim_jobs("w", limit=1, lease_seconds=30)
    owed = [
        NewDelivery(str(uuid4()), CallbackTarget(url="http://r/"), "http://r:80", "application/xml", b"<Response/>")
        for _ in range(deliveries)
    ]
    cover = CoverReport("out/0.jpg", "md5", 10, 64, 36, 1.5, 0.7, ("sharp",), {"sharpness": 1.0})
    async with ledger.finishing(taken) as finishing:
        await finishing.succeed(JobResult(covers=(cover,)), owed)
    return taken.job.job_id, [delivery.delivery_id for delivery in owed]


async def exhaust(edge: RunningEdge, delivery_id: str) -> None:
    await edge.ledger.claim_deliveries(limit=100, lease_seconds=30, per_destination=100)
    await edge.ledger.record_attempt(
        delivery_id,
        AttemptReport("http", 0.2, address="203.0.113.9", http_status=500, answer_head=b"no\xff"),
        state=DeliveryState.EXHAUSTED,
        retry_in_seconds=None,
        reason="HTTP 500",
    )


@pytest.mark.parametrize("login", [None, "", "AKIDTEST:wrong", "other:SECRETTEST", "AKIDTEST", "other:other", "-:-"])
def test_nobody_gets_in_without_the_key_pair(edge: RunningEdge, login: str | None) -> None:
    for method, path in (
        ("GET", "/admin/v1/deliveries"),
        ("POST", "/admin/v1/deliveries/redeliver"),
        ("GET", "/admin/v1/openapi.json"),
        ("GET", "/admin/v1/none"),
    ):
        status, answer = ask(edge, method, path, login=login)
        assert (status, answer["code"]) == (401, "AccessDenied")


def test_a_job_shows_its_covers_and_why_and_what_it_owes(edge: RunningEdge) -> None:
    job_id, owed = edge.run(finish_a_job(edge, 1))
    status, job = ask(edge, "GET", f"/admin/v1/jobs/{job_id}")
    assert status == 200
    assert job["result"]["covers"][0]["reasons"] == ["sharp"]
    assert [delivery["delivery_id"] for delivery in job["deliveries"]] == owed
    status, answer = ask(edge, "GET", "/admin/v1/jobs/j-none")
    assert (status, answer["code"]) == (404, "NoSuchJob")


def test_a_delivery_shows_state_reason_next_attempt_and_every_try_and_is_sent_again(edge: RunningEdge) -> None:
    _, (wanted,) = edge.run(finish_a_job(edge, 1))
    edge.run(exhaust(edge, wanted))
    _, shown = ask(edge, "GET", f"/admin/v1/deliveries/{wanted}")
    assert (shown["state"], shown["reason"], shown["next_at"], shown["tries"]) == ("exhausted", "HTTP 500", None, 1)
    assert shown["body"] == "<Response/>"
    assert shown["attempts"][0]["http_status"] == 500
    _, listed = ask(edge, "GET", "/admin/v1/deliveries?state=exhausted")
    assert wanted in [delivery["delivery_id"] for delivery in listed["deliveries"]]
    assert ask(edge, "POST", "/admin/v1/deliveries/redeliver", {"delivery_ids": [wanted]}) == (200, {"redelivered": 1})
    _, again = ask(edge, "GET", f"/admin/v1/deliveries/{wanted}")
    assert (again["state"], len(again["attempts"])) == ("pending", 1)
    assert again["next_at"] is not None


def test_deliveries_come_in_pages_without_gaps(edge: RunningEdge) -> None:
    job_id, owed = edge.run(finish_a_job(edge, 7))
    seen: list[str] = []
    before = ""
    while True:
        _, page = ask(edge, "GET", f"/admin/v1/deliveries?job_id={job_id}&limit=3{before}")
        seen += [delivery["delivery_id"] for delivery in page["deliveries"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert seen == owed[::-1]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/admin/v1/deliveries?limit=0", None),
        ("GET", "/admin/v1/deliveries?state=lost", None),
        ("GET", "/admin/v1/deliveries?since=2026-01-05T10:00:00", None),
        ("GET", "/admin/v1/deliveries/none", None),
        ("POST", "/admin/v1/deliveries/redeliver", {}),
        ("POST", "/admin/v1/deliveries/redeliver", {"everything": True}),
        ("POST", f"/admin/v1/buckets/{BUCKET}/queues", {"name": ""}),
        ("POST", f"/admin/v1/buckets/{BUCKET}/queues", {"name": "q", "limits": {"max_concurrent": 0, "max_size": 1}}),
        ("POST", "/admin/v1/buckets/none-1/queues", {"name": "q"}),
        ("PUT", f"/admin/v1/buckets/{BUCKET}/queues/p0/limits", {"max_concurrent": 1, "max_size": 1}),
        ("DELETE", "/admin/v1/deliveries", None),
        ("GET", "/admin/v1/none", None),
    ],
)
def test_wrong_input_is_refused_with_a_4xx(edge: RunningEdge, method: str, path: str, body: Any) -> None:
    status, answer = ask(edge, method, path, body)
    assert 400 <= status < 500
    assert answer


def test_a_large_body_is_refused_unread(edge: RunningEdge) -> None:
    status, answer = ask(edge, "POST", "/admin/v1/deliveries/redeliver", headers={"Content-Length": "99999999"})
    assert (status, answer["code"]) == (400, "EntityTooLarge")


def test_more_queues_are_made_and_limited(edge: RunningEdge) -> None:
    status, made = ask(
        edge,
        "POST",
        f"/admin/v1/buckets/{BUCKET}/queues",
        {"name": "second", "limits": {"max_concurrent": 2, "max_size": 50}},
    )
    assert status == 201
    assert (made["max_concurrent"], made["max_size"]) == (2, 50)
    path = f"/admin/v1/buckets/{BUCKET}/queues/{made['queue_id']}/limits"
    status, changed = ask(edge, "PUT", path, {"max_concurrent": 3, "max_size": 60})
    assert (status, changed["max_concurrent"]) == (200, 3)
    _, listed = ask(edge, "GET", f"/admin/v1/buckets/{BUCKET}/queues")
    assert made["queue_id"] in [queue["queue_id"] for queue in listed["queues"]]


def test_the_api_describes_itself(edge: RunningEdge) -> None:
    status, description = ask(edge, "GET", "/admin/v1/openapi.json")
    assert status == 200
    assert "/admin/v1/deliveries/redeliver" in description["paths"]


def test_no_object_of_that_name_is_shadowed(edge: RunningEdge) -> None:
    status, _ = ask(edge, "GET", "/admin/v1/deliveries", headers={"Host": f"{BUCKET}.cos.local.myqcloud.com"})
    assert status == 403  # an object call, and not a signed one

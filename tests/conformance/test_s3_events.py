"""Notifications of other stores over HTTP: who may send them, and that each is stored before it is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from smartcover.api import EdgeConfig
from smartcover.ledger import Run, RunFilter, WorkflowContent, WorkflowState
from smartcover.protocol import Tree
from smartcover.worker import TriggerLoop
from tests.edge_server import BUCKET, COS_HOST, REGION, Reply, RunningEdge, build, exchange, running_edge

pytestmark = pytest.mark.ours  # the cloud has no such inlet
TOKEN = "a token of ours"


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    with running_edge(EdgeConfig(region=REGION, default_bucket=BUCKET, events_token=TOKEN)) as running:
        running.run(running.ledger.workflows.add(f"w{uuid4().hex}", BUCKET, waiting_for("in/")))
        yield running


def waiting_for(prefix: str) -> WorkflowContent:
    output: dict[str, Tree] = {"Region": REGION, "Bucket": BUCKET, "Object": "o/${Number}"}
    tree: dict[str, Tree] = {
        "Dependencies": {"Start": "SmartCover_1", "SmartCover_1": "End"},
        "Nodes": {
            "Start": {"Input": {"ObjectPrefix": prefix}},
            "SmartCover_1": {"Type": "SmartCover", "Operation": {"Output": output}},
        },
    }
    return WorkflowContent("flow", WorkflowState.ACTIVE, prefix, tree)


def notification(key: str, sequencer: str, name: str = "s3:ObjectCreated:Put") -> bytes:
    entry = {"key": key, "size": 9, "eTag": "e", "sequencer": sequencer, "contentType": "video/mp4"}
    record = {"eventName": name, "s3": {"bucket": {"name": BUCKET}, "object": entry}}
    return json.dumps({"EventName": name, "Records": [record]}).encode()


def post(edge: RunningEdge, body: bytes, token: str | None = f"Bearer {TOKEN}", host: str = "127.0.0.1") -> Reply:
    headers = {} if token is None else {"Authorization": token}
    return exchange(edge.port, build("POST", "/events/s3", host=host, headers=headers, body=body, signed=False))


def started(edge: RunningEdge, key: str) -> list[Run]:
    """Let the loop do what is stored, and give the runs of an object."""

    async def start_all() -> list[Run]:
        loop = TriggerLoop(edge.ledger, edge.store, new_id=lambda letter: letter + uuid4().hex)
        while await loop.start_one():
            continue
        page = await edge.ledger.workflows.runs(BUCKET, RunFilter(object_part=key), limit=100)
        return list(page.runs)

    return edge.run(start_all())


def test_a_created_object_starts_a_run_and_told_again_none(edge: RunningEdge) -> None:
    body = notification("in/caf%C3%A9+1.mp4", "A1")
    for stored in (1, 0):
        reply = post(edge, body)
        assert reply.status == 200
        assert json.loads(reply.body) == {"objects": 1, "stored": stored}
    (run,) = started(edge, "in/café 1.mp4")
    assert dict(run.cos_headers)["EventName"] == "cos:ObjectCreated:Put"
    assert dict(run.cos_headers)["Content-Type"] == "video/mp4"


def test_a_removed_object_starts_nothing(edge: RunningEdge) -> None:
    assert json.loads(post(edge, notification("in/gone.mp4", "B1", "s3:ObjectRemoved:Delete")).body)["objects"] == 0
    assert started(edge, "in/gone.mp4") == []


def test_an_output_of_ours_starts_nothing(edge: RunningEdge) -> None:
    edge.run(edge.ledger.workflows.note_outputs([(BUCKET, "in/own.mp4", "e")]))
    assert post(edge, notification("in/own.mp4", "C1")).status == 200
    assert started(edge, "in/own.mp4") == []


@pytest.mark.parametrize("token", [None, "Bearer wrong", "Basic abc", "", f"Bearer {TOKEN}x"])
def test_without_the_token_nothing_is_stored(edge: RunningEdge, token: str | None) -> None:
    reply = post(edge, notification("in/refused.mp4", "D1"), token)
    assert (reply.status, reply.code) == (403, "AccessDenied")
    assert started(edge, "in/refused.mp4") == []


def test_the_token_may_come_without_its_scheme(edge: RunningEdge) -> None:
    assert post(edge, notification("in/bare.mp4", "E1"), TOKEN).status == 200


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<xml/>", b'{"Records": [{"eventName": "ObjectCreated:Put"}]}'])
def test_what_is_no_notification_is_refused(edge: RunningEdge, body: bytes) -> None:
    reply = post(edge, body)
    assert reply.status == 400
    assert reply.node("Message")


def test_a_server_without_a_token_takes_nothing() -> None:
    with running_edge(EdgeConfig(region=REGION)) as closed:
        reply = post(closed, notification("in/a.mp4", "F1"), "Bearer ")
        assert reply.status == 403
        assert "SMARTCOVER_EVENTS_TOKEN" in reply.node("Message")


def test_other_methods_are_refused(edge: RunningEdge) -> None:
    reply = exchange(edge.port, build("GET", "/events/s3", host="127.0.0.1", signed=False))
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


def test_no_object_key_is_shadowed(edge: RunningEdge) -> None:
    put: Any = exchange(edge.port, build("PUT", "/events/s3", host=COS_HOST, body=b"mine"))
    assert put.status == 200
    assert exchange(edge.port, build("GET", "/events/s3", host="127.0.0.1")).body == b"mine"

"""Every error becomes a full document with a status of its own; what is not ours tells the client nothing."""

from __future__ import annotations

import socket
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from smartcover import errors
from smartcover.api import EdgeConfig, Probes, create_waiting
from smartcover.api.errors import answer_error
from smartcover.errors import LedgerUnavailable, SmartCoverError
from smartcover.ledger import Job, Ledger
from smartcover.protocol import http_status
from tests.edge_server import CI_HOST, REGION, RunningEdge, build, exchange, running_edge


def every_error() -> list[type[SmartCoverError]]:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SmartCoverError)]
    assert len(found) > 40
    return found


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_document(kind: type[SmartCoverError]) -> None:
    answer = answer_error(kind(), resource="/jobs", request_id="id")
    assert answer.status == http_status(kind.code)
    assert isinstance(answer.body, bytes)
    document = ET.fromstring(answer.body)
    assert [node.tag for node in document] == ["Code", "Message", "Resource", "RequestId"]
    assert all(node.text for node in document)


def test_a_resource_of_any_length_and_characters_makes_a_document() -> None:
    answer = answer_error(errors.BadUri(), resource="/\x00\x1b<&" + "a" * 100_000, request_id="id")
    assert isinstance(answer.body, bytes)
    assert len(answer.body) < 2000
    assert ET.fromstring(answer.body).findtext("Resource")


class BrokenLedger(Ledger):
    """Raises what it is told to."""

    error: Exception = RuntimeError("a secret of the machine room")

    async def jobs(self, bucket: str, job_ids: Sequence[str]) -> dict[str, Job]:
        raise self.error


@pytest.fixture(scope="module")
def broken() -> Iterator[tuple[RunningEdge, BrokenLedger]]:
    with running_edge(EdgeConfig(region=REGION), make_ledger=BrokenLedger) as running:
        assert isinstance(running.ledger, BrokenLedger)
        yield running, running.ledger


ASK = build("GET", "/jobs/j" + "1" * 32, host=CI_HOST)


def test_a_mistake_of_ours_is_an_internal_error_without_its_text(broken: tuple[RunningEdge, BrokenLedger]) -> None:
    edge, ledger = broken
    ledger.error = RuntimeError("a secret of the machine room")
    reply = exchange(edge.port, ASK)
    assert (reply.status, reply.code) == (500, "InternalError")
    assert b"secret" not in reply.body


def test_a_database_that_is_away_asks_to_come_back(broken: tuple[RunningEdge, BrokenLedger]) -> None:
    edge, ledger = broken
    ledger.error = LedgerUnavailable(detail="10.1.2.3:5432 refused")
    reply = exchange(edge.port, ASK)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "ServiceUnavailable", "1")
    assert b"10.1.2.3" not in reply.body


def test_a_client_that_does_not_read_is_dropped() -> None:
    config = EdgeConfig(region=REGION, write_stall_timeout_seconds=0.3)
    with running_edge(config) as edge:
        assert exchange(edge.port, build("PUT", "/large", body=b"x" * (16 << 20))).status == 200
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.settimeout(5)
            lazy.connect(("127.0.0.1", edge.port))
            lazy.sendall(build("GET", "/large"))
            assert edge.wait_until_idle(5.0)


async def test_a_server_that_waits_for_its_database_answers_with_the_headers_of_any_other() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    path = "/jobs"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    await create_waiting(Probes({}))({**scope, "headers": [(b"host", CI_HOST.encode())]}, receive, send)
    headers = dict(sent[0]["headers"])
    assert (sent[0]["status"], headers[b"Server"]) == (503, b"tencent-ci")
    assert headers[b"x-cos-request-id"] == headers[b"x-ci-request-id"]
    assert headers[b"x-ci-request-id"] in sent[1]["body"]
    assert headers[b"Date"].endswith(b" GMT")

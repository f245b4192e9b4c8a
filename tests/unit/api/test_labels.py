"""Server, Resource and trace id of refusals: those of the call that was meant, as far as the bytes tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.api.labels import CI_SERVER, COS_SERVER, likely_server, resource_of
from tests.edge_server import BUCKET, CI_HOST, COS_HOST, REGION, Connection, RunningEdge, build, exchange


@pytest.mark.parametrize(
    ("request_bytes", "server"),
    [
        (build("GET", "/jobs", host=CI_HOST, secret_key="WRONG"), "tencent-ci"),
        (build("GET", "/jobs", host=COS_HOST, secret_key="WRONG"), "tencent-ci"),
        (build("GET", "/jobs/j1", host=CI_HOST, signed=False), "tencent-ci"),
        (build("GET", f"/{BUCKET}/queue", host="127.0.0.1", signed=False), "tencent-ci"),
        (build("GET", f"http://{CI_HOST}/jobs", host="127.0.0.1", signed=False), "tencent-ci"),
        (build("GET", "/jobs/%zz", host=CI_HOST), "tencent-ci"),
        (build("DELETE", f"/Workflow/w{'0' * 32}", host=CI_HOST, signed=False), "tencent-ci"),
        (build("GET", "/jobs?tag=%ff", host=CI_HOST), "tencent-ci"),
        (build("GET", "/jobs", host=f"my_videos.ci.{REGION}.myqcloud.com"), "tencent-ci"),
        (build("GET", "/a.txt", secret_key="WRONG"), "tencent-cos"),
        (build("GET", "/jobs/clip.mp4", signed=False), "tencent-cos"),
        (build("GET", "/a%zz"), "tencent-cos"),
        (build("GET", "/", signed=False), "tencent-cos"),
    ],
)
def test_a_refused_call_is_answered_by_the_server_it_was_for(
    edge: RunningEdge, request_bytes: bytes, server: str
) -> None:
    reply = exchange(edge.port, request_bytes)
    assert reply.status in (400, 403)
    assert reply.headers["server"] == server


def test_an_error_of_an_object_call_has_a_trace_id_in_header_and_document(edge: RunningEdge) -> None:
    for request in (build("GET", "/traced-missing"), build("GET", "/a", secret_key="WRONG")):
        reply = exchange(edge.port, request)
        assert reply.headers["x-cos-trace-id"] == reply.node("TraceId") == reply.headers["x-cos-request-id"]
    head = exchange(edge.port, build("HEAD", "/traced-missing"), method="HEAD")
    assert head.headers["x-cos-trace-id"] == head.headers["x-cos-request-id"]


def test_neither_a_ci_call_nor_a_success_has_a_trace_id(edge: RunningEdge) -> None:
    for request in (build("GET", "/jobs?size=0", host=CI_HOST), build("PUT", "/traced", body=b"x")):
        reply = exchange(edge.port, request)
        assert "x-cos-trace-id" not in reply.headers
        assert b"TraceId" not in reply.body


@pytest.mark.parametrize(
    ("head", "server", "resource"),
    [
        (build("PUT", "/broken/%E4%B8%AD", headers={"Transfer-Encoding": "chunked"}), "tencent-cos", "/broken/中"),
        (build("POST", "/jobs", host=CI_HOST, headers={"Transfer-Encoding": "chunked"}), "tencent-ci", "/jobs"),
    ],
)
def test_a_broken_chunk_is_answered_with_what_the_request_line_said(
    edge: RunningEdge, head: bytes, server: str, resource: str
) -> None:
    reply = exchange(edge.port, head + b"zz\r\n")
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert (reply.headers["server"], reply.node("Resource")) == (server, resource)
    assert reply.headers["x-cos-request-id"] == reply.node("RequestId")


def test_a_body_that_ends_early_is_answered_with_what_the_request_line_said(edge: RunningEdge) -> None:
    with Connection(edge.port) as connection:
        connection.send(build("PUT", "/cut-short?x=1", headers={"Content-Length": "10"}) + b"abc")
        connection.finish_sending()
        reply = connection.reply()
    assert (reply.status, reply.code, reply.node("Resource")) == (400, "IncompleteBody", "/cut-short")
    assert reply.headers["server"] == "tencent-cos"
    assert reply.headers["x-cos-trace-id"] == reply.node("TraceId")
    assert reply.names.count("Server") == 1


def test_what_was_never_read_as_a_request_tells_no_server(edge: RunningEdge) -> None:
    with Connection(edge.port) as connection:
        connection.send(build("PUT", "/before", body=b"x"))
        assert connection.reply().status == 200
        connection.send(b"\x16\x03\x01 nonsense\r\n\r\n")
        reply = connection.reply()
    assert (reply.status, reply.node("Resource"), reply.headers.get("server")) == (400, "/", None)


@given(st.binary(max_size=60), st.binary(max_size=60), st.lists(st.binary(max_size=40), max_size=2))
def test_any_bytes_have_a_server_and_a_resource(target: bytes, query: bytes, hosts: list[bytes]) -> None:
    assert likely_server("GET", target, query, hosts) in (CI_SERVER, COS_SERVER)
    assert resource_of(target)

"""Malformed calls of lists, templates, queues and bindings: each a 4xx with a full error document, and no traceback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from smartcover.api import EdgeConfig
from smartcover.ledger import QueueLimits
from tests.edge_server import (
    BLOCKED_CALLBACK_HOST,
    BUCKET,
    CI_HOST,
    REGION,
    Reply,
    RunningEdge,
    build,
    exchange,
    running_edge,
)

NOWHERE = f"nowhere-1.ci.{REGION}.myqcloud.com"
UNKNOWN_TEMPLATE = "/template/t" + "1" * 32
COVER = "<SmartCover><Count>1</Count></SmartCover>"


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    with running_edge(EdgeConfig(region=REGION, max_templates_per_bucket=2, max_key_bytes=20)) as running:
        yield running


def full_document(reply: Reply) -> bool:
    nodes = ("Code", "Message", "Resource", "RequestId")
    return reply.headers["content-type"] == "application/xml" and all(reply.node(name) for name in nodes)


@pytest.mark.ours
@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("size=0", "size"),
        ("size=-1", "size"),
        ("size=ten", "size"),
        ("size=1%00", "U+0000"),
        ("states=Paused", "states"),
        ("states=Submitted,", None),
        ("states=Submitted;Running", "states"),
        ("orderByTime=Up", "orderByTime"),
        ("nextToken=abc", "nextToken"),
        ("nextToken=" + "9" * 60, "nextToken"),
        ("nextToken=-1", "nextToken"),
        ("nextToken=" + "9" * 36, "nextToken"),
        ("nextToken=%EF%BC%91" * 1, "nextToken"),
        ("startCreationTime=yesterday", "startCreationTime"),
        ("startCreationTime=2026-01-01T00:00:00", "startCreationTime"),
        ("endCreationTime=2026-13-01T00:00:00z", "endCreationTime"),
        ("endCreationTime=0001-01-01T00:00:00%2B0800", "endCreationTime"),
        ("endCreationTime=9999-12-31T23:59:59z", None),
        ("startCreationTime=0001-01-01T00:00:00z", None),
        ("queueId=%00", "queueId"),
        ("inputObject=" + "x" * 5000, None),
    ],
)
def test_a_wrong_parameter_of_a_job_list_is_named(edge: RunningEdge, query: str, named: str | None) -> None:
    reply = exchange(edge.port, build("GET", f"/jobs?tag=SmartCover&{query}", host=CI_HOST))
    if named is None:
        assert reply.status == 200, reply.body
        return
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert named in reply.node("Message")
    assert full_document(reply)


@pytest.mark.ours
@pytest.mark.parametrize(
    "target",
    [
        "/template?pageNumber=0",
        "/template?pageSize=x",
        "/template?category=Mine",
        "/template?ids=" + ",".join(f"t{number}" for number in range(101)),
        "/template?name=%00",
        "/queue?pageNumber=-1",
        "/queue?state=Running",
        "/queue?category=Fast",
        "/queue?queueIds=" + ",".join(f"p{number}" for number in range(101)),
        "/mediabucket?pageSize=0",
        "/mediabucket?pageNumber=1e3",
        "/mediabucket?bucketNames=" + ",".join(f"b{number}" for number in range(101)),
    ],
)
def test_a_wrong_parameter_of_another_list_is_refused(edge: RunningEdge, target: str) -> None:
    reply = exchange(edge.port, build("GET", target, host=CI_HOST))
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert full_document(reply)


@pytest.mark.ours
@pytest.mark.parametrize("target", ["/template", "/queue", "/mediabucket", "/jobs"])
def test_the_last_page_of_all_is_empty_and_a_size_over_the_limit_is_cut(edge: RunningEdge, target: str) -> None:
    reply = exchange(
        edge.port, build("GET", f"{target}?pageNumber=999999999&pageSize=999999999&size=1000", host=CI_HOST)
    )
    assert reply.status == 200
    if target != "/jobs":
        assert reply.node("PageSize") == "100"


BODIES = {
    "no body": (b"", "MissingRequestBodyError"),
    "text": (b"hello", "MalformedXML"),
    "another root": (b"<Template/>", "MalformedXML"),
    "a broken end": (b"<Request><Tag>SmartCover</Tag>", "MalformedXML"),
    "a DOCTYPE": (b"<!DOCTYPE a [<!ENTITY b 'c'>]><Request>&b;</Request>", "MalformedXML"),
    "an empty request": (b"<Request/>", "InvalidArgument"),
    "a list of requests": (b"<Request><Name><a/></Name><Name>b</Name></Request>", "InvalidArgument"),
}


@pytest.mark.ours
@pytest.mark.parametrize("case", list(BODIES))
@pytest.mark.parametrize(("method", "target"), [("POST", "/template"), ("PUT", UNKNOWN_TEMPLATE), ("PUT", "/queue/{}")])
def test_a_body_that_is_none_is_refused(edge: RunningEdge, method: str, target: str, case: str) -> None:
    body, code = BODIES[case]
    reply = exchange(edge.port, build(method, target.format(edge.queue_id), host=CI_HOST, body=body))
    assert (reply.status, reply.code) == (400, code)
    assert full_document(reply)


def template(tag: str = "SmartCover", name: str = "n", cover: str = COVER) -> bytes:
    return f"<Request><Tag>{tag}</Tag><Name>{name}</Name>{cover}</Request>".encode()


@pytest.mark.ours
@pytest.mark.parametrize(
    ("body", "named"),
    [
        (template(tag="Transcode"), "Request.Tag"),
        (template(tag=""), "Request.Tag"),
        (template(name=""), "Request.Name"),
        (template(name="a b"), "Request.Name"),
        (template(name="x" * 65), "Request.Name"),
        (template(name="a/b"), "Request.Name"),
        (template(cover=""), "Request.SmartCover"),
        (template(cover="<SmartCover><Count>11</Count></SmartCover>"), "Request.SmartCover.Count"),
        (template(cover="<SmartCover><Count>0</Count></SmartCover>"), "Request.SmartCover.Count"),
        (template(cover="<SmartCover><Width>127</Width></SmartCover>"), "Request.SmartCover.Width"),
        (template(cover="<SmartCover><Height>4097</Height></SmartCover>"), "Request.SmartCover.Height"),
        (template(cover="<SmartCover><Format>gif</Format></SmartCover>"), "Request.SmartCover.Format"),
        (template(cover="<SmartCover><DeleteDuplicates>1</DeleteDuplicates></SmartCover>"), "DeleteDuplicates"),
        (template(cover=COVER + COVER), "Request.SmartCover"),
    ],
)
def test_a_wrong_node_of_a_template_is_named(edge: RunningEdge, body: bytes, named: str) -> None:
    reply = exchange(edge.port, build("POST", "/template", host=CI_HOST, body=body))
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert named in reply.node("Message")


def queue(name: str = "q", state: str = "Active", notify: str = "<State>Off</State>") -> bytes:
    return f"<Request><Name>{name}</Name><State>{state}</State><NotifyConfig>{notify}</NotifyConfig></Request>".encode()


ON = "<State>On</State><Type>Url</Type><Event>TaskFinish</Event>"


@pytest.mark.ours
@pytest.mark.parametrize(
    ("body", "named"),
    [
        (queue(name=""), "Request.Name"),
        (queue(name="名" * 43), "Request.Name"),
        (queue(name="a\tb"), "Request.Name"),
        (queue(state=""), "Request.State"),
        (queue(state="Stopped"), "Request.State"),
        (b"<Request><Name>q</Name><State>Active</State></Request>", "Request.NotifyConfig"),
        (queue(notify=ON), "Request.NotifyConfig.Url"),
        (queue(notify=ON + "<Url>ftp://h/</Url>"), "Request.NotifyConfig.Url"),
        (queue(notify=ON + "<Url>no</Url>"), "Request.NotifyConfig.Url"),
        (queue(notify=ON + f"<Url>http://{BLOCKED_CALLBACK_HOST}/</Url>"), BLOCKED_CALLBACK_HOST),
        (queue(notify="<State>Maybe</State>"), "Request.NotifyConfig.State"),
        (queue(notify=ON.replace("TaskFinish", "Never") + "<Url>http://h/</Url>"), "Request.NotifyConfig.Event"),
        (queue(notify=ON + "<Url>http://h/</Url><ResultFormat>CSV</ResultFormat>"), "ResultFormat"),
        (queue(notify=ON.replace(">Url<", ">Post<") + "<Url>http://h/</Url>"), "Request.NotifyConfig.Type"),
        (queue(notify=ON.replace(">Url<", ">TDMQ<")), "Request.NotifyConfig.MqRegion"),
        (queue(notify=ON + "<Url>http://h/</Url><MqMode>Both</MqMode>"), "Request.NotifyConfig.MqMode"),
    ],
)
def test_a_wrong_node_of_a_queue_is_named_and_changes_nothing(edge: RunningEdge, body: bytes, named: str) -> None:
    before = edge.run(edge.ledger.queue(BUCKET, edge.queue_id))
    reply = exchange(edge.port, build("PUT", f"/queue/{edge.queue_id}", host=CI_HOST, body=body))
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert named in reply.node("Message")
    assert edge.run(edge.ledger.queue(BUCKET, edge.queue_id)) == before


@pytest.mark.ours
@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code"),
    [
        ("DELETE", "/template", None, 405, "MethodNotAllowed"),
        ("GET", UNKNOWN_TEMPLATE, None, 405, "MethodNotAllowed"),
        ("POST", "/queue", b"<Request/>", 405, "MethodNotAllowed"),
        ("DELETE", "/queue/p1", None, 405, "MethodNotAllowed"),
        ("PUT", "/mediabucket", b"", 405, "MethodNotAllowed"),
        ("DELETE", UNKNOWN_TEMPLATE, None, 400, "InvalidArgument"),
        ("DELETE", "/template/%00", None, 400, "InvalidArgument"),
        ("DELETE", "/template/a%2Fb", None, 400, "InvalidArgument"),
        ("PUT", "/template/../x", template(), 400, "NotSupported"),
        ("PUT", "/queue/%E9%98%9F", queue(), 400, "InvalidArgument"),
        ("GET", "/mediabucket/x", None, 400, "NotSupported"),
    ],
)
def test_calls_that_are_none_are_refused(
    edge: RunningEdge, method: str, target: str, body: bytes | None, status: int, code: str
) -> None:
    reply = exchange(edge.port, build(method, target, host=CI_HOST, body=body))
    assert (reply.status, reply.code) == (status, code)
    assert full_document(reply)


@pytest.mark.ours
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/jobs", None),
        ("GET", "/template", None),
        ("POST", "/template", template()),
        ("GET", "/queue", None),
        ("POST", "/mediabucket", b""),
        ("DELETE", "/mediabucket", None),
    ],
)
def test_a_bucket_that_does_not_exist_is_named(edge: RunningEdge, method: str, target: str, body: bytes | None) -> None:
    reply = exchange(edge.port, build(method, target, host=NOWHERE, body=body))
    assert (reply.status, reply.code) == (404, "NoSuchBucket")
    assert full_document(reply)


@pytest.mark.ours
def test_a_bucket_takes_no_more_templates_than_the_setting(edge: RunningEdge) -> None:
    answers = [exchange(edge.port, build("POST", "/template", host=CI_HOST, body=template())) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert "2 templates" in answers[2].node("Message")


@pytest.mark.ours
def test_a_key_longer_than_the_setting_is_refused(edge: RunningEdge) -> None:
    assert exchange(edge.port, build("PUT", "/" + "k" * 20, body=b"x")).status == 200
    reply = exchange(edge.port, build("PUT", "/" + "k" * 21, body=b"x"))
    assert (reply.status, reply.code) == (400, "KeyTooLong")


@pytest.mark.ours
def test_a_full_queue_says_so_with_a_409(edge: RunningEdge) -> None:
    small = edge.run(edge.ledger.queues.add(BUCKET, "small", QueueLimits(1, 1)))
    body = (
        f"<Request><Tag>SmartCover</Tag><QueueId>{small.queue_id}</QueueId><Input><Object>a</Object></Input><Operation>"
        f"<Output><Region>{REGION}</Region><Bucket>{BUCKET}</Bucket><Object>o${{number}}</Object></Output></Operation>"
        f"</Request>"
    ).encode()
    assert exchange(edge.port, build("POST", "/jobs", host=CI_HOST, body=body)).status == 200
    reply = exchange(edge.port, build("POST", "/jobs", host=CI_HOST, body=body))
    assert (reply.status, reply.code) == (409, "QueueFull")
    assert full_document(reply)

"""
What the source of the official Java SDK says that it sends. Nothing here was seen on a wire: all of it is inferred.

Its CI calls go to B.ci.R.myqcloud.com, the token is sent but not signed, cancels have no query, and a job's document
has a BucketName node that no other SDK writes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import pytest

from smartcover.api import EdgeConfig
from tests.edge_server import (
    BUCKET,
    CI_HOST,
    COS_HOST,
    REGION,
    Reply,
    RunningEdge,
    authorization,
    exchange,
    running_edge,
)

pytestmark = pytest.mark.inferred

AGENT = "cos-java-sdk-v5"
OUTPUT = f"<Output><Region>{REGION}</Region><Bucket>{BUCKET}</Bucket><Object>out/${{number}}.jpg</Object></Output>"
JOB = (
    f"<Request><Tag>SmartCover</Tag><BucketName>{BUCKET}</BucketName><Input><Object>in/a.mp4</Object></Input>"
    f"<Operation><SmartCover><Format>jpg</Format><Count>2</Count></SmartCover>{OUTPUT}</Operation></Request>"
)


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    with running_edge(EdgeConfig(region=REGION)) as running:
        yield running


def send(
    edge: RunningEdge,
    method: str,
    target: str,
    body: str | bytes = b"",
    *,
    host: str = CI_HOST,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send a call as the Java client writes it: an unsigned token, and a length also where there is no body."""
    content = body.encode() if isinstance(body, str) else body
    signed = {"Host": host, **(headers or {})}
    if content:
        signed["Content-Type"] = "application/xml" if host == CI_HOST else "application/octet-stream"
    if content or method in ("PUT", "POST", "DELETE"):
        signed["Content-Length"] = str(len(content))
    value = authorization(method, target, signed, header_names=[name.lower() for name in signed])
    sent = {
        **signed,
        "User-Agent": AGENT,
        "x-cos-security-token": "TOKEN",
        "Connection": "Keep-Alive",
        "Authorization": value,
    }
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in sent.items())]
    return exchange(edge.port, "\r\n".join(lines).encode() + b"\r\n\r\n" + content, method=method)


def submitted(edge: RunningEdge) -> str:
    reply = send(edge, "POST", "/jobs", JOB)
    assert (reply.status, reply.node("State")) == (200, "Submitted")
    return reply.node("JobId")


@pytest.mark.call("POST /jobs", "GET /jobs/<ids>", "GET /jobs", sdk="java", evidence="inferred")
def test_a_job_with_the_extra_node_is_made_described_and_listed(edge: RunningEdge) -> None:
    job_id = submitted(edge)
    assert send(edge, "GET", f"/jobs/{job_id}").node("JobId") == job_id
    listed = send(edge, "GET", "/jobs?tag=SmartCover&orderByTime=Desc&size=10&states=All")
    assert job_id in listed.body.decode()


@pytest.mark.call("PUT /jobs/<id>?cancel", sdk="java", evidence="inferred")
def test_a_put_without_a_query_is_a_cancel(edge: RunningEdge) -> None:
    job_id = submitted(edge)
    assert send(edge, "PUT", f"/jobs/{job_id}").status == 200
    assert send(edge, "GET", f"/jobs/{job_id}").node("State") == "Cancel"
    assert send(edge, "PUT", f"/jobs/{job_id}").code == "InvalidArgument"


@pytest.mark.call(
    "POST /template",
    "PUT /template/<id>",
    "GET /template",
    "DELETE /template/<id>",
    sdk="java",
    evidence="inferred",
)
def test_a_template_is_made_changed_listed_and_deleted(edge: RunningEdge) -> None:
    body = "<Request><Tag>SmartCover</Tag><Name>java</Name><SmartCover><Count>2</Count></SmartCover></Request>"
    template_id = send(edge, "POST", "/template", body).node("TemplateId")
    assert send(edge, "PUT", f"/template/{template_id}", body.replace("java", "java-2")).status == 200
    listed = send(edge, "GET", "/template?tag=SmartCover&category=Custom&pageNumber=1&pageSize=10")
    assert listed.node("Name") == "java-2"
    assert send(edge, "DELETE", f"/template/{template_id}").status == 200


@pytest.mark.call("GET /queue", "PUT /queue/<id>", sdk="java", evidence="inferred")
def test_a_queue_is_listed_and_changed(edge: RunningEdge) -> None:
    queue_id = send(edge, "GET", "/queue?state=Active&pageNumber=1&pageSize=10").node("QueueId")
    body = (
        f"<Request><Name>queue-1</Name><QueueID>{queue_id}</QueueID><State>Active</State>"
        "<NotifyConfig><State>Off</State></NotifyConfig></Request>"
    )
    assert send(edge, "PUT", f"/queue/{queue_id}", body).node("State") == "Active"


@pytest.mark.call("GET /mediabucket", sdk="java", evidence="inferred")
def test_bindings_are_listed_on_the_host_of_a_bucket(edge: RunningEdge) -> None:
    reply = send(edge, "GET", f"/mediabucket?regions={REGION}&bucketNames={BUCKET}&pageNumber=1&pageSize=10")
    assert reply.node("BucketId") == BUCKET


@pytest.mark.call(
    "POST /workflow",
    "GET /workflow",
    "DELETE /workflow/<id>",
    "POST /triggerworkflow",
    "GET /workflowexecution",
    "GET /workflowexecution/<id>",
    sdk="java",
    evidence="inferred",
)
def test_a_workflow_is_made_triggered_and_deleted(edge: RunningEdge) -> None:
    body = (
        "<Request><MediaWorkflow><Name>java</Name><State>Paused</State><Topology>"
        "<Dependencies><Start>SmartCover_1</Start><SmartCover_1>End</SmartCover_1></Dependencies><Nodes>"
        "<Start><Type>Start</Type><Input><ObjectPrefix>in/</ObjectPrefix></Input></Start>"
        f"<SmartCover_1><Type>SmartCover</Type><Operation>{OUTPUT}</Operation></SmartCover_1>"
        "</Nodes></Topology></MediaWorkflow></Request>"
    )
    workflow_id = send(edge, "POST", "/workflow", body).node("WorkflowId")
    assert send(edge, "GET", f"/workflow?ids={workflow_id}").node("Name") == "java"
    key = quote("in/视频 a.mp4", safe="")
    run_id = send(edge, "POST", f"/triggerworkflow?workflowId={workflow_id}&object={key}").node("InstanceId")
    assert send(edge, "GET", f"/workflowexecution/{run_id}").node("Object") == "in/视频 a.mp4"
    assert send(edge, "GET", f"/workflowexecution?workflowId={workflow_id}").node("RunId") == run_id
    assert send(edge, "DELETE", f"/workflow/{workflow_id}").status == 200


@pytest.mark.call(
    "POST /inventorytriggerjob",
    "GET /inventorytriggerjob/<id>",
    "GET /inventorytriggerjob",
    "PUT /inventorytriggerjob/<id>?cancel",
    sdk="java",
    evidence="inferred",
)
@pytest.mark.parametrize("query", ["", "?cancel"])
def test_a_batch_is_begun_and_cancelled(edge: RunningEdge, query: str) -> None:
    body = (
        f"<Request><Name>java</Name><Type>Job</Type><BucketName>{BUCKET}</BucketName><Input><Prefix>in/</Prefix></Input>"
        f"<Operation><Tag>SmartCover</Tag><JobParam><SmartCover><Count>2</Count></SmartCover></JobParam>{OUTPUT}"
        "</Operation></Request>"
    )
    batch_id = send(edge, "POST", "/inventorytriggerjob", body).node("JobId")
    assert batch_id in send(edge, "GET", "/inventorytriggerjob?type=Job&size=10").body.decode()
    assert send(edge, "PUT", f"/inventorytriggerjob/{batch_id}{query}").status == 200
    assert send(edge, "GET", f"/inventorytriggerjob/{batch_id}").node("State") == "Cancel"


@pytest.mark.call("PUT /<key>", "GET /<key>", "HEAD /<key>", "DELETE /<key>", sdk="java", evidence="inferred")
def test_an_upload_is_answered_with_the_md5_that_the_client_compares(edge: RunningEdge) -> None:
    digest = hashlib.md5(b"hello")
    md5 = {"Content-MD5": base64.b64encode(digest.digest()).decode()}
    target = "/dir/a%2F%2Fb%20c.txt"  # repeated slashes arrive escaped
    put = send(edge, "PUT", target, b"hello", host=COS_HOST, headers=md5)
    assert put.headers["etag"] == f'"{digest.hexdigest()}"'
    assert send(edge, "GET", target, host=COS_HOST).body == b"hello"
    assert send(edge, "HEAD", target, host=COS_HOST).headers["content-length"] == "5"
    assert send(edge, "DELETE", target, host=COS_HOST).status == 204


def test_a_call_to_the_host_of_objects_is_still_a_call_of_ci(edge: RunningEdge) -> None:
    # setIsDistinguishHost(true) names B.cos.R for CI calls too; CIPicServiceRequests name B.pic.R.
    for host in (COS_HOST, CI_HOST.replace(".ci.", ".pic.")):
        assert send(edge, "GET", "/jobs?tag=SmartCover", host=host).status == 200


def test_a_refusal_is_a_document_that_the_client_reads(edge: RunningEdge) -> None:
    reply = send(edge, "POST", "/jobs", JOB.replace("<Count>2<", "<Count>11<"))
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/xml"  # only application/json would be read as JSON
    assert all(reply.node(name) for name in ("Code", "Message", "Resource", "RequestId"))

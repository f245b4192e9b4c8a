"""What the official Python, Go and Node SDKs were recorded to send, signed again with our key."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.edge_server import (
    BUCKET,
    REGION,
    Connection,
    Reply,
    RunningEdge,
    authorization,
    build,
    exchange,
)
from tests.shared import SHARED
from tools.compatibility import claims

pytestmark = [
    pytest.mark.observed,
    pytest.mark.skipif(SHARED is None, reason="the recorded requests lie beside the checkout and are not there"),
]

RECORDED = SHARED / "spec" / "recorded" if SHARED is not None else Path()
#: Calls of CI, by the first segment of their path.
CI = ("jobs", "template", "queue", "mediabucket", "workflow", "triggerworkflow", "inventorytriggerjob")


@dataclass
class Recorded:
    """One file: the request, the headers in order, and how the recording server found it signed."""

    name: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    signed_without_port: bool

    @classmethod
    def read(cls, path: Path) -> Recorded:
        text = path.read_bytes().decode("utf-8")
        request, _, notes = text.partition("\n# absolute-form target")
        head, _, body = request.partition("\n\n")
        line, *header_lines = head.split("\n")
        method, target, _ = line.split(" ")
        headers = dict(header.split(":", 1) for header in header_lines)
        size = re.fullmatch(r"<(\d+) bytes body>", body.strip())
        content = b"p" * int(size[1]) if size else body.removesuffix("\n").encode()
        return cls(
            name=f"{path.parent.name}/{path.stem}",
            method=method,
            target=target,
            headers={name: value.strip() for name, value in headers.items()},
            body=content,
            signed_without_port="noPort" in notes,
        )

    @property
    def path(self) -> str:
        """The path without scheme, host, bucket and query."""
        path = re.sub(r"^http://[^/]*", "", self.target).partition("?")[0]
        return path.removeprefix(f"/{BUCKET}") or "/"


@dataclass
class Session:
    """Sends recorded requests of one client in order, with ids that exist here put in."""

    edge: RunningEdge
    job_ids: list[str]
    template_id: str
    workflow_id: str = ""
    run_id: str = ""
    batch_id: str = ""
    upload_id: str = ""
    etags: dict[int, str] = field(default_factory=dict)

    def replay(self, recorded: Recorded, **signing: Any) -> Reply:
        """Send a recorded request; `signing` changes how it is signed, to be wrong on purpose."""
        target = re.sub(r"(uploadId=)[^&]*", rf"\g<1>{self.upload_id}", recorded.target)
        for number, job_id in enumerate(self.job_ids, 1):
            target = re.sub(rf"\bj{number}\b", job_id, target)
        target = re.sub(r"\bt1\b", self.template_id, target)
        target = re.sub(r"\bp1\b", self.edge.queue_id, target)
        target = re.sub(r"\bw1\b", self.workflow_id, target)
        target = re.sub(r"\bi1\b", self.run_id, target)
        target = re.sub(r"\bb1\b", self.batch_id, target)
        target = re.sub(r"[?&]q-sign-algorithm=.*", "", target)
        body = recorded.body.replace(b">p1<", f">{self.edge.queue_id}<".encode())
        body = body.replace(b">t1<", f">{self.template_id}<".encode())
        if b"<CompleteMultipartUpload>" in body:
            etags = iter(self.etags[number] for number in sorted(self.etags))
            body = re.sub(rb"<ETag>[^<]*</ETag>", lambda _: f"<ETag>{next(etags)}</ETag>".encode(), body)
        headers = dict(recorded.headers)
        if "Content-Length" in headers:
            headers["Content-Length"] = str(len(body))
        if "Content-MD5" in headers:
            headers["Content-MD5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
        signed = dict(headers)
        host_name = next(name for name in headers if name.lower() == "host")
        if recorded.signed_without_port:
            signed[host_name] = headers[host_name].rpartition(":")[0] or headers[host_name]
        sent_before = headers.pop("Authorization", "") or recorded.target
        names = re.search(r"q-header-list=([^&]*)", sent_before)
        assert names is not None
        value = authorization(
            recorded.method,
            target,
            signed,
            bucket_in_path=BUCKET if f"/{BUCKET}/" in target else None,
            header_names=names[1].split(";"),
            **signing,
        )
        if "Authorization" in recorded.headers:
            headers["Authorization"] = value
        else:
            target += ("&" if "?" in target else "?") + value
        lines = [f"{recorded.method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
        with Connection(self.edge.port) as connection:
            connection.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            reply = connection.reply(method=recorded.method)
        self._remember(target, reply)
        return reply

    def _remember(self, target: str, reply: Reply) -> None:
        if b"<InitiateMultipartUploadResult>" in reply.body:
            self.upload_id, self.etags = reply.node("UploadId"), {}
        part = re.search(r"partNumber=(\d+)", target)
        if part is not None and reply.status == 200:
            self.etags[int(part[1])] = reply.headers["etag"].replace('"', "&quot;")


def expected(recorded: Recorded) -> int:
    """Say the status that the recorded call must get."""
    first = recorded.path[1:].partition("/")[0]
    if "404" in recorded.name and "ERR" not in recorded.name:
        return 404
    if first == "jobs" and recorded.method == "POST" and b"<Input>" not in recorded.body:
        return 400  # a body that was cut short for the recording; what matters is that its signature holds
    if first == "jobs":
        return 200
    if first in CI or first == "workflowexecution":
        return 200
    if recorded.method == "DELETE":
        return 204
    return 206 if "Range" in recorded.headers else 200


def submitted(edge: RunningEdge) -> list[str]:
    body = (
        f"<Request><Tag>SmartCover</Tag><Input><Object>a</Object></Input>"
        f"<Operation><Output><Region>{REGION}</Region><Bucket>{BUCKET}</Bucket><Object>o${{number}}</Object></Output>"
        f"</Operation></Request>"
    ).encode()
    return [exchange(edge.port, build("POST", "/jobs", body=body)).node("JobId") for _ in range(2)]


def saved(edge: RunningEdge) -> str:
    body = b"<Request><Tag>SmartCover</Tag><Name>n</Name><SmartCover/></Request>"
    return exchange(edge.port, build("POST", "/template", body=body)).node("TemplateId")


def defined(edge: RunningEdge) -> tuple[str, str]:
    """Define a paused workflow and start a run of it; give the ids of both."""
    body = (
        "<Request><MediaWorkflow><Name>n</Name><Topology>"
        "<Dependencies><Start>SmartCover_1</Start><SmartCover_1>End</SmartCover_1></Dependencies><Nodes>"
        "<Start><Type>Start</Type><Input><ObjectPrefix>in/</ObjectPrefix></Input></Start>"
        "<SmartCover_1><Type>SmartCover</Type><Operation><Output>"
        f"<Region>{REGION}</Region><Bucket>{BUCKET}</Bucket><Object>o${{number}}</Object>"
        "</Output></Operation></SmartCover_1></Nodes></Topology></MediaWorkflow></Request>"
    ).encode()
    workflow_id = exchange(edge.port, build("POST", "/workflow", body=body)).node("WorkflowId")
    call = build("POST", f"/triggerworkflow?workflowId={workflow_id}&object=a.mp4")
    return workflow_id, exchange(edge.port, call).node("InstanceId")


def begun(edge: RunningEdge) -> str:
    body = (
        "<Request><Name>n</Name><Input><Prefix>in/</Prefix></Input><Operation><Tag>SmartCover</Tag><Output>"
        f"<Region>{REGION}</Region><Bucket>{BUCKET}</Bucket><Object>o${{number}}</Object>"
        "</Output></Operation></Request>"
    ).encode()
    return exchange(edge.port, build("POST", "/inventorytriggerjob", body=body)).node("JobId")


def call_of(recorded: Recorded) -> str:
    """Name the recorded call in the words of docs/compatibility.md."""
    query = recorded.target.partition("?")[2]
    first, _, rest = recorded.path[1:].partition("/")
    if first in CI or first == "workflowexecution":
        if recorded.method == "PUT" and first in ("jobs", "inventorytriggerjob"):
            return f"PUT /{first}/<id>?cancel"
        if recorded.method == "PUT" and re.match("active|paused", query):
            return "PUT /workflow/<id>?active|paused"
        return f"{recorded.method} /{first}" + (("/<ids>" if first == "jobs" else "/<id>") if rest else "")
    place = "/<key>" if recorded.path != "/" else "/"
    if "q-signature" in query:
        return f"{recorded.method} {place} presigned"
    subs = {"uploads": "uploads", "partNumber": "partNumber&uploadId", "uploadId": "uploadId"}
    sub = next((f"?{text}" for name, text in subs.items() if re.search(rf"\b{name}\b", query)), "")
    return f"{recorded.method} {place}{sub}"


FILES = sorted(RECORDED.glob("*/*.txt")) if SHARED is not None else []
SERIES = sorted({(path.parent.name, path.stem.split("-")[1]) for path in FILES})


@pytest.mark.call(
    "POST /jobs",
    "GET /jobs/<ids>",
    "GET /jobs",
    "PUT /jobs/<id>?cancel",
    "POST /template",
    "PUT /template/<id>",
    "GET /template",
    "DELETE /template/<id>",
    "GET /queue",
    "PUT /queue/<id>",
    "GET /mediabucket",
    "POST /workflow",
    "PUT /workflow/<id>",
    "PUT /workflow/<id>?active|paused",
    "GET /workflow",
    "DELETE /workflow/<id>",
    "POST /triggerworkflow",
    "GET /workflowexecution",
    "GET /workflowexecution/<id>",
    "POST /inventorytriggerjob",
    "GET /inventorytriggerjob/<id>",
    "GET /inventorytriggerjob",
    "PUT /inventorytriggerjob/<id>?cancel",
    "HEAD /",
    "GET /",
    "GET /?uploads",
    "PUT /<key>",
    "GET /<key>",
    "GET /<key> presigned",
    "HEAD /<key>",
    "DELETE /<key>",
    "POST /<key>?uploads",
    "PUT /<key>?partNumber&uploadId",
    "POST /<key>?uploadId",
    sdk="python",
    evidence="replayed",
)
@pytest.mark.call(
    "POST /jobs",
    "GET /jobs/<ids>",
    "GET /jobs",
    "PUT /jobs/<id>?cancel",
    "PUT /workflow/<id>?active|paused",
    "POST /triggerworkflow",
    "GET /",
    "GET /?uploads",
    "PUT /<key>",
    "GET /<key>",
    "HEAD /<key>",
    "DELETE /<key>",
    "POST /<key>?uploads",
    "PUT /<key>?partNumber&uploadId",
    "POST /<key>?uploadId",
    sdk="node",
    evidence="replayed",
)
@pytest.mark.call(
    "POST /jobs",
    "GET /jobs/<ids>",
    "GET /jobs",
    "PUT /jobs/<id>?cancel",
    "POST /template",
    "GET /template",
    "GET /queue",
    "PUT /queue/<id>",
    "POST /mediabucket",
    "POST /workflow",
    "PUT /workflow/<id>?active|paused",
    "POST /triggerworkflow",
    "GET /workflowexecution",
    "POST /inventorytriggerjob",
    "PUT /inventorytriggerjob/<id>?cancel",
    "GET /",
    "PUT /<key>",
    "GET /<key>",
    "GET /<key> presigned",
    "HEAD /<key>",
    "POST /<key>?uploads",
    "PUT /<key>?partNumber&uploadId",
    "POST /<key>?uploadId",
    sdk="go",
    evidence="replayed",
)
@pytest.mark.parametrize(("client", "mode"), SERIES, ids=["/".join(series) for series in SERIES])
def test_recorded_calls_are_answered(edge: RunningEdge, client: str, mode: str) -> None:
    session = Session(edge, [], "")
    put_missing_keys(edge, client, mode)
    for path in FILES:
        if (path.parent.name, path.stem.split("-")[1]) != (client, mode):
            continue
        recorded = Recorded.read(path)
        if not session.job_ids or "cancel" in recorded.target:
            session.job_ids = submitted(edge)
        if not session.template_id or "template" in recorded.name:
            session.template_id = saved(edge)
        if "workflow" in recorded.name.lower() or re.search("trigger|inventory", recorded.name.lower()):
            session.workflow_id, session.run_id = defined(edge)
            session.batch_id = begun(edge)
        if "ERR" in recorded.name:
            continue  # how a client reacted to an injected answer
        reply = session.replay(recorded)
        assert reply.status == expected(recorded), (recorded.name, reply.body)
        if reply.status >= 400 and recorded.method != "HEAD":
            assert all(reply.node(name) for name in ("Code", "Message", "Resource", "RequestId"))


def put_missing_keys(edge: RunningEdge, client: str, mode: str) -> None:
    """Put what the series reads; each client made its objects under names of its own."""
    for path in FILES:
        recorded = Recorded.read(path)
        reads = recorded.method in ("GET", "HEAD") and "uploadId" not in recorded.target and "404" not in recorded.name
        if (path.parent.name, path.stem.split("-")[1]) != (client, mode) or not reads or recorded.path == "/":
            continue
        if not recorded.path.startswith(tuple(f"/{word}" for word in CI)):
            assert exchange(edge.port, build("PUT", recorded.path, body=b"hello")).status == 200


def test_the_marks_of_the_replay_name_what_was_recorded() -> None:
    recorded: dict[str, set[str]] = {"python": set(), "node": set(), "go": set()}
    for path in FILES:
        file = Recorded.read(path)
        of_node = "nodejs" in file.headers.get("User-Agent", "")
        client = path.parent.name if path.parent.name in recorded else "node" if of_node else "python"
        if "ERR" not in file.name:
            recorded[client].add(call_of(file))
    marked = {claim.sdk: set(claim.calls) for claim in claims() if Path(__file__).name in claim.where}
    assert marked == recorded


#: How a request is signed wrongly so that it gets the answer whose effect on its client was recorded.
FAULTS: dict[str, dict[str, Any]] = {
    "SignatureDoesNotMatch": {"secret_key": "ANOTHER"},
    "RequestTimeTooSkewed": {"start": int(time.time()) + 7200},
}
FAULTY = [path for path in FILES if any(f"ERR403_{code}" in path.name for code in FAULTS)]


@pytest.mark.parametrize("path", FAULTY, ids=[f"{path.parent.name}/{path.stem}" for path in FAULTY])
def test_a_request_that_was_recorded_with_a_refusal_gets_that_refusal_whole(edge: RunningEdge, path: Path) -> None:
    """
    Clients read four nodes and both request ids: recorded with one missing, Python shows the code `Unknown` and Node
    repeats the call. Ours never misses one.
    """
    recorded = Recorded.read(path)
    code = next(code for code in FAULTS if code in recorded.name)
    reply = Session(edge, ["j0"], "t0").replay(recorded, **FAULTS[code])
    assert (reply.status, reply.node("Code")) == (403, code)
    assert all(reply.node(name) for name in ("Message", "Resource", "RequestId"))
    assert reply.headers["x-cos-request-id"] == reply.headers["x-ci-request-id"] == reply.node("RequestId")

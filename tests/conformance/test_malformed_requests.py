"""
Wrong input, byte for byte on a socket: a 4xx with a full error document at once, and a server that goes on.

The set-up is the real HTTP edge over stores in memory; everything here ends before a store would matter.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from smartcover.api import EdgeConfig
from tests.edge_server import (
    BLOCKED_CALLBACK_HOST,
    BUCKET,
    CI_HOST,
    COS_HOST,
    DAY_SECONDS,
    REGION,
    SECRET_ID,
    Connection,
    RunningEdge,
    authorization,
    build,
    exchange,
    running_edge,
)

pytestmark = pytest.mark.ours

UNKNOWN_JOB = "j" + "1" * 32
LIMIT_SECONDS = 5.0


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    config = EdgeConfig(region=REGION, max_object_bytes=1 << 20, max_xml_bytes=64 << 10, body_idle_timeout_seconds=1.0)
    with running_edge(config) as running:
        yield running


@dataclass(frozen=True)
class Case:
    """What is sent and what must come back."""

    name: str
    request: bytes
    status: int
    code: str
    method: str = "GET"


def submit(body: bytes, **headers: str) -> bytes:
    return build("POST", "/jobs", host=CI_HOST, body=body, headers=headers)


def output_to(bucket: str, pattern: str) -> str:
    return f"<Output><Region>{REGION}</Region><Bucket>{bucket}</Bucket><Object>{pattern}</Object></Output>"


def job(
    *,
    tag: str = "SmartCover",
    cover: str = "",
    output: str = "",
    more: str = "",
    operations: int = 1,
    object_key: str = "in.mp4",
) -> bytes:
    output = output or output_to(BUCKET, "o/${number}.jpg")
    operation = f"<Operation><SmartCover>{cover}</SmartCover>{output}</Operation>" * operations
    return f"<Request><Tag>{tag}</Tag><Input><Object>{object_key}</Object></Input>{operation}{more}</Request>".encode()


def md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def with_authorization(value: str, *, target: str = "/a", host: str = COS_HOST) -> bytes:
    return build("GET", target, host=host, signed=False, headers={"Authorization": value})


def signed_at(start: int, seconds: int) -> str:
    return authorization("GET", "/a", {"Host": COS_HOST}, start=start, seconds=seconds)


NOW = int(time.time())

CASES = [
    # The request line and the headers
    Case("not HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "InvalidArgument"),
    Case("a version of HTTP that does not exist", b"GET / HTTP/9.9.9\r\nHost: x\r\n\r\n", 400, "InvalidArgument"),
    Case("a space in the target", b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidArgument"),
    Case("raw bytes outside ASCII in the target", b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidArgument"),
    Case("a NUL in the target", b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidArgument"),
    Case("a NUL in a header", b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n", 400, "InvalidArgument"),
    Case("a header without a colon", b"GET /a HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 400, "InvalidArgument"),
    Case("no Host", b"GET /a HTTP/1.1\r\n\r\n", 400, "MissingHost"),
    Case("an empty Host", b"GET /a HTTP/1.1\r\nHost:\r\n\r\n", 400, "MissingHost"),
    Case("no Host in HTTP/1.0", b"GET /a HTTP/1.0\r\n\r\n", 400, "MissingHost"),
    Case("a Host that is none", b"GET /a HTTP/1.1\r\nHost: <script>\r\n\r\n", 400, "MissingHost"),
    Case("two Host headers", b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "MissingHost"),
    Case("headers without end", b"GET /a HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 300_000, 400, "InvalidArgument"),
    Case(
        "ten thousand headers",
        b"GET /a HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)) + b"\r\n",
        400,
        "InvalidArgument",
    ),
    Case("a target of 40 KB", build("GET", "/" + "a" * 40_000), 400, "InvalidURI"),
    Case("an asterisk as target", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidURI", "OPTIONS"),
    Case(
        "a CONNECT", b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 400, "InvalidURI", "CONNECT"
    ),
    Case("a target with another scheme", b"GET ftp://x/a HTTP/1.1\r\nHost: x\r\n\r\n", 400, "InvalidURI"),
    Case("an absolute target without host", b"GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", 400, "MissingHost"),
    Case("half a percent escape in the path", build("GET", "/a%2"), 400, "InvalidURI"),
    Case("a percent escape of letters", build("GET", "/a%zz"), 400, "InvalidURI"),
    Case("invalid UTF-8 in the path", build("GET", "/%ff%fe"), 400, "InvalidURI"),
    Case("an overlong UTF-8 slash in the path", build("GET", "/a%c0%af..%c0%afetc"), 400, "InvalidURI"),
    Case("invalid UTF-8 in the query", build("GET", "/?prefix=%ff"), 400, "InvalidURI"),
    Case("half a percent escape in the query", build("GET", "/?prefix=%"), 400, "InvalidURI"),
    Case("a NUL in the key", build("GET", "/a%00b"), 400, "InvalidArgument"),
    Case("a NUL in a parameter", build("GET", "/?prefix=%00"), 400, "InvalidArgument"),
    Case("a key of 851 bytes", build("PUT", "/" + "k" * 851, body=b"x"), 400, "KeyTooLong"),
    # The signature
    Case("no signature", build("GET", "/a", signed=False), 403, "AccessDenied"),
    Case("an empty Authorization", with_authorization(""), 403, "AccessDenied"),
    Case("an Authorization of another scheme", with_authorization("Basic YTpi"), 403, "SignatureDoesNotMatch"),
    Case("a signature cut off", with_authorization(signed_at(NOW, DAY_SECONDS)[:-10]), 403, "SignatureDoesNotMatch"),
    Case(
        "a signature of another path",
        with_authorization(signed_at(NOW, DAY_SECONDS), target="/b"),
        403,
        "SignatureDoesNotMatch",
    ),
    Case(
        "an unknown SecretId",
        with_authorization(signed_at(NOW, DAY_SECONDS).replace(SECRET_ID, "AKIDX")),
        403,
        "InvalidAccessKeyId",
    ),
    Case("an expired signature", with_authorization(signed_at(NOW - 9000, 60)), 403, "AccessDenied"),
    Case("a signature of tomorrow", with_authorization(signed_at(NOW + 86_400, 60)), 403, "RequestTimeTooSkewed"),
    Case(
        "a presigned URL with half its fields",
        build("GET", "/a?q-sign-algorithm=sha1&q-ak=x", signed=False),
        403,
        "SignatureDoesNotMatch",
    ),
    # Framing of bodies
    Case(
        "a length that is no number",
        b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
        400,
        "InvalidArgument",
    ),
    Case(
        "two different lengths",
        b"PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        400,
        "InvalidArgument",
    ),
    Case(
        "a length beside chunks",
        build("PUT", "/a", headers={"Content-Length": "3", "Transfer-Encoding": "chunked"}) + b"0\r\n\r\n",
        400,
        "InvalidArgument",
    ),
    Case(
        "another transfer encoding",
        build("PUT", "/a", headers={"Transfer-Encoding": "gzip"}),
        400,
        "InvalidArgument",
    ),
    Case(
        "a chunk size that is none",
        build("PUT", "/a", headers={"Transfer-Encoding": "chunked"}) + b"zz\r\n",
        400,
        "InvalidArgument",
    ),
    Case("no length", build("PUT", "/a"), 411, "MissingContentLength"),
    Case(
        "more than the limit announced",
        build("PUT", "/a", headers={"Content-Length": str(1 << 40)}),
        400,
        "EntityTooLarge",
    ),
    Case("more than the limit sent", build("PUT", "/a", body=b"x" * ((1 << 20) + 1)), 400, "EntityTooLarge"),
    Case("a body that stops", build("PUT", "/a", headers={"Content-Length": "10"}) + b"12345", 400, "RequestTimeOut"),
    Case("an XML body that never comes", submit(b"", **{"Content-Length": "100"}), 400, "RequestTimeOut"),
    Case(
        "a digest of another body", build("PUT", "/a", body=b"x", headers={"Content-MD5": md5(b"y")}), 400, "BadDigest"
    ),
    Case("a digest that is none", build("PUT", "/a", body=b"x", headers={"Content-MD5": "§§"}), 400, "InvalidDigest"),
    Case("a digest too short", build("PUT", "/a", body=b"x", headers={"Content-MD5": "YWJj"}), 400, "InvalidDigest"),
    Case("the digest of another document", submit(job(), **{"Content-MD5": md5(b"y")}), 400, "BadDigest"),
    Case(
        "aws-chunked", build("PUT", "/a", body=b"x", headers={"Content-Encoding": "aws-chunked"}), 400, "NotSupported"
    ),
    # Submits
    Case("an empty submit", submit(b""), 400, "MissingRequestBodyError"),
    Case("a submit in JSON", submit(b'{"Tag": "SmartCover"}'), 400, "MalformedXML"),
    Case("a submit cut off", submit(job()[:-20]), 400, "MalformedXML"),
    Case(
        "the vendor's sample with its typing error",
        submit(job(more="<CallBackFormat>JSON<CallBackFormat>")),
        400,
        "MalformedXML",
    ),
    Case("a submit of another root", submit(b"<Response/>"), 400, "MalformedXML"),
    Case(
        "a submit with an external entity",
        submit(b'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><Request><Tag>&e;</Tag></Request>'),
        400,
        "MalformedXML",
    ),
    Case(
        "a submit with a billion laughs",
        submit(b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><Request>&b;</Request>'),
        400,
        "MalformedXML",
    ),
    Case("a submit nested ten thousand deep", submit(b"<a>" * 10_000 + b"</a>" * 10_000), 400, "EntityTooLarge"),
    Case("a submit nested a thousand deep", submit(b"<a>" * 1_000 + b"</a>" * 1_000), 400, "MalformedXML"),
    Case("a submit larger than the limit", submit(job(more=" " * 70_000)), 400, "EntityTooLarge"),
    Case("a submit in UTF-16", submit(job().decode().encode("utf-16")), 400, "MalformedXML"),
    Case(
        "a submit of bytes that are not UTF-8", submit(job(object_key="x").replace(b"x", b"\xff")), 400, "MalformedXML"
    ),
    Case("another Tag", submit(job(tag="Transcode")), 400, "InvalidArgument"),
    Case("no Operation", submit(job(operations=0)), 400, "InvalidArgument"),
    Case("seven Operations", submit(job(operations=7)), 400, "InvalidArgument"),
    Case("an empty input key", submit(job(object_key="")), 400, "InvalidArgument"),
    Case("a Count of 0", submit(job(cover="<Count>0</Count>")), 400, "InvalidArgument"),
    Case("a Count of 11", submit(job(cover="<Count>11</Count>")), 400, "InvalidArgument"),
    Case("a Count of words", submit(job(cover="<Count>three</Count>")), 400, "InvalidArgument"),
    Case("a Count of 5000 digits", submit(job(cover=f"<Count>{'9' * 5000}</Count>")), 400, "InvalidArgument"),
    Case("a Width of 127", submit(job(cover="<Width>127</Width>")), 400, "InvalidArgument"),
    Case("a Height of -1", submit(job(cover="<Height>-1</Height>")), 400, "InvalidArgument"),
    Case("a Format that is none", submit(job(cover="<Format>gif</Format>")), 400, "InvalidArgument"),
    Case("several covers for one name", submit(job(output=output_to(BUCKET, "o/one.jpg"))), 400, "InvalidArgument"),
    Case(
        "an output bucket that does not exist",
        submit(job(output=output_to("nowhere-1", "o/${number}.jpg"))),
        404,
        "NoSuchBucket",
    ),
    Case("a queue that does not exist", submit(job(more="<QueueId>p1</QueueId>")), 400, "InvalidArgument"),
    Case("a callback to a file", submit(job(more="<CallBack>file:///etc/passwd</CallBack>")), 400, "InvalidArgument"),
    Case(
        "a callback to a private address",
        submit(job(more=f"<CallBack>http://{BLOCKED_CALLBACK_HOST}/cb</CallBack>")),
        400,
        "InvalidArgument",
    ),
    Case(
        "a callback to a message queue",
        submit(
            job(
                more="<CallBackType>TDMQ</CallBackType><CallBackMqConfig><MqRegion>sh</MqRegion><MqName>q</MqName>"
                "</CallBackMqConfig>"
            )
        ),
        400,
        "InvalidArgument",
    ),
    # Routes
    Case("a method that is none", build("BREW", "/a"), 405, "MethodNotAllowed", "BREW"),
    Case("a DELETE of all jobs", build("DELETE", "/jobs", host=CI_HOST), 405, "MethodNotAllowed", "DELETE"),
    Case("a call of another product", build("GET", "/template/t1/x", host=CI_HOST), 400, "NotSupported"),
    Case("a path below a job", build("GET", "/jobs/a/b", host=CI_HOST), 400, "NotSupported"),
    Case(
        "an unknown job cancelled", build("PUT", f"/jobs/{UNKNOWN_JOB}?cancel", host=CI_HOST), 404, "NoSuchJob", "PUT"
    ),
    Case("a job id with a NUL cancelled", build("PUT", "/jobs/j%00?cancel", host=CI_HOST), 404, "NoSuchJob", "PUT"),
    Case(
        "a cancel that is something else",
        build("PUT", f"/jobs/{UNKNOWN_JOB}?pause", host=CI_HOST),
        400,
        "InvalidArgument",
        "PUT",
    ),
    Case("a query of no job", build("GET", "/jobs/,", host=CI_HOST), 400, "InvalidArgument"),
    Case("a query of 101 jobs", build("GET", "/jobs/" + ",".join(["j1"] * 101), host=CI_HOST), 400, "InvalidArgument"),
    Case("no bucket", build("POST", "/jobs", host="127.0.0.1", body=job()), 400, "InvalidArgument", "POST"),
    Case(
        "a bucket that does not exist", build("GET", "/", host="nowhere-1.cos.ap-x.myqcloud.com"), 404, "NoSuchBucket"
    ),
    Case(
        "a submit to a bucket that does not exist",
        build("POST", "/jobs", host="nowhere-1.ci.ap-x.myqcloud.com", body=job()),
        404,
        "NoSuchBucket",
    ),
    Case("a key that does not exist", build("GET", "/nothing"), 404, "NoSuchKey"),
    Case("a sub-resource that we lack", build("GET", "/?acl"), 400, "NotSupported"),
    Case("image processing that we lack", build("GET", "/a?imageMogr2/thumbnail/10x"), 400, "NotSupported"),
    Case("a version", build("GET", "/a?versionId=abc"), 400, "NotSupported"),
    Case("a DELETE of uploads", build("DELETE", "/?uploads"), 405, "MethodNotAllowed", "DELETE"),
    Case("a page size of words", build("GET", "/?max-keys=many"), 400, "InvalidArgument"),
    Case("a page size below zero", build("GET", "/?max-keys=-1"), 400, "InvalidArgument"),
    Case("an encoding that is none", build("GET", "/?encoding-type=base64"), 400, "InvalidArgument"),
    Case("five hundred and one parameters", build("GET", "/?" + "&".join(["a=1"] * 501)), 400, "InvalidURI"),
    Case("a part without an upload", build("PUT", "/a?partNumber=1", body=b"x"), 400, "InvalidArgument", "PUT"),
    Case(
        "a part of an unknown upload", build("PUT", "/a?partNumber=1&uploadId=u", body=b"x"), 404, "NoSuchUpload", "PUT"
    ),
    Case("part 0", build("PUT", "/a?partNumber=0&uploadId=u", body=b"x"), 400, "InvalidArgument", "PUT"),
    Case("part 10001", build("PUT", "/a?partNumber=10001&uploadId=u", body=b"x"), 400, "InvalidArgument", "PUT"),
    Case("part ten", build("PUT", "/a?partNumber=ten&uploadId=u", body=b"x"), 400, "InvalidArgument", "PUT"),
    Case("an upload id with a NUL", build("GET", "/a?uploadId=%00"), 400, "InvalidArgument"),
    Case(
        "a completion without parts",
        build("POST", "/a?uploadId=u", body=b"<CompleteMultipartUpload/>"),
        400,
        "MalformedXML",
        "POST",
    ),
    Case(
        "a completion out of order",
        build(
            "POST",
            "/a?uploadId=u",
            body=b"<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>a</ETag></Part>"
            b"<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>",
        ),
        400,
        "InvalidPartOrder",
        "POST",
    ),
    Case("a delete of nothing", build("POST", "/?delete", body=b"<Delete/>"), 400, "MalformedXML", "POST"),
    Case("a form without a boundary", build("POST", "/", body=b"--x--"), 400, "InvalidArgument", "POST"),
    Case(
        "a copy from nowhere", build("PUT", "/a", headers={"x-cos-copy-source": "???"}), 400, "InvalidArgument", "PUT"
    ),
    Case(
        "a copy of what does not exist",
        build("PUT", "/a", headers={"x-cos-copy-source": f"{COS_HOST}/nothing"}),
        404,
        "NoSuchKey",
        "PUT",
    ),
    Case(
        "a header given twice",
        build("GET", "/a", headers={"Range": "bytes=0-1", "range": "bytes=5-"}),
        404,
        "NoSuchKey",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_wrong_input_gets_a_full_error_document_and_the_next_request_works(edge: RunningEdge, case: Case) -> None:
    began = time.monotonic()
    with Connection(edge.port, LIMIT_SECONDS) as connection:
        connection.send(case.request)
        reply = connection.reply(method=case.method)
        assert time.monotonic() - began < LIMIT_SECONDS
        assert (reply.status, reply.code) == (case.status, case.code), reply.body
        for node in ("Code", "Message", "Resource", "RequestId"):
            assert reply.node(node).strip()
        assert reply.headers["content-type"] == "application/xml"
        assert reply.headers["x-cos-request-id"] == reply.headers["x-ci-request-id"] == reply.node("RequestId")
        assert "date" in reply.headers
        if reply.closed:
            assert connection.at_end()
        else:
            connection.send(build("HEAD", "/"))
            assert connection.reply(method="HEAD").status == 200
    assert exchange(edge.port, build("HEAD", "/"), method="HEAD").status == 200


def test_a_connection_that_never_finishes_its_headers_is_closed(edge: RunningEdge) -> None:
    with Connection(edge.port, LIMIT_SECONDS) as connection:
        connection.send(b"GET /a HTTP/1.1\r\nHost: x\r\n")
        reply = connection.reply()
        assert (reply.status, reply.code) == (400, "RequestTimeOut")
        assert connection.at_end()


def test_a_connection_that_says_nothing_is_closed(edge: RunningEdge) -> None:
    with Connection(edge.port, LIMIT_SECONDS) as connection:
        assert connection.at_end()


def test_a_body_that_drips_is_ended(edge: RunningEdge) -> None:
    with Connection(edge.port, LIMIT_SECONDS) as connection:
        connection.send(build("PUT", "/a", headers={"Content-Length": "1000000"}))
        for _ in range(10):
            connection.send(b"x")
            time.sleep(0.3)
        assert connection.reply().code == "RequestTimeOut"


def test_a_large_body_refused_before_it_was_read_still_gets_its_answer(edge: RunningEdge) -> None:
    body = b"x" * (900 << 10)
    with Connection(edge.port, LIMIT_SECONDS) as connection:
        connection.send(build("PUT", "/a", body=body, signed=False))
        reply = connection.reply()
        assert (reply.status, reply.code, reply.closed) == (403, "AccessDenied", True)


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (build("GET", "/nothing"), 404, "NoSuchKey"),
        (build("PUT", "/half", headers={"Content-Length": "10"}) + b"12345", 400, "IncompleteBody"),
        (b"GET /half HTTP/1.1\r\nHost: x", 400, "InvalidArgument"),
    ],
    ids=["a whole request", "half a body", "half the headers"],
)
def test_a_client_that_has_stopped_sending_is_still_answered(
    edge: RunningEdge, request_bytes: bytes, status: int, code: str
) -> None:
    with Connection(edge.port, LIMIT_SECONDS) as connection:
        connection.send(request_bytes)
        connection.finish_sending()
        reply = connection.reply()
        assert (reply.status, reply.code) == (status, code)
        assert connection.at_end()


def test_a_client_that_waits_for_100_is_refused_without_it(edge: RunningEdge) -> None:
    with Connection(edge.port, LIMIT_SECONDS) as connection:
        connection.send(build("PUT", "/a", headers={"Content-Length": "5", "Expect": "100-continue"}, signed=False))
        reply = connection.reply()
        assert (reply.status, reply.closed) == (403, True)
        assert connection.at_end()


def test_a_client_that_waits_for_100_gets_it_when_it_may_send(edge: RunningEdge) -> None:
    with Connection(edge.port, LIMIT_SECONDS) as connection:
        connection.send(build("PUT", "/waited", headers={"Content-Length": "5", "Expect": "100-continue"}))
        assert connection.reply().status == 100
        connection.send(b"hello")
        assert connection.reply().status == 200


def test_a_wrong_head_request_has_no_body(edge: RunningEdge) -> None:
    with Connection(edge.port, LIMIT_SECONDS) as connection:
        connection.send(build("HEAD", "/nothing") + build("HEAD", "/"))
        assert connection.reply(method="HEAD").status == 404
        assert connection.reply(method="HEAD").status == 200

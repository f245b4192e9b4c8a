"""Uploads by HTML form: what the policy lets in, what it keeps out, and what is answered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from smartcover.api import EdgeConfig
from tests.edge_server import (
    BUCKET,
    COS_HOST,
    REGION,
    SECRET_ID,
    SECRET_KEY,
    Connection,
    Reply,
    RunningEdge,
    build,
    exchange,
    running_edge,
)

pytestmark = pytest.mark.documented
BOUNDARY = "----form0123"


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    with running_edge(EdgeConfig(region=REGION, max_object_bytes=1 << 20)) as running:
        yield running


def signed(
    conditions: list[Any] | None = None, *, start: int = -60, seconds: int = 600, **wrong: str
) -> dict[str, str]:
    """Make the fields of a policy, signed as the document says."""
    begin = int(time.time()) + start
    key_time = f"{begin};{begin + seconds}"
    expiration = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(begin + seconds))
    bound = [{"q-sign-algorithm": "sha1"}, {"q-ak": SECRET_ID}, {"q-sign-time": key_time}]
    text = json.dumps({"expiration": expiration, "conditions": [*(conditions or []), *bound]}).encode()
    sign_key = hmac.new(SECRET_KEY.encode(), key_time.encode(), hashlib.sha1).hexdigest()
    signature = hmac.new(sign_key.encode(), hashlib.sha1(text).hexdigest().encode(), hashlib.sha1).hexdigest()
    return {
        "policy": base64.b64encode(text).decode(),
        "q-sign-algorithm": "sha1",
        "q-ak": SECRET_ID,
        "q-key-time": key_time,
        "q-signature": signature,
    }


def form(fields: dict[str, str], data: bytes = b"video", file_name: str = "clip.mp4") -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, text in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n'.encode()
    parts.append(head + b"Content-Type: application/x-browser\r\n\r\n" + data + b"\r\n")
    after = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="late"\r\n\r\nignored\r\n--{BOUNDARY}--\r\n'
    return b"".join(parts) + after.encode()


def request(body: bytes, **more: Any) -> bytes:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} | more.pop("headers", {})
    return build("POST", "/", host=COS_HOST, headers=headers, body=body, **{"signed": False, **more})


def post(edge: RunningEdge, fields: dict[str, str], data: bytes = b"video", **more: Any) -> Reply:
    return exchange(edge.port, request(form(fields, data, **more)), method="POST")


def stored(edge: RunningEdge, key: str) -> Reply:
    return exchange(edge.port, build("GET", f"/{key}", host=COS_HOST))


def test_a_signed_form_is_stored_and_told_as_a_post(edge: RunningEdge) -> None:
    edge.store.events.clear()
    fields = {"key": "up/${filename}", "Content-Type": "video/mp4", "x-cos-meta-id": "7"} | signed()
    reply = post(edge, fields)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["etag"] == f'"{hashlib.md5(b"video").hexdigest()}"'
    assert reply.headers["location"].endswith("/up/clip.mp4")
    got = stored(edge, "up/clip.mp4")
    assert got.body == b"video"
    assert (got.headers["content-type"], got.headers["x-cos-meta-id"]) == ("video/mp4", "7")
    assert [(event.name, info.key) for event, info in edge.store.events] == [("cos:ObjectCreated:Post", "up/clip.mp4")]


def test_fields_outside_ascii_come_back_as_the_headers_of_another_client_would(edge: RunningEdge) -> None:
    fields = {"key": "titled", "x-cos-meta-title": "封面 é", "Content-Disposition": 'attachment; filename="é视频.mp4"'}
    assert post(edge, fields | signed()).status == 204
    headers = stored(edge, "titled").headers
    assert headers["x-cos-meta-title"].encode("latin-1").decode() == "封面 é"
    assert headers["content-disposition"].encode("latin-1").decode() == 'attachment; filename="é视频.mp4"'


def test_an_own_field_without_a_value_comes_back_so(edge: RunningEdge) -> None:
    assert post(edge, {"key": "in/empty-meta.mp4", "x-cos-meta-a": ""} | signed()).status == 204
    assert stored(edge, "in/empty-meta.mp4").headers["x-cos-meta-a"] == ""


@pytest.mark.parametrize(
    "name", ["Pic-Operations", "x-cos-server-side-encryption-customer-key", "x-cos-forbid-overwrite"]
)
def test_a_promise_that_cannot_be_kept_is_refused(edge: RunningEdge, name: str) -> None:
    fields = {"key": "in/promise.mp4", name: "true"} | signed()
    body = form({"key": "in/promise.mp4"} | signed())
    for reply in (post(edge, fields), exchange(edge.port, request(body, headers={name: "true"}))):
        assert (reply.status, reply.code) == (400, "NotSupported"), reply.body
        assert name.lower() in reply.node("Message")
    assert stored(edge, "in/promise.mp4").status == 404


def test_the_bytes_of_a_file_are_kept_exactly_however_they_arrive(edge: RunningEdge) -> None:
    data = b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n\r\n--\x00\xff" * 1000 + b"\r\n"
    sent = request(form({"key": "exact"} | signed(), data))
    head = sent.index(b"\r\n\r\n") + 4
    with Connection(edge.port) as connection:
        connection.send(sent[:head])
        for start in range(head, len(sent), 997):
            connection.send(sent[start : start + 997])
        assert connection.reply(method="POST").status == 204
    assert stored(edge, "exact").body == data


def test_an_empty_file_is_stored(edge: RunningEdge) -> None:
    assert post(edge, {"key": "empty"} | signed(), b"").status == 204
    assert stored(edge, "empty").headers["content-length"] == "0"


@pytest.mark.parametrize(("asked", "status"), [("200", 200), ("201", 201), ("204", 204), ("999", 204)])
def test_the_form_chooses_the_status(edge: RunningEdge, asked: str, status: int) -> None:
    reply = post(edge, {"key": "a&b", "success_action_status": asked} | signed())
    assert reply.status == status
    if status == 201:
        assert (reply.node("Bucket"), reply.node("Key")) == (BUCKET, "a&amp;b")


def test_the_form_may_send_the_browser_on(edge: RunningEdge) -> None:
    reply = post(edge, {"key": "k 1", "success_action_redirect": "http://site.example/done?x=1"} | signed())
    assert reply.status == 303
    assert re.match(rf"http://site\.example/done\?x=1&bucket={BUCKET}&key=k\+1&etag=", reply.headers["location"])


@pytest.mark.parametrize("goal", ["http://[broken", "HTTPS://site.example/done"])
def test_an_address_to_send_the_browser_on_to_is_not_judged(edge: RunningEdge, goal: str) -> None:
    """The file is stored by then: an error would make the page send it again."""
    reply = post(edge, {"key": "k", "success_action_redirect": goal} | signed())
    assert (reply.status, reply.headers["location"].partition("?")[0]) == (303, goal)


@pytest.mark.parametrize("goal", ["javascript:alert(1)", "//site.example/", "done.html"])
def test_only_an_http_address_sends_the_browser_on(edge: RunningEdge, goal: str) -> None:
    assert post(edge, {"key": "k", "success_action_redirect": goal} | signed()).status == 204


CONDITIONS = [
    {"bucket": BUCKET},
    ["starts-with", "$key", "up/"],
    ["starts-with", "$Content-Type", "video/"],
    {"x-cos-meta-id": "7"},
    ["content-length-range", 2, 6],
]
GOOD = {"key": "up/a", "Content-Type": "video/mp4", "x-cos-meta-id": "7"}


@pytest.mark.parametrize(
    ("changes", "data", "status", "code"),
    [
        ({}, b"video", 204, ""),
        ({"key": "other/a"}, b"video", 403, "AccessDenied"),
        ({"Content-Type": "text/html"}, b"video", 403, "AccessDenied"),
        ({"x-cos-meta-id": "8"}, b"video", 403, "AccessDenied"),
        ({}, b"1234567", 400, "EntityTooLarge"),
        ({}, b"1", 400, "InvalidArgument"),
    ],
)
def test_the_form_is_held_against_its_policy(
    edge: RunningEdge, changes: dict[str, str], data: bytes, status: int, code: str
) -> None:
    exchange(edge.port, build("DELETE", "/up/a", host=COS_HOST))
    reply = post(edge, GOOD | changes | signed(CONDITIONS), data)
    assert reply.status == status
    if status != 204:
        assert reply.code == code
        assert stored(edge, "up/a").status == 404


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "AccessDenied"),
        (signed() | {"q-ak": "unknown"}, "InvalidAccessKeyId"),
        (signed() | {"q-signature": "0" * 40}, "SignatureDoesNotMatch"),
        (signed() | {"q-key-time": "1;2"}, "SignatureDoesNotMatch"),
        (signed() | {"q-key-time": "x"}, "SignatureDoesNotMatch"),
        (signed() | {"policy": base64.b64encode(b'{"conditions": []}').decode()}, "SignatureDoesNotMatch"),
        (signed(start=-5000, seconds=60), "AccessDenied"),
        (signed(start=5000), "RequestTimeTooSkewed"),
    ],
)
def test_a_form_that_is_not_rightly_signed_is_refused(edge: RunningEdge, fields: dict[str, str], code: str) -> None:
    reply = post(edge, {"key": "never"} | fields)
    assert (reply.status, reply.code) == (403, code)
    assert stored(edge, "never").status == 404


def test_a_form_signed_as_a_request_needs_no_policy(edge: RunningEdge) -> None:
    assert exchange(edge.port, request(form({"key": "by-header"}), signed=True), method="POST").status == 204
    assert stored(edge, "by-header").body == b"video"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all" * 1000,
        form({"key": "x"} | signed()).partition(b"eo\r\n--")[0],
        f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(),
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="key"\r\n\r\nx\r\n--{BOUNDARY}--\r\n'.encode(),
        form({f"f{number}": "x" for number in range(200)}),
        form({"key": "x" * 200_000}),
        form(signed()),
        form({"key": "a\x01b"} | signed()),
    ],
    ids=["empty", "no boundary", "cut short", "no name", "no file", "many fields", "large field", "no key", "bad key"],
)
def test_a_broken_form_is_refused_with_a_whole_error(edge: RunningEdge, body: bytes) -> None:
    reply = exchange(edge.port, request(body), method="POST")
    assert 400 <= reply.status < 500
    assert all(reply.node(name) for name in ("Code", "Message", "Resource", "RequestId"))


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", "/?delete"), ("POST", "/a?uploads"), ("POST", "/jobs"), ("PUT", "/a"), ("POST", "/a")],
)
def test_nothing_else_is_let_in_by_looking_like_a_form(edge: RunningEdge, method: str, target: str) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    sent = build(method, target, host=COS_HOST, headers=headers, body=form({"key": "x"} | signed()), signed=False)
    assert exchange(edge.port, sent, method=method).status == 403

"""
Several teams on one server: every route of the API, asked by the team whose bucket it is, by the next team with every
right, by a key pair that lacks the right, and by nobody known. A route without a line here fails the first test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI

from smartcover.api import EdgeConfig
from smartcover.api.admin import create_admin
from smartcover.api.routes import ROUTES, Place
from smartcover.service import Access, Right
from tests.edge_server import SECRET_ID, SECRET_KEY, Reply, RunningEdge, authorization, build, exchange, running_edge

REGION = "ap-chongqing"
OWN, FOREIGN = "teama-videos", "teamb-videos"
ID = {letter: letter + "0" * 32 for letter in "jptwib"}


@dataclass(frozen=True)
class Ask:
    """A request for a bucket, and the right that it needs; `anywhere` when it shows what the key pair may see."""

    method: str
    target: str
    right: Right
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    service: str = "cos"
    anywhere: bool = False


def ci(method: str, target: str, right: Right, body: bytes | None = None, anywhere: bool = False) -> Ask:
    return Ask(method, target, right, body, service="ci", anywhere=anywhere)


READ, SUBMIT, ADMIN = Right.READ, Right.SUBMIT, Right.ADMIN
COPY = {"x-cos-copy-source": f"{OWN}.cos.{REGION}.myqcloud.com/in/a.mp4"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
ASKS: dict[tuple[Place, str, str], Ask] = {
    (Place.JOBS, "", "POST"): ci("POST", "/jobs", SUBMIT, b"<Request/>"),
    (Place.JOBS, "", "GET"): ci("GET", "/jobs?tag=SmartCover", READ),
    (Place.JOB, "", "GET"): ci("GET", f"/jobs/{ID['j']}", READ),
    (Place.JOB, "", "PUT"): ci("PUT", f"/jobs/{ID['j']}?cancel", SUBMIT, b""),
    (Place.TEMPLATES, "", "POST"): ci("POST", "/template", ADMIN, b"<Request/>"),
    (Place.TEMPLATES, "", "GET"): ci("GET", "/template", READ),
    (Place.TEMPLATE, "", "PUT"): ci("PUT", f"/template/{ID['t']}", ADMIN, b"<Request/>"),
    (Place.TEMPLATE, "", "DELETE"): ci("DELETE", f"/template/{ID['t']}", ADMIN),
    (Place.QUEUES, "", "GET"): ci("GET", "/queue", READ),
    (Place.QUEUE, "", "PUT"): ci("PUT", f"/queue/{ID['p']}", ADMIN, b"<Request/>"),
    (Place.MEDIA_BUCKET, "", "GET"): ci("GET", "/mediabucket", READ, anywhere=True),
    (Place.MEDIA_BUCKET, "", "POST"): ci("POST", "/mediabucket", ADMIN, b""),
    (Place.MEDIA_BUCKET, "", "DELETE"): ci("DELETE", "/mediabucket", ADMIN),
    (Place.WORKFLOWS, "", "POST"): ci("POST", "/workflow", ADMIN, b"<Request/>"),
    (Place.WORKFLOWS, "", "GET"): ci("GET", "/workflow", READ),
    (Place.WORKFLOW, "", "PUT"): ci("PUT", f"/workflow/{ID['w']}?active", ADMIN, b""),
    (Place.WORKFLOW, "", "DELETE"): ci("DELETE", f"/workflow/{ID['w']}", ADMIN),
    (Place.TRIGGER, "", "POST"): ci("POST", f"/triggerworkflow?workflowId={ID['w']}&object=a.mp4", SUBMIT, b""),
    (Place.RUNS, "", "GET"): ci("GET", f"/workflowexecution?workflowId={ID['w']}", READ),
    (Place.RUN, "", "GET"): ci("GET", f"/workflowexecution/{ID['i']}", READ),
    (Place.BATCHES, "", "POST"): ci("POST", "/inventorytriggerjob", SUBMIT, b"<Request/>"),
    (Place.BATCHES, "", "GET"): ci("GET", "/inventorytriggerjob", READ),
    (Place.BATCH, "", "GET"): ci("GET", f"/inventorytriggerjob/{ID['b']}", READ),
    (Place.BATCH, "", "PUT"): ci("PUT", f"/inventorytriggerjob/{ID['b']}?cancel", SUBMIT, b""),
    (Place.SERVICE, "", "GET"): Ask("GET", "/", READ, service="service", anywhere=True),
    (Place.BUCKET, "", "GET"): Ask("GET", "/", READ),
    (Place.BUCKET, "", "HEAD"): Ask("HEAD", "/", READ),
    (Place.BUCKET, "", "PUT"): Ask("PUT", "/", ADMIN, b""),
    (Place.BUCKET, "", "DELETE"): Ask("DELETE", "/", ADMIN),
    (Place.BUCKET, "", "POST"): Ask("POST", "/", SUBMIT, b"--b--\r\n", FORM),
    (Place.BUCKET, "uploads", "GET"): Ask("GET", "/?uploads", SUBMIT),
    (Place.BUCKET, "delete", "POST"): Ask("POST", "/?delete", SUBMIT, b"<Delete/>"),
    (Place.BUCKET, "location", "GET"): Ask("GET", "/?location", READ),
    (Place.BUCKET, "versioning", "GET"): Ask("GET", "/?versioning", READ),
    (Place.OBJECT, "", "GET"): Ask("GET", "/in/a.mp4", READ),
    (Place.OBJECT, "", "HEAD"): Ask("HEAD", "/in/a.mp4", READ),
    (Place.OBJECT, "", "PUT"): Ask("PUT", "/in/b.mp4", SUBMIT, b"bytes"),
    (Place.OBJECT, "", "DELETE"): Ask("DELETE", "/in/none.mp4", SUBMIT),
    # The route needs submit; the source needs read besides, and without it the copy is refused, as a test below says.
    (Place.OBJECT, "copy", "PUT"): Ask("PUT", "/in/c.mp4", SUBMIT, b"", COPY),
    (Place.OBJECT, "uploads", "POST"): Ask("POST", "/in/d.mp4?uploads", SUBMIT, b""),
    (Place.OBJECT, "upload", "GET"): Ask("GET", "/in/d.mp4?uploadId=u", SUBMIT),
    (Place.OBJECT, "upload", "PUT"): Ask("PUT", "/in/d.mp4?partNumber=1&uploadId=u", SUBMIT, b"x"),
    (Place.OBJECT, "upload", "POST"): Ask("POST", "/in/d.mp4?uploadId=u", SUBMIT, b"<CompleteMultipartUpload/>"),
    (Place.OBJECT, "upload", "DELETE"): Ask("DELETE", "/in/d.mp4?uploadId=u", SUBMIT),
    (Place.OBJECT, "upload copy", "PUT"): Ask("PUT", "/in/d.mp4?partNumber=1&uploadId=u", SUBMIT, b"", COPY),
}
COPIES = {(Place.OBJECT, "copy", "PUT"), (Place.OBJECT, "upload copy", "PUT")}
CASES = [pytest.param(route, id=f"{route[2]} {route[0].value} {route[1]}".strip()) for route in ASKS]


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    with running_edge(EdgeConfig(region=REGION)) as running:
        for name in (OWN, FOREIGN):
            running.run(running.store.create_bucket(name, REGION))
        for right in Right:
            running.keys.teams[f"only-{right}"] = Access(f"only-{right}", "a", ("teama-*",), frozenset({right})), ["s"]
            rest = frozenset(set(Right) - {right})
            running.keys.teams[f"all-but-{right}"] = Access(f"all-but-{right}", "a", ("teama-*",), rest), ["s"]
        running.keys.teams["team-a"] = Access("team-a", "a", ("teama-*",), frozenset(Right)), ["s"]
        running.keys.teams["team-b"] = Access("team-b", "b", ("teamb-*",), frozenset(Right)), ["s"]
        yield running


def host_of(ask: Ask, bucket: str) -> str:
    if ask.service == "service":
        return f"cos.{REGION}.myqcloud.com"
    return f"{bucket}.{ask.service}.{REGION}.myqcloud.com"


def send(edge: RunningEdge, ask: Ask, secret_id: str | None, *, bucket: str = OWN, secret_key: str = "s") -> Reply:
    host = host_of(ask, bucket)
    request = build(
        ask.method,
        ask.target,
        host=host,
        headers=ask.headers,
        body=ask.body,
        signed=secret_id is not None,
        secret_id=secret_id or "",
        secret_key=secret_key,
    )
    return exchange(edge.port, request, method=ask.method)


def refused(reply: Reply, method: str, code: str = "AccessDenied") -> bool:
    """Tell a refusal by rights; another error means that the call came through to what it asks for."""
    return reply.status == 403 and (method == "HEAD" or reply.code == code)


def test_every_route_of_the_api_has_its_line_here_and_needs_that_right() -> None:
    decided = {(place, sub, method): route for (place, sub), by in ROUTES.items() for method, route in by.items()}
    assert set(decided) == set(ASKS)
    assert {key: route.right for key, route in decided.items()} == {key: ask.right for key, ask in ASKS.items()}
    assert {key for key, route in decided.items() if route.anywhere} == {k for k, ask in ASKS.items() if ask.anywhere}


@pytest.mark.parametrize("route", CASES)
def test_a_route_lets_through_the_key_pair_with_its_right_and_nobody_else(
    edge: RunningEdge, route: tuple[Place, str, str]
) -> None:
    ask = ASKS[route]
    edge.run(edge.store.create_bucket(OWN, REGION))
    edge.run(edge.ledger.bindings.bind(OWN))
    edge.run(edge.store.put(OWN, "in/a.mp4", one_chunk(), headers={}))
    holder = "team-a" if route in COPIES else f"only-{ask.right}"
    assert refused(send(edge, ask, f"all-but-{ask.right}"), ask.method)
    assert refused(send(edge, ask, "nobody"), ask.method, "InvalidAccessKeyId")
    assert refused(send(edge, ask, holder, secret_key="wrong"), ask.method, "SignatureDoesNotMatch")
    # A form without a signature is one: its fields are, and it has none either.
    unsigned = send(edge, ask, None)
    assert unsigned.status in (400, 403) if route == (Place.BUCKET, "", "POST") else refused(unsigned, ask.method)
    stranger = send(edge, ask, "team-b")
    if ask.anywhere:
        assert stranger.status == 200
        assert OWN.encode() not in stranger.body
        assert FOREIGN.encode() in stranger.body
    else:
        assert refused(stranger, ask.method)
        missing = send(edge, ask, "team-b", bucket="teama-that-is-none")
        assert refused(missing, ask.method)
        if ask.method != "HEAD":
            assert missing.node("Message").replace("teama-that-is-none", OWN) == stranger.node("Message")
    assert not refused(send(edge, ask, holder), ask.method)


async def one_chunk() -> Any:
    yield b"a video"


def test_a_copy_reads_its_source_by_the_rights_of_the_signer(edge: RunningEdge) -> None:
    edge.run(edge.store.create_bucket(OWN, REGION))
    edge.run(edge.store.put(OWN, "in/a.mp4", one_chunk(), headers={}))
    for target in ("/stolen.mp4", "/stolen.mp4?partNumber=1&uploadId=u"):
        theft = Ask("PUT", target, SUBMIT, b"", COPY)
        assert refused(send(edge, theft, "team-b", bucket=FOREIGN), "PUT")
        assert refused(send(edge, theft, "only-submit"), "PUT")


def job_for(output_bucket: str) -> bytes:
    return (
        "<Request><Tag>SmartCover</Tag><Input><Object>in/a.mp4</Object></Input><Operation><SmartCover><Count>1</Count>"
        f"</SmartCover><Output><Region>{REGION}</Region><Bucket>{output_bucket}</Bucket><Object>o.jpg</Object></Output>"
        "</Operation></Request>"
    ).encode()


def test_covers_go_to_no_bucket_of_another_team_whether_it_exists_or_not(edge: RunningEdge) -> None:
    edge.run(edge.store.create_bucket(OWN, REGION))
    edge.run(edge.ledger.bindings.bind(OWN))
    assert send(edge, ci("POST", "/jobs", SUBMIT, job_for(OWN)), "only-submit").status == 200
    for bucket in (FOREIGN, "teamb-that-is-none"):
        assert refused(send(edge, ci("POST", "/jobs", SUBMIT, job_for(bucket)), "only-submit"), "POST")


def test_a_job_is_unknown_in_the_bucket_of_another_team(edge: RunningEdge) -> None:
    edge.run(edge.store.create_bucket(OWN, REGION))
    edge.run(edge.ledger.bindings.bind(OWN))
    job_id = send(edge, ci("POST", "/jobs", SUBMIT, job_for(OWN)), "team-a").node("JobId")
    seen = send(edge, ci("GET", f"/jobs/{job_id}", READ), "team-b", bucket=FOREIGN)
    assert seen.node("NonExistJobIds") == job_id
    assert send(edge, ci("PUT", f"/jobs/{job_id}?cancel", SUBMIT, b""), "team-b", bucket=FOREIGN).status == 404


def test_a_bucket_in_the_path_is_held_against_the_rights_too(edge: RunningEdge) -> None:
    edge.run(edge.store.create_bucket(OWN, REGION))
    edge.run(edge.store.put(OWN, "in/a.mp4", one_chunk(), headers={}))
    for bucket in (OWN, "teama-that-is-none"):
        request = build(
            "GET",
            f"/{bucket}/in/a.mp4",
            host="localhost",
            bucket_in_path=bucket,
            secret_id="team-b",
            secret_key="s",
        )
        assert refused(exchange(edge.port, request), "GET")


def test_a_presigned_address_opens_what_its_signer_may_read(edge: RunningEdge) -> None:
    edge.run(edge.store.create_bucket(OWN, REGION))
    edge.run(edge.store.put(OWN, "in/a.mp4", one_chunk(), headers={}))
    host = f"{OWN}.cos.{REGION}.myqcloud.com"
    for secret_id, status in (("only-read", 200), ("team-b", 403), ("only-submit", 403)):
        query = authorization("GET", "/in/a.mp4", {"Host": host}, secret_id=secret_id, secret_key="s")
        assert exchange(edge.port, build("GET", f"/in/a.mp4?{query}", host=host, signed=False)).status == status


def test_an_address_presigned_for_one_bucket_opens_no_other_by_way_of_the_request_line(edge: RunningEdge) -> None:
    for bucket in (OWN, FOREIGN):
        edge.run(edge.store.create_bucket(bucket, REGION))
        edge.run(edge.store.put(bucket, "in/a.mp4", one_chunk(), headers={}))
    host, other = (f"{bucket}.cos.{REGION}.myqcloud.com" for bucket in (FOREIGN, OWN))
    query = authorization("GET", "/in/a.mp4", {"Host": host})  # by the first key pair, which may read both
    for sent, status in ((host, 200), (other, 403)):
        # The Host header stays as signed; it is the request line that decides about the bucket.
        request = build("GET", f"http://{sent}/in/a.mp4?{query}", host=host, signed=False)
        assert exchange(edge.port, request).status == status


def test_an_upload_by_form_tells_nobody_which_buckets_exist() -> None:
    with running_edge(EdgeConfig(region=REGION, default_bucket=FOREIGN)) as running:
        for name in (OWN, FOREIGN):
            running.run(running.store.create_bucket(name, REGION))
        running.keys.teams["team-b"] = Access("team-b", "b", ("teamb-*",), frozenset(Right)), ["s"]
        signed = policy_of("team-b", "s")
        for fields in ({}, {"key": "in/a.mp4"}, {"key": "in/a.mp4", **signed}):
            told = set()
            for bucket in (OWN, "teama-that-is-none"):
                for target in (f"/{bucket}", f"/{bucket}/"):
                    request = build("POST", target, host="localhost", headers=FORM, body=form(fields), signed=False)
                    reply = exchange(running.port, request, method="POST")
                    told.add((reply.status, reply.code, reply.node("Message").replace(bucket, "…")))
            assert len(told) == 1, told
        into_own = form({"key": "in/a.mp4", **signed})
        request = build("POST", f"/{FOREIGN}", host="localhost", headers=FORM, body=into_own, signed=False)
        assert exchange(running.port, request, method="POST").status == 204


def form(fields: dict[str, str]) -> bytes:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n' for name in fields]
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\nx\r\n--b--\r\n'
    return ("".join(parts) + file).encode()


def policy_of(secret_id: str, secret_key: str) -> dict[str, str]:
    """Sign a policy that allows everything for ten minutes."""
    now = int(time.time())
    window = f"{now - 60};{now + 600}"
    text = json.dumps({"expiration": "2099-01-01T00:00:00Z", "conditions": []}).encode()
    sign_key = hmac.new(secret_key.encode(), window.encode(), "sha1").hexdigest()
    digest = hashlib.sha1(text, usedforsecurity=False).hexdigest()
    return {
        "policy": base64.b64encode(text).decode(),
        "q-sign-algorithm": "sha1",
        "q-ak": secret_id,
        "q-key-time": window,
        "q-signature": hmac.new(sign_key.encode(), digest.encode(), "sha1").hexdigest(),
    }


def admin(edge: RunningEdge, method: str, path: str, login: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", edge.port, timeout=10)
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
    answer = connection.getresponse()
    status, text = answer.status, answer.read()
    connection.close()
    return status, json.loads(text)


#: Each call of the admin API, with a body that fits, and what another team's admin is answered.
ADMIN_CALLS: dict[tuple[str, str], tuple[str, Any, int]] = {
    ("GET", "/jobs/{job_id}"): ("/jobs/JOB", None, 404),
    ("GET", "/deliveries"): ("/deliveries", None, 200),
    ("GET", "/deliveries/{delivery_id}"): ("/deliveries/none", None, 400),
    ("POST", "/deliveries/redeliver"): ("/deliveries/redeliver", {"job_id": "JOB"}, 200),
    ("GET", "/buckets/{bucket}/queues"): (f"/buckets/{OWN}/queues", None, 403),
    ("POST", "/buckets/{bucket}/queues"): (f"/buckets/{OWN}/queues", {"name": "n"}, 403),
    ("PUT", "/buckets/{bucket}/queues/{queue_id}/limits"): (
        f"/buckets/{OWN}/queues/{ID['p']}/limits",
        {"max_concurrent": 1, "max_size": 1},
        403,
    ),
    ("GET", "/keys"): ("/keys", None, 403),
    ("POST", "/keys"): ("/keys", {"team": "x", "buckets": ["*"], "rights": ["admin"]}, 403),
    ("POST", "/keys/{secret_id}/rotate"): ("/keys/none/rotate", {}, 403),
    ("PUT", "/keys/{secret_id}"): ("/keys/none", {}, 403),
    ("DELETE", "/keys/{secret_id}"): ("/keys/none", None, 403),
}


def test_every_call_of_the_admin_api_keeps_teams_apart(edge: RunningEdge) -> None:
    made = create_admin(edge, "0")._app  # type: ignore[attr-defined, arg-type]
    assert isinstance(made, FastAPI)
    described = made.openapi()["paths"]
    assert {(m.upper(), path.removeprefix("/admin/v1")) for path, by in described.items() for m in by} == set(
        ADMIN_CALLS
    )
    edge.run(edge.store.create_bucket(OWN, REGION))
    edge.run(edge.ledger.bindings.bind(OWN))
    job_id = send(edge, ci("POST", "/jobs", SUBMIT, job_for(OWN)), "team-a").node("JobId")
    for (method, _), (path, body, status) in ADMIN_CALLS.items():
        place = "/admin/v1" + path.replace("JOB", job_id)
        sent = json.loads(json.dumps(body).replace("JOB", job_id))
        found, answer = admin(edge, method, place, "team-b:s", sent)
        assert found == status, (method, place, answer)
        assert answer.get("deliveries", []) == []
        assert admin(edge, method, place, "all-but-admin:s", sent)[0] == 403
        assert admin(edge, method, place, "team-a:wrong", sent)[0] == 401
    assert admin(edge, "GET", f"/admin/v1/jobs/{job_id}", "team-a:s")[0] == 200
    foreign = admin(edge, "GET", f"/admin/v1/jobs/{job_id}", "team-b:s")
    never_given = admin(edge, "GET", f"/admin/v1/jobs/{ID['j']}", "team-b:s")
    assert json.dumps(foreign).replace(job_id, ID["j"]) == json.dumps(never_given)


def test_the_admin_api_makes_shows_and_ends_key_pairs(edge: RunningEdge) -> None:
    operator = f"{SECRET_ID}:{SECRET_KEY}"
    status, made = admin(edge, "POST", "/admin/v1/keys", operator, {"team": "c", "buckets": ["teamc-*"]})
    assert (status, made["rights"], made["overlaps"]) == (201, ["read", "submit"], [])
    place = f"/admin/v1/keys/{made['secret_id']}"
    status, turned = admin(edge, "POST", f"{place}/rotate", operator, {"keep_old_seconds": 60})
    assert status == 200
    assert turned["secret_key"] != made["secret_key"]
    assert [seed["ends_at"] is None for seed in turned["secrets"]] == [True, False]
    listed = json.dumps(admin(edge, "GET", "/admin/v1/keys", operator)[1])
    assert made["secret_id"] in listed
    assert made["secret_key"] not in listed
    assert turned["secret_key"] not in listed
    assert admin(edge, "PUT", place, operator, {"rights": ["read"]})[1]["rights"] == ["read"]
    assert admin(edge, "DELETE", place, operator)[0] == 200
    assert admin(edge, "DELETE", place, operator)[0] == 403
    for wrong in ({"team": "c", "buckets": ["A_*"]}, {"team": "", "buckets": ["c"]}, {"team": "c", "buckets": []}):
        assert admin(edge, "POST", "/admin/v1/keys", operator, wrong)[0] == 400

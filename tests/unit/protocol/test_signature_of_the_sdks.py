"""What the official SDKs send is verified: the Python SDK's own signer, and requests recorded from three SDKs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest

from smartcover.errors import SignatureMismatch
from smartcover.protocol import RequestFacts, parse_authorization, sign, verify
from tests.shared import SHARED

qcloud_cos = pytest.importorskip("qcloud_cos")
requests = pytest.importorskip("requests")

KEY = "SECRETTEST"


@pytest.mark.observed
@pytest.mark.parametrize(
    ("method", "key", "url", "params", "headers"),
    [
        ("GET", None, "http://127.0.0.1:8460/", {"prefix": "a b/猫+", "delimiter": "/", "marker": ""}, {}),
        ("PUT", "dir/a b+猫(1)'!*~.txt", "http://B-1.cos.r.example:8460/", {}, {"x-cos-meta-a": "v 1/2"}),
        ("POST", "/jobs", "http://127.0.0.1:8460/", {}, {"Content-Type": "application/xml", "Content-MD5": "a+b/c=="}),
        ("PUT", "/workflow/w1", "http://127.0.0.1:8460/", {"active": ""}, {"x-ci-security-token": "T"}),
        ("POST", "big.bin", "http://127.0.0.1:8460/", {"uploads": ""}, {"Range": "bytes=0-1"}),
    ],
)
def test_the_python_sdks_signer_is_understood(
    method: str, key: str | None, url: str, params: dict[str, str], headers: dict[str, str]
) -> None:
    config = qcloud_cos.CosConfig(Region="ap-chongqing", SecretId="AKIDTEST", SecretKey=KEY, Scheme="http")
    auth = qcloud_cos.CosS3Auth(config, key, params=params)
    target = url + quote((key or "").lstrip("/").encode(), "/-_.~")
    prepared = requests.Request(method, target, params=params, headers=headers, auth=auth).prepare()
    raw_path, _, raw_query = prepared.path_url.partition("?")
    host = target.split("/")[2]
    facts = RequestFacts(
        method,
        raw_path.encode(),
        raw_query.encode(),
        ((b"Host", host.encode()), *((k.encode(), v.encode()) for k, v in prepared.headers.items())),
    )
    found = verify(facts, lambda _: [KEY], int(time.time()))
    assert found.secret_id == "AKIDTEST"
    with pytest.raises(SignatureMismatch):
        verify(facts, lambda _: ["WRONG"], int(time.time()))


@dataclass(frozen=True)
class Recorded:
    path: Path
    facts: RequestFacts
    authorization: str
    signed_host: str
    presigned: bool


def recorded() -> Iterator[Recorded]:
    if SHARED is None:
        return
    for path in sorted((SHARED / "spec" / "recorded").rglob("*.txt")):
        if "ERR" in path.name or "EMPTY" in path.name:
            continue
        text = path.read_bytes()
        head, _, rest = text.partition(b"\n\n")
        line, *header_lines = head.split(b"\n")
        method, target, _ = line.split(b" ")
        pairs = [(name, value.strip()) for name, _, value in (entry.partition(b":") for entry in header_lines)]
        authority = None
        if not target.startswith(b"/"):
            authority, _, tail = target.removeprefix(b"http://").partition(b"/")
            target = b"/" + tail
        raw_path, _, raw_query = target.partition(b"?")
        check = rest.rsplit(b"\n", 2)[-2:]
        outcome = re.search(rb"OK host=\w+\(([^)]*)\) path=(\w+)", b"".join(check))
        if outcome is None:  # the recorder did not know the bucket's prefix, or the URL was signed for another host
            continue
        in_path = outcome[2] == b"bucketPrefixStripped"
        sent = {name.lower(): value for name, value in pairs}
        presigned = b"q-signature=" in raw_query
        yield Recorded(
            path=path,
            facts=RequestFacts(
                method.decode(),
                raw_path,
                raw_query,
                tuple((name, value) for name, value in pairs if name.lower() != b"authorization"),
                authority=None if authority is None else authority.decode(),
                bucket=raw_path.split(b"/")[1].decode() if in_path else None,
            ),
            authorization=(raw_query if presigned else sent[b"authorization"]).decode(),
            signed_host=outcome[1].decode(),
            presigned=presigned,
        )


REQUESTS = list(recorded())


def test_the_recorded_requests_are_found() -> None:
    if SHARED is None:
        pytest.skip("needs the recorded requests beside the checkout")
    assert len(REQUESTS) > 250
    assert {"go", "node", "python", "pathstyle"} == {request.path.parent.name for request in REQUESTS}


def signed_again(request: Recorded, now: int) -> RequestFacts:
    """Sign what the SDK signed, with a key we know: the recorded signatures are masked."""
    masked = request.authorization.replace("<40hex>", "0" * 40)
    fields = parse_authorization(masked, presigned=request.presigned)
    assert fields is not None
    as_signed = replace(
        request.facts,
        headers=(
            *((name, value) for name, value in request.facts.headers if name.lower() != b"host"),
            (b"host", request.signed_host.encode()),
        ),
    )
    if request.presigned:
        query = b"&".join(item for item in request.facts.raw_query.split(b"&") if not item.startswith(b"q-"))
        as_signed = replace(as_signed, raw_query=query)
    made = sign(
        as_signed,
        secret_id="AKIDTEST",
        secret_key=KEY,
        start_seconds=now,
        end_seconds=now + 60,
        header_names=[name.decode() for name in fields.header_names],
        param_names=[name.decode() for name in fields.param_names],
    )
    if request.presigned:
        joined = b"&".join(filter(None, (as_signed.raw_query, made.authorization.encode())))
        return replace(request.facts, raw_query=joined)
    return replace(request.facts, headers=(*request.facts.headers, (b"Authorization", made.authorization.encode())))


@pytest.mark.observed
@pytest.mark.skipif(not REQUESTS, reason="needs the recorded requests beside the checkout")
def test_every_recorded_request_is_verified_and_a_changed_one_is_not() -> None:
    now = 1_800_000_000
    for request in REQUESTS:
        facts = signed_again(request, now)
        host_needed = "nosignhost" not in request.path.name
        identity = verify(facts, lambda _: [KEY], now, require_host=host_needed)
        assert identity.presigned == request.presigned, request.path
        changes = [
            replace(facts, method="PATCH"),
            replace(facts, raw_path=facts.raw_path + b"x"),
            replace(facts, raw_path=facts.raw_path + b"%0A"),
        ]
        if identity.host_signed:
            others = tuple((name, b"elsewhere" if name.lower() == b"host" else value) for name, value in facts.headers)
            changes.append(replace(facts, headers=others, authority=None))
        for changed in changes:
            with pytest.raises(SignatureMismatch):
                verify(changed, lambda _: [KEY], now, require_host=host_needed)
        with pytest.raises(SignatureMismatch):
            verify(facts, lambda _: ["WRONG"], now, require_host=host_needed)


@pytest.mark.observed
@pytest.mark.skipif(not REQUESTS, reason="needs the recorded requests beside the checkout")
def test_each_signed_header_and_parameter_of_a_recorded_request_matters() -> None:
    now = 1_800_000_000
    for request in REQUESTS:
        facts = signed_again(request, now)
        host_needed = "nosignhost" not in request.path.name
        fields = parse_authorization(request.authorization.replace("<40hex>", "0" * 40), presigned=request.presigned)
        assert fields is not None
        for header in fields.header_names:
            changed = tuple((name, value + b"1" if name.lower() == header else value) for name, value in facts.headers)
            with pytest.raises(SignatureMismatch):
                verify(replace(facts, headers=changed, authority=None), lambda _: [KEY], now, require_host=host_needed)
        for index, item in enumerate(facts.raw_query.split(b"&")):
            if item.partition(b"=")[0].lower() in fields.param_names:
                items = facts.raw_query.split(b"&")
                items[index] = item + (b"1" if b"=" in item else b"=1")
                with pytest.raises(SignatureMismatch):
                    verify(replace(facts, raw_query=b"&".join(items)), lambda _: [KEY], now, require_host=host_needed)


@pytest.mark.observed
@pytest.mark.skipif(not REQUESTS, reason="needs the recorded requests beside the checkout")
def test_the_signatures_in_recorded_presigned_urls_are_good_as_they_are() -> None:
    presigned = [request for request in REQUESTS if request.presigned]
    assert len(presigned) >= 3
    for request in presigned:
        fields = parse_authorization(request.authorization, presigned=True)
        assert fields is not None
        now = int(fields.sign_time.split(";")[0])
        assert verify(request.facts, lambda _: [KEY], now).presigned, request.path

"""The verifier gives an identity or a 403 for any request; only the holder of the secret gets an identity."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote_from_bytes

from hypothesis import assume, given
from hypothesis import strategies as st

from smartcover.errors import SmartCoverError
from smartcover.protocol import RequestFacts, http_status, sign, verify

START = 1_700_000_000
FIELDS = ["q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"]
VALUES = st.one_of(
    st.sampled_from(
        [
            "sha1",
            "AKIDTEST",
            f"{START};{START + 60}",
            "host",
            "",
            ";",
            ";;;",
            "%zz",
            "0" * 40,
            "a" * 40,
            "٣;٤",
            "host;host",
        ]
    ),
    st.text(max_size=12),
)

words = st.binary(max_size=12)
facts = st.builds(
    RequestFacts,
    method=st.sampled_from(["GET", "PUT", "post", "", "\udcff"]),
    raw_path=words.map(lambda raw: b"/" + raw),
    raw_query=st.binary(max_size=40),
    headers=st.lists(st.tuples(st.sampled_from([b"Host", b"host", b"X-A", b""]), words), max_size=4),
    authority=st.none() | st.text(max_size=10),
    other_hosts=st.lists(st.text(max_size=10), max_size=2),
    bucket=st.none() | st.text(max_size=5),
)


def attempt(request: RequestFacts) -> None:
    try:
        identity = verify(request, lambda _: ["SECRETTEST"], START)
    except SmartCoverError as error:
        assert http_status(error.code) == 403
    else:
        raise AssertionError(f"{request} was verified as {identity}")


@given(facts, st.binary(max_size=200))
def test_any_authorization_is_refused_with_a_403(request: RequestFacts, authorization: bytes) -> None:
    attempt(replace(request, headers=(*request.headers, (b"Authorization", authorization))))


@given(facts, st.lists(st.tuples(st.sampled_from(FIELDS), VALUES), max_size=9), st.booleans())
def test_any_mix_of_fields_is_refused_with_a_403(
    request: RequestFacts, fields: list[tuple[str, str]], presigned: bool
) -> None:
    text = "&".join(f"{name}={value}" for name, value in fields).encode("utf-8", "surrogatepass")
    if presigned:
        attempt(replace(request, raw_query=request.raw_query + b"&" + text))
    else:
        attempt(replace(request, headers=(*request.headers, (b"authorization", text))))


escaped = st.binary(max_size=8).map(lambda raw: quote_from_bytes(raw).encode())


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    path=escaped,
    pairs=st.lists(st.tuples(st.sampled_from([b"a", b"B", b"c-d", b"e%2Ff"]), escaped), max_size=5),
    headers=st.lists(
        st.tuples(st.sampled_from([b"Content-Type", b"x-cos-meta-a", b"Range"]), words),
        max_size=3,
        unique_by=lambda p: p[0],
    ),
    host=st.sampled_from([b"127.0.0.1:8460", b"B-1.ci.r.myqcloud.com", b"[::1]:80", b"h"]),
    presigned=st.booleans(),
)
def test_what_we_sign_we_verify_and_nobody_else_can_sign(
    method: str,
    path: bytes,
    pairs: list[tuple[bytes, bytes]],
    headers: list[tuple[bytes, bytes]],
    host: bytes,
    presigned: bool,
) -> None:
    query = b"&".join(name + b"=" + value for name, value in pairs)
    request = RequestFacts(method, b"/" + path, query, ((b"Host", host), *headers))

    def sent(secret: str) -> RequestFacts:
        made = sign(
            request,
            secret_id="AKIDTEST",
            secret_key=secret,
            start_seconds=START,
            end_seconds=START + 60,
            header_names=["host", *(name.decode() for name, _ in headers)],
        )
        if presigned:
            return replace(request, raw_query=b"&".join(filter(None, (query, made.authorization.encode()))))
        return replace(request, headers=(*request.headers, (b"Authorization", made.authorization.encode())))

    assert verify(sent("SECRETTEST"), lambda _: ["SECRETTEST"], START).presigned == presigned
    attempt(sent("ANOTHER"))
    other = "PATCH"
    assume(method != other)
    attempt(replace(sent("SECRETTEST"), method=other))

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from smartcover.errors import (
    ClockSkewed,
    RequestExpired,
    SignatureMismatch,
    SignatureMissing,
    SmartCoverError,
    UnknownKey,
)
from smartcover.protocol import (
    RequestFacts,
    SignedRequest,
    VerifiedIdentity,
    canonical,
    http_status,
    parse_authorization,
    sign,
    verify,
)

START, END = 1_700_000_000, 1_700_003_600
NOW = START + 60


def headers(**values: str) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.replace("_", "-").encode(), value.encode()) for name, value in values.items())


def secrets(secret_id: str) -> Sequence[str] | None:
    return {"AKIDTEST": ["SECRETTEST"], "AKIDNEW": ["OLD", "NEW"], "AKIDGONE": []}.get(secret_id)


def signed(request: RequestFacts, key: str = "SECRETTEST", key_id: str = "AKIDTEST", **names: object) -> SignedRequest:
    return sign(
        request,
        secret_id=key_id,
        secret_key=key,
        start_seconds=START,
        end_seconds=END,
        **names,  # type: ignore[arg-type]
    )


def with_authorization(request: RequestFacts, authorization: str) -> RequestFacts:
    return replace(request, headers=(*request.headers, (b"Authorization", authorization.encode("latin-1"))))


def check(request: RequestFacts, now: int = NOW, **options: object) -> VerifiedIdentity:
    return verify(request, secrets, now, **options)  # type: ignore[arg-type]


PLAIN = RequestFacts("GET", b"/jobs", b"tag=SmartCover&size=10", headers(Host="127.0.0.1:8080"))


@pytest.mark.observed
@pytest.mark.parametrize(
    ("request_", "header_names", "signature"),
    [
        (
            RequestFacts(
                "GET",
                b"/jobs",
                b"tag=SmartCover&startCreationTime=2026-01-01T00%3A00%3A00%2B0800&size=10",
                headers(host="test-1250000000.ci.ap-chongqing.myqcloud.com"),
            ),
            ["host"],
            "9435592d06271d2e7ef9a1b6ef4753957c74ddc0",
        ),
        (
            RequestFacts(
                "PUT",
                b"/dir/a%20b%2B%E4%B8%AD.txt",
                b"",
                headers(content_length="5", host="127.0.0.1:8080", x_cos_meta_a="v 1/2"),
            ),
            ["host", "content-length", "x-cos-meta-a"],
            "7430d2ff02da1aaa04dbae8a5a8466778f0bc25c",
        ),
        (
            RequestFacts("PUT", b"/workflow/w1", b"active", headers(host="127.0.0.1")),
            ["host"],
            "ba198f42291bb2ddb8b6dd59e40b72340312cc1f",
        ),
    ],
)
def test_signatures_equal_the_node_sdks(request_: RequestFacts, header_names: list[str], signature: str) -> None:
    made = signed(request_, header_names=header_names)
    assert made.signature == signature
    assert check(with_authorization(request_, made.authorization)).secret_id == "AKIDTEST"


def test_the_format_string_is_the_documented_one() -> None:
    facts = RequestFacts(
        "PUT",
        b"/dir/a%20b%2B%E4%B8%AD.txt",
        headers=headers(content_length="5", host="127.0.0.1:8080", x_cos_meta_a="v 1/2"),
    )
    made = signed(facts, header_names=["host", "content-length", "x-cos-meta-a"])
    assert made.format_string.decode() == (
        "put\n/dir/a b+中.txt\n\ncontent-length=5&host=127.0.0.1%3A8080&x-cos-meta-a=v%201%2F2\n"
    )


def test_a_good_signature_tells_who_and_until_when() -> None:
    found = check(with_authorization(PLAIN, signed(PLAIN).authorization))
    assert found == VerifiedIdentity(secret_id="AKIDTEST", expires_at=END, presigned=False, host_signed=True)


@pytest.mark.observed
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080"])
def test_the_host_may_be_signed_with_or_without_its_port(host: str) -> None:
    made = signed(replace(PLAIN, headers=headers(host=host)))
    assert check(with_authorization(PLAIN, made.authorization)).host_signed


@pytest.mark.observed
def test_the_host_may_be_signed_in_lower_case() -> None:
    sent = replace(PLAIN, headers=headers(host="B-1.CI.R.Example:80"))
    made = signed(replace(PLAIN, headers=headers(host="b-1.ci.r.example")))
    assert check(with_authorization(sent, made.authorization)).host_signed


def test_the_authority_of_a_proxy_request_and_a_public_name_may_be_signed() -> None:
    made = signed(replace(PLAIN, headers=headers(host="b-1.ci.r.myqcloud.com")))
    for facts in (
        replace(PLAIN, authority="b-1.ci.r.myqcloud.com:80"),
        replace(PLAIN, other_hosts=["b-1.ci.r.myqcloud.com"]),
    ):
        assert check(with_authorization(facts, made.authorization)).host_signed
    with pytest.raises(SignatureMismatch):
        check(with_authorization(replace(PLAIN, other_hosts=["b-2.ci.r.myqcloud.com"]), made.authorization))


@pytest.mark.observed
def test_a_bucket_in_the_path_is_not_signed() -> None:
    sent = RequestFacts("POST", b"/b-1/jobs", b"", headers(host="127.0.0.1:8080"), bucket="b-1")
    made = signed(replace(sent, raw_path=b"/jobs", bucket=None))
    assert check(with_authorization(sent, made.authorization))
    assert signed(sent).signature == made.signature
    with pytest.raises(SignatureMismatch):
        check(with_authorization(replace(sent, bucket=None), made.authorization))
    with pytest.raises(SignatureMismatch):
        check(with_authorization(replace(sent, bucket="b"), made.authorization))
    root = replace(sent, raw_path=b"/b-1")
    assert check(with_authorization(root, signed(replace(root, raw_path=b"/", bucket=None)).authorization))


@pytest.mark.observed
def test_go_escapes_the_slash_of_a_key_and_signs_it_decoded() -> None:
    made = signed(RequestFacts("PUT", b"/dir/a.txt", headers=headers(host="h")))
    sent = RequestFacts("PUT", b"/dir%2Fa.txt", headers=headers(host="h"))
    assert check(with_authorization(sent, made.authorization))


@pytest.mark.observed
def test_only_what_is_listed_is_looked_at() -> None:
    made = signed(replace(PLAIN, raw_query=b"tag=SmartCover"))
    sent = replace(
        PLAIN, raw_query=b"cancel&tag=SmartCover&x=%ff", headers=(*PLAIN.headers, (b"X-Cos-Meta-New", b"\xff"))
    )
    assert check(with_authorization(sent, made.authorization))


@pytest.mark.observed
def test_go_signs_each_value_of_a_repeated_parameter() -> None:
    sent = replace(PLAIN, raw_query=b"b=2&b=1&a=x")
    formatted = signed(sent).format_string
    assert formatted.split(b"\n")[2] == b"a=x&b=1&b=2"
    assert check(with_authorization(sent, signed(sent).authorization))
    with pytest.raises(SignatureMismatch):
        check(with_authorization(replace(sent, raw_query=b"b=2&b=3&a=x"), signed(sent).authorization))


@pytest.mark.observed
def test_a_plus_in_the_query_is_a_space() -> None:
    made = signed(replace(PLAIN, raw_query=b"object=a%20b"))
    assert check(with_authorization(replace(PLAIN, raw_query=b"object=a+b"), made.authorization))
    with pytest.raises(SignatureMismatch):
        check(with_authorization(replace(PLAIN, raw_query=b"object=a%2Bb"), made.authorization))


def test_a_name_that_needs_escapes_matches_in_either_case_of_hex() -> None:
    # Python lowers a name after encoding it, the other SDKs before.
    facts = replace(PLAIN, raw_query=b"imageMogr2%2Fthumbnail=1")
    for name in ("imagemogr2%2fthumbnail", "imagemogr2%2Fthumbnail"):
        formatted = canonical.format_string("GET", b"/jobs", f"{name}=1", "host=127.0.0.1")
        times = f"{START};{END}"
        signature = canonical.signature_of("SECRETTEST", times, times, formatted)
        authorization = (
            f"q-sign-algorithm=sha1&q-ak=AKIDTEST&q-sign-time={times}&q-key-time={times}"
            f"&q-header-list=host&q-url-param-list={name}&q-signature={signature}"
        )
        assert check(with_authorization(facts, authorization))


@pytest.mark.observed
@pytest.mark.parametrize("semicolon", ["%3B", ";"])
def test_a_presigned_url_carries_the_fields_in_its_query(semicolon: str) -> None:
    facts = RequestFacts("GET", b"/dir/a%20b.txt", b"response-content-type=a%2Fb", headers(host="127.0.0.1:8080"))
    query = signed(facts).authorization.replace(";", semicolon).encode()
    sent = replace(facts, raw_query=facts.raw_query + b"&" + query)
    found = check(sent)
    assert found.presigned
    # An anonymous header beside it, as the Python SDK sends, does not hide it.
    assert check(with_authorization(sent, "")).presigned
    with pytest.raises(SignatureMismatch):
        check(replace(sent, method="PUT"))
    with pytest.raises(SignatureMismatch):
        check(replace(sent, raw_query=sent.raw_query.replace(b"a%2Fb", b"a%2Fc")))


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "POST"},
        {"raw_path": b"/jobs/j1"},
        {"raw_path": b"/Jobs"},
        {"raw_query": b"tag=SmartCover&size=11"},
        {"raw_query": b"tag=SmartCover"},
        {"raw_query": b""},
        {"headers": headers(Host="127.0.0.2:8080")},
        {"headers": ()},
    ],
)
def test_a_request_that_was_changed_is_refused(changed: dict[str, object]) -> None:
    made = signed(PLAIN)
    with pytest.raises(SignatureMismatch):
        check(with_authorization(replace(PLAIN, **changed), made.authorization))  # type: ignore[arg-type]


def test_a_signed_header_that_was_changed_or_dropped_is_refused() -> None:
    facts = replace(PLAIN, headers=headers(host="h", content_md5="abc", x_cos_meta_a=" v "))
    made = signed(facts, header_names=["host", "content-md5", "x-cos-meta-a"])
    assert check(with_authorization(facts, made.authorization))
    for other in (headers(host="h", content_md5="abd", x_cos_meta_a="v"), headers(host="h", content_md5="abc")):
        with pytest.raises(SignatureMismatch):
            check(with_authorization(replace(facts, headers=other), made.authorization))


def test_each_of_several_secrets_of_one_id_is_good() -> None:
    for key in ("OLD", "NEW"):
        made = signed(PLAIN, key, "AKIDNEW")
        assert check(with_authorization(PLAIN, made.authorization)).secret_id == "AKIDNEW"
    with pytest.raises(SignatureMismatch):
        check(with_authorization(PLAIN, signed(PLAIN, "OTHER", "AKIDNEW").authorization))


@pytest.mark.parametrize("key_id", ["AKIDNOBODY", "AKIDGONE"])
def test_an_unknown_key_is_refused_by_name(key_id: str) -> None:
    with pytest.raises(UnknownKey, match=key_id):
        check(with_authorization(PLAIN, signed(PLAIN, key_id=key_id).authorization))


@pytest.mark.documented
def test_time_is_checked_with_room_for_a_wrong_clock() -> None:
    sent = with_authorization(PLAIN, signed(PLAIN).authorization)
    for now in (START - 900, START, END, END + 900):
        assert check(sent, now)
    with pytest.raises(ClockSkewed, match="check the clock of the client"):
        check(sent, START - 901)
    with pytest.raises(RequestExpired, match=r"\ARequest has expired\Z"):
        check(sent, END + 901)
    with pytest.raises(RequestExpired):
        check(sent, END + 1, skew_seconds=0)


def test_the_narrower_of_two_periods_counts() -> None:
    authorization = signed(PLAIN).authorization.replace(
        f"q-sign-time={START};{END}", f"q-sign-time={START};{START + 5}"
    )
    with pytest.raises(RequestExpired):
        check(with_authorization(PLAIN, authorization), START + 1000)


@pytest.mark.observed
def test_a_signature_without_host_is_good_only_where_that_is_allowed() -> None:
    made = signed(PLAIN, header_names=[])
    sent = with_authorization(PLAIN, made.authorization)
    with pytest.raises(SignatureMismatch, match="sign host as well"):
        check(sent)
    assert not check(sent, require_host=False).host_signed


@pytest.mark.observed
@pytest.mark.parametrize("name", ["x-cos-security-token", "X-CI-Security-Token"])
def test_a_token_is_taken_from_either_header_signed_or_not(name: str) -> None:
    facts = replace(PLAIN, headers=(*PLAIN.headers, (name.encode(), b"TOK")))
    for names in (["host"], ["host", name]):
        sent = with_authorization(facts, signed(facts, header_names=names).authorization)
        assert check(sent).token == "TOK"
        assert check(sent, accepted_tokens={"TOK", "x"}).token == "TOK"
        with pytest.raises(SignatureMismatch, match="token"):
            check(sent, accepted_tokens=set())


@pytest.mark.observed
def test_a_token_is_taken_from_the_query_of_a_presigned_url() -> None:
    query = signed(PLAIN).authorization.encode() + b"&x-cos-security-token=T%2BK"
    assert check(replace(PLAIN, raw_query=PLAIN.raw_query + b"&" + query)).token == "T+K"


@pytest.mark.observed
@pytest.mark.parametrize("authorization", [None, "", "  "])
def test_an_unsigned_request_is_anonymous(authorization: str | None) -> None:
    assert parse_authorization(authorization) is None
    sent = PLAIN if authorization is None else with_authorization(PLAIN, authorization)
    with pytest.raises(SignatureMissing):
        check(sent)


GOOD = signed(PLAIN).authorization


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer abc",
        "AWS4-HMAC-SHA256 Credential=x",
        "q-sign-algorithm=sha1",
        GOOD.replace("sha1", "sha256"),
        GOOD.replace("q-ak=AKIDTEST", "q-ak="),
        GOOD.replace("q-ak=AKIDTEST", "q-ak=a b"),
        GOOD + "&q-ak=AKIDOTHER",
        GOOD[:-1],
        GOOD + "0",
        GOOD.replace(f"{START};{END}", f"{START}"),
        GOOD.replace(f"{START};{END}", f"{END};{START}"),
        GOOD.replace(f"{START};{END}", f"-1;{END}"),
        GOOD.replace(f"{START};{END}", f"{START};{'9' * 13}"),
        GOOD.replace("q-header-list=host", "q-header-list=" + ";".join(["host"] * 101)),
        GOOD.replace("q-header-list=host&", ""),
        GOOD.replace("q-header-list=host", "q-header-list=host;not-sent"),
        GOOD.replace("q-url-param-list=size;tag", "q-url-param-list=size;tag;not-sent"),
        GOOD + "x" * 8192,
        "\xff" * 100,
    ],
)
def test_a_malformed_signature_is_a_403(authorization: str) -> None:
    with pytest.raises(SignatureMismatch) as caught:
        check(with_authorization(PLAIN, authorization))
    assert http_status(caught.value.code) == 403
    assert "SECRETTEST" not in caught.value.public


def test_two_signatures_are_none() -> None:
    with pytest.raises(SignatureMismatch):
        check(with_authorization(with_authorization(PLAIN, GOOD), GOOD))


def test_more_headers_or_parameters_than_anyone_sends_are_refused() -> None:
    many = replace(PLAIN, headers=(*PLAIN.headers, *[(b"x", b"y")] * 200))
    wide = replace(PLAIN, raw_query=b"&".join([b"a=b"] * 501))
    long = replace(PLAIN, raw_query=b"a=" + b"b" * 40_000)
    for facts in (with_authorization(many, GOOD), wide, long):
        with pytest.raises(SignatureMismatch, match=r"limit|more than"):
            check(facts)


def test_every_refusal_is_a_403() -> None:
    for error in (SignatureMismatch, SignatureMissing, UnknownKey, RequestExpired, ClockSkewed):
        assert issubclass(error, SmartCoverError)
        assert http_status(error.code) == 403

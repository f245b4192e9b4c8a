"""
The request signature: signing, and verification of what clients send.

Pure: the clock's reading, the secrets and every fact of the request come in as arguments. For any header or query
whatever, `verify` returns an identity or raises one of the 403 errors named there.

Clients differ in what they sign (spec of the SDKs, observed): Python signs the host without its port, Go and Node
with it; a bucket in the path is not part of the signed path; a presigned URL carries the seven fields as query
parameters. So a signature is compared with a handful of readings of the request, and only the headers and
parameters that it lists are looked at.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import unquote_to_bytes

from smartcover.errors import ClockSkewed, RequestExpired, SignatureMismatch, SignatureMissing, UnknownKey
from smartcover.protocol import canonical

MAX_AUTHORIZATION_BYTES: Final = 8192
MAX_QUERY_BYTES: Final = 32768
MAX_QUERY_PAIRS: Final = 500
MAX_SIGNED_NAMES: Final = 100
MAX_HEADERS: Final = 200
DEFAULT_SKEW_SECONDS: Final = 900
"""Go, Node and Java start a signature's life at their own "now", so a client's clock may lead ours by this much."""

TOKEN_NAMES: Final = (b"x-cos-security-token", b"x-ci-security-token")

_FIELDS: Final = (
    "q-sign-algorithm",
    "q-ak",
    "q-sign-time",
    "q-key-time",
    "q-header-list",
    "q-url-param-list",
    "q-signature",
)
_WINDOW: Final = re.compile(r"(\d{1,12});(\d{1,12})", re.ASCII)
_SIGNATURE: Final = re.compile(r"[0-9a-fA-F]{40}", re.ASCII)
_KEY_ID: Final = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """
    What the signature speaks about, as it stood on the wire.

    Args:
        method: As sent; compared in lower case.
        raw_path: Of the request line without scheme, authority and query, still percent-encoded (`/dir%2Fa.txt`).
        raw_query: Without the question mark, still percent-encoded.
        headers: Names and values in any case, repeated where sent repeatedly.
        authority: Host and port of an absolute-form target, when there was one; then the Host header says nothing.
        other_hosts: Further hosts that the client may have signed (a public name in front of a proxy).
        bucket: Name of the bucket when it is the first segment of the path; clients do not sign that segment.
    """

    method: str
    raw_path: bytes
    raw_query: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()
    authority: str | None = None
    other_hosts: Sequence[str] = ()
    bucket: str | None = None


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What signing made: the Authorization value, the signature in it, and the string that was signed."""

    authorization: str
    signature: str
    format_string: bytes


@dataclass(frozen=True, slots=True)
class Credentials:
    """The seven fields of a signature, checked for form only. Names in the lists are decoded and lower-case."""

    secret_id: str
    sign_time: str
    key_time: str
    header_names: tuple[bytes, ...]
    param_names: tuple[bytes, ...]
    signature: str
    presigned: bool = False


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """Whose signature it was, how long it stays valid (unix seconds), and the token that came with it, if any."""

    secret_id: str
    expires_at: int
    presigned: bool
    host_signed: bool
    token: str | None = None


def parse_authorization(source: str | bytes | None, *, presigned: bool = False) -> Credentials | None:
    """
    Read an Authorization header or, with `presigned`, the raw query string of a presigned URL.

    Returns:
        None when there is no signature: no header, an empty one (the Python SDK's anonymous mode), or a query
        without any `q-` field.

    Raises:
        SignatureMismatch: If there is something that is not a signature of the documented form.
    """
    raw = b"" if source is None else source.encode("utf-8", "replace") if isinstance(source, str) else source
    if presigned:
        return _credentials(_query_fields(raw), presigned=True)
    raw = raw.strip()
    if not raw:
        return None
    if len(raw) > MAX_AUTHORIZATION_BYTES:
        raise SignatureMismatch(
            f"The Authorization header is {len(raw)} bytes long; the limit is {MAX_AUTHORIZATION_BYTES}"
        )
    fields: dict[str, str] = {}
    for item in raw.decode("latin-1").split("&"):
        name, _, value = item.partition("=")
        _put(fields, name.strip(), value.strip())
    return _credentials(fields, presigned=False) or _refuse("it holds no q-sign-algorithm=sha1")


def verify(
    request: RequestFacts,
    secret_lookup: Callable[[str], Sequence[str] | None],
    now_seconds: int,
    skew_seconds: int = DEFAULT_SKEW_SECONDS,
    *,
    require_host: bool = True,
    accepted_tokens: Collection[str] | None = None,
) -> VerifiedIdentity:
    """
    Check the signature of a request, in its header or, failing that, in its query.

    Args:
        secret_lookup: Gives the secret keys of a SecretId (several while one is being replaced), or None or an
            empty sequence when it is unknown.
        skew_seconds: How far the client's clock may be off in either direction.
        require_host: Refuse a signature that does not bind the host. Off, the Python SDK's `SignHost=False` works,
            at the price that a request signed for one bucket is valid for every other.
        accepted_tokens: Tokens that may come in `x-cos-security-token` or `x-ci-security-token`. None accepts any:
            there is no token service here, and the signature alone decides.

    Raises:
        SignatureMissing: If the request carries no signature.
        UnknownKey: If the SecretId is unknown.
        ClockSkewed: If the signature becomes valid only later.
        RequestExpired: If it is no longer valid.
        SignatureMismatch: If it is malformed or does not match.
    """
    if len(request.headers) > MAX_HEADERS:
        raise SignatureMismatch(f"The request has {len(request.headers)} headers; the limit is {MAX_HEADERS}")
    sent = (value.strip() for name, value in request.headers if name.lower() == b"authorization")
    authorization = b",".join(value for value in sent if value)
    credentials = parse_authorization(authorization) or parse_authorization(request.raw_query, presigned=True)
    if credentials is None:
        raise SignatureMissing
    secrets = secret_lookup(credentials.secret_id)
    if not secrets:
        raise UnknownKey(f"The SecretId {credentials.secret_id!r} is not known here")
    expires_at = _check_window(credentials, now_seconds, skew_seconds)
    host_signed = b"host" in credentials.header_names
    if require_host and not host_signed:
        raise SignatureMismatch("The signature does not cover the Host header; sign host as well")
    if not _matches(request, credentials, secrets):
        raise SignatureMismatch
    token = _token(request)
    if accepted_tokens is not None and token is not None and not _is_one_of(token, accepted_tokens):
        raise SignatureMismatch("The security token is not known here; sign without a token")
    return VerifiedIdentity(
        secret_id=credentials.secret_id,
        expires_at=expires_at,
        presigned=credentials.presigned,
        host_signed=host_signed,
        token=token,
    )


def sign(
    request: RequestFacts,
    *,
    secret_id: str,
    secret_key: str,
    start_seconds: int,
    end_seconds: int,
    header_names: Collection[str] = ("host",),
    param_names: Collection[str] | None = None,
) -> SignedRequest:
    """
    Sign a request. The Authorization value, joined to the query with `&`, also presigns a URL.

    Args:
        header_names: Which of the request's headers to sign; those it does not have are left out.
        param_names: Which parameters of the query to sign; None signs all.
    """
    time_text = f"{start_seconds};{end_seconds}"
    wanted = {name.lower().encode() for name in header_names}
    headers = [(name.lower(), value.strip()) for name, value in request.headers if name.lower() in wanted]
    params = canonical.split_query(request.raw_query, max_pairs=MAX_QUERY_PAIRS) or []
    if param_names is not None:
        chosen = {name.lower().encode() for name in param_names}
        params = [pair for pair in params if pair[0].lower() in chosen]
    path = _paths(request)[-1]  # without the bucket, as the SDKs do
    formatted = canonical.format_string(
        request.method, path, canonical.join_pairs(params), canonical.join_pairs(headers)
    )
    signature = canonical.signature_of(secret_key, time_text, time_text, formatted)
    header_list = ";".join(sorted({canonical.encode(name) for name, _ in headers}))
    param_list = ";".join(sorted({canonical.encode(name.lower()) for name, _ in params}))
    authorization = (
        f"q-sign-algorithm=sha1&q-ak={secret_id}&q-sign-time={time_text}&q-key-time={time_text}"
        f"&q-header-list={header_list}&q-url-param-list={param_list}&q-signature={signature}"
    )
    return SignedRequest(authorization=authorization, signature=signature, format_string=formatted)


def _refuse(reason: str) -> NoReturn:
    raise SignatureMismatch(f"The signature cannot be read: {reason}")


def _put(fields: dict[str, str], name: str, value: str) -> None:
    if name in _FIELDS:
        if name in fields:
            _refuse(f"{name} is given twice")
        fields[name] = value


def _query_fields(raw_query: bytes) -> dict[str, str]:
    if len(raw_query) > MAX_QUERY_BYTES:
        _refuse(f"the query is {len(raw_query)} bytes long; the limit is {MAX_QUERY_BYTES}")
    pairs = canonical.split_query(raw_query, max_pairs=MAX_QUERY_PAIRS)
    if pairs is None:
        _refuse(f"the query has more than {MAX_QUERY_PAIRS} parameters")
    fields: dict[str, str] = {}
    for name, value in pairs:
        _put(fields, name.decode("latin-1"), value.decode("latin-1"))
    return fields


def _credentials(fields: dict[str, str], *, presigned: bool) -> Credentials | None:
    if not fields:
        return None
    missing = [name for name in _FIELDS if name not in fields]
    if missing:
        _refuse(f"{', '.join(missing)} missing")
    if fields["q-sign-algorithm"] != "sha1":
        _refuse("q-sign-algorithm is not sha1")
    if _KEY_ID.fullmatch(fields["q-ak"]) is None:
        _refuse("q-ak is not a SecretId")
    if _SIGNATURE.fullmatch(fields["q-signature"]) is None:
        _refuse("q-signature is not 40 hex digits")
    for name in ("q-sign-time", "q-key-time"):
        _window(name, fields[name])
    return Credentials(
        secret_id=fields["q-ak"],
        sign_time=fields["q-sign-time"],
        key_time=fields["q-key-time"],
        header_names=_names("q-header-list", fields["q-header-list"]),
        param_names=_names("q-url-param-list", fields["q-url-param-list"]),
        signature=fields["q-signature"].lower(),
        presigned=presigned,
    )


def _names(field: str, text: str) -> tuple[bytes, ...]:
    if text.count(";") >= MAX_SIGNED_NAMES:
        _refuse(f"{field} lists more than {MAX_SIGNED_NAMES} names")
    names = (unquote_to_bytes(name.encode("latin-1")).strip().lower() for name in text.split(";"))
    return tuple(dict.fromkeys(name for name in names if name))


def _window(field: str, text: str) -> tuple[int, int]:
    match = _WINDOW.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        _refuse(f"{field} is not <start>;<end> in unix seconds")
    return int(match[1]), int(match[2])


def _check_window(credentials: Credentials, now_seconds: int, skew_seconds: int) -> int:
    """Check both periods, which the SDKs make equal, and give the earlier end."""
    windows = [_window("q-sign-time", credentials.sign_time), _window("q-key-time", credentials.key_time)]
    start, end = max(start for start, _ in windows), min(end for _, end in windows)
    if now_seconds < start - skew_seconds:
        raise ClockSkewed(
            f"The signature is valid from {start} on and the server's clock says {now_seconds}; "
            "check the clock of the client"
        )
    if now_seconds > end + skew_seconds:
        # Exactly the class's own text: the Node SDK recognises it and corrects its clock.
        raise RequestExpired
    return end


def _matches(request: RequestFacts, credentials: Credentials, secrets: Sequence[str]) -> bool:
    # Every reading is compared, also after a match, so that time tells nothing about which one it was.
    matched = False
    for formatted in _readings(request, credentials):
        for secret in secrets:
            expected = canonical.signature_of(secret, credentials.key_time, credentials.sign_time, formatted)
            matched |= hmac.compare_digest(expected, credentials.signature)
    return matched


def _readings(request: RequestFacts, credentials: Credentials) -> Iterator[bytes]:
    """Give each FormatString that a client may have meant; none when a listed name is not in the request."""
    params = _listed(canonical.split_query(request.raw_query, max_pairs=MAX_QUERY_PAIRS) or [], credentials.param_names)
    sent = [(name.lower(), value.strip()) for name, value in request.headers]
    others = _listed(sent, tuple(name for name in credentials.header_names if name != b"host"))
    if params is None or others is None:
        return
    hosts = _hosts(request) if b"host" in credentials.header_names else [None]
    has_escapes = any(canonical.encode(name) != name.decode("latin-1") for name, _ in (*params, *others))
    seen: set[bytes] = set()
    for lower_hex in (False, True) if has_escapes else (False,):
        params_text = canonical.join_pairs(params, lower_hex_names=lower_hex)
        for host in hosts:
            headers = others if host is None else [*others, (b"host", host)]
            headers_text = canonical.join_pairs(headers, lower_hex_names=lower_hex)
            for path in _paths(request):
                formatted = canonical.format_string(request.method, path, params_text, headers_text)
                if formatted not in seen:
                    seen.add(formatted)
                    yield formatted


def _listed(sent: Sequence[canonical.Pair], names: Sequence[bytes]) -> list[canonical.Pair] | None:
    wanted = set(names)
    chosen = [(name.lower(), value) for name, value in sent if name.lower() in wanted]
    return chosen if {name for name, _ in chosen} == wanted else None


def _hosts(request: RequestFacts) -> list[bytes | None]:
    """
    Give the hosts that may have been signed: each name as sent, in lower case, and both without the port.

    An authority stands for the Host header, as it does where the bucket is decided: with a Host that counted here and
    not there, an address signed for one bucket would open every other.
    """
    sent = [value.strip() for name, value in request.headers if name.lower() == b"host"][:1]
    if request.authority:
        sent = [request.authority.encode("utf-8", "replace")]
    sent += [host.encode("utf-8", "replace") for host in request.other_hosts]
    hosts: dict[bytes | None, None] = {}
    for host in sent:
        bare = re.sub(rb":\d{1,5}\Z", b"", host)
        # The Python SDK takes the name out of an IPv6 literal's brackets.
        for form in (host, host.lower(), bare, bare.lower(), bare.strip(b"[]").lower()):
            hosts[form] = None
    return list(hosts)


def _paths(request: RequestFacts) -> list[bytes]:
    path = canonical.decode_path(request.raw_path) or b"/"
    paths = [path]
    if request.bucket:
        prefix = b"/" + request.bucket.encode("utf-8", "replace")
        if path == prefix or path.startswith(prefix + b"/"):
            paths.append(path[len(prefix) :] or b"/")
    return paths


def _token(request: RequestFacts) -> str | None:
    for name, value in request.headers:
        if name.lower() in TOKEN_NAMES and value.strip():
            return value.strip().decode("latin-1")
    for name, value in canonical.split_query(request.raw_query, max_pairs=MAX_QUERY_PAIRS) or ():
        if name.lower() in TOKEN_NAMES and value:
            return value.decode("latin-1")
    return None


def _is_one_of(token: str, accepted: Collection[str]) -> bool:
    given = token.encode()
    matched = False  # compared with every one, so that time does not tell which one it was
    for known in accepted:
        matched |= hmac.compare_digest(given, known.encode())
    return matched

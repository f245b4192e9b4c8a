"""Who signed a request. Every CI and object call is signed; there is no anonymous access."""

from __future__ import annotations

from collections.abc import Sequence

from smartcover.api.call import HeaderPair
from smartcover.api.config import EdgeConfig, KeyRing
from smartcover.api.target import Kind, RequestTarget, Target
from smartcover.protocol import RequestFacts, VerifiedIdentity, verify


def authenticate(
    method: str,
    request_target: RequestTarget,
    path_bucket: str | None,
    headers: Sequence[HeaderPair],
    *,
    keys: KeyRing,
    now_seconds: int,
    config: EdgeConfig,
) -> VerifiedIdentity:
    """
    Check the signature in the Authorization header or in the query.

    Args:
        path_bucket: The first segment of the path if it is a bucket, which clients leave out of what they sign.

    Raises:
        SignatureMissing, UnknownKey, ClockSkewed, RequestExpired, SignatureMismatch: As `protocol.verify` does.
    """
    facts = RequestFacts(
        method=method,
        raw_path=request_target.raw_path,
        raw_query=request_target.raw_query,
        headers=headers,
        authority=request_target.authority,
        bucket=path_bucket,
    )
    return verify(
        facts,
        keys.secret_of,
        now_seconds,
        config.clock_skew_seconds,
        require_host=config.require_signed_host,
    )


def is_unsigned_form(method: str, request_target: RequestTarget, target: Target, headers: Sequence[HeaderPair]) -> bool:
    """
    Tell whether a request can only be an upload by HTML form, which is signed inside: `POST` on a bucket, without a
    query, of multipart/form-data, and without an Authorization header.
    """
    names = {name.lower() for name, _ in headers}
    types = [value.strip().lower() for name, value in headers if name.lower() == b"content-type"]
    return (
        method == "POST"
        and target.kind is Kind.OBJECT
        and target.key == ""
        and not request_target.raw_query
        and b"authorization" not in names
        and len(types) == 1
        and types[0].startswith(b"multipart/form-data")
    )


def carries_signature(raw_query: bytes, headers: Sequence[HeaderPair]) -> bool:
    """Tell whether a request tries to be a CI or object call: our own pages answer only those that do not."""
    in_header = any(name.lower() == b"authorization" and value.lstrip().startswith(b"q-") for name, value in headers)
    return in_header or b"q-sign-algorithm=" in raw_query

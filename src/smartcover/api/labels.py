"""What an answer says of the server and of what was asked, also where a request never became a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote

from smartcover.api.call import HeaderPair
from smartcover.api.ci_words import is_ci_call, segments_of
from smartcover.api.hosts import could_be_bucket, split_host
from smartcover.api.target import Kind, split_absolute, written_small

CI_SERVER: Final = b"tencent-ci"
COS_SERVER: Final = b"tencent-cos"


def server_of(kind: Kind) -> bytes:
    """Name the server as the cloud names that of such a call."""
    return CI_SERVER if kind is Kind.CI else COS_SERVER


def likely_server(method: str, raw_target: bytes, raw_query: bytes, host_headers: Sequence[bytes]) -> bytes:
    """
    Name the server of a request that may be refused before it is known what it asks; any bytes will do.

    A first segment that could be a bucket counts as one: whether it exists must not show before the signature holds.
    """
    authority, raw_path = split_absolute(raw_target)
    host = split_host(authority or b"".join(host_headers[:1]).decode("latin-1"))
    segments = segments_of(written_small(method, raw_path, ci_host=host.on_ci))
    readings = [segments]
    if host.bucket is None and len(segments) > 1 and could_be_bucket(segments[0].decode("latin-1")):
        readings.append(segments[1:])
    asks_ci = any(is_ci_call(method, read, ci_host=host.on_ci, has_query=bool(raw_query)) for read in readings)
    return CI_SERVER if asks_ci else COS_SERVER


def hosts_of(headers: Iterable[HeaderPair]) -> list[bytes]:
    """Give the values of all Host headers."""
    return [value for name, value in headers if name.lower() == b"host"]


def trace_of(server: bytes | None, request_id: str) -> str | None:
    """Give the trace id of an error: that of the request for object calls, none for CI calls, as in the cloud."""
    return request_id if server == COS_SERVER else None


def resource_of(raw_target: bytes) -> str:
    """Give the path of a request line as errors show it; any bytes will do."""
    path = split_absolute(raw_target)[1].decode("latin-1").partition("?")[0]
    return unquote(path, errors="replace") or "/"

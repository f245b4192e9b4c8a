"""
Where a request goes: bucket, region, and CI call, object call or own page.

Clients address one server in many ways, and none of them may need a code change: a Host label, an absolute-form
target (the server as a proxy), the bucket as the first segment of the path, or a default bucket. Routing looks at
the raw path, because a decoded one would turn the object `PUT /jobs%2Fx` of the Go SDK into a cancel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import unquote_to_bytes

from smartcover.api.ci_words import RESERVED_WORDS, is_ci_call, segments_of
from smartcover.api.hosts import could_be_bucket, split_host
from smartcover.errors import BadUri, MissingHost

MAX_TARGET_BYTES: Final = 32 * 1024

_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)", re.DOTALL)
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
#: `DELETE /Workflow/<id>` of older Go SDKs, to the Host of the CI service; their other calls write it small.
_CAPITAL_WORKFLOW: Final = re.compile(rb"/Workflow/(w[0-9a-f]{32})")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}(?::\d{0,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{0,5})?", re.ASCII)


class Kind(Enum):
    """Which surface a request is for."""

    CI = "ci"
    OBJECT = "object"
    SERVICE = "service"
    """The path is `/` and the host is that of the service, or no bucket is named at all: the list of buckets."""


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """
    What the request line and the Host header say, before any bucket was looked up.

    `raw_path` starts with a slash and is still percent-encoded. `authority` is that of an absolute-form target.
    `service_host` tells that the Host is `ci.R…`, `cos.R…` or `service.cos…`, which name the service and no bucket,
    `ci_host` that it is `B.ci.R…`, to which nearly all calls are those of CI. `misnamed_bucket` is what the Host has
    where a bucket's name stands, and cannot be one.
    """

    host: str
    authority: str | None
    raw_path: bytes
    raw_query: bytes
    host_bucket: str | None
    host_region: str | None
    service_host: bool = False
    ci_host: bool = False
    misnamed_bucket: str | None = None

    @property
    def path_bucket(self) -> str | None:
        """The first segment of the path when it could be a bucket's name; a bucket in the Host leaves none."""
        if self.host_bucket is not None:
            return None
        first = self.raw_path[1:].partition(b"/")[0]
        word = first.decode("latin-1")
        if first in RESERVED_WORDS or not could_be_bucket(word):
            return None
        return word


@dataclass(frozen=True, slots=True)
class Target:
    """
    Where a request goes.

    `inner_path` is the raw path without the bucket; `key` is that path decoded, without its first slash. For a CI
    call `segments` are the decoded segments of it. `path_bucket` is set when the bucket came out of the path.
    """

    kind: Kind
    bucket: str | None
    inner_path: bytes
    key: str
    segments: tuple[str, ...]
    path_bucket: str | None = None


def read_target(raw_target: bytes, raw_query: bytes, host_headers: list[bytes]) -> RequestTarget:
    """
    Read the request line's target and the Host header.

    Args:
        raw_target: The target without its query: `/jobs`, or `http://B.ci.R.example/jobs` in absolute form.
        host_headers: The values of all Host headers sent.

    Raises:
        BadUri: If the target has another form, is too long, or is not percent-encoded UTF-8.
        MissingHost: If neither the target nor a single well-formed Host header names a host.
    """
    if len(raw_target) + len(raw_query) > MAX_TARGET_BYTES:
        raise BadUri(
            f"The request target is {len(raw_target) + len(raw_query)} bytes long; the limit is {MAX_TARGET_BYTES}"
        )
    authority, raw_path = split_absolute(raw_target)
    scheme = raw_target.partition(b":")[0]
    if authority is not None and scheme.lower() not in (b"http", b"https"):
        raise BadUri(f"The scheme {scheme.decode('latin-1')!r} is not http or https")
    if raw_path.startswith(b"?"):  # http://host?query, whose path is empty
        raw_path, raw_query = b"/", raw_path[1:]
    if not raw_path.startswith(b"/"):
        raise BadUri("The request target is neither a path that starts with / nor an http URL")
    if b"#" in raw_path or b"#" in raw_query:
        raise BadUri("The request target holds a #; write it as %23")
    if not (raw_path.isascii() and raw_query.isascii()):
        raise BadUri("The request target holds bytes outside ASCII; percent-encode UTF-8")
    _refuse_bad_escapes(raw_path, "path")
    _refuse_bad_escapes(raw_query, "query")
    host = _host_of(authority, host_headers)
    parts = split_host(host)
    return RequestTarget(
        host=host,
        authority=authority,
        raw_path=raw_path,
        raw_query=raw_query,
        host_bucket=parts.bucket,
        host_region=parts.region,
        service_host=parts.is_service,
        ci_host=parts.on_ci,
        misnamed_bucket=parts.misnamed,
    )


def locate(target: RequestTarget, *, path_bucket_exists: bool, default_bucket: str | None, method: str = "") -> Target:
    """
    Decide the bucket and the surface.

    The bucket is, in this order: the Host's, the path's first segment if such a bucket exists, the default one. A
    path of one segment that names no existing bucket still names the bucket when there is no default: this is how a
    client with the bucket in its path creates it.
    """
    inner = written_small(method, target.raw_path, ci_host=target.ci_host)
    path_bucket: str | None = None
    bucket = target.host_bucket
    if bucket is None:
        candidate = target.path_bucket
        rest = inner[1:].partition(b"/")[2]
        if candidate is not None and (path_bucket_exists or (default_bucket is None and not rest)):
            bucket = path_bucket = candidate
            inner = b"/" + rest
        elif default_bucket is not None:
            bucket = default_bucket
    raw_segments = segments_of(inner)
    if is_ci_call(method, raw_segments, ci_host=target.ci_host, has_query=bool(target.raw_query)):
        segments = tuple(_decoded(segment) for segment in raw_segments)
        return Target(Kind.CI, bucket, inner, _decoded(inner[1:]), segments, path_bucket)
    if inner == b"/" and path_bucket is None and (target.service_host or bucket is None):
        return Target(Kind.SERVICE, None, inner, "", ())
    return Target(Kind.OBJECT, bucket, inner, _decoded(inner[1:]), (), path_bucket)


def _decoded(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode("utf-8")  # read_target has checked it


def _refuse_bad_escapes(raw: bytes, part: str) -> None:
    bad = _BAD_ESCAPE.search(raw)
    if bad is not None:
        shown = raw[bad.start() : bad.start() + 3].decode("latin-1")
        raise BadUri(f"The {part} holds {shown!r}, which is not a percent escape; write a percent sign as %25")
    try:
        unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadUri(f"The {part} is not UTF-8 once decoded; percent-encode UTF-8") from error


def written_small(method: str, raw_path: bytes, *, ci_host: bool) -> bytes:
    """Give the path with a small letter where a call on the Host of CI has a capital one for no reason."""
    capital = _CAPITAL_WORKFLOW.fullmatch(raw_path) if method == "DELETE" and ci_host else None
    return raw_path if capital is None else b"/workflow/" + capital[1]


def split_absolute(raw_target: bytes) -> tuple[str | None, bytes]:
    """Take the authority, if there is one, off a target of any form; gives it and the raw path."""
    absolute = _ABSOLUTE.fullmatch(raw_target)
    return (None, raw_target) if absolute is None else (absolute[1].decode("latin-1"), absolute[2] or b"/")


def _host_of(authority: str | None, host_headers: list[bytes]) -> str:
    if len(host_headers) > 1:
        raise MissingHost(f"The request has {len(host_headers)} Host headers; send one")
    # RFC 9112, 3.2.2: with an absolute-form target the Host header is not looked at.
    host = authority if authority is not None else host_headers[0].decode("latin-1").strip() if host_headers else ""
    if not host:
        raise MissingHost
    if _HOST.fullmatch(host) is None:
        raise MissingHost(f"The Host {host[:80]!r} is not a host name with an optional port")
    return host

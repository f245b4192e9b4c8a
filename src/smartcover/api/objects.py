"""Putting, reading, deleting and copying objects."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC
from typing import Final
from urllib.parse import unquote_to_bytes

from smartcover.api.call import Answer, Call, HeaderPair, xml_answer
from smartcover.api.conditions import Facts, failed_condition, wanted_range
from smartcover.api.edge import Edge
from smartcover.api.errors import RefusedWithHeaders
from smartcover.api.hosts import bad_bucket_name, could_be_bucket, split_host
from smartcover.api.limits import read_md5
from smartcover.api.object_headers import (
    checked_key,
    describing_headers,
    identity_headers,
    key_of,
    stored_headers,
    upload_event,
)
from smartcover.errors import (
    BadParameter,
    Conflict,
    MissingLength,
    PreconditionFailed,
    RangeUnsatisfiable,
    SmartCoverError,
    Unsupported,
)
from smartcover.protocol import DeleteFailure, copy_object_result, delete_result, key_fault, parse_delete
from smartcover.service import Right
from smartcover.storage import ObjectInfo

#: How often a read starts again because the object was replaced between looking and opening.
_MAX_READ_RETRIES: Final = 5


async def put_object(edge: Edge, call: Call) -> Answer:
    """Store the body under the key."""
    key = key_of(call)
    headers = stored_headers(call)
    digest = read_md5(call.headers.text("content-md5"))
    require_length(call)
    limit_bytes = edge.config.max_object_bytes
    info = await edge.store.put(
        call.bucket,
        key,
        call.body.chunks(limit_bytes),
        headers=headers,
        content_md5=digest,
        size_bytes=call.body.size_bytes,
        event=upload_event(call, "Put", retried_within_seconds=edge.retried_within_seconds(call)),
    )
    return Answer(headers=tuple(identity_headers(info)))


def require_length(call: Call) -> None:
    """
    Insist on a framed body, and refuse the chunk format of another vendor's SDKs.

    Raises:
        MissingLength: If there is neither Content-Length nor chunked encoding.
        Unsupported: If the body is signed in chunks.
    """
    if call.headers.text("x-amz-decoded-content-length") is not None:
        raise Unsupported("Bodies in aws-chunked form are not part of smartcover; send the body as it is")
    if call.body.size_bytes is None and not call.body.chunked:
        raise MissingLength("The request has neither Content-Length nor chunked encoding; say how long the body is")


async def get_object(edge: Edge, call: Call) -> Answer:
    """Send an object, or the range of it that was asked for."""
    key = key_of(call)
    for _ in range(_MAX_READ_RETRIES):
        info = await edge.store.head(call.bucket, key)
        refused = _condition_answer(call, info)
        if refused is not None:
            return refused
        headers = describing_headers(info, call.query)
        part = _range_of(call, info)
        async with AsyncExitStack() as stack:
            first, last = part if part is not None else (0, None)
            opened, chunks = await stack.enter_async_context(edge.store.read(call.bucket, key, first=first, last=last))
            if opened.etag != info.etag or opened.last_modified != info.last_modified:
                continue  # replaced in between: the range and the conditions were another version's
            status, framing = _framing(info, part)
            return Answer(status, (*headers, *framing), chunks, stack.pop_all().aclose)
    raise Conflict("The object is being replaced faster than it can be read; try again")


async def head_object(edge: Edge, call: Call) -> Answer:
    """Describe an object."""
    info = await edge.store.head(call.bucket, key_of(call))
    refused = _condition_answer(call, info)
    if refused is not None:
        return refused
    status, framing = _framing(info, _range_of(call, info))
    return Answer(status, (*describing_headers(info, call.query), *framing))


async def delete_object(edge: Edge, call: Call) -> Answer:
    """Delete an object; one that is not there counts as deleted."""
    await edge.store.delete(call.bucket, key_of(call))
    return Answer(status=204)


async def delete_objects(edge: Edge, call: Call) -> Answer:
    """Delete the keys that a document lists; one that fails does not keep the others."""
    request = parse_delete(await call.xml(edge.config.max_xml_bytes), max_bytes=edge.config.max_xml_bytes)
    await edge.store.bucket(call.bucket)
    deleted: list[str] = []
    failures: list[DeleteFailure] = []
    for key in request.keys:
        try:
            await edge.store.delete(call.bucket, checked_key(key, call.max_key_bytes))
            deleted.append(key)
        except SmartCoverError as error:
            failures.append(DeleteFailure(key, error.code, error.public))
    return xml_answer(delete_result(deleted, failures, quiet=request.quiet))


async def copy_object(edge: Edge, call: Call) -> Answer:
    """Copy an object inside the store."""
    key = key_of(call)
    source = read_copy_source(call.headers.text("x-cos-copy-source") or "")
    call.access.require(Right.READ, source.bucket)
    check_copy_conditions(call, await edge.store.head(source.bucket, source.key))
    directive = (call.headers.text("x-cos-metadata-directive") or "Copy").lower()
    if directive not in ("copy", "replaced"):
        raise BadParameter(f"x-cos-metadata-directive is {directive[:40]!r}; give Copy or Replaced")
    headers = stored_headers(call)
    info = await edge.store.copy(
        source.bucket,
        source.key,
        call.bucket,
        key,
        headers=headers if directive == "replaced" else None,
        event=upload_event(call, "Copy", retried_within_seconds=edge.retried_within_seconds(call)),
    )
    return xml_answer(
        copy_object_result(info.etag, info.last_modified, info.crc64 or 0), headers=identity_headers(info)
    )


@dataclass(frozen=True, slots=True)
class CopySource:
    """The object that a copy reads."""

    bucket: str
    key: str


def read_copy_source(header: str) -> CopySource:
    """
    Read `B.cos.R.example.com/key`, or with the bucket as the first segment; the key is percent-encoded.

    Raises:
        BadParameter: If it is not of that form.
        BadBucketName: If no bucket can have the name in it.
        Unsupported: If it names a version.
    """
    text = header.removeprefix("http://").removeprefix("https://").lstrip("/")
    path, _, query = text.partition("?")
    if query.startswith("versionId=") and query != "versionId=":
        raise Unsupported("x-cos-copy-source names a versionId, and versions are not part of smartcover; leave it out")
    host, _, raw_key = path.partition("/")
    parts = split_host(host)
    if parts.misnamed is not None:
        raise bad_bucket_name(parts.misnamed)
    bucket = parts.bucket
    if bucket is None and could_be_bucket(host):
        bucket = host
    elif bucket is None:
        word, _, raw_key = raw_key.partition("/")
        bucket = word if could_be_bucket(word) else None
    try:
        key = unquote_to_bytes(raw_key.encode("latin-1", "replace")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadParameter("x-cos-copy-source is not UTF-8 once decoded; percent-encode UTF-8") from error
    fault = key_fault(key)
    if bucket is None or fault is not None:
        raise BadParameter(
            f"x-cos-copy-source is {header[:200]!r}; give BUCKET.cos.REGION.myqcloud.com/KEY with the key "
            "percent-encoded"
        )
    return CopySource(bucket, key)


def check_copy_conditions(call: Call, info: ObjectInfo) -> None:
    """
    Evaluate the `x-cos-copy-source-if-*` headers; a condition that fails is always a 412.

    Raises:
        PreconditionFailed: If one fails.
    """
    if failed_condition(call.headers, facts_of(info), prefix="x-cos-copy-source-") is not None:
        raise PreconditionFailed("A condition of x-cos-copy-source-if-* does not hold")


def facts_of(info: ObjectInfo) -> Facts:
    """Give what conditions speak about."""
    return Facts(info.etag, info.last_modified.astimezone(UTC).replace(microsecond=0), info.size_bytes)


def _condition_answer(call: Call, info: ObjectInfo) -> Answer | None:
    status = failed_condition(call.headers, facts_of(info))
    if status == 412:
        raise PreconditionFailed("A condition of If-Match or If-Unmodified-Since does not hold")
    return None if status is None else Answer(status=304, headers=tuple(identity_headers(info)))


def _range_of(call: Call, info: ObjectInfo) -> tuple[int, int] | None:
    try:
        return wanted_range(call.headers, facts_of(info))
    except RangeUnsatisfiable as error:
        content_range = (b"content-range", f"bytes */{info.size_bytes}".encode())
        raise RefusedWithHeaders(error, (content_range,)) from error


def _framing(info: ObjectInfo, part: tuple[int, int] | None) -> tuple[int, Sequence[HeaderPair]]:
    if part is None:
        return 200, ((b"content-length", str(info.size_bytes).encode()),)
    first, last = part
    return 206, (
        (b"content-length", str(last - first + 1).encode()),
        (b"content-range", f"bytes {first}-{last}/{info.size_bytes}".encode()),
    )

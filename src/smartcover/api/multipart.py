"""Multipart uploads: begin, parts, listing, complete, abort."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Final

from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.api.limits import read_md5
from smartcover.api.object_headers import identity_headers, key_of, refuse_promises, stored_headers, upload_event
from smartcover.api.objects import check_copy_conditions, read_copy_source, require_length
from smartcover.errors import BadParameter, BodyTooLarge, PartsOutOfOrder, UploadMissing
from smartcover.protocol import (
    PartListing,
    PartSummary,
    UploadListing,
    UploadSummary,
    complete_multipart_upload_result,
    copy_part_result,
    initiate_multipart_upload_result,
    list_multipart_uploads_result,
    list_parts_result,
    parse_complete_multipart_upload,
)
from smartcover.service import Right
from smartcover.storage import PartInfo

_UPLOAD_ID: Final = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)
_COPY_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{1,18})", re.ASCII)
_MAX_PAGE: Final = 1000
_MAX_PARTS: Final = 10_000
#: A completion may be larger than other documents: 10,000 parts, each with its number and quoted ETag.
_MAX_COMPLETION_BYTES: Final = 4 << 20


async def start_upload(edge: Edge, call: Call) -> Answer:
    """Begin an upload; the headers sent now are the object's."""
    upload = await edge.store.start_upload(call.bucket, key_of(call), headers=stored_headers(call))
    return xml_answer(initiate_multipart_upload_result(upload.bucket, upload.key, upload.upload_id))


async def put_part(edge: Edge, call: Call) -> Answer:
    """Store a part."""
    key, upload_id, number = key_of(call), _upload_id(call), _part_number(call)
    digest = read_md5(call.headers.text("content-md5"))
    require_length(call)
    limit_bytes = edge.config.max_object_bytes
    part = await edge.store.put_part(
        call.bucket,
        key,
        upload_id,
        number,
        call.body.chunks(limit_bytes),
        content_md5=digest,
        size_bytes=call.body.size_bytes,
    )
    headers = ((b"etag", f'"{part.etag}"'.encode()), (b"x-cos-hash-crc64ecma", str(part.crc64).encode()))
    return Answer(headers=headers)


async def copy_part(edge: Edge, call: Call) -> Answer:
    """Make a part out of an object, or of the range of it that `x-cos-copy-source-range` names."""
    key, upload_id, number = key_of(call), _upload_id(call), _part_number(call)
    source = read_copy_source(call.headers.text("x-cos-copy-source") or "")
    call.access.require(Right.READ, source.bucket)
    info = await edge.store.head(source.bucket, source.key)
    check_copy_conditions(call, info)
    first, last = _copy_range(call.headers.text("x-cos-copy-source-range"), info.size_bytes)
    size_bytes = info.size_bytes - first if last is None else last - first + 1
    if size_bytes > edge.config.max_object_bytes:
        raise BodyTooLarge(f"The part would have {size_bytes} bytes; the limit is {edge.config.max_object_bytes}")
    async with AsyncExitStack() as stack:
        _, chunks = await stack.enter_async_context(edge.store.read(source.bucket, source.key, first=first, last=last))
        part: PartInfo = await edge.store.put_part(call.bucket, key, upload_id, number, chunks, size_bytes=size_bytes)
    return xml_answer(copy_part_result(part.etag, part.last_modified, part.crc64))


async def list_parts(edge: Edge, call: Call) -> Answer:
    """List the parts of an upload, which is how a client resumes it."""
    key, upload_id = key_of(call), _upload_id(call)
    after = call.query.integer("part-number-marker", default=0, low=0, high=_MAX_PARTS)
    limit = call.query.integer("max-parts", default=_MAX_PAGE, low=1, high=_MAX_PAGE)
    page = await edge.store.parts(call.bucket, key, upload_id, after=after, limit=limit)
    return xml_answer(
        list_parts_result(
            PartListing(
                bucket=call.bucket,
                key=key,
                upload_id=upload_id,
                parts=[PartSummary(part.number, part.etag, part.size_bytes, part.last_modified) for part in page.parts],
                part_number_marker=after,
                max_parts=limit,
                next_part_number_marker=page.next_part_number_marker,
                owner_id=call.secret_id,
                encoding_type=call.query.text("encoding-type"),
            )
        )
    )


async def complete_upload(edge: Edge, call: Call) -> Answer:
    """Join the parts into the object."""
    refuse_promises(call.headers.text)
    key, upload_id = key_of(call), _upload_id(call)
    named = parse_complete_multipart_upload(await call.xml(_MAX_COMPLETION_BYTES))
    numbers = [part.number for part in named]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise PartsOutOfOrder("The parts are not in ascending order; list each part once, lowest number first")
    parts = [(part.number, part.etag) for part in named]
    event = upload_event(call, "CompleteMultipartUpload")
    info = await edge.store.complete_upload(call.bucket, key, upload_id, parts, event=event)
    location = f"{call.request_target.host}{call.request_target.raw_path.decode('ascii')}"
    return xml_answer(
        complete_multipart_upload_result(location, call.bucket, key, info.etag), headers=identity_headers(info)
    )


async def abort_upload(edge: Edge, call: Call) -> Answer:
    """Forget an upload and its parts."""
    await edge.store.abort_upload(call.bucket, key_of(call), _upload_id(call))
    return Answer(status=204)


async def list_uploads(edge: Edge, call: Call) -> Answer:
    """List the uploads under way."""
    query = call.query
    limit = query.integer("max-uploads", default=_MAX_PAGE, low=1, high=_MAX_PAGE)
    prefix, delimiter = query.text("prefix") or "", query.text("delimiter") or ""
    key_marker, upload_id_marker = query.text("key-marker") or "", query.text("upload-id-marker") or ""
    page = await edge.store.uploads(
        call.bucket,
        prefix=prefix,
        delimiter=delimiter,
        key_marker=key_marker,
        upload_id_marker=upload_id_marker,
        limit=limit,
    )
    return xml_answer(
        list_multipart_uploads_result(
            UploadListing(
                bucket=call.bucket,
                uploads=[
                    UploadSummary(entry.key, entry.upload_id, entry.initiated_at, call.secret_id)
                    for entry in page.uploads
                ],
                common_prefixes=page.common_prefixes,
                prefix=prefix,
                delimiter=delimiter,
                key_marker=key_marker,
                upload_id_marker=upload_id_marker,
                max_uploads=limit,
                next_key_marker=page.next_key_marker,
                next_upload_id_marker=page.next_upload_id_marker,
                encoding_type=query.text("encoding-type"),
            )
        )
    )


def _upload_id(call: Call) -> str:
    upload_id = call.query.text("uploadId")
    if upload_id is None:
        raise BadParameter("The parameter uploadId is missing or empty; give the one that the upload began with")
    if _UPLOAD_ID.fullmatch(upload_id) is None:
        raise UploadMissing
    return upload_id


def _part_number(call: Call) -> int:
    text = call.query.text("partNumber")
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= _MAX_PARTS):
        raise BadParameter(
            f"The parameter partNumber is {(text or '')[:40]!r}; give a whole number from 1 to {_MAX_PARTS}"
        )
    return int(text)


def _copy_range(header: str | None, size_bytes: int) -> tuple[int, int | None]:
    if header is None:
        return 0, None
    match = _COPY_RANGE.fullmatch(header.strip())
    if match is None or not int(match[1]) <= int(match[2]) < size_bytes:
        raise BadParameter(
            f"x-cos-copy-source-range is {header[:80]!r}; give bytes=FIRST-LAST inside the object's {size_bytes} bytes"
        )
    return int(match[1]), int(match[2])

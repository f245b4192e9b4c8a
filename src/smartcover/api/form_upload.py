"""
Uploads by HTML form: `POST /` with multipart/form-data.

The form's fields come first and are small; the file is passed on as it arrives. What follows the file is ignored, as
the cloud's document says.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from smartcover.api.call import Answer, Call, HeaderPair, content_type
from smartcover.api.edge import Edge
from smartcover.api.object_headers import identity_headers, refuse_promises, stored_fields, upload_event
from smartcover.errors import BadKey, BadParameter, BodyTooLarge, IncompleteBody
from smartcover.protocol import XML_CONTENT_TYPE, AllowedUpload, check_form, key_fault, post_response, to_xml
from smartcover.service import Right
from smartcover.storage import ObjectInfo

_MAX_FIELDS: Final = 100
_MAX_FIELD_BYTES: Final = 128 * 1024
_MAX_PART_HEADER_BYTES: Final = 8 * 1024
_BOUNDARY: Final = re.compile(r"multipart/form-data\s*;.*?\bboundary=(?:\"([^\"]{1,70})\"|([^\s;\"]{1,70}))", re.I)
_NAME: Final = re.compile(r"[;\s]name=\"((?:[^\"\\]|\\.){0,256})\"", re.I)
_FILENAME: Final = re.compile(r"[;\s]filename=\"((?:[^\"\\]|\\.){0,1024})\"", re.I)
_PLACEHOLDER: Final = "${filename}"


async def post_object(edge: Edge, call: Call) -> Answer:
    """Store the file of a form under the key that the form names."""
    match = _BOUNDARY.match(call.headers.text("content-type") or "")
    if match is None:
        raise BadParameter("POST on a bucket uploads a form; send Content-Type multipart/form-data with its boundary")
    refuse_promises(call.headers.text)
    limit = edge.config.max_object_bytes + _MAX_FIELD_BYTES
    form = _Form(call.body.chunks(limit), (match[1] or match[2]).encode("latin-1", "replace"))
    fields = await form.read_fields()
    key = fields.get("key", "").replace(_PLACEHOLDER, form.file_name)
    fault = key_fault(key)
    if fault is not None:
        raise BadKey(f"The form's field key cannot name an object: {fault}")
    fields["key"] = key
    if call.secret_id:  # signed, and held against its rights, as any other request
        allowed = AllowedUpload(call.secret_id)
    else:
        allowed = check_form(
            fields,
            call.bucket,
            edge.keys.secret_of,
            int(edge.clock().timestamp()),
            edge.config.clock_skew_seconds,
        )
        edge.keys.access_of(allowed.secret_id).require(Right.SUBMIT, call.bucket)
    info = await edge.store.put(
        call.bucket,
        key,
        _within(form.file(), allowed, edge.config.max_object_bytes),
        headers=stored_fields(fields),
        event=upload_event(call, "Post"),
    )
    return _answer(call, fields, info)


async def _within(chunks: AsyncIterator[bytes], allowed: AllowedUpload, limit_bytes: int) -> AsyncIterator[bytes]:
    """Pass a file on and refuse one outside the policy's range; refused at its end, nothing of it is stored."""
    most = limit_bytes if allowed.max_bytes is None else min(limit_bytes, allowed.max_bytes)
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise BodyTooLarge(f"The file has more than {most} bytes, which is the limit of the policy or the server")
        yield chunk
    if size < allowed.min_bytes:
        raise BadParameter(f"The file has {size} bytes; the policy wants {allowed.min_bytes} at least")


def _answer(call: Call, fields: dict[str, str], info: ObjectInfo) -> Answer:
    host = call.request_target.host
    location = f"http://{host}/{quote(info.key, safe='/~')}"
    headers: list[HeaderPair] = [*identity_headers(info), (b"location", location.encode("ascii", "replace"))]
    target = fields.get("success_action_redirect") or fields.get("redirect") or ""
    if target.lower().startswith(("http://", "https://")):
        extra = urlencode({"bucket": info.bucket, "key": info.key, "etag": f'"{info.etag}"'})
        goal = quote(target, safe=":/?#[]@!$&'()*+,;=%~") + ("&" if "?" in target else "?") + extra
        return Answer(303, (*identity_headers(info), (b"location", goal.encode("ascii"))))
    status = fields.get("success_action_status", "204")
    if status == "201":
        body = to_xml(post_response(location, info.bucket, info.key, info.etag))
        return Answer(201, (*headers, content_type(XML_CONTENT_TYPE)), body)
    return Answer(200 if status == "200" else 204, tuple(headers))


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    file_name: str | None


class _Form:
    """Reads a form once, from its first byte to its last."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: bytes) -> None:
        self._chunks = chunks
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # so that the first boundary looks like the others
        self.file_name = ""

    async def read_fields(self) -> dict[str, str]:
        """
        Give the fields before the file, by lower-case name, and stop at the file's first byte.

        Raises:
            BadParameter: If the form is broken, too large, or has no file.
        """
        fields: dict[str, str] = {}
        size = 0
        await self._until(self._delimiter, _MAX_PART_HEADER_BYTES)
        while True:
            part = await self._next_part()
            if part.file_name is not None or part.name == "file":
                self.file_name = (part.file_name or "").rpartition("/")[2].rpartition("\\")[2]
                return fields
            value = await self._until(self._delimiter, _MAX_FIELD_BYTES)
            size += len(value) + len(part.name)
            if len(fields) >= _MAX_FIELDS or size > _MAX_FIELD_BYTES:
                raise BadParameter(f"The form has over {_MAX_FIELDS} fields or {_MAX_FIELD_BYTES} bytes of them")
            try:
                fields.setdefault(part.name.lower(), value.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise BadParameter(f"The form's field {part.name[:80]!r} is not UTF-8") from error

    async def file(self) -> AsyncIterator[bytes]:
        """Give the file, then read what follows it."""
        keep = len(self._delimiter) - 1
        while (at := self._buffer.find(self._delimiter)) < 0:
            if len(self._buffer) > keep:
                yield self._buffer[:-keep]
                self._buffer = self._buffer[-keep:]
            await self._more()
        yield self._buffer[:at]
        self._buffer = b""
        async for _ in self._chunks:
            continue

    async def _next_part(self) -> _Part:
        head = await self._until(b"\r\n\r\n", _MAX_PART_HEADER_BYTES)
        if head.startswith(b"--"):
            raise BadParameter("The form has no field file; put the file last")
        text = head.decode("utf-8", "replace")
        name, file_name = _NAME.search(text), _FILENAME.search(text)
        if name is None:
            raise BadParameter("A part of the form has no name in its Content-Disposition")
        return _Part(_unescaped(name[1]), None if file_name is None else _unescaped(file_name[1]))

    async def _until(self, mark: bytes, limit: int) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            if len(self._buffer) > limit:
                raise BadParameter(f"A field of the form has over {limit} bytes, or its boundary is missing")
            await self._more()
        found, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        return found

    async def _more(self) -> None:
        try:
            self._buffer += await anext(self._chunks)
        except StopAsyncIteration as error:
            raise IncompleteBody("The form ends before its last boundary") from error


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)

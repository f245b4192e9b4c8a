"""The headers of objects: those that are stored with one, and those that describe one in an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import format_datetime
from typing import Final

from smartcover.api.call import Call, HeaderPair, Query
from smartcover.errors import BadKey, BadParameter, KeyTooLong, Unsupported
from smartcover.protocol import key_fault
from smartcover.storage import ObjectInfo, UploadEvent

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"

_KEPT: Final = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)
_META: Final = "x-cos-meta-"
# Answering one of these as if it were not there would break a promise to the client: of secrecy, of not overwriting, or
# of a picture made from the upload.
_REFUSED: Final = (
    "pic-operations",
    "x-cos-server-side-encryption-customer-algorithm",
    "x-cos-server-side-encryption-customer-key",
    "x-cos-server-side-encryption-cos-kms-key-id",
)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_OVERRIDES: Final = {
    "response-content-type": b"content-type",
    "response-content-language": b"content-language",
    "response-expires": b"expires",
    "response-cache-control": b"cache-control",
    "response-content-disposition": b"content-disposition",
    "response-content-encoding": b"content-encoding",
}


def key_of(call: Call) -> str:
    """
    Give the object key of the request.

    Raises:
        BadKey: If no object can have it.
    """
    return checked_key(call.target.key, call.max_key_bytes)


def checked_key(key: str, max_bytes: int) -> str:
    """
    Give the key back if an object can have it.

    Raises:
        BadKey: If none can.
        KeyTooLong: If it has more than `max_bytes` in UTF-8.
    """
    size_bytes = len(key.encode("utf-8", "replace"))
    if size_bytes > max_bytes:
        raise KeyTooLong(f"The key is {size_bytes} bytes long in UTF-8; give at most {max_bytes}")
    fault = key_fault(key)
    if fault is not None:
        raise BadKey(fault)
    return key


def stored_headers(call: Call) -> dict[str, str]:
    """
    Take the headers that are kept with an object.

    Raises:
        BadParameter: If a value holds control characters.
        Unsupported: For a header whose promise we cannot keep.
    """
    headers = call.headers
    refuse_promises(headers.text)
    kept: dict[str, str] = {}
    for name in headers.names():
        value = headers.text(name) or ""
        if _is_kept(name, value):
            if _CONTROL.search(value) is not None:
                raise BadParameter(f"The header {name} holds control characters; leave them out")
            kept[name] = value
    if "aws-chunked" in kept.get("content-encoding", "").lower():
        raise Unsupported("Content-Encoding aws-chunked is not part of smartcover; send the body as it is")
    return kept


def refuse_promises(text_of: Callable[[str], str | None], what: str = "header") -> None:
    """
    Let only headers, or fields of a form, pass whose promise we can keep.

    Raises:
        Unsupported: For another one.
    """
    for name in _REFUSED:
        if text_of(name):
            raise Unsupported(f"The {what} {name} is not part of smartcover; leave it out")
    if (text_of("x-cos-forbid-overwrite") or "").lower() == "true":
        raise Unsupported(f"The {what} x-cos-forbid-overwrite is not part of smartcover; look with HEAD before")


def stored_fields(fields: Mapping[str, str]) -> dict[str, str]:
    """
    Take the fields of a form, by lower-case name, that are kept with an object.

    Raises:
        BadParameter: If a value holds control characters.
        Unsupported: For a field whose promise we cannot keep.
    """
    kept: dict[str, str] = {}
    refuse_promises(fields.get, "form's field")
    for name, text in fields.items():
        if _is_kept(name, text):
            if _CONTROL.search(text) is not None:
                raise BadParameter(f"The form's field {name} holds control characters; leave them out")
            kept[name] = text.encode("utf-8").decode("latin-1")  # as the same bytes in a header are kept
    return kept


def _is_kept(name: str, value: str) -> bool:
    """An empty own header is one all the same, and says more than none; an empty standard one says nothing."""
    return bool(value) if name in _KEPT else name.startswith(_META) and len(name) > len(_META)


def upload_event(call: Call, how: str, *, retried_within_seconds: float | None = None) -> UploadEvent:
    """Say how an object came in: `Put`, `Post`, `Copy` or `CompleteMultipartUpload`."""
    return UploadEvent(f"cos:ObjectCreated:{how}", call.request_id, retried_within_seconds)


def describing_headers(info: ObjectInfo, query: Query | None = None) -> list[HeaderPair]:
    """
    Make the headers that tell about an object, without its length.

    Args:
        query: Whose `response-*` parameters go before the stored headers.

    Raises:
        BadParameter: If a parameter's value cannot be a header.
    """
    shown = {name.encode("latin-1", "replace"): _bytes_of(value) for name, value in info.headers.items()}
    shown.setdefault(b"content-type", DEFAULT_CONTENT_TYPE.encode())
    for name, header in _OVERRIDES.items():
        value = None if query is None else query.text(name)
        if value is not None:
            if _CONTROL.search(value) is not None:
                raise BadParameter(f"The parameter {name} holds control characters; leave them out")
            shown[header] = value.strip().encode("utf-8")
    last_modified = (b"last-modified", http_date(info).encode())
    return [*identity_headers(info), *shown.items(), last_modified, (b"accept-ranges", b"bytes")]


def identity_headers(info: ObjectInfo) -> list[HeaderPair]:
    """Make the headers by which clients check what was stored: the Go SDK wants the CRC, the Java SDK the ETag."""
    headers = [(b"etag", f'"{info.etag}"'.encode())]
    if info.crc64 is not None:
        headers.append((b"x-cos-hash-crc64ecma", str(info.crc64).encode()))
    return headers


def http_date(info: ObjectInfo) -> str:
    """Write an object's time of change as RFC 9110 wants it."""
    return format_datetime(info.last_modified.astimezone(UTC).replace(microsecond=0), usegmt=True)


def _bytes_of(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:  # not from a header of ours: another program wrote the object into the store
        return value.encode("utf-8", "replace")

"""
Notifications of S3-style stores, in the JSON of AWS and of MinIO: which objects were created.

Both send `{"Records": [...]}`; MinIO puts `s3:` before the event's name, repeats bucket and key at the top level, and
adds the object's metadata. Keys are URL-encoded with `+` for a space.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from smartcover.errors import BadParameter, MalformedBody
from smartcover.protocol.names import key_fault

MAX_EVENT_BYTES: Final = 1 << 20
MAX_RECORDS: Final = 1000

#: How an object can come to be; other names under ObjectCreated, such as PutTagging, change one that exists.
_WAYS: Final = frozenset({"Put", "Post", "Copy", "CompleteMultipartUpload"})
_CREATED: Final = re.compile(r"(?:s3:)?ObjectCreated:([A-Za-z]{1,40})", re.ASCII)
_META: Final = "x-amz-meta-"
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_MAX_META: Final = 64


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """
    An object that a store tells of.

    `event_id` is the same whenever the store tells of the same event again. `name` is the cloud's word for it
    (`cos:ObjectCreated:Put`); `headers` are its Content-Type and metadata in our store's names, as far as told.
    `happened_at` is by the store's clock, None if it does not say.
    """

    event_id: str
    bucket: str
    key: str
    name: str
    size_bytes: int
    etag: str
    request_id: str
    happened_at: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def parse_s3_events(body: bytes, *, max_bytes: int = MAX_EVENT_BYTES) -> tuple[ObjectCreated, ...]:
    """
    Read a notification; events of other kinds, and the test event that AWS sends at set-up, give nothing.

    Raises:
        MalformedBody: If it is not a JSON object of that form, or too large.
        BadParameter: If a record of a created object lacks its bucket or key, or they cannot be used.
    """
    if len(body) > max_bytes:
        raise MalformedBody(f"The body is {len(body)} bytes long; the limit is {max_bytes}")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedBody("The body is not JSON; send the notification as the store made it") from error
    records = document.get("Records") if isinstance(document, dict) else None
    if records is None and isinstance(document, dict) and document.get("Event") == "s3:TestEvent":
        return ()
    if not isinstance(records, list) or len(records) > MAX_RECORDS:
        raise MalformedBody(f"The body has no Records, or more than {MAX_RECORDS}; send a notification of S3 or MinIO")
    found = [_created(record) for record in records]
    return tuple(event for event in found if event is not None)


def _created(record: Any) -> ObjectCreated | None:
    match = _CREATED.fullmatch(_text(_at(record, "eventName")))
    if match is None or match[1] not in _WAYS:
        return None
    entry = _at(record, "s3", "object")
    bucket, raw_key = _text(_at(record, "s3", "bucket", "name")), _text(_at(entry, "key"))
    if not bucket or not raw_key:
        raise BadParameter("A record of Records has no s3.bucket.name or no s3.object.key; both are required")
    try:
        key = unquote_plus(raw_key, errors="strict")
    except UnicodeDecodeError as error:
        raise BadParameter(f"s3.object.key is {raw_key[:80]!r}, which is not UTF-8 once decoded") from error
    fault = key_fault(key)
    if fault is not None:
        raise BadParameter(f"s3.object.key cannot name an object: {fault}")
    size = _at(entry, "size")
    etag = _text(_at(entry, "eTag")).strip('"').lower()[:128]
    return ObjectCreated(
        event_id=_event_id(record, entry, bucket, key, etag),
        bucket=bucket,
        key=key,
        name=f"cos:ObjectCreated:{match[1]}",
        size_bytes=size if isinstance(size, int) and 0 <= size < 1 << 62 else 0,
        etag=etag,
        request_id=_text(_at(record, "responseElements", "x-amz-request-id"))[:128] or "-",
        happened_at=_time(record),
        headers=_headers(entry),
    )


def _time(record: Any) -> datetime | None:
    try:
        told = datetime.fromisoformat(_text(_at(record, "eventTime")))
    except ValueError:
        return None
    told = told.replace(tzinfo=UTC) if told.tzinfo is None else told
    return told if 2000 <= told.year < 2200 else None  # what every clock and database can hold


def _event_id(record: Any, entry: Any, bucket: str, key: str, etag: str) -> str:
    """
    Tell one event from another: by the sequencer or version that the store gave it, else by ETag and time.

    The time alone keeps apart two uploads of the same bytes; a store that tells again repeats it.
    """
    marks = [_text(_at(entry, "sequencer")), _text(_at(entry, "versionId"))]
    if not any(marks):
        marks = [etag, _text(_at(record, "eventTime"))]
    digest = hashlib.sha256(json.dumps([bucket, key, *marks]).encode("utf-8", "backslashreplace"))
    return f"s3:{digest.hexdigest()}"


def _headers(entry: Any) -> dict[str, str]:
    metadata = _at(entry, "userMetadata")
    headers: dict[str, str] = {}
    if isinstance(metadata, dict):
        for name, value in list(metadata.items())[:_MAX_META]:
            lower = name.lower()
            if lower.startswith(_META) and isinstance(value, str) and len(name) <= 128 and len(value) <= 2048:
                headers[f"x-cos-meta-{lower.removeprefix(_META)}"] = _CONTROL.sub(" ", value)
            elif lower == "content-type" and isinstance(value, str):
                headers["content-type"] = _CONTROL.sub(" ", value)[:256]
    content_type = _text(_at(entry, "contentType"))
    if content_type:
        headers["content-type"] = _CONTROL.sub(" ", content_type)[:256]
    return headers


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str:
    """Give a text that can be stored: no NUL, no half surrogate pair."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")

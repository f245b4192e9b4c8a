"""
The objects of a batch, one after another, from where it stands.

A source is read as a stream: whatever its length, one page or block is held. Each entry carries the marker from
which the stream goes on behind it, so that a batch can stop at any entry and go on in another process.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote, unquote_plus, urlsplit

from smartcover.errors import BadParameter
from smartcover.ledger import BatchPlan
from smartcover.protocol import SERVICE_LABELS, key_fault
from smartcover.storage import BucketStore

_PAGE: Final = 1000
_MAX_LINE_BYTES: Final = 16 * 1024
_MAX_MANIFEST_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One place of a source.

    `key` is None where there is no object to use: outside the window, or a line that names none in this bucket.
    `listed` tells that the key came out of a listing, and nobody said that it is a video. From `marker` the source
    goes on.
    """

    key: str | None
    marker: str
    listed: bool = False


def entries(
    store: BucketStore, bucket: str, plan: BatchPlan, marker: str, *, created_at: datetime
) -> AsyncGenerator[Entry, None]:
    """
    Give the entries of a batch's source behind `marker`, empty for the start. Whoever stops early closes it.

    Objects that came after the batch are not among those of a prefix: its own covers would be.

    Raises (while it is read):
        StorageError: If the store is away, or a file that lists the objects is missing.
        BadParameter: If that file cannot be read, or was replaced since the batch began.
    """
    if plan.source == "Object":
        return _alone(plan.place, marker)
    if plan.source == "Prefix":
        return _under_prefix(store, bucket, plan, marker, created_at)
    place = _key_of_list(plan.place, bucket)
    if plan.source == "UrlFile":
        return _in_url_file(store, bucket, place, marker)
    return _in_inventory(store, bucket, place, marker)


def _key_of_list(place: str, bucket: str) -> str:
    """Give the key of the file that lists the objects: clients name it by key, or by its access URL."""
    return key_of_url(place, bucket) or place


async def _alone(key: str, marker: str) -> AsyncGenerator[Entry, None]:
    if not marker:
        yield Entry(key, "end")


async def _under_prefix(
    store: BucketStore, bucket: str, plan: BatchPlan, marker: str, created_at: datetime
) -> AsyncGenerator[Entry, None]:
    until = created_at if plan.until is None else min(plan.until, created_at)
    while True:
        page = await store.list(bucket, prefix=plan.place, marker=marker, limit=_PAGE)
        for info in page.objects:
            inside = (plan.since is None or info.last_modified >= plan.since) and info.last_modified <= until
            yield Entry(info.key if inside else None, info.key, listed=True)
        if page.next_marker is None:
            return
        marker = page.next_marker


async def _in_url_file(store: BucketStore, bucket: str, place: str, marker: str) -> AsyncGenerator[Entry, None]:
    """Read one URL a line. The marker is the file's ETag and the offset of the next line."""
    etag, _, offset_text = marker.partition(" ")
    offset = int(offset_text or 0)
    info = await store.head(bucket, place)
    _require_same(etag, info.etag, place)
    if offset >= info.size_bytes:
        return
    async with store.read(bucket, place, first=offset) as (opened, chunks):
        _require_same(info.etag, opened.etag, place)
        async for line in _lines(chunks, place):
            offset += len(line)
            text = line.decode("utf-8", "replace").strip().removeprefix("\ufeff")
            yield Entry(key_of_url(text, bucket) if text else None, f"{info.etag} {offset}")


def key_of_url(text: str, bucket: str) -> str | None:
    """
    Give the key of an object's access URL, or None when it is no URL of this bucket.

    The bucket is the first label of the host, or the first segment of the path; a URL with neither is of this bucket.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    path = unquote(parts.path.removeprefix("/"), errors="replace")
    host = (parts.hostname or "").lower()
    if host.startswith(f"{bucket}."):
        key = path
    elif path.startswith(f"{bucket}/"):
        key = path.removeprefix(f"{bucket}/")
    elif any(f".{label}." in host for label in SERVICE_LABELS):
        return None  # it names another bucket
    else:
        key = path
    return None if key_fault(key) is not None else key


async def _in_inventory(store: BucketStore, bucket: str, place: str, marker: str) -> AsyncGenerator[Entry, None]:
    """Read an inventory. The marker is the manifest's ETag, the number of the file and that of the next row."""
    etag, _, position = marker.partition(" ")
    file_number, _, row_number = (position or "0 0").partition(" ")
    info = await store.head(bucket, place)
    _require_same(etag, info.etag, place)
    if info.size_bytes > _MAX_MANIFEST_BYTES:
        raise BadParameter(f"manifest {place} has {info.size_bytes} bytes; at most {_MAX_MANIFEST_BYTES} are read")
    async with store.read(bucket, place) as (_, chunks):
        manifest = _Manifest.read(b"".join([chunk async for chunk in chunks]), place)
    skip = int(row_number)
    for number in range(int(file_number), len(manifest.files)):
        row = 0
        async with store.read(bucket, manifest.files[number]) as (_, chunks):
            async for line in _lines(_inflated(chunks, manifest.files[number]), manifest.files[number]):
                row += 1
                if row > skip:
                    key = manifest.key_of(line.decode("utf-8", "replace"), bucket)
                    yield Entry(key, f"{info.etag} {number} {row}", listed=True)
        skip = 0


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What an inventory's manifest.json says: its files, and where bucket and key stand in a row."""

    files: tuple[str, ...]
    key_column: int
    bucket_column: int | None

    @classmethod
    def read(cls, body: bytes, place: str) -> _Manifest:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BadParameter(f"manifest {place} is not JSON; name the manifest.json of an inventory") from error
        files = _texts(document.get("files") if isinstance(document, dict) else None, "key")
        if not files:
            raise BadParameter(f"manifest {place} lists no files; name the manifest.json of an inventory")
        if str(document.get("fileFormat", "CSV")).upper() != "CSV":
            raise BadParameter(f"manifest {place} has the fileFormat {document['fileFormat']!r}; only CSV is read here")
        columns = [word.strip().lower() for word in str(document.get("fileSchema", "Bucket, Key")).split(",")]
        if "key" not in columns:
            raise BadParameter(f"manifest {place} has no Key in its fileSchema; an inventory names it there")
        return cls(files, columns.index("key"), columns.index("bucket") if "bucket" in columns else None)

    def key_of(self, line: str, bucket: str) -> str | None:
        """Give the key of a row, or None for a row of another bucket or without one; keys are URL-encoded."""
        try:
            [row] = csv.reader([line])
        except (csv.Error, ValueError):
            return None
        if self.key_column >= len(row):
            return None
        if self.bucket_column is not None and self.bucket_column < len(row) and row[self.bucket_column] != bucket:
            return None
        key = unquote_plus(row[self.key_column], errors="replace")
        return None if key_fault(key) is not None else key


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    texts = (entry.get(name) if isinstance(entry, dict) else None for entry in value)
    return tuple(text for text in texts if isinstance(text, str) and key_fault(text) is None)


async def _lines(chunks: AsyncIterator[bytes], place: str) -> AsyncIterator[bytes]:
    """Cut bytes into lines, each with its line end, the last one perhaps without."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(rest) > _MAX_LINE_BYTES:
            raise BadParameter(
                f"file {place} has a line of more than {_MAX_LINE_BYTES} bytes; put one object on a line"
            )
    if rest:
        yield rest


async def _inflated(chunks: AsyncIterator[bytes], place: str) -> AsyncIterator[bytes]:
    """Unpack gzip, which inventories use, and let plain text through; a block at a time, however well packed."""
    unpacker: Any = None
    first = True
    async for chunk in chunks:
        if first and chunk[:2] == b"\x1f\x8b":
            unpacker = zlib.decompressobj(wbits=31)
        first = False
        if unpacker is None:
            yield chunk
            continue
        try:
            piece = unpacker.decompress(chunk, 1 << 20)
            while piece:
                yield piece
                piece = unpacker.decompress(unpacker.unconsumed_tail, 1 << 20)
        except zlib.error as error:
            raise BadParameter(f"file {place} cannot be unpacked; inventories hold gzip or plain CSV") from error


def _require_same(before: str, now: str, place: str) -> None:
    if before and before != now:
        raise BadParameter(f"file {place} was replaced while the batch read it; start a new batch")

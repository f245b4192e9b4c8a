"""A bucket store in memory: for tests, ours and those of programs built on smartcover. It keeps the same contract."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import UUID, uuid4

from fastcrc import crc64

from smartcover.errors import (
    BodyTooLarge,
    BucketMissing,
    BucketNotEmpty,
    DigestMismatch,
    IncompleteBody,
    ObjectMissing,
    StorageUnavailable,
    UploadMissing,
)
from smartcover.storage.bucket import (
    BucketInfo,
    FileReader,
    ObjectInfo,
    ObjectPage,
    PartInfo,
    PartPage,
    StagedObject,
    Swept,
    UploadEvent,
    UploadInfo,
    UploadPage,
    VideoSource,
)
from smartcover.storage.rules import (
    after_delimiter,
    check_bucket_name,
    check_headers,
    check_key,
    check_owner,
    check_part_number,
    check_parts,
    check_text,
    first_key_after,
    joined_etag,
    page_limit,
    parts_fingerprint,
    resolve_range,
)
from smartcover.storage.upload_pages import upload_page

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class MemoryVideo:
    """A video held in memory; it crosses to the decoder's process by value."""

    data: bytes

    def open(self) -> FileReader:
        """Give a seekable reader."""
        return FileReader(BytesIO(self.data))


@dataclass(slots=True)
class _Upload:
    info: UploadInfo
    parts: dict[int, tuple[PartInfo, bytes]] = field(default_factory=dict)
    done: tuple[str, ObjectInfo] | None = None  # the parts' fingerprint and the first answer


class MemoryStore:
    """
    A `BucketStore` of one process that forgets everything at its end.

    Args:
        clock: Gives the time of everything stored.
    """

    def __init__(
        self,
        *,
        max_object_bytes: int = 5 << 30,
        unfinished_age_seconds: float = 86_400.0,
        upload_age_seconds: float = 30 * 86_400.0,
        completed_age_seconds: float = 86_400.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        make_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._max_object_bytes = max_object_bytes
        self._unfinished_age = timedelta(seconds=unfinished_age_seconds)
        self._upload_age = timedelta(seconds=upload_age_seconds)
        self._completed_age = timedelta(seconds=completed_age_seconds)
        self._clock = clock
        self._make_id = make_id
        self._buckets: dict[str, BucketInfo] = {}
        self._objects: dict[str, dict[str, tuple[ObjectInfo, bytes]]] = {}
        self._uploads: dict[str, _Upload] = {}
        self._staged: dict[str, tuple[datetime, bytes]] = {}
        self._published: dict[str, ObjectInfo] = {}
        #: Uploads in the order of their becoming visible, each with what became visible.
        self.events: list[tuple[UploadEvent, ObjectInfo]] = []

    async def check(self) -> None:
        """Nothing: it is always there."""

    def locate(self, store_bucket: str, store_key: str) -> tuple[str, str] | None:
        return store_bucket, store_key

    async def create_bucket(self, name: str, region: str) -> BucketInfo:
        check_bucket_name(name)
        self._objects.setdefault(name, {})
        return self._buckets.setdefault(name, BucketInfo(name, region, self._clock()))

    async def bucket(self, name: str) -> BucketInfo:
        check_bucket_name(name)
        if name not in self._buckets:
            raise BucketMissing(detail=name)
        return self._buckets[name]

    async def buckets(self) -> Sequence[BucketInfo]:
        return [self._buckets[name] for name in sorted(self._buckets)]

    async def delete_bucket(self, name: str) -> None:
        await self.bucket(name)
        if self._objects[name] or any(upload.info.bucket == name for upload in self._open_uploads()):
            raise BucketNotEmpty("The bucket still holds objects or unfinished multipart uploads; delete them first.")
        del self._buckets[name], self._objects[name]
        self._uploads = {key: upload for key, upload in self._uploads.items() if upload.info.bucket != name}

    async def put(
        self,
        bucket: str,
        key: str,
        body: AsyncIterator[bytes],
        *,
        headers: Mapping[str, str],
        content_md5: bytes | None = None,
        size_bytes: int | None = None,
        event: UploadEvent | None = None,
    ) -> ObjectInfo:
        check_key(key)
        kept = check_headers(headers)
        await self.bucket(bucket)
        data = await self._receive(body, content_md5, size_bytes)
        return await self._show(bucket, key, data, _md5(data), kept, event)

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        return (await self._find(bucket, key))[0]

    @asynccontextmanager
    async def read(
        self, bucket: str, key: str, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[tuple[ObjectInfo, AsyncIterator[bytes]]]:
        info, data = await self._find(bucket, key)
        yield info, _blocks(data, resolve_range(len(data), first, last))

    async def copy(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        *,
        headers: Mapping[str, str] | None,
        event: UploadEvent | None = None,
    ) -> ObjectInfo:
        check_key(key)
        kept = None if headers is None else check_headers(headers)
        source, data = await self._find(source_bucket, source_key)
        shown = dict(source.headers) if kept is None else kept
        return await self._show(bucket, key, data, source.etag, shown, event)

    async def delete(self, bucket: str, key: str) -> None:
        check_key(key)
        await self.bucket(bucket)
        self._objects[bucket].pop(key, None)

    async def list(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", marker: str = "", limit: int = 1000
    ) -> ObjectPage:
        check_text(prefix, "Prefix")
        check_text(marker, "Marker")
        if delimiter:
            after_delimiter(delimiter)
        await self.bucket(bucket)
        limit = page_limit(limit)
        objects = self._objects[bucket]
        lower = first_key_after(marker, prefix, delimiter)
        entries: dict[str, ObjectInfo | None] = {}
        # Code points and their UTF-8 sort alike, so that Python's order of keys is the port's.
        for key in sorted(key for key in objects if key >= lower and key.startswith(prefix)):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            if at >= 0:
                entries[key[: at + len(delimiter)]] = None
            else:
                entries[key] = objects[key][0]
            if len(entries) > limit:
                break
        names = list(entries)[:limit]
        return ObjectPage(
            tuple(info for name in names if (info := entries[name]) is not None),
            tuple(name for name in names if entries[name] is None),
            names[-1] if len(entries) > limit > 0 else None,
        )

    async def start_upload(self, bucket: str, key: str, *, headers: Mapping[str, str]) -> UploadInfo:
        check_key(key)
        kept = check_headers(headers)
        await self.bucket(bucket)
        now = self._clock()
        upload_id = f"{round(now.timestamp() * 1_000_000):014x}{self._make_id().hex[:18]}"  # in order of time
        info = UploadInfo(bucket, key, upload_id, now, kept)
        self._uploads[info.upload_id] = _Upload(info)
        return info

    async def put_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        body: AsyncIterator[bytes],
        *,
        content_md5: bytes | None = None,
        size_bytes: int | None = None,
    ) -> PartInfo:
        check_part_number(number)
        await self._find_upload(bucket, key, upload_id)
        data = await self._receive(body, content_md5, size_bytes)
        upload = await self._find_upload(bucket, key, upload_id)
        part = PartInfo(number, _md5(data), len(data), crc64.xz(data), self._clock())
        upload.parts[number] = (part, data)
        return part

    async def parts(self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1000) -> PartPage:
        upload = await self._find_upload(bucket, key, upload_id)
        limit = page_limit(limit)
        found = [upload.parts[number][0] for number in sorted(upload.parts) if number > after]
        shown = tuple(found[:limit])
        return PartPage(upload.info, shown, shown[-1].number if len(found) > limit > 0 else None)

    async def uploads(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        key_marker: str = "",
        upload_id_marker: str = "",
        limit: int = 1000,
    ) -> UploadPage:
        await self.bucket(bucket)

        async def behind(key: str, upload_id: str, most: int) -> Sequence[UploadInfo]:
            found = [
                upload.info
                for upload in self._open_uploads()
                if upload.info.bucket == bucket
                and upload.info.key.startswith(prefix)
                and (upload.info.key, upload.info.upload_id) > (key, upload_id)
            ]
            return sorted(found, key=lambda info: (info.key, info.upload_id))[:most]

        return await upload_page(
            behind,
            prefix=prefix,
            delimiter=delimiter,
            key_marker=key_marker,
            upload_id_marker=upload_id_marker,
            limit=limit,
        )

    async def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[tuple[int, str]],
        *,
        event: UploadEvent | None = None,
    ) -> ObjectInfo:
        upload = await self._find_upload(bucket, key, upload_id, done=True)
        if upload.done is not None:
            if upload.done[0] != parts_fingerprint(parts):
                raise UploadMissing(detail=f"{upload_id} was completed with other parts")
            return upload.done[1]
        check_parts(parts, {number: part.etag for number, (part, _) in upload.parts.items()})
        chosen = [upload.parts[number] for number, _ in parts]
        etag = joined_etag([part.etag for part, _ in chosen])
        joined = b"".join(data for _, data in chosen)
        info = await self._show(bucket, key, joined, etag, dict(upload.info.headers), event)
        upload.done = (parts_fingerprint(parts), info)
        upload.parts.clear()
        return info

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        await self._find_upload(bucket, key, upload_id)
        del self._uploads[upload_id]

    async def video(self, bucket: str, key: str) -> VideoSource:
        return MemoryVideo((await self._find(bucket, key))[1])

    async def stage(
        self, bucket: str, key: str, data: bytes, *, headers: Mapping[str, str], owner: str = ""
    ) -> StagedObject:
        check_key(key)
        check_owner(owner)
        kept = check_headers(headers)
        await self.bucket(bucket)
        if len(data) > self._max_object_bytes:
            raise BodyTooLarge(f"The body has {len(data)} bytes; at most {self._max_object_bytes} are allowed.")
        token = self._make_id().hex
        self._staged[token] = (self._clock(), data)
        return StagedObject(bucket, key, token, len(data), _md5(data), crc64.xz(data), kept)

    async def place(self, staged: Sequence[StagedObject]) -> Sequence[StagedObject]:
        return staged

    async def publish(self, staged: Sequence[StagedObject]) -> Sequence[ObjectInfo]:
        for one in staged:
            await self.bucket(one.bucket)
            if one.token not in self._staged and one.token not in self._published:
                raise StorageUnavailable("A staged object was given up before it was published; make it again.")
        for one in staged:
            if one.token in self._staged:
                _, data = self._staged.pop(one.token)
                self._published[one.token] = await self._show(one.bucket, one.key, data, one.etag, dict(one.headers))
        return [self._published[one.token] for one in staged]

    async def discard(self, staged: Sequence[StagedObject]) -> None:
        for one in staged:
            self._staged.pop(one.token, None)

    async def revoke(self, bucket: str, owner: str) -> None:
        """Nothing: publishing is one step here."""
        check_owner(owner)

    async def sweep(self, now: datetime | None = None) -> Swept:
        now = self._clock() if now is None else now
        old = [token for token, (since, _) in self._staged.items() if since < now - self._unfinished_age]
        for token in old:
            del self._staged[token]
        ended = [
            upload_id
            for upload_id, upload in self._uploads.items()
            if (upload.done is None and upload.info.initiated_at < now - self._upload_age)
            or (upload.done is not None and upload.done[1].last_modified < now - self._completed_age)
        ]
        for upload_id in ended:
            del self._uploads[upload_id]
        return Swept(len(old), len(ended))

    async def _receive(self, body: AsyncIterator[bytes], content_md5: bytes | None, size_bytes: int | None) -> bytes:
        limit_bytes = self._max_object_bytes if size_bytes is None else min(size_bytes, self._max_object_bytes)
        data = bytearray()
        if size_bytes is not None and size_bytes > self._max_object_bytes:
            raise BodyTooLarge(f"The body has {size_bytes} bytes; at most {self._max_object_bytes} are allowed.")
        async for chunk in body:
            data += chunk
            if len(data) > limit_bytes:
                raise BodyTooLarge(f"The body has {len(data)} bytes or more; at most {limit_bytes} are allowed.")
        if size_bytes is not None and len(data) < size_bytes:
            raise IncompleteBody(f"The body ended after {len(data)} bytes; Content-Length says {size_bytes}.")
        if content_md5 is not None and hashlib.md5(data, usedforsecurity=False).digest() != content_md5:
            raise DigestMismatch
        return bytes(data)

    async def _show(
        self,
        bucket: str,
        key: str,
        data: bytes,
        etag: str,
        headers: dict[str, str],
        event: UploadEvent | None = None,
    ) -> ObjectInfo:
        await self.bucket(bucket)
        info = ObjectInfo(bucket, key, len(data), etag, crc64.xz(data), self._clock(), headers)
        self._objects[bucket][key] = (info, data)
        if event is not None:
            self.events.append((event, info))
        return info

    async def _find(self, bucket: str, key: str) -> tuple[ObjectInfo, bytes]:
        check_key(key)
        await self.bucket(bucket)
        if key not in self._objects[bucket]:
            raise ObjectMissing(detail=f"{bucket}/{key}")
        info, data = self._objects[bucket][key]
        return replace(info, headers=dict(info.headers)), data

    async def _find_upload(self, bucket: str, key: str, upload_id: str, *, done: bool = False) -> _Upload:
        check_key(key)
        await self.bucket(bucket)
        upload = self._uploads.get(upload_id)
        if upload is None or (upload.info.bucket, upload.info.key) != (bucket, key):
            raise UploadMissing(detail=upload_id)
        if upload.done is not None and not done:
            raise UploadMissing(detail=upload_id)
        return upload

    def _open_uploads(self) -> Sequence[_Upload]:
        return [upload for upload in self._uploads.values() if upload.done is None]


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


async def _blocks(data: bytes, offsets: range) -> AsyncIterator[bytes]:
    for offset in offsets[::_BLOCK_BYTES]:
        yield data[offset : min(offset + _BLOCK_BYTES, offsets.stop)]

"""Multipart uploads: parts are blobs of their own until they are joined into the object's."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from smartcover.errors import BucketMissing, StorageUnavailable, UploadMissing
from smartcover.storage.blobs import Contents
from smartcover.storage.bucket import ObjectInfo, PartInfo, PartPage, UploadEvent, UploadInfo
from smartcover.storage.crc64 import combine
from smartcover.storage.rules import (
    MAX_PART_NUMBER,
    check_bucket_name,
    check_headers,
    check_key,
    check_part_number,
    check_parts,
    joined_etag,
    page_limit,
    parts_fingerprint,
)
from smartcover.storage.shelf import QUERIES, Register, Shelf, swept_meanwhile


class Uploads(ABC):
    """The multipart half of a store, but for the bytes; the methods promise what those of `BucketStore` do."""

    def __init__(self, register: Register) -> None:
        self._register = register

    async def start(self, bucket: str, key: str, *, headers: Mapping[str, str]) -> UploadInfo:
        """Begin an upload under a new id of 32 hex digits: 14 of its time and 18 at random."""
        check_bucket_name(bucket)
        check_key(key)
        kept = check_headers(headers)
        async with self._register.connection("start an upload") as connection:
            row = await QUERIES.add_upload(
                connection, random=self._register.make_id().hex[:18], bucket=bucket, key=key, headers=json.dumps(kept)
            )
        if row is None:
            raise BucketMissing(detail=bucket)
        return upload_info(row)

    async def put_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        body: AsyncIterator[bytes],
        *,
        content_md5: bytes | None,
        size_bytes: int | None,
    ) -> PartInfo:
        """Store a part; an upload that is completed or aborted meanwhile keeps nothing of it."""
        check_part_number(number)
        await self._find(bucket, key, upload_id)
        blob = await self._announce(bucket, key, upload_id)
        if blob is None:
            raise UploadMissing(detail=upload_id)
        contents = await self._receive(bucket, blob, body, content_md5, size_bytes)
        etag = contents.md5.hex()
        async with self._register.connection("show a part") as connection:
            last_modified = await QUERIES.show_part(
                connection,
                upload_id=upload_id,
                number=number,
                blob=blob,
                size_bytes=contents.size_bytes,
                etag=etag,
                crc64=Decimal(contents.crc64),
            )
        if last_modified is None:
            await self._find(bucket, key, upload_id)
            raise swept_meanwhile("put_part")
        return PartInfo(number, etag, contents.size_bytes, contents.crc64, last_modified)

    async def parts(self, bucket: str, key: str, upload_id: str, *, after: int, limit: int) -> PartPage:
        """Give a page of the parts of an open upload."""
        upload = await self._find(bucket, key, upload_id)
        limit = page_limit(limit)
        after = max(0, min(after, MAX_PART_NUMBER))
        rows = await self._part_rows(upload_id, after, limit + 1)
        shown = tuple(
            PartInfo(row["number"], row["etag"], row["size_bytes"], int(row["crc64"]), row["last_modified"])
            for row in rows[:limit]
        )
        return PartPage(upload_info(upload), shown, shown[-1].number if len(rows) > limit > 0 else None)

    async def behind(self, bucket: str, prefix: str, key: str, upload_id: str, limit: int) -> Sequence[UploadInfo]:
        """Give open uploads behind a key and an id, in this order; the bucket was checked by the caller."""
        async with self._register.connection("list uploads") as connection:
            found = QUERIES.open_uploads(
                connection, bucket=bucket, prefix=prefix, key=key, upload_id=upload_id, limit=limit
            )
            return [upload_info(row) async for row in found]

    async def complete(
        self, bucket: str, key: str, upload_id: str, parts: Sequence[tuple[int, str]], *, event: UploadEvent | None
    ) -> ObjectInfo:
        """Join the parts; of two completions at once one joins and the other gets its answer."""
        row = await self._find(bucket, key, upload_id, done=True)
        if row["done_at"] is not None:
            return _first_answer(row, parts)
        uploaded = {part["number"]: part for part in await self._part_rows(upload_id, 0, MAX_PART_NUMBER)}
        if not uploaded:  # another completion may have taken them since we looked
            row = await self._find(bucket, key, upload_id, done=True)
            if row["done_at"] is not None:
                return _first_answer(row, parts)
        check_parts(parts, {number: part["etag"] for number, part in uploaded.items()})
        chosen = [uploaded[number] for number, _ in parts]
        size_bytes = sum(part["size_bytes"] for part in chosen)
        crc64 = 0
        for part in chosen:
            crc64 = combine(crc64, int(part["crc64"]), part["size_bytes"])
        etag = joined_etag([part["etag"] for part in chosen])
        blob = await self._announce(bucket, key, upload_id)
        if blob is None:
            return _first_answer(await self._find(bucket, key, upload_id, done=True), parts)
        store_etag = await self._join(upload_info(row), blob, [part["blob"] for part in chosen], size_bytes)

        async with self._register.transaction("complete an upload") as connection:
            row = await QUERIES.lock_upload(connection, upload_id=upload_id, bucket=bucket, key=key)
            if row is None:
                raise UploadMissing(detail=upload_id)
            if row["done_at"] is not None:
                return _first_answer(row, parts)  # our copy was announced and is swept
            info = await self._register.show(
                connection,
                bucket,
                key,
                blob,
                size_bytes=size_bytes,
                etag=etag,
                crc64=crc64,
                headers=json.loads(row["headers"]),
                event=event,
                store_etag=store_etag,
            )
            if info is None:
                raise swept_meanwhile("complete_upload")
            await QUERIES.remove_parts(connection, upload_id=upload_id)
            await QUERIES.finish_upload(
                connection,
                upload_id=upload_id,
                done_at=info.last_modified,
                done_parts=parts_fingerprint(parts),
                size_bytes=size_bytes,
                etag=etag,
                crc64=Decimal(crc64),
            )
        return info

    async def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Forget an open upload; its parts' bytes go with the next sweeps."""
        await self._find(bucket, key, upload_id)
        async with self._register.connection("abort an upload") as connection:
            removed = await QUERIES.remove_upload(connection, upload_id=upload_id, bucket=bucket, key=key)
        if removed is None:
            raise UploadMissing(detail=upload_id)

    async def _find(self, bucket: str, key: str, upload_id: str, *, done: bool = False) -> Mapping[str, Any]:
        """Give the row of an open upload, or with `done` also of a completed one."""
        check_bucket_name(bucket)
        check_key(key)
        if not upload_id.isascii() or not upload_id.isalnum():
            raise UploadMissing(detail=upload_id[:80])
        async with self._register.connection("find an upload") as connection:
            row: Mapping[str, Any] | None = await QUERIES.upload(
                connection, upload_id=upload_id, bucket=bucket, key=key
            )
            if row is None and await QUERIES.bucket(connection, name=bucket) is None:
                raise BucketMissing(detail=bucket)
        if row is None or (row["done_at"] is not None and not done):
            raise UploadMissing(detail=upload_id)
        return row

    async def _part_rows(self, upload_id: str, after: int, limit: int) -> list[Mapping[str, Any]]:
        async with self._register.connection("list parts") as connection:
            return [row async for row in QUERIES.parts(connection, upload_id=upload_id, after=after, limit=limit)]

    async def _announce(self, bucket: str, key: str, upload_id: str) -> UUID | None:
        """Give the id of a new blob that was noted down for an upload; None when the upload is not open any more."""
        blob = self._register.make_id()
        async with self._register.connection("announce a blob") as connection:
            known = await QUERIES.announce_part_blob(connection, blob=blob, upload_id=upload_id, bucket=bucket, key=key)
        return None if known is None else blob

    @abstractmethod
    async def _receive(
        self, bucket: str, blob: UUID, body: AsyncIterator[bytes], content_md5: bytes | None, size_bytes: int | None
    ) -> Contents:
        """Write a part's body to a blob that was announced; it is durable when this returns."""

    @abstractmethod
    async def _join(self, upload: UploadInfo, blob: UUID, sources: Sequence[UUID], size_bytes: int) -> str | None:
        """
        Write the parts into one blob that was announced; give the ETag of it if the store has its own.

        The parts stay readable: what replaces or drops them leaves their bytes for the grace period.
        """


class LocalUploads(Uploads):
    """The multipart half of `LocalStore`."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(shelf)
        self._shelf = shelf

    async def _receive(
        self, bucket: str, blob: UUID, body: AsyncIterator[bytes], content_md5: bytes | None, size_bytes: int | None
    ) -> Contents:
        return await self._shelf.receive(blob, body, content_md5=content_md5, size_bytes=size_bytes)

    async def _join(self, upload: UploadInfo, blob: UUID, sources: Sequence[UUID], size_bytes: int) -> str | None:
        folder = self._shelf.folder
        try:
            if len(sources) == 1:
                await self._shelf.in_thread("join parts", folder.link, sources[0], blob)
            else:
                await self._shelf.require_room(size_bytes)
                await self._shelf.in_thread("join parts", folder.join, sources, blob)
        except StorageUnavailable:
            self._shelf.in_background(lambda: folder.remove([blob]))  # gives back a full disk's room at once
            raise
        return None


def upload_info(row: Mapping[str, Any]) -> UploadInfo:
    """Read a row of `uploads`."""
    return UploadInfo(row["bucket"], row["key"], row["upload_id"], row["initiated_at"], json.loads(row["headers"]))


def _first_answer(row: Mapping[str, Any], parts: Sequence[tuple[int, str]]) -> ObjectInfo:
    """Answer a repeated completion; with other parts it names an upload that is no more."""
    if parts_fingerprint(parts) != row["done_parts"]:
        raise UploadMissing(detail=f"{row['upload_id']} was completed with other parts")
    return ObjectInfo(
        row["bucket"],
        row["key"],
        row["done_size_bytes"],
        row["done_etag"],
        int(row["done_crc64"]),
        row["done_at"],
        json.loads(row["headers"]),
    )

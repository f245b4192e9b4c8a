"""
Objects in an S3-compatible store, under their own keys, so that others may read and write them there too.

The store holds the bytes and the headers; PostgreSQL holds the buckets, open uploads, and of each object that came in
through us the MD5, the CRC-64 and the headers, tied to the store's own ETag. An object that came behind our back is
shown as the store describes it, without a CRC-64.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import obstore

from smartcover.errors import (
    BucketMissing,
    BucketNotEmpty,
    ObjectMissing,
    RegisterUnavailable,
    StorageUnavailable,
    StoreBucketMissing,
)
from smartcover.storage import s3_listing
from smartcover.storage.bucket import (
    BucketInfo,
    ObjectInfo,
    ObjectPage,
    StagedObject,
    Swept,
    UploadEvent,
    VideoSource,
)
from smartcover.storage.registered import RegisteredStore
from smartcover.storage.rules import (
    check_bucket_name,
    check_headers,
    check_key,
    check_text,
    page_limit,
    resolve_range,
)
from smartcover.storage.s3_failures import s3_failures
from smartcover.storage.s3_objects import Found, S3Objects, known_info
from smartcover.storage.s3_place import S3Options, S3Place
from smartcover.storage.s3_staging import S3Staging
from smartcover.storage.s3_sweep import S3Sweeper
from smartcover.storage.s3_uploads import S3Uploads
from smartcover.storage.s3_video import RemoteVideo
from smartcover.storage.shelf import QUERIES, Connections, Register, swept_meanwhile

#: S3's largest object that one request copies.
_MAX_COPY_BYTES = 5 << 30
#: S3 signs for no longer.
_MOST_SIGNED_SECONDS = 7 * 86_400.0
#: Buckets that are asked for, while the store has none, before it does not pass its check.
_MOST_ASKED_BUCKETS = 3


class S3Store(RegisteredStore):
    """
    A `BucketStore` over an S3-compatible store and a database whose schema is up to date.

    Args:
        url: `s3://` or `s3://store-bucket/prefix`.
        pool: Connections to the database of all who use this place.
        whole_put_bytes: Bodies up to this go up in one request.
        read_budget_bytes: Most bytes that are read of one video.
        signed_seconds: How long the address of a video can be read from: longer than the work on it may take.
        grace_seconds, unfinished_age_seconds, upload_age_seconds, completed_age_seconds: As of `LocalStore`.
    """

    def __init__(
        self,
        url: str,
        options: S3Options,
        pool: Connections,
        *,
        max_object_bytes: int = 5 << 30,
        whole_put_bytes: int = 8 << 20,
        read_budget_bytes: int = 1 << 30,
        signed_seconds: float = 7200.0,
        grace_seconds: float = 900.0,
        unfinished_age_seconds: float = 86_400.0,
        upload_age_seconds: float = 30 * 86_400.0,
        completed_age_seconds: float = 86_400.0,
        make_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._place = S3Place(url, options)
        self._objects = S3Objects(self._place, max_object_bytes=max_object_bytes, whole_put_bytes=whole_put_bytes)
        register = Register(pool, make_id=make_id)
        super().__init__(register, S3Uploads(register, self._objects))
        self._staging = S3Staging(self._register, self._objects)
        self._read_budget_bytes = read_budget_bytes
        self._signed_for = timedelta(seconds=min(signed_seconds, _MOST_SIGNED_SECONDS))
        self._sweeper = S3Sweeper(
            self._register,
            self._objects,
            grace=timedelta(seconds=grace_seconds),
            unfinished_age=timedelta(seconds=unfinished_age_seconds),
            upload_age=timedelta(seconds=upload_age_seconds),
            completed_age=timedelta(seconds=completed_age_seconds),
        )

    async def check(self) -> None:
        """
        Ask the store for what is not there, in one of our buckets; without any there is nothing to ask for.

        One bucket that the store has not any more is the trouble of its jobs alone; a store that has none of the first
        few is as good as none.
        """
        lost: StoreBucketMissing | None = None
        for bucket in (await self.buckets())[:_MOST_ASKED_BUCKETS]:
            try:
                await self._objects.ask(bucket.name, f"{self._place.staging_root(bucket.name)}nothing")
            except ObjectMissing:
                return
            except StoreBucketMissing as error:
                lost = error
        if lost is not None:
            raise lost

    # Buckets

    def locate(self, store_bucket: str, store_key: str) -> tuple[str, str] | None:
        return self._place.locate(store_bucket, store_key)

    async def create_bucket(self, name: str, region: str) -> BucketInfo:
        """Note a bucket down; the store's own bucket must exist, since making it is the operator's business."""
        check_bucket_name(name)
        try:
            await s3_listing.page(self._place, name, prefix="", delimiter="", marker="", limit=0)
        except BucketMissing as error:
            raise BucketMissing(
                f"The store has no bucket {self._place.store_name(name)!r}; make it there first.", detail=error.detail
            ) from error
        async with self._register.connection("create a bucket") as connection:
            await QUERIES.add_bucket(connection, name=name, region=region)
        return await self.bucket(name)

    async def delete_bucket(self, name: str) -> None:
        """Forget an empty bucket; the store's own bucket stays."""
        full = "The bucket still holds objects or unfinished multipart uploads; delete them first."
        page = await self.list(name, limit=1)
        if page.objects:
            raise BucketNotEmpty(full)
        async with self._register.transaction("delete a bucket") as connection:
            await QUERIES.forget_objects(connection, bucket=name)
            try:
                removed = await QUERIES.remove_bucket(connection, name=name)
            except asyncpg.ForeignKeyViolationError as error:
                raise BucketNotEmpty from error
        if removed is None:
            await self.bucket(name)
            raise BucketNotEmpty(full)

    # Objects

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
        """
        As the port says, but for one gap: between the store's answer and our commit the object is visible already.

        Whoever dies there has not answered the client, who sends the object, and so its event, again.
        """
        path = self._place.path(bucket, key)
        kept = check_headers(headers)
        blob = await self._register.announce(bucket)
        contents, etag = await self._objects.put(
            bucket, path, body, kept, content_md5=content_md5, size_bytes=size_bytes
        )
        async with self._register.transaction("note an object") as connection:
            info = await self._register.show(
                connection,
                bucket,
                key,
                blob,
                size_bytes=contents.size_bytes,
                etag=contents.md5.hex(),
                crc64=contents.crc64,
                headers=kept,
                event=event,
                store_etag=etag,
            )
        if info is None:
            raise swept_meanwhile("put")
        return info

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        return (await self._find(bucket, key))[0]

    @asynccontextmanager
    async def read(
        self, bucket: str, key: str, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[tuple[ObjectInfo, AsyncIterator[bytes]]]:
        info, found = await self._find(bucket, key)
        offsets = resolve_range(found.size_bytes, first, last)
        yield info, await self._objects.stream(bucket, self._place.path(bucket, key), found.etag, offsets)

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
        """Copy inside the store where the headers stay and the store bucket is one; else stream through here."""
        target = self._place.path(bucket, key)
        kept = None if headers is None else check_headers(headers)
        info, found = await self._find(source_bucket, source_key)
        blob = await self._register.announce(bucket)
        source = self._place.path(source_bucket, source_key)
        etag, crc64, store_etag = info.etag, info.crc64, ""
        inside = self._place.store_name(source_bucket) == self._place.store_name(bucket)
        if inside and kept is None and crc64 is not None and found.size_bytes <= _MAX_COPY_BYTES:
            copied = await self._objects.copy(bucket, source, target)
            if (await self._objects.head(source_bucket, source)).etag != found.etag:
                raise StorageUnavailable("The source was replaced while it was copied; try again.")
            store_etag = copied.etag
        else:
            stream = await self._objects.stream(source_bucket, source, found.etag, range(found.size_bytes))
            contents, store_etag = await self._objects.put(
                bucket,
                target,
                stream,
                info.headers if kept is None else kept,
                size_bytes=found.size_bytes,
                limit_bytes=found.size_bytes,
            )
            crc64 = contents.crc64
        async with self._register.transaction("note a copy") as connection:
            shown = await self._register.show(
                connection,
                bucket,
                key,
                blob,
                size_bytes=found.size_bytes,
                etag=etag,
                crc64=crc64,
                headers=info.headers if kept is None else kept,
                event=event,
                store_etag=store_etag,
            )
        if shown is None:
            raise swept_meanwhile("copy")
        return shown

    async def delete(self, bucket: str, key: str) -> None:
        path = self._place.path(bucket, key)
        await self.bucket(bucket)
        await self._objects.delete(bucket, path)
        async with self._register.connection("delete an object") as connection:
            await QUERIES.remove_object(connection, bucket=bucket, key=key)

    async def list(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", marker: str = "", limit: int = 1000
    ) -> ObjectPage:
        check_text(prefix, "Prefix")
        check_text(marker, "Marker")
        check_text(delimiter, "Delimiter")
        limit = page_limit(limit)
        await self.bucket(bucket)
        entries, more = await s3_listing.page(
            self._place, bucket, prefix=prefix, delimiter=delimiter, marker=marker, limit=limit
        )
        keys = [key for key, meta in entries if meta is not None]
        async with self._register.connection("list objects") as connection:
            rows = {row["key"]: row async for row in QUERIES.objects_of_keys(connection, bucket=bucket, keys=keys)}
        objects = tuple(
            _info(bucket, key, Found(meta["size"], (meta["e_tag"] or "").strip('"'), meta["last_modified"], {}), rows)
            for key, meta in entries
            if meta is not None
        )
        folded = tuple(key for key, meta in entries if meta is None)
        return ObjectPage(objects, folded, entries[-1][0] if more and entries else None)

    async def video(self, bucket: str, key: str) -> VideoSource:
        path = self._place.path(bucket, key)
        try:
            _, found = await self._find(bucket, key)
        except RegisterUnavailable:
            raise
        except StorageUnavailable:
            await self._objects.ask(bucket, path)  # which fault our keys have
            raise
        with s3_failures("sign an address"):
            url = await obstore.sign_async(self._place.store(bucket), "GET", path, self._signed_for)
        return RemoteVideo(url, found.etag, found.size_bytes, self._read_budget_bytes)

    # Staged objects

    async def stage(
        self, bucket: str, key: str, data: bytes, *, headers: Mapping[str, str], owner: str = ""
    ) -> StagedObject:
        return await self._staging.stage(bucket, key, data, headers=headers, owner=owner)

    async def place(self, staged: Sequence[StagedObject]) -> Sequence[StagedObject]:
        return await self._staging.place(staged)

    async def publish(self, staged: Sequence[StagedObject]) -> Sequence[ObjectInfo]:
        return await self._staging.publish(staged)

    async def discard(self, staged: Sequence[StagedObject]) -> None:
        await self._staging.discard(staged)

    async def revoke(self, bucket: str, owner: str) -> None:
        await self._staging.revoke(bucket, owner)

    async def sweep(self, now: datetime | None = None) -> Swept:
        return await self._sweeper.sweep(now)

    async def _find(self, bucket: str, key: str) -> tuple[ObjectInfo, Found]:
        check_bucket_name(bucket)
        check_key(key)
        path = self._place.path(bucket, key)
        async with self._register.connection("find an object") as connection:
            row = await QUERIES.object(connection, bucket=bucket, key=key)
        if row is None:
            await self.bucket(bucket)
        try:
            found = await self._objects.head(bucket, path)
        except ObjectMissing:
            await self._objects.ask(bucket, path)  # whether the bucket is gone too
            raise
        return _info(bucket, key, found, {} if row is None else {key: row}), found


def _info(bucket: str, key: str, found: Found, rows: Mapping[str, Mapping[str, Any]]) -> ObjectInfo:
    known = known_info(rows.get(key), found.etag)
    if known is not None:
        return known
    return ObjectInfo(bucket, key, found.size_bytes, found.etag, None, found.last_modified, dict(found.headers))

"""
Objects on this machine's disk: bytes in a blob folder, everything else in PostgreSQL.

A write takes three steps: a row announces a blob, the blob is written and flushed, and one transaction gives it its
key. A crash between any two leaves either nothing or an announced blob that `sweep` removes by age. Bytes that lose
their key are removed by `sweep` too, and only after a grace period, so that whoever was told the path may still open
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from smartcover.errors import (
    BucketNotEmpty,
    ObjectMissing,
    RegisterUnavailable,
    SettingsError,
    StorageError,
    StorageUnavailable,
)
from smartcover.storage.blobs import BLOCK_BYTES, BlobFolder, BlobReader, is_blob_folder
from smartcover.storage.bucket import (
    BucketInfo,
    LocalVideo,
    ObjectInfo,
    ObjectPage,
    StagedObject,
    Swept,
    UploadEvent,
    VideoSource,
)
from smartcover.storage.failures import storage_failures
from smartcover.storage.local_sweep import LocalSweeper
from smartcover.storage.local_uploads import LocalUploads
from smartcover.storage.registered import RegisteredStore
from smartcover.storage.rules import (
    after_delimiter,
    check_bucket_name,
    check_headers,
    check_key,
    check_owner,
    check_text,
    first_key_after,
    page_limit,
    resolve_range,
)
from smartcover.storage.shelf import ACQUIRE_TIMEOUT_SECONDS, QUERIES, Connections, Shelf, object_info, swept_meanwhile


async def require_known_folder(root: Path, pool: Connections) -> None:
    """
    Accept a folder for the objects that the database knows of: one of blobs, or any if there are no objects yet.

    A share that is not mounted would else be taken for a new folder: what is uploaded would lie where no other
    process finds it, and jobs would find no videos.

    Raises:
        SettingsError: If the folder is none of blobs and the database knows of objects.
        StorageUnavailable: If the folder cannot be looked at.
        RegisterUnavailable: If the database does not answer.
    """
    unseen = f"{root} cannot be looked at; see whether its share is mounted and may be read"
    with storage_failures("look for blobs", unseen):
        if await asyncio.to_thread(is_blob_folder, root):
            return
    with storage_failures("look for objects", kind=RegisterUnavailable):
        async with pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
            known = await QUERIES.any_objects(connection)
    if known:
        raise SettingsError(
            f"{root} holds no objects, but the database knows of some; mount its share or restore the folder "
            f"(if the objects are lost for good, make the folder {root}/00 and start again)"
        )


class LocalStore(RegisteredStore):
    """
    A `BucketStore` over a directory and a database whose schema is up to date.

    Args:
        root: Directory of the blobs; made if missing. Several processes may share it.
        pool: Connections to the database that holds the keys of this root, and of no other root.
        max_object_bytes: Largest body of one put or one part; joined parts may be larger.
        reserve_bytes: Disk space that writes leave free.
        grace_seconds: How long the bytes of a replaced or deleted object stay on disk. Longer than the time
            between `video` and the last opening of its path.
        unfinished_age_seconds: When a blob that never got its key is given up: longer than any upload takes.
        upload_age_seconds: When a multipart upload that was never completed is given up.
        completed_age_seconds: How long completing an upload again answers as the first time.
    """

    def __init__(
        self,
        root: Path,
        pool: Connections,
        *,
        max_object_bytes: int = 5 << 30,
        reserve_bytes: int = 64 << 20,
        grace_seconds: float = 900.0,
        unfinished_age_seconds: float = 86_400.0,
        upload_age_seconds: float = 30 * 86_400.0,
        completed_age_seconds: float = 86_400.0,
        make_id: Callable[[], UUID] = uuid4,
    ) -> None:
        with storage_failures("prepare the blob folder"):
            folder = BlobFolder(root)
        self._shelf = Shelf(
            folder, pool, make_id=make_id, max_object_bytes=max_object_bytes, reserve_bytes=reserve_bytes
        )
        super().__init__(self._shelf, LocalUploads(self._shelf))
        self._sweeper = LocalSweeper(
            self._shelf,
            grace=timedelta(seconds=grace_seconds),
            unfinished_age=timedelta(seconds=unfinished_age_seconds),
            upload_age=timedelta(seconds=upload_age_seconds),
            completed_age=timedelta(seconds=completed_age_seconds),
        )

    async def check(self) -> None:
        await self._shelf.check(for_writing=True)

    # Buckets

    def locate(self, store_bucket: str, store_key: str) -> tuple[str, str] | None:
        return store_bucket, store_key

    async def create_bucket(self, name: str, region: str) -> BucketInfo:
        check_bucket_name(name)
        async with self._shelf.connection("create a bucket") as connection:
            await QUERIES.add_bucket(connection, name=name, region=region)
        return await self.bucket(name)

    async def delete_bucket(self, name: str) -> None:
        check_bucket_name(name)
        async with self._shelf.connection("delete a bucket") as connection:
            try:
                removed = await QUERIES.remove_bucket(connection, name=name)
            except asyncpg.ForeignKeyViolationError as error:
                raise BucketNotEmpty from error
        if removed is None:
            await self.bucket(name)
            raise BucketNotEmpty("The bucket still holds objects or unfinished multipart uploads; delete them first.")

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
        check_key(key)
        kept = check_headers(headers)
        blob = await self._shelf.announce(bucket)
        contents = await self._shelf.receive(blob, body, content_md5=content_md5, size_bytes=size_bytes)
        async with self._shelf.transaction("show an object") as connection:
            info = await self._shelf.show(
                connection,
                bucket,
                key,
                blob,
                size_bytes=contents.size_bytes,
                etag=contents.md5.hex(),
                crc64=contents.crc64,
                headers=kept,
                event=event,
            )
        if info is None:
            raise swept_meanwhile("put")
        return info

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        return object_info(await self._find(bucket, key))

    @asynccontextmanager
    async def read(
        self, bucket: str, key: str, *, first: int = 0, last: int | None = None
    ) -> AsyncIterator[tuple[ObjectInfo, AsyncIterator[bytes]]]:
        info, reader = await self._open(bucket, key)
        try:
            yield info, self._stream(reader, resolve_range(info.size_bytes, first, last))
        finally:
            await self._shelf.in_thread("close a blob", reader.close)

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
        # The source's bytes stay for the grace period, so its row and its blob need no lock meanwhile.
        row = await self._find(source_bucket, source_key)
        source = object_info(row)
        await self._path_of(row["blob"])
        blob = await self._shelf.announce(bucket)
        await self._shelf.in_thread("copy a blob", self._shelf.folder.link, row["blob"], blob)
        async with self._shelf.transaction("show a copy") as connection:
            info = await self._shelf.show(
                connection,
                bucket,
                key,
                blob,
                size_bytes=source.size_bytes,
                etag=source.etag,
                crc64=int(row["crc64"]),
                headers=source.headers if kept is None else kept,
                event=event,
            )
        if info is None:
            raise swept_meanwhile("copy")
        return info

    async def delete(self, bucket: str, key: str) -> None:
        check_key(key)
        await self.bucket(bucket)
        async with self._shelf.connection("delete an object") as connection:
            await QUERIES.remove_object(connection, bucket=bucket, key=key)

    async def list(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", marker: str = "", limit: int = 1000
    ) -> ObjectPage:
        check_text(prefix, "Prefix")
        check_text(marker, "Marker")
        limit = page_limit(limit)
        await self.bucket(bucket)
        lower = first_key_after(marker, prefix, delimiter)
        arguments = {"bucket": bucket, "prefix": prefix, "lower": lower, "limit": limit + 1}
        async with self._shelf.connection("list objects") as connection:
            if delimiter:
                following = after_delimiter(delimiter)
                found = QUERIES.list_folded(connection, delimiter=delimiter, after_delimiter=following, **arguments)
            else:
                found = QUERIES.list_flat(connection, **arguments)
            rows = [row async for row in found]
        shown = rows[:limit]
        more = len(rows) > limit > 0
        return ObjectPage(
            tuple(object_info(row) for row in shown if row["folded"] is None),
            tuple(row["folded"] for row in shown if row["folded"] is not None),
            (shown[-1]["folded"] or shown[-1]["key"]) if more else None,
        )

    async def video(self, bucket: str, key: str) -> VideoSource:
        return LocalVideo(await self._path_of((await self._find(bucket, key))["blob"]))

    # Staged objects

    async def stage(
        self, bucket: str, key: str, data: bytes, *, headers: Mapping[str, str], owner: str = ""
    ) -> StagedObject:
        check_key(key)
        check_owner(owner)
        kept = check_headers(headers)
        blob = await self._shelf.announce(bucket)
        contents = await self._shelf.receive(blob, _once(data), content_md5=None, size_bytes=len(data))
        return StagedObject(bucket, key, blob.hex, contents.size_bytes, contents.md5.hex(), contents.crc64, kept)

    async def place(self, staged: Sequence[StagedObject]) -> Sequence[StagedObject]:
        return staged

    async def publish(self, staged: Sequence[StagedObject]) -> Sequence[ObjectInfo]:
        """
        Show all staged objects in one transaction; publishing them again answers the same.

        Raises:
            StorageUnavailable: If one was discarded or swept; then none becomes visible.
        """
        # One order for everyone, or two publishers of the same keys could wait for each other; the sort is stable,
        # so of two staged objects with one key the later one stays.
        order = sorted(range(len(staged)), key=lambda index: (staged[index].bucket, staged[index].key))
        shown: dict[int, ObjectInfo] = {}
        async with self._shelf.transaction("publish staged objects") as connection:
            for index in order:
                shown[index] = await self._publish(connection, staged[index])
        return [shown[index] for index in range(len(staged))]

    async def discard(self, staged: Sequence[StagedObject]) -> None:
        blobs = [UUID(one.token) for one in staged]
        async with self._shelf.transaction("discard staged objects") as connection:
            taken = [row["blob"] async for row in QUERIES.take_unfinished(connection, blobs=blobs)]
            await self._shelf.in_thread("remove blobs", self._shelf.folder.remove, taken)
            await QUERIES.forget_garbage(connection, blobs=taken)

    async def revoke(self, bucket: str, owner: str) -> None:
        """Nothing: publishing is one transaction here."""
        check_owner(owner)

    async def sweep(self, now: datetime | None = None) -> Swept:
        return await self._sweeper.sweep(now)

    async def _find(self, bucket: str, key: str) -> Mapping[str, Any]:
        check_key(key)
        async with self._shelf.connection("find an object") as connection:
            row: Mapping[str, Any] | None = await QUERIES.object(connection, bucket=bucket, key=key)
        if row is None:
            await self.bucket(bucket)
            raise ObjectMissing(detail=f"{bucket}/{key}")
        return row

    async def _open(self, bucket: str, key: str) -> tuple[ObjectInfo, BlobReader]:
        for _ in range(2):  # a reader that was held up longer than the grace period finds the newer version
            row = await self._find(bucket, key)
            reader = await self._shelf.open(row["blob"])
            if reader is not None:
                return object_info(row), reader
        await self._path_of(row["blob"])
        raise StorageUnavailable(detail=f"the blob {row['blob']} of {bucket}/{key} was not on the disk a moment ago")

    async def _path_of(self, blob: UUID) -> Path:
        """
        Give where the bytes of an object lie.

        Raises:
            StorageError: If they are lost: no later try would find them.
            StorageUnavailable: If the whole folder is not there, so that they may come back with it.
        """
        path = self._shelf.folder.path(blob)
        if not await self._shelf.in_thread("look for a blob", path.exists):
            await self._shelf.check()
            raise StorageError("The object's bytes are gone from the store; upload it again.", detail=f"no {path}")
        return path

    async def _stream(self, reader: BlobReader, offsets: range) -> AsyncIterator[bytes]:
        for offset in offsets[::BLOCK_BYTES]:
            wanted = min(BLOCK_BYTES, offsets.stop - offset)
            block = await self._shelf.in_thread("read a blob", reader.read, offset, wanted)
            if len(block) < wanted:
                raise StorageUnavailable(detail=f"a blob ends at {offset + len(block)}, before {offsets.stop}")
            yield block

    async def _publish(self, connection: Any, staged: StagedObject) -> ObjectInfo:
        blob = UUID(staged.token)
        assert staged.crc64 is not None
        info = await self._shelf.show(
            connection,
            staged.bucket,
            staged.key,
            blob,
            size_bytes=staged.size_bytes,
            etag=staged.etag,
            crc64=staged.crc64,
            headers=staged.headers,
        )
        if info is not None:
            return info
        row = await QUERIES.object(connection, bucket=staged.bucket, key=staged.key)
        if row is None or row["blob"] != blob:
            raise StorageUnavailable(
                "A staged object was given up before it was published; make it again.",
                detail=f"{staged.bucket}/{staged.key} as {staged.token}",
            )
        return object_info(row)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data

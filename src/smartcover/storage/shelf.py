"""What the objects and the uploads of the local store share: connections, blobs, and how an object becomes visible."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar
from uuid import UUID

import aiosql
import asyncpg
import structlog

from smartcover.errors import (
    BodyTooLarge,
    BucketMissing,
    DigestMismatch,
    IncompleteBody,
    RegisterUnavailable,
    StorageUnavailable,
)
from smartcover.storage.blobs import BLOCK_BYTES, BlobFolder, BlobReader, BlobWriter, Contents
from smartcover.storage.bucket import ObjectInfo, UploadEvent
from smartcover.storage.failures import DISK_FULL, storage_failures
from smartcover.storage.rules import check_bucket_name

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("queries.sql"), "asyncpg", mandatory_parameters=False)

#: Longest wait for a free connection of the pool, so that a dead database is an answer and not a hang.
ACQUIRE_TIMEOUT_SECONDS = 10.0

#: Where the stored headers hold the ETag that a store of its own gave; a colon stands in no header's name.
STORE_ETAG = ":store-etag"

#: How far an event that a store tells of may lie from an upload of ours to be taken for the same.
_TWIN_SECONDS = 300.0


class Connections(Protocol):
    """A pool of connections to the database: one of asyncpg, or anything that lends in the same way."""

    def acquire(self, *, timeout: float) -> AbstractAsyncContextManager[Any]:
        """Lend a connection within so many seconds."""
        ...


class Register:
    """The database that knows which blobs there are and whose they are."""

    def __init__(self, pool: Connections, *, make_id: Callable[[], UUID]) -> None:
        self.make_id = make_id
        self._pool = pool

    @asynccontextmanager
    async def connection(self, doing: str) -> AsyncIterator[Any]:
        """Lend a connection; failures inside become `StorageError`s that tell the log what we were `doing`."""
        with storage_failures(doing, kind=RegisterUnavailable):
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self, doing: str) -> AsyncIterator[Any]:
        """Lend a connection with a transaction that commits at the end."""
        async with self.connection(doing) as connection, connection.transaction():
            yield connection

    async def announce(self, bucket: str) -> UUID:
        """
        Give the id of a new blob, noted down before its file exists so that a crash cannot lose track of it.

        Raises:
            BucketMissing: Early, before a body is read.
        """
        check_bucket_name(bucket)
        blob = self.make_id()
        async with self.connection("announce a blob") as connection:
            known = await QUERIES.announce_object_blob(connection, blob=blob, bucket=bucket)
        if known is None:
            raise BucketMissing(detail=bucket)
        return blob

    async def show(
        self,
        connection: Any,
        bucket: str,
        key: str,
        blob: UUID,
        *,
        size_bytes: int,
        etag: str,
        crc64: int,
        headers: Mapping[str, str],
        event: UploadEvent | None = None,
        store_etag: str | None = None,
    ) -> ObjectInfo | None:
        """
        Make a durable blob visible under a key; None when the sweep took the blob first.

        Every object, however it arrived, becomes visible here and nowhere else, inside the caller's transaction;
        so an upload and the event of it are stored together or not at all. `store_etag` is what a store of its own
        calls this version; it is kept beside the headers, under a name that no header can have.

        Raises:
            BucketMissing: If the bucket was deleted meanwhile.
        """
        try:
            last_modified: datetime | None = await QUERIES.show_object(
                connection,
                bucket=bucket,
                key=key,
                blob=blob,
                size_bytes=size_bytes,
                etag=etag,
                crc64=Decimal(crc64),
                headers=json.dumps(dict(headers) if store_etag is None else {**headers, STORE_ETAG: store_etag}),
            )
        except asyncpg.ForeignKeyViolationError as error:
            raise BucketMissing from error
        if last_modified is None:
            return None
        if event is not None and not await _told_lately(connection, bucket, key, etag, event):
            await QUERIES.note_upload(
                connection,
                event_id=f"cos:{event.request_id}",
                bucket=bucket,
                key=key,
                name=event.name,
                size_bytes=size_bytes,
                etag=etag,
                headers=json.dumps(dict(headers)),
                request_id=event.request_id,
                store_etag=store_etag,
                near_seconds=_TWIN_SECONDS,
            )
        return ObjectInfo(bucket, key, size_bytes, etag, crc64, last_modified, dict(headers))


async def _told_lately(connection: Any, bucket: str, key: str, etag: str, event: UploadEvent) -> bool:
    """Tell whether an upload that an SDK sends again was told of the first time."""
    if event.retried_within_seconds is None:
        return False
    return bool(
        await QUERIES.upload_told_lately(
            connection, bucket=bucket, key=key, name=event.name, etag=etag, seconds=event.retried_within_seconds
        )
    )


class Shelf(Register):
    """A blob folder and the database that knows whose blobs they are."""

    def __init__(
        self,
        folder: BlobFolder,
        pool: Connections,
        *,
        make_id: Callable[[], UUID],
        max_object_bytes: int,
        reserve_bytes: int,
    ) -> None:
        super().__init__(pool, make_id=make_id)
        self.folder = folder
        self._max_object_bytes = max_object_bytes
        self._reserve_bytes = reserve_bytes
        self._look: asyncio.Task[tuple[bool, bool]] | None = None

    async def in_thread(self, doing: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do disk work off the event loop."""
        with storage_failures(doing):
            return await asyncio.to_thread(work, *args, **kwargs)

    async def check(self, *, for_writing: bool = False) -> None:
        """
        Return if the blob folder is there.

        Args:
            for_writing: Whether it must take writes, too.

        Raises:
            StorageUnavailable: If it is not, as when the share that it lies on is not mounted any more.
        """
        if self._look is None or self._look.done():  # a share may hang: however many ask, one thread waits for it
            self._look = asyncio.create_task(self.in_thread("look for the blob folder", self._look_at_folder))
        is_there, takes_writes = await asyncio.shield(self._look)
        if not is_there:
            raise StorageUnavailable("The folder of the object store is gone; see whether its share is mounted.")
        if for_writing and not takes_writes:
            raise StorageUnavailable(
                "The folder of the object store takes no writes; see whether its disk is read-only, and whose it is."
            )

    def _look_at_folder(self) -> tuple[bool, bool]:
        return self.folder.is_there(), self.folder.takes_writes()

    def in_background(self, work: Callable[[], None]) -> None:
        """Clean up after a cancelled caller, who cannot wait for it; the sweep repeats what fails here."""

        def attempt() -> None:
            try:
                work()
            except OSError as error:
                log.warning("storage_cleanup_failed", error=str(error))

        asyncio.get_running_loop().run_in_executor(None, attempt)

    async def require_room(self, size_bytes: int) -> None:
        """
        Refuse early what would fill the disk; a reserve stays free, since the database may live on the same disk.

        Raises:
            StorageUnavailable: If there is too little room.
        """
        free_bytes = await self.in_thread("ask for free space", self.folder.free_bytes)
        if free_bytes < size_bytes + self._reserve_bytes:
            raise StorageUnavailable(DISK_FULL, detail=f"{free_bytes} bytes are free, {size_bytes} are needed")

    async def receive(
        self, blob: UUID, body: AsyncIterator[bytes], *, content_md5: bytes | None, size_bytes: int | None
    ) -> Contents:
        """
        Write a body to a blob that was announced; it is durable when this returns, and nobody sees it yet.

        A body that fits one block takes one trip to a thread. On any failure the file is removed.
        """
        if size_bytes is not None and size_bytes > self._max_object_bytes:
            raise self._too_large(size_bytes)
        await self.require_room(size_bytes or 0)
        writer = BlobWriter(self.folder.path(blob))
        try:
            contents = await self._pour(body, writer, size_bytes)
            if content_md5 is not None and content_md5 != contents.md5:
                raise DigestMismatch(detail=f"got {contents.md5.hex()}, Content-MD5 says {content_md5.hex()}")
        except BaseException:
            self.in_background(writer.abandon)
            raise
        return contents

    async def _pour(self, body: AsyncIterator[bytes], writer: BlobWriter, size_bytes: int | None) -> Contents:
        pending: list[bytes] = []
        pending_bytes = total_bytes = 0
        limit_bytes = self._max_object_bytes if size_bytes is None else size_bytes
        async for chunk in body:
            pending.append(chunk)
            pending_bytes += len(chunk)
            total_bytes += len(chunk)
            if total_bytes > limit_bytes:
                raise self._too_large(total_bytes)
            if pending_bytes >= BLOCK_BYTES:
                await self.in_thread("write a body", writer.write, b"".join(pending))
                pending, pending_bytes = [], 0
        if size_bytes is not None and total_bytes < size_bytes:
            raise IncompleteBody(f"The body ended after {total_bytes} bytes; Content-Length says {size_bytes}.")
        return await self.in_thread("write a body", writer.finish, b"".join(pending))

    def _too_large(self, size_bytes: int) -> BodyTooLarge:
        return BodyTooLarge(
            f"The body has {size_bytes} bytes or more; at most {self._max_object_bytes} are allowed, "
            "and no more than Content-Length says. Larger objects go up in parts."
        )

    async def open(self, blob: UUID) -> BlobReader | None:
        """Open a blob for reading; None when its file is gone."""
        reader = BlobReader(self.folder.path(blob))
        try:
            with storage_failures("open a blob"):
                await asyncio.to_thread(reader.open)
        except BaseException as error:
            self.in_background(reader.close)
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        return reader


def object_info(row: Mapping[str, Any]) -> ObjectInfo:
    """Read a row of `objects`."""
    return ObjectInfo(
        row["bucket"],
        row["key"],
        row["size_bytes"],
        row["etag"],
        int(row["crc64"]),
        row["last_modified"],
        json.loads(row["headers"]),
    )


def swept_meanwhile(doing: str) -> StorageUnavailable:
    """Say that a blob was so long unowned that the sweep took it."""
    return StorageUnavailable("The upload took too long and was given up; send it again.", detail=doing)

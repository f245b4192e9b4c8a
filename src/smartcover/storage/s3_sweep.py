"""Removing what nobody owns any more from the reserved folders of an S3 store."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import obstore

from smartcover.errors import StoreBucketMissing
from smartcover.storage.s3_failures import s3_failures
from smartcover.storage.s3_objects import S3Objects
from smartcover.storage.s3_place import RESERVED
from smartcover.storage.shelf import QUERIES, Register, log
from smartcover.storage.sweeper import BATCH, Sweeper


class S3Sweeper(Sweeper):
    """Walks the reserved folders; whatever lies there is a part, is waiting to be published, or is old and goes."""

    def __init__(
        self,
        register: Register,
        objects: S3Objects,
        *,
        grace: timedelta,
        unfinished_age: timedelta,
        upload_age: timedelta,
        completed_age: timedelta,
    ) -> None:
        super().__init__(
            register, grace=grace, unfinished_age=unfinished_age, upload_age=upload_age, completed_age=completed_age
        )
        self._objects = objects

    async def _sweep_bytes(self, now: datetime) -> int:
        async with self._register.connection("list the buckets") as connection:
            buckets = [row["name"] async for row in QUERIES.all_buckets(connection)]
        blobs = 0
        for bucket in buckets:
            try:
                blobs += await self._sweep_bucket(bucket, now)
            except StoreBucketMissing as error:  # no reason to leave what lies in the others
                log.warning("a bucket is left out of the sweep", bucket=bucket, error=error.public)
        async with self._register.connection("forget what is gone") as connection:
            # A day more than the walk above left alone: rows of bytes that it could not remove are kept for the next.
            oldest = max(self._grace, self._unfinished_age) + timedelta(days=1)
            await QUERIES.forget_old_garbage(connection, before=now - oldest)
        return blobs

    async def _sweep_bucket(self, bucket: str, now: datetime) -> int:
        place = self._objects.place
        total = 0
        with s3_failures("list what is staged"):
            stream = obstore.list(place.store(bucket), prefix=place.root(bucket) + RESERVED, chunk_size=BATCH)
        while True:
            with s3_failures("list what is staged"):
                try:
                    chunk = await anext(stream)
                except StopAsyncIteration:
                    return total
            found = {}
            for meta in chunk:
                try:
                    found[UUID(meta["path"].rsplit("/", 1)[1])] = meta["last_modified"]
                except ValueError:
                    continue  # not ours, so not ours to remove
            total += await self._sweep_batch(bucket, found, now)

    async def _sweep_batch(self, bucket: str, found: dict[UUID, datetime], now: datetime) -> int:
        place = self._objects.place
        async with self._register.transaction("sweep what is staged") as connection:
            owned = {row["blob"] async for row in QUERIES.owned_blobs(connection, blobs=list(found))}
            taken = [
                row["blob"]
                async for row in QUERIES.take_old_garbage(
                    connection,
                    blobs=list(found),
                    unfinished_before=now - self._unfinished_age,
                    dropped_before=now - self._grace,
                )
            ]
            # Published, and its staged bytes left over by a crash.
            left = [blob for blob, since in found.items() if blob not in owned and since < now - self._unfinished_age]
            await self._objects.delete(bucket, *[place.staging(bucket, blob) for blob in [*taken, *left]])
            await QUERIES.forget_garbage(connection, blobs=taken)
        return len(taken) + len(left)

"""
Covers on their way into an S3 store: staged in the reserved folder, copied to their keys, then written down.

The copies are the store's own and read from the reserved folder. Whoever takes work over from a writer that went
silent first removes what that one staged: a copy that the silent one still sends, however late, finds no source.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import obstore

from smartcover.errors import BucketMissing, ObjectMissing, StorageUnavailable
from smartcover.storage.bucket import ObjectInfo, StagedObject
from smartcover.storage.rules import check_headers, check_owner
from smartcover.storage.s3_failures import s3_failures
from smartcover.storage.s3_objects import ANSWER_TIMEOUT_SECONDS, S3Objects
from smartcover.storage.shelf import QUERIES, STORE_ETAG, Register

_PARALLEL = 4
#: Most staged objects of one owner; a job has ten covers at most, for each of its attempts.
_MOST_STAGED = 10_000


class S3Staging:
    """
    The staging half of `S3Store`; the methods promise what those of `BucketStore` do.

    A token is `owner/blob`, and `owner/blob/etag` once the object was placed and the store called it `etag`.
    """

    def __init__(self, register: Register, objects: S3Objects) -> None:
        self._register = register
        self._objects = objects

    async def stage(
        self, bucket: str, key: str, data: bytes, *, headers: Mapping[str, str], owner: str
    ) -> StagedObject:
        """Write an object into the reserved folder."""
        check_owner(owner)
        self._objects.place.path(bucket, key)
        kept = check_headers(headers)
        blob = await self._register.announce(bucket)
        path = self._objects.place.staging(bucket, blob, owner)
        contents, _ = await self._objects.put(bucket, path, _once(data), kept, size_bytes=len(data))
        token = f"{owner}/{blob.hex}"
        return StagedObject(bucket, key, token, contents.size_bytes, contents.md5.hex(), contents.crc64, kept)

    async def place(self, staged: Sequence[StagedObject]) -> Sequence[StagedObject]:
        """Let the store copy each object to its key, a few at a time; of several with one key only the last."""
        blobs = [_blob(one) for one in staged]
        last = {(one.bucket, one.key): number for number, one in enumerate(staged)}
        etags: dict[int, str] = {}
        async with self._register.connection("look at what is staged") as connection:
            waiting = {row["blob"] async for row in QUERIES.unfinished(connection, blobs=blobs)}
            for number, one in enumerate(staged):
                if blobs[number] not in waiting:
                    etags[number] = _store_etag(await _published(connection, one))
        limit = asyncio.Semaphore(_PARALLEL)

        async def copy(number: int) -> None:
            async with limit:
                etags[number] = await self._copy(staged[number])

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(len(staged)):
                    if number not in etags and last[staged[number].bucket, staged[number].key] == number:
                        group.create_task(copy(number))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [replace(one, token=f"{_source(one)}/{etags.get(number, '')}") for number, one in enumerate(staged)]

    async def publish(self, staged: Sequence[StagedObject]) -> Sequence[ObjectInfo]:
        """Write the placed objects down in one transaction; those that were not placed are placed first."""
        if any(one.token.count("/") < 2 for one in staged):
            staged = await self.place(staged)
        shown: dict[int, ObjectInfo] = {}
        # One order for everyone, or two publishers of the same keys could wait for each other.
        order = sorted(range(len(staged)), key=lambda number: (staged[number].bucket, staged[number].key))
        async with self._register.transaction("publish staged objects") as connection:
            for number in order:
                shown[number] = await self._show(connection, staged[number])
        return [shown[number] for number in range(len(staged))]

    async def discard(self, staged: Sequence[StagedObject]) -> None:
        """Remove what lies in the reserved folder, and forget what was not published."""
        for one in staged:
            await self._objects.delete(
                one.bucket, self._objects.place.staging(one.bucket, _blob(one), _source(one).partition("/")[0])
            )
        await self._forget([_blob(one) for one in staged])

    async def revoke(self, bucket: str, owner: str) -> None:
        """Remove the owner's folder; its rows go with it, so that nobody writes down what has no bytes."""
        check_owner(owner)
        if not owner:
            return
        root = self._objects.place.staging_root(bucket, owner)
        paths: list[str] = []
        try:
            with s3_failures("list what an owner staged"):
                async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                    async for chunk in obstore.list(self._objects.place.store(bucket), prefix=root.rstrip("/")):
                        paths.extend(meta["path"] for meta in chunk)
                        if len(paths) >= _MOST_STAGED:
                            break
        except (BucketMissing, ObjectMissing):
            return
        await self._objects.delete(bucket, *paths)
        await self._forget([UUID(name) for path in paths if _is_blob(name := path.rpartition("/")[2])])

    async def _forget(self, blobs: Sequence[UUID]) -> None:
        async with self._register.transaction("forget what was staged") as connection:
            taken = [row["blob"] async for row in QUERIES.take_unfinished(connection, blobs=blobs)]
            await QUERIES.forget_garbage(connection, blobs=taken)

    async def _copy(self, staged: StagedObject) -> str:
        place = self._objects.place
        source = place.staging(staged.bucket, _blob(staged), _source(staged).partition("/")[0])
        try:
            copied = await self._objects.copy(staged.bucket, source, place.path(staged.bucket, staged.key))
        except ObjectMissing as error:
            raise _given_up(staged) from error
        return copied.etag

    async def _show(self, connection: Any, staged: StagedObject) -> ObjectInfo:
        assert staged.crc64 is not None
        info = await self._register.show(
            connection,
            staged.bucket,
            staged.key,
            _blob(staged),
            size_bytes=staged.size_bytes,
            etag=staged.etag,
            crc64=staged.crc64,
            headers=staged.headers,
            store_etag=staged.token.split("/", 2)[2],
        )
        if info is not None:
            return info
        row = await _published(connection, staged)
        return ObjectInfo(
            staged.bucket,
            staged.key,
            staged.size_bytes,
            staged.etag,
            staged.crc64,
            row["last_modified"],
            dict(staged.headers),
        )


def _source(staged: StagedObject) -> str:
    return "/".join(staged.token.split("/", 2)[:2])


def _blob(staged: StagedObject) -> UUID:
    return UUID(staged.token.split("/", 2)[1])


def _is_blob(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True


def _store_etag(row: Mapping[str, Any]) -> str:
    return str(json.loads(row["headers"]).get(STORE_ETAG, ""))


async def _published(connection: Any, staged: StagedObject) -> Mapping[str, Any]:
    row: Mapping[str, Any] | None = await QUERIES.object(connection, bucket=staged.bucket, key=staged.key)
    if row is None or row["blob"] != _blob(staged):
        raise _given_up(staged)
    return row


def _given_up(staged: StagedObject) -> StorageUnavailable:
    return StorageUnavailable(
        "A staged object was given up before it was published; make it again.", detail=f"{staged.bucket}/{staged.key}"
    )


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data

"""What every store over a `Register` does alike: describing buckets, and multipart uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from smartcover.errors import BucketMissing
from smartcover.storage.bucket import (
    BucketInfo,
    ObjectInfo,
    PartInfo,
    PartPage,
    UploadEvent,
    UploadInfo,
    UploadPage,
)
from smartcover.storage.local_uploads import Uploads
from smartcover.storage.rules import check_bucket_name
from smartcover.storage.shelf import QUERIES, Register
from smartcover.storage.upload_pages import upload_page


class RegisteredStore:
    """The part of a `BucketStore` that the database answers, whatever holds the bytes."""

    def __init__(self, register: Register, uploads: Uploads) -> None:
        self._register = register
        self._uploads = uploads

    async def bucket(self, name: str) -> BucketInfo:
        check_bucket_name(name)
        async with self._register.connection("describe a bucket") as connection:
            row = await QUERIES.bucket(connection, name=name)
        if row is None:
            raise BucketMissing(detail=name)
        return BucketInfo(**row)

    async def buckets(self) -> Sequence[BucketInfo]:
        async with self._register.connection("list the buckets") as connection:
            return [BucketInfo(**row) async for row in QUERIES.all_buckets(connection)]

    async def start_upload(self, bucket: str, key: str, *, headers: Mapping[str, str]) -> UploadInfo:
        return await self._uploads.start(bucket, key, headers=headers)

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
        return await self._uploads.put_part(
            bucket, key, upload_id, number, body, content_md5=content_md5, size_bytes=size_bytes
        )

    async def parts(self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1000) -> PartPage:
        return await self._uploads.parts(bucket, key, upload_id, after=after, limit=limit)

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
        return await upload_page(
            partial(self._uploads.behind, bucket, prefix),
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
        return await self._uploads.complete(bucket, key, upload_id, parts, event=event)

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        await self._uploads.abort(bucket, key, upload_id)

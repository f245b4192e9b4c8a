"""Multipart uploads of an S3 store: parts lie in the reserved folder until they are streamed into the object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID

from smartcover.storage.blobs import Contents
from smartcover.storage.bucket import UploadInfo
from smartcover.storage.local_uploads import Uploads
from smartcover.storage.s3_objects import S3Objects
from smartcover.storage.shelf import Register


class S3Uploads(Uploads):
    """The multipart half of `S3Store`."""

    def __init__(self, register: Register, objects: S3Objects) -> None:
        super().__init__(register)
        self._objects = objects

    async def start(self, bucket: str, key: str, *, headers: Mapping[str, str]) -> UploadInfo:
        """Begin an upload, unless the key is one that the store's client cannot name."""
        self._objects.place.path(bucket, key)
        return await super().start(bucket, key, headers=headers)

    async def _receive(
        self, bucket: str, blob: UUID, body: AsyncIterator[bytes], content_md5: bytes | None, size_bytes: int | None
    ) -> Contents:
        path = self._objects.place.staging(bucket, blob)
        contents, _ = await self._objects.put(bucket, path, body, {}, content_md5=content_md5, size_bytes=size_bytes)
        return contents

    async def _join(self, upload: UploadInfo, blob: UUID, sources: Sequence[UUID], size_bytes: int) -> str | None:
        """
        Stream the parts straight to the object's own path, where they appear at once when the last one is in.

        Of two completions at once both write the same bytes.
        """
        path = self._objects.place.path(upload.bucket, upload.key)
        _, etag = await self._objects.put(
            upload.bucket,
            path,
            self._read(upload.bucket, sources),
            upload.headers,
            size_bytes=size_bytes,
            limit_bytes=size_bytes,
        )
        return etag

    async def _read(self, bucket: str, sources: Sequence[UUID]) -> AsyncIterator[bytes]:
        for source in sources:
            path = self._objects.place.staging(bucket, source)
            found = await self._objects.head(bucket, path)
            async for block in await self._objects.stream(bucket, path, found.etag, range(found.size_bytes)):
                yield block

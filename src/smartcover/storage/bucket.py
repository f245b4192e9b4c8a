"""
The port to object storage: what the service, the worker and the object API need of a store.

An adaptor keeps these promises whatever it is made of: a key is an opaque string that never reaches outside its
bucket; an object becomes visible whole or not at all; errors are `StorageError`s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, TypeVar

from smartcover.errors import BadKey, ObjectMissing
from smartcover.storage.failures import storage_failures

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """A bucket that exists here."""

    name: str
    region: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """
    What is known of an object without reading it.

    `etag` has no quotes: the MD5 in hex, or `<md5 of part md5s>-<parts>` after a multipart upload. `crc64` is
    CRC-64/XZ of the whole body. `headers` holds lower-case names: content-type, cache-control,
    content-disposition, content-encoding, content-language, expires and every x-cos-meta-*.
    """

    bucket: str
    key: str
    size_bytes: int
    etag: str
    crc64: int | None
    last_modified: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UploadInfo:
    """A multipart upload that is neither completed nor aborted."""

    bucket: str
    key: str
    upload_id: str
    initiated_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartInfo:
    """One uploaded part."""

    number: int
    etag: str
    size_bytes: int
    crc64: int
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of a listing, in UTF-8 binary order; `next_marker` is None at the end."""

    objects: tuple[ObjectInfo, ...]
    common_prefixes: tuple[str, ...]
    next_marker: str | None


@dataclass(frozen=True, slots=True)
class UploadPage:
    """
    A page of open multipart uploads, and the prefixes that others are folded into.

    Without an id the next page begins behind all that is folded into the key marker.
    """

    uploads: tuple[UploadInfo, ...]
    common_prefixes: tuple[str, ...]
    next_key_marker: str | None
    next_upload_id_marker: str | None


@dataclass(frozen=True, slots=True)
class PartPage:
    """A page of parts."""

    upload: UploadInfo
    parts: tuple[PartInfo, ...]
    next_part_number_marker: int | None


@dataclass(frozen=True, slots=True)
class StagedObject:
    """An object whose bytes are durable but which nobody can see yet; `token` is the adaptor's own."""

    bucket: str
    key: str
    token: str
    size_bytes: int
    etag: str
    crc64: int | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UploadEvent:
    """
    How an object came in, for those who wait for uploads; covers that we publish come without one.

    `name` is the cloud's word for it (`cos:ObjectCreated:Put`), `request_id` that of the request.
    `retried_within_seconds` is set when an SDK says that it sends the upload again: if the newest upload to the key
    came in within that time, in the same way and with the same bytes, nobody is told a second time.
    """

    name: str
    request_id: str
    retried_within_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep removed: blobs that nobody owned, and multipart uploads too old to keep."""

    blobs: int
    uploads: int


class VideoReader(Protocol):
    """
    An open video: bytes at positions, as of a file that is open for reading.

    `bytes_read` counts what was fetched of it so far, for limits and metrics.
    """

    bytes_read: int

    def __enter__(self) -> VideoReader: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def close(self) -> None: ...


class VideoSource(Protocol):
    """
    A way to read an object from another process: picklable, small, without open files.

    `open` is called in the decoder's child process and gives a seekable reader.
    """

    def open(self) -> VideoReader:
        """Give the video to the engine."""


class FileReader:
    """A `VideoReader` over a binary file at hand, which it closes in the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes_read = 0

    def __enter__(self) -> FileReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def read(self, size: int = -1, /) -> bytes:
        """Give up to `size` bytes, and b"" only at the end; a disk that fails is no fault of the video."""
        with storage_failures("read a video"):
            data = self._file.read(size)
        self.bytes_read += len(data)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Give the position."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class LocalVideo:
    """A video that is a file of this machine; `path` is opaque and has no useful suffix."""

    path: Path

    def open(self) -> FileReader:
        """Open the file; the engine is not told the path, which clients must not see in its errors."""
        with storage_failures("open a video"):
            return FileReader(self.path.open("rb"))


class BucketStore(Protocol):
    """Buckets and objects. Every method raises `StorageUnavailable` when the store cannot be reached."""

    async def check(self) -> None:
        """
        Return if the store itself, and not only the database that knows of its objects, can be reached now.

        A folder of ours must take writes, too; of a store of its own only its answer is asked.
        """

    def locate(self, store_bucket: str, store_key: str) -> tuple[str, str] | None:
        """
        Say which bucket and key of ours an object is that the store itself speaks of.

        None for what lies outside of our buckets, and for what is only staged.
        """

    async def create_bucket(self, name: str, region: str) -> BucketInfo:
        """Make a bucket; one that exists is returned as it is."""

    async def bucket(self, name: str) -> BucketInfo:
        """Describe a bucket, or raise `BucketMissing`."""

    async def buckets(self) -> Sequence[BucketInfo]:
        """List all buckets by name."""

    async def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket, or raise `BucketMissing` or `BucketNotEmpty`."""

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
        Store an object from a stream; it is durable and visible when this returns.

        An `event`, here and below, is durable no later than the object is visible: a crash loses both or neither.

        Raises:
            DigestMismatch: If `content_md5` (16 bytes) is given and differs; nothing is stored.
            IncompleteBody: If `size_bytes` is given and the stream ends before; nothing is stored.
            BodyTooLarge: If the stream exceeds the store's limit for one object.
        """

    async def head(self, bucket: str, key: str) -> ObjectInfo:
        """Describe an object, or raise `ObjectMissing` or `BucketMissing`."""

    def read(
        self, bucket: str, key: str, *, first: int = 0, last: int | None = None
    ) -> AbstractAsyncContextManager[tuple[ObjectInfo, AsyncIterator[bytes]]]:
        """
        Open an object for reading bytes `first`..`last` (both included; None = to the end).

        The bytes are those of one version of the object, also when it is replaced while being read.
        """

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
        """Copy an object inside the store; `headers` None keeps the source's."""

    async def delete(self, bucket: str, key: str) -> None:
        """Delete an object; a missing one is no error."""

    async def list(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", marker: str = "", limit: int = 1000
    ) -> ObjectPage:
        """List objects after `marker`, folding keys at `delimiter` into common prefixes."""

    async def start_upload(self, bucket: str, key: str, *, headers: Mapping[str, str]) -> UploadInfo:
        """Begin a multipart upload."""

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
        """Store a part (1..10000), replacing an earlier one of the same number."""

    async def parts(self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1000) -> PartPage:
        """List the parts of an upload."""

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
        """List open multipart uploads; with a delimiter, keys are folded as `list` folds those of objects."""

    async def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[tuple[int, str]],
        *,
        event: UploadEvent | None = None,
    ) -> ObjectInfo:
        """
        Join parts, given as (number, etag) in ascending order, into the object.

        Completing an upload a second time with the same parts answers as the first time, and is no second event.
        """

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Forget an upload and its parts."""

    async def video(self, bucket: str, key: str) -> VideoSource:
        """Give a handle with which a child process reads the object, or raise `ObjectMissing`."""

    async def stage(
        self, bucket: str, key: str, data: bytes, *, headers: Mapping[str, str], owner: str = ""
    ) -> StagedObject:
        """
        Make an object's bytes durable without showing them; unpublished ones are swept later.

        `owner` is the work that the object comes from: letters, digits and '-'. `revoke` takes back all that is its.
        """

    async def place(self, staged: Sequence[StagedObject]) -> Sequence[StagedObject]:
        """
        Do all of publishing that takes time and needs no transaction; give what is then to be published.

        A store whose objects lie under their own keys shows them from here on; the database still says nothing.

        Raises:
            StorageUnavailable: If one was discarded, revoked or swept.
        """

    async def publish(self, staged: Sequence[StagedObject]) -> Sequence[ObjectInfo]:
        """
        Make staged objects visible under their keys, all of them or none where the store can.

        What was placed before needs the database only, so that this may stand inside another transaction.
        Publishing again answers the same.

        Raises:
            StorageUnavailable: If one was discarded, revoked or swept.
        """

    async def discard(self, staged: Sequence[StagedObject]) -> None:
        """Drop staged objects that will not be published, and what staging left of those that were."""

    async def revoke(self, bucket: str, owner: str) -> None:
        """
        Take back what an owner staged in a bucket, so that whoever staged it can show none of it from now on.

        For writers that went silent and may come back. Where publishing is one transaction there is nothing to do:
        the lease checked in it refuses them.
        """

    async def sweep(self, now: datetime | None = None) -> Swept:
        """
        Remove what nobody owns any more: replaced and deleted bytes, unfinished writes, old uploads.

        Safe at any time and from several processes at once; `now` stands in for the store's own clock.
        """


async def find_input(key: str, find: Callable[[str], Awaitable[_Found]]) -> _Found:
    """
    Find the object of the very key, else the one whose key lacks the slash in front.

    The Python and Node SDKs take that slash off the key of an upload, and leave it in an `Input.Object`.

    Raises:
        ObjectMissing, BadKey: What `find` raised last.
    """
    try:
        return await find(key)
    except (ObjectMissing, BadKey):  # an S3 store can hold no key that begins with a slash
        bare = key.removeprefix("/")
        if bare in ("", key):
            raise
        return await find(bare)

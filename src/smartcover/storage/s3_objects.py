"""One object of an S3-compatible store at a time: streamed in with digests, described, copied, listed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import obstore
from fastcrc import crc64 as crc

from smartcover.errors import BodyTooLarge, DigestMismatch, IncompleteBody, StorageError
from smartcover.storage.blobs import Contents
from smartcover.storage.bucket import ObjectInfo
from smartcover.storage.s3_failures import s3_failures
from smartcover.storage.s3_place import S3Place
from smartcover.storage.shelf import STORE_ETAG

#: Longest wait for the store's answer to a request without a large body, and for the next bytes of one.
ANSWER_TIMEOUT_SECONDS = 60.0
#: Longest time of a copy by the store itself, which answers when it is done: 5 GiB at about 10 MiB each second.
COPY_TIMEOUT_SECONDS = 600.0
#: Most bytes of S3 user metadata, by S3's own rule.
_MAX_METADATA_BYTES = 2048
_MOST_PARTS = 10_000
_NATIVE = {
    "content-type": "Content-Type",
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
}
_META = "x-cos-meta-"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Found:
    """What the store itself says of an object."""

    size_bytes: int
    etag: str
    last_modified: datetime
    headers: Mapping[str, str]


def attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Give the headers as the store keeps them, so that others who read the object there see them.

    Bytes beyond printable ASCII, most often UTF-8, are percent-encoded; own headers that outgrow S3's 2 KB stay in our
    database only.
    """
    native = {_NATIVE[name]: _quoted(value) for name, value in headers.items() if name in _NATIVE}
    own = {
        name.removeprefix(_META): _quoted(value)
        for name, value in headers.items()
        if name.startswith(_META) and name.isascii() and name.removeprefix(_META).replace("-", "").isalnum()
    }
    fits = sum(len(name) + len(value) for name, value in own.items()) <= _MAX_METADATA_BYTES
    return {**native, **own} if fits else native


_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def _quoted(value: str) -> str:
    """Percent-encode a header's bytes, which are kept as Latin-1, as they came."""
    try:
        return quote(value.encode("latin-1"), safe=_PRINTABLE)
    except UnicodeEncodeError:
        return quote(value, safe=_PRINTABLE)


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    ours = {name: low for low, name in _NATIVE.items()}
    return {
        ours.get(name, _META + name.lower()): _unquoted(value)
        for name, value in given.items()
        if name != "Storage-Class"
    }


def _unquoted(value: str) -> str:
    """Give the bytes that `_quoted` wrote as they are kept; what no header may hold stays encoded."""
    kept = unquote_to_bytes(value).decode("latin-1")
    return value if _CONTROL.search(kept) else kept


class S3Objects:
    """
    Objects at paths of the store.

    Args:
        max_object_bytes: Largest body of one put or one part.
        whole_put_bytes: Bodies up to this go up in one request; larger ones by the store's own multipart upload.
    """

    def __init__(self, place: S3Place, *, max_object_bytes: int, whole_put_bytes: int) -> None:
        self.place = place
        self._max_object_bytes = max_object_bytes
        self._whole_put_bytes = whole_put_bytes

    async def head(self, bucket: str, path: str) -> Found:
        """Describe what lies at a path, or raise `ObjectMissing`."""
        with s3_failures("describe an object"):
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                answer = await obstore.get_async(self.place.store(bucket), path, options={"head": True})
        meta = answer.meta
        return Found(meta["size"], _bare(meta["e_tag"]), meta["last_modified"], _headers(answer.attributes))

    async def ask(self, bucket: str, path: str) -> None:
        """Ask for the first byte at a path: unlike a HEAD's, this refusal has a body, which says what is wrong."""
        with s3_failures("ask for an object"):
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                await obstore.get_async(self.place.store(bucket), path, options={"range": (0, 1)})

    async def stream(self, bucket: str, path: str, etag: str, offsets: range) -> AsyncIterator[bytes]:
        """Open one version of an object; raises `StorageUnavailable` if there is another one by now."""
        if not offsets:
            return _nothing()
        with s3_failures("read an object"):
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                answer = await obstore.get_async(
                    self.place.store(bucket),
                    path,
                    options={"range": (offsets.start, offsets.stop), "if_match": f'"{etag}"'},
                )
        return _blocks(answer, len(offsets))

    async def delete(self, bucket: str, *paths: str) -> None:
        """Delete objects; missing ones are no error."""
        for path in paths:
            try:
                with s3_failures("delete an object"):
                    async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                        await obstore.delete_async(self.place.store(bucket), path)
            except StorageError as error:
                if error.code != "NoSuchKey":
                    raise

    async def copy(self, bucket: str, source: str, target: str) -> Found:
        """Copy inside one store bucket, by the store itself, and describe the copy."""
        with s3_failures("copy an object"):
            async with asyncio.timeout(COPY_TIMEOUT_SECONDS):
                await obstore.copy_async(self.place.store(bucket), source, target)
        return await self.head(bucket, target)

    async def put(
        self,
        bucket: str,
        path: str,
        body: AsyncIterator[bytes],
        headers: Mapping[str, str],
        *,
        content_md5: bytes | None = None,
        size_bytes: int | None = None,
        limit_bytes: int | None = None,
    ) -> tuple[Contents, str]:
        """Stream a body to a path, visible only when whole and right; give its digests and the store's ETag."""
        limit = self._max_object_bytes if limit_bytes is None else limit_bytes
        if size_bytes is not None and size_bytes > limit:
            raise _too_large(size_bytes, limit)
        checked = _Checked(body, content_md5, size_bytes, limit)
        start = await checked.take(self._whole_put_bytes)
        store = self.place.store(bucket)
        if checked.ended:
            with s3_failures("write an object"):
                answer = await obstore.put_async(
                    store, path, start, attributes=attributes(headers), use_multipart=False
                )
        else:
            chunk_bytes = max(self._whole_put_bytes, 5 << 20, -(-(size_bytes or limit) // _MOST_PARTS))
            try:
                with s3_failures("write an object"):
                    answer = await obstore.put_async(
                        store,
                        path,
                        checked.rest(start),
                        attributes=attributes(headers),
                        use_multipart=True,
                        chunk_size=chunk_bytes,
                        max_concurrency=4,
                    )
            except StorageError as error:
                if checked.failure is not None:  # the client's own, which came back in the words of obstore
                    raise checked.failure from error
                raise
            except Exception as error:
                if checked.failure is not None and error is not checked.failure:
                    raise checked.failure from error
                raise
        return checked.contents(), _bare(answer["e_tag"])


class _Checked:
    """A body that is counted and hashed on its way, and that fails before its end if it is not what was announced."""

    def __init__(
        self, body: AsyncIterator[bytes], content_md5: bytes | None, size_bytes: int | None, limit_bytes: int
    ) -> None:
        self._body = body
        self._content_md5 = content_md5
        self._size_bytes = size_bytes
        self._limit_bytes = limit_bytes if size_bytes is None else size_bytes
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc64 = 0
        self._total_bytes = 0
        self.ended = False
        self.failure: Exception | None = None

    async def take(self, most_bytes: int) -> bytes:
        """Give what comes until `most_bytes` are exceeded or the body ends."""
        chunks: list[bytes] = []
        while self._total_bytes <= most_bytes:
            chunk = await self._next()
            if chunk is None:
                break
            chunks.append(chunk)
        return b"".join(chunks)

    async def rest(self, start: bytes) -> AsyncIterator[bytes]:
        """Give `start` and all that follows it; what fails here is kept as `failure`."""
        yield start
        try:
            while (chunk := await self._next()) is not None:
                if chunk:
                    yield chunk
        except Exception as error:
            self.failure = error
            raise

    def contents(self) -> Contents:
        """Give the digests of the whole."""
        return Contents(self._total_bytes, self._md5.digest(), self._crc64)

    async def _next(self) -> bytes | None:
        try:
            chunk = await anext(self._body)
        except StopAsyncIteration:
            self._check_end()
            self.ended = True
            return None
        self._total_bytes += len(chunk)
        if self._total_bytes > self._limit_bytes:
            raise _too_large(self._total_bytes, self._limit_bytes)
        self._md5.update(chunk)
        self._crc64 = crc.xz(chunk, self._crc64)
        return chunk

    def _check_end(self) -> None:
        if self._size_bytes is not None and self._total_bytes < self._size_bytes:
            raise IncompleteBody(
                f"The body ended after {self._total_bytes} bytes; Content-Length says {self._size_bytes}."
            )
        if self._content_md5 is not None and self._content_md5 != self._md5.digest():
            raise DigestMismatch(detail=f"got {self._md5.hexdigest()}, Content-MD5 says {self._content_md5.hex()}")


def known_info(row: Mapping[str, Any] | None, etag: str) -> ObjectInfo | None:
    """Read a row of `objects` if it speaks of the store's version `etag`; None if that came behind our back."""
    if row is None:
        return None
    headers = json.loads(row["headers"])
    if headers.pop(STORE_ETAG, None) != etag:
        return None
    return ObjectInfo(
        row["bucket"], row["key"], row["size_bytes"], row["etag"], int(row["crc64"]), row["last_modified"], headers
    )


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')


def _too_large(size_bytes: int, limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body has {size_bytes} bytes or more; at most {limit_bytes} are allowed, and no more than "
        "Content-Length says. Larger objects go up in parts."
    )


async def _blocks(answer: Any, size_bytes: int) -> AsyncIterator[bytes]:
    blocks = answer.stream(min_chunk_size=1 << 20).__aiter__()
    left = size_bytes
    while left > 0:
        with s3_failures("read an object"):
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                    block = bytes(await anext(blocks))
            except StopAsyncIteration:
                raise OSError(f"the body ended {left} bytes early") from None
        left -= len(block)
        yield block


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for block in nothing:
        yield block

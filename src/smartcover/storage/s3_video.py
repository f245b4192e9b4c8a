"""A video in a far store, read by ranges from the decoder's process, which gets one signed address and no keys."""

from __future__ import annotations

import http.client
import io
import ssl
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit

from smartcover.errors import ObjectMissing, StorageUnavailable, StoreBucketMissing, VideoTooLarge
from smartcover.storage.s3_failures import MOST_ERROR_BYTES, code_of_body, meaning_of

_BLOCK_BYTES = 64 << 10
_HELD_BYTES = 32 << 20
_PARALLEL = 8
_TRIES = 3
_TIMEOUT_SECONDS = 20.0
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class RemoteVideo:
    """
    One version of an object, by an address that gives it and nothing else until it expires.

    `budget_bytes` is what may be read of it altogether; a video is never fetched whole for the sake of a few frames.
    """

    url: str = field(repr=False)
    etag: str
    size_bytes: int
    budget_bytes: int

    def open(self) -> RemoteReader:
        """Begin to read; the first request is sent by the first read."""
        return RemoteReader(self)


class RemoteReader:
    """
    A seekable reader whose every request is a range.

    `bytes_read` counts what came over the wire.

    Raises:
        StorageUnavailable: From any read, if the store does not answer or holds another version by now.
        ObjectMissing: If the object is gone.
        VideoTooLarge: If the budget is used up.
    """

    def __init__(self, video: RemoteVideo) -> None:
        self._video = video
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._held_bytes = 0
        self._idle: list[http.client.HTTPConnection] = []
        self.bytes_read = 0

    def __enter__(self) -> RemoteReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def read(self, size: int = -1, /) -> bytes:
        """Give up to `size` bytes, and b"" only at the end."""
        end = self._video.size_bytes if size < 0 else min(self._position + size, self._video.size_bytes)
        parts: list[bytes] = []
        while self._position < end:
            start, block = self._block(self._position, end - self._position)
            part = block[self._position - start :][: end - self._position]
            self._position += len(part)
            parts.append(part)
        return b"".join(parts)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a position; nothing is read."""
        anchor = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._video.size_bytes}[whence]
        self._position = max(0, anchor + offset)
        return self._position

    def tell(self) -> int:
        """Give the position."""
        return self._position

    def prefetch(self, ranges: Sequence[tuple[int, int]], /) -> None:
        """Fetch (offset, size) ranges at once, as many as may be held and read; the rest when it is asked for."""
        wanted: list[tuple[int, int]] = []
        room_bytes = min(_HELD_BYTES, self._video.budget_bytes - self.bytes_read)
        for offset, size in ranges:
            size = min(size, self._video.size_bytes - offset)
            if offset < 0 or size <= 0 or size > room_bytes:
                continue
            room_bytes -= size
            wanted.append((offset, size))
        if not wanted:
            return
        self._spend(sum(size for _, size in wanted))
        with ThreadPoolExecutor(min(_PARALLEL, len(wanted))) as threads:
            for (offset, _), block in zip(wanted, threads.map(self._fetch, wanted), strict=True):
                self._hold(offset, block)

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()
        self._blocks.clear()

    def _block(self, position: int, wanted_bytes: int) -> tuple[int, bytes]:
        for start, block in reversed(self._blocks.items()):
            if start <= position < start + len(block):
                self._blocks.move_to_end(start)
                return start, block
        size = min(max(wanted_bytes, _BLOCK_BYTES), _HELD_BYTES, self._video.size_bytes - position)
        self._spend(size)
        block = self._fetch((position, size))
        self._hold(position, block)
        return position, block

    def _spend(self, size: int) -> None:
        if self.bytes_read + size > self._video.budget_bytes:
            raise VideoTooLarge(
                f"more than {self._video.budget_bytes} bytes of the video would have to be read; "
                "raise SMARTCOVER_S3_READ_BUDGET_BYTES"
            )
        self.bytes_read += size

    def _hold(self, start: int, block: bytes) -> None:
        self._held_bytes += len(block) - len(self._blocks.pop(start, b""))
        self._blocks[start] = block
        while self._held_bytes > _HELD_BYTES and len(self._blocks) > 1:
            self._held_bytes -= len(self._blocks.popitem(last=False)[1])

    def _fetch(self, wanted: tuple[int, int]) -> bytes:
        offset, size = wanted
        failure: Exception | None = None
        for number in range(_TRIES):
            if number:
                time.sleep(_RETRY_SECONDS * 2**number)
            connection = self._idle.pop() if self._idle else self._connect()
            try:
                block = self._ask(connection, offset, size)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                failure = error
            except BaseException:
                connection.close()
                raise
            else:
                self._idle.append(connection)
                return block
        raise StorageUnavailable(detail=f"{size} bytes at {offset} could not be read: {failure!r}") from failure

    def _ask(self, connection: http.client.HTTPConnection, offset: int, size: int) -> bytes:
        parts = urlsplit(self._video.url)
        headers = {"Range": f"bytes={offset}-{offset + size - 1}", "If-Match": f'"{self._video.etag}"'}
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
        code = "" if answer.status < 400 else code_of_body(answer.read(MOST_ERROR_BYTES))
        if answer.status == 404:
            raise StoreBucketMissing if code == "NoSuchBucket" else ObjectMissing
        if answer.status == 412:
            raise StorageUnavailable("The object was replaced while it was read; try again.")
        if answer.status >= 500 or answer.status in (408, 429):
            raise OSError(f"the store answered {answer.status} {code}".rstrip())
        whole = offset == 0 and size == self._video.size_bytes
        if answer.status != 206 and not (answer.status == 200 and whole):
            said = f"the store answered {answer.status} {code}".rstrip()
            raise StorageUnavailable(meaning_of(code), detail=f"{said} to a range of an object")
        block = answer.read(size)
        if len(block) < size or answer.read(1):
            raise OSError(f"the store answered with {len(block)} bytes instead of {size}")
        return block

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._video.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT_SECONDS, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_SECONDS)

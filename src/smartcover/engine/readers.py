"""
The bytes of a video, as the decoder may read them: within a budget, and of a far store in few requests.

Of a far store announced ranges are read as wholes, everything else in blocks that grow while reading runs on.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from smartcover.engine.budget import Budget
from smartcover.engine.types import PrefetchingReader, SeekableReader, check_type
from smartcover.errors import NotAVideo, VideoTooLarge

_FIRST_BLOCK_BYTES = 32 * 1024
"""What is read after a jump: enough for a header or a fragment's table, cheap when the decoder jumps on."""

_LARGEST_BLOCK_BYTES = 1024 * 1024
"""What blocks grow to while reading runs on."""

_HELD_BYTES = 8 * 1024 * 1024
"""What is held of what was read lately."""

_MERGED_GAP_BYTES = 64 * 1024
"""Ranges nearer than this are one request: a round trip costs more than the bytes between them."""

_LARGEST_RANGE_BYTES = 16 * 1024 * 1024
"""A longer range is no picture but a damaged index; and ranges are joined up to this."""


def open_file(video: str | os.PathLike[str]) -> BinaryIO:
    """
    Open a local video.

    Raises:
        NotAVideo: If it is missing, not a regular file, or may not be read.
    """
    if not os.fspath(video):
        raise NotAVideo("the name of a video is empty; give its path")
    path = Path(video)
    try:
        if "://" in str(video) and not path.exists():
            raise NotAVideo(f"{video} is an address, and only files are read; download it and give its path")
        if path.is_dir():
            raise NotAVideo(f"{path} is a folder; give a file")
        if path.exists() and not path.is_file():
            # A pipe or device would block for ever, or answer without end.
            raise NotAVideo(f"{path} is not a regular file")
        return path.open("rb")
    except FileNotFoundError as error:
        raise NotAVideo(f"{path} does not exist") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotAVideo(f"{path} cannot be read: {reason}") from error


class BoundedReader:
    """
    The decoder's only view of the bytes.

    It counts and limits what is read, returns real `bytes` and never more than asked for (the decoder copies without
    a bound), and carries no `name`, from which a playlist format would build paths of other files.

    After a read that failed there is nothing more: the decoder reads on before it says so, and each further failure
    would be printed on standard error.
    """

    def __init__(self, raw: SeekableReader, budget: Budget, size_bytes: int) -> None:
        self._raw = raw
        self._budget = budget
        self._size_bytes = size_bytes
        self._has_failed = False

    def read(self, size: int) -> bytes:
        if self._has_failed:
            return b""
        try:
            return self._read(size)
        except BaseException:
            self._has_failed = True
            raise

    def _read(self, size: int) -> bytes:
        self._budget.check_time()
        if size <= 0:
            return b""
        try:
            data = self._raw.read(size)
        except VideoTooLarge as error:  # the reader has a budget of its own, smaller than ours
            raise self._budget.spend_all(error.public) from error
        check_type("what read() of the video gave", data, bytes | bytearray | memoryview, "bytes")
        data = bytes(data)[:size]
        self._budget.count_bytes(len(data))
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        # Damaged containers point to where no file can end, which a file system refuses: there is nothing either.
        self._raw.seek(min(offset, self._size_bytes) if whence == io.SEEK_SET else offset, whence)
        return self._raw.tell()  # some readers' seek gives nothing, as that of mmap before Python 3.13

    def tell(self) -> int:
        return self._raw.tell()


def merge_ranges(ranges: Iterable[tuple[int, int]], size_bytes: int | None = None) -> list[tuple[int, int]]:
    """
    Sort (offset, size) ranges, join what overlaps or nearly touches, and cut them at the end of the file.

    Ranges from a damaged index (negative, empty, or too large to be a picture) are left out.
    """
    end_of_file = size_bytes if size_bytes is not None else 2**63
    merged: list[tuple[int, int]] = []
    for offset, size in sorted(ranges):
        if offset < 0 or not 0 < size <= _LARGEST_RANGE_BYTES or offset >= end_of_file:
            continue
        end = min(offset + size, end_of_file)
        if merged:
            last, length = merged[-1]
            joined = max(end, last + length) - last
            if offset <= last + length + _MERGED_GAP_BYTES and joined <= _LARGEST_RANGE_BYTES:
                merged[-1] = last, joined
                continue
            offset = max(offset, last + length)
            if offset >= end:
                continue
        merged.append((offset, end - offset))
    return merged


class FarReader:
    """
    A reader for the decoder over one whose every read is a request.

    Reads that fall into an announced range fetch the whole of it at once and never run on beyond its end, so that the
    decoder's own buffering does not ask for what nobody wants. What was read lately is held, as opening a container
    jumps to and fro.
    """

    def __init__(self, raw: SeekableReader, prefetching: PrefetchingReader | None, size_bytes: int) -> None:
        self._raw = raw
        self._prefetching = prefetching
        self._size_bytes = size_bytes
        self._position = 0
        self._announced: dict[int, int] = {}
        self._starts: list[int] = []
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._held_bytes = 0
        self._last_end, self._last_size = -1, 0

    def announce(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Say which (offset, size) ranges will be read; a reader that can fetches them all at once."""
        merged = merge_ranges(ranges, self._size_bytes)
        if not merged:
            return
        if self._prefetching is not None:
            self._prefetching.prefetch(merged)
        self._announced.update(merged)
        self._starts = sorted(self._announced)

    def read(self, size: int) -> bytes:
        if size <= 0 or self._position >= self._size_bytes:
            return b""
        start, block = self._block_at(self._position)
        data = block[self._position - start :][:size]
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        anchor = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, anchor + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def _block_at(self, position: int) -> tuple[int, bytes]:
        for start, block in reversed(self._blocks.items()):
            if start <= position < start + len(block):
                self._blocks.move_to_end(start)
                return start, block
        start, size = self._next_request(position)
        block = self._fetch(start, size)
        if start + len(block) <= position:
            # The store gave less than the range holds; what lies further on is asked for by itself.
            start, block = position, self._fetch(position, start + size - position)
        self._hold(start, block)
        return start, block

    def _next_request(self, position: int) -> tuple[int, int]:
        place = bisect_right(self._starts, position)
        if place:
            start = self._starts[place - 1]
            if position < start + self._announced[start]:
                return start, self._announced[start]
        grown = self._last_size * 4 if position == self._last_end else _FIRST_BLOCK_BYTES
        size = min(max(grown, _FIRST_BLOCK_BYTES), _LARGEST_BLOCK_BYTES, self._size_bytes - position)
        if place < len(self._starts):
            size = min(size, self._starts[place] - position)
        self._last_end, self._last_size = position + size, size
        return position, size

    def _fetch(self, start: int, size: int) -> bytes:
        self._raw.seek(start)
        parts: list[bytes] = []
        left = size
        while left > 0:
            part = self._raw.read(left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _hold(self, start: int, block: bytes) -> None:
        replaced = self._blocks.pop(start, b"")
        self._blocks[start] = block
        self._held_bytes += len(block) - len(replaced)
        while self._held_bytes > _HELD_BYTES and len(self._blocks) > 1:
            _start, dropped = self._blocks.popitem(last=False)
            self._held_bytes -= len(dropped)

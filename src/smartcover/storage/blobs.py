"""
Files under opaque names: the bytes of objects and parts, without any idea of keys.

Synchronous on purpose: the store calls this from worker threads, so that neither the disk nor a hash holds up the
event loop. OSError is left to the caller.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from fastcrc import crc64

#: Bytes moved at once: large enough for the disk, small enough that a reader waits for few milliseconds.
BLOCK_BYTES = 1 << 20

_NO_HARD_LINKS = {errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NO_COPY_RANGE = {errno.EINVAL, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class Contents:
    """What was written: its size and digests."""

    size_bytes: int
    md5: bytes
    crc64: int


def is_blob_folder(root: Path) -> bool:
    """Tell whether a folder of blobs was made here."""
    return (root / "00").is_dir()


def blob_path(root: Path, blob: UUID) -> Path:
    """Give where a blob lies in a folder of blobs; its name says nothing of its key."""
    return root / blob.hex[:2] / blob.hex


class BlobFolder:
    """
    A directory tree of blobs.

    Only the folder's owner may look inside; the 256 directories of the fan-out are made once and flushed, so that
    a blob's own directory is always durable before the blob.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(256):
            (root / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        _flush_directory(root)
        _flush_directory(root.parent)

    def is_there(self) -> bool:
        """Tell whether the folder is one of blobs still; the bare place of a share that is not mounted is none."""
        return is_blob_folder(self._root)

    def takes_writes(self) -> bool:
        """Tell whether blobs may be written: a disk with errors is made read-only, and stays mounted and readable."""
        return os.access(self._root / "00", os.W_OK | os.X_OK)

    def path(self, blob: UUID) -> Path:
        """Give where a blob lies."""
        return blob_path(self._root, blob)

    def free_bytes(self) -> int:
        """Give what unprivileged writers may still write."""
        return shutil.disk_usage(self._root).free

    def link(self, source: UUID, target: UUID) -> None:
        """Give a blob a second name that lives and dies by itself; copies the bytes where hard links are refused."""
        path = self.path(target)
        try:
            os.link(self.path(source), path)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            self.join([source], target)
        else:
            _flush_directory(path.parent)

    def join(self, sources: Sequence[UUID], target: UUID) -> None:
        """Write the sources one after the other into a new blob; it is durable when this returns."""
        path = self.path(target)
        with path.open("xb", buffering=0) as output:
            for source in sources:
                with self.path(source).open("rb", buffering=0) as part:
                    _append(part.fileno(), output.fileno())
            os.fsync(output.fileno())
        _flush_directory(path.parent)

    def remove(self, blobs: Iterable[UUID]) -> None:
        """Remove blobs durably; those already gone are no error."""
        touched = set()
        for blob in blobs:
            path = self.path(blob)
            path.unlink(missing_ok=True)
            touched.add(path.parent)
        for directory in touched:
            _flush_directory(directory)


class BlobWriter:
    """
    A new blob, written block by block from one thread after another.

    A lock orders the calls: when a request is cancelled its thread may still be writing, and closing the file under
    it would let the bytes run into whichever file gets the number next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._closed = False
        self._size_bytes = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc64 = 0
        self._lock = threading.Lock()

    def write(self, block: bytes) -> None:
        """Append a block."""
        with self._lock:
            self._write(block)

    def finish(self, block: bytes = b"") -> Contents:
        """Append the last block and make the blob durable, its directory entry included."""
        with self._lock:
            file = self._write(block)
            os.fsync(file)
            self._close()
            _flush_directory(self._path.parent)
            return Contents(self._size_bytes, self._md5.digest(), self._crc64)

    def abandon(self) -> None:
        """Close and remove what was written."""
        with self._lock:
            self._close()
            self._path.unlink(missing_ok=True)

    def _write(self, block: bytes) -> int:
        if self._closed:
            raise ValueError("the blob is closed")
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._size_bytes += len(block)
        self._md5.update(block)
        self._crc64 = crc64.xz(block, self._crc64)
        return self._file

    def _close(self) -> None:
        self._closed = True
        if self._file is not None:
            os.close(self._file)
            self._file = None


class BlobReader:
    """A blob to read; once open, it stays readable when its name is removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._closed = False
        self._lock = threading.Lock()

    def open(self) -> None:
        """Open the file, unless `close` came first because the caller was cancelled."""
        with self._lock:
            if not self._closed:
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Give up to `size_bytes` from `offset`."""
        with self._lock:
            if self._file is None:
                raise ValueError("the blob is not open")
            return os.pread(self._file, size_bytes, offset)

    def close(self) -> None:
        """Close the file, after a read that may still be under way in another thread."""
        with self._lock:
            self._closed = True
            if self._file is not None:
                os.close(self._file)
                self._file = None


def _append(source: int, target: int) -> None:
    """Copy a whole file to the end of another, inside the kernel where it can."""
    copied = 0
    while hasattr(os, "copy_file_range"):
        try:
            step = os.copy_file_range(source, target, 1 << 30)
        except OSError as error:
            if copied or error.errno not in _NO_COPY_RANGE:
                raise
            break
        if step == 0:
            return
        copied += step
    while block := os.read(source, BLOCK_BYTES):
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(target, rest) :]


def _flush_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

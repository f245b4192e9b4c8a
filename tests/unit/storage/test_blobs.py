"""Files without names of their own: written once, flushed, read while they are removed."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from fastcrc import crc64

from smartcover.storage.blobs import BlobFolder, BlobReader, BlobWriter
from tests.flushes import watch_flushes

A, C = UUID(int=1), UUID(int=2)


@pytest.fixture
def folder(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


def write(folder: BlobFolder, blob: UUID, data: bytes) -> None:
    BlobWriter(folder.path(blob)).finish(data)


def test_digests_do_not_depend_on_how_a_body_was_cut(folder: BlobFolder) -> None:
    writer = BlobWriter(folder.path(A))
    for block in (b"he", b"", b"ll"):
        writer.write(block)
    contents = writer.finish(b"o")
    assert (contents.size_bytes, contents.md5, contents.crc64) == (
        5,
        hashlib.md5(b"hello").digest(),
        crc64.xz(b"hello"),
    )
    assert folder.path(A).read_bytes() == b"hello"


def test_nothing_is_on_the_disk_before_the_first_block(folder: BlobFolder) -> None:
    writer = BlobWriter(folder.path(A))
    assert not folder.path(A).exists()
    writer.finish()
    assert folder.path(A).read_bytes() == b""


def test_a_blob_never_overwrites_another(folder: BlobFolder) -> None:
    write(folder, A, b"first")
    with pytest.raises(FileExistsError):
        write(folder, A, b"second")
    assert folder.path(A).read_bytes() == b"first"


def test_a_blob_and_its_directory_are_flushed_before_the_writer_returns(
    folder: BlobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = watch_flushes(monkeypatch)
    write(folder, A, b"data")
    assert flushed == [str(folder.path(A)), str(folder.path(A).parent)]
    flushed.clear()
    folder.link(A, C)
    assert flushed == [str(folder.path(C).parent)]
    flushed.clear()
    third = uuid4()
    folder.join([A, C], third)
    assert flushed == [str(folder.path(third)), str(folder.path(third).parent)]
    flushed.clear()
    folder.remove([third])
    assert flushed == [str(folder.path(third).parent)]


def test_abandoning_waits_for_the_write_under_way(folder: BlobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, go_on = threading.Event(), threading.Event()
    original = os.write

    def slow(descriptor: int, data: bytes) -> int:
        writing.set()
        assert go_on.wait(10)
        return original(descriptor, data)

    monkeypatch.setattr(os, "write", slow)
    writer = BlobWriter(folder.path(A))
    threads = [threading.Thread(target=writer.write, args=(b"block",)), threading.Thread(target=writer.abandon)]
    threads[0].start()
    assert writing.wait(10)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert not folder.path(A).exists()
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"late")
    assert not folder.path(A).exists()


def test_a_reader_closed_before_it_opened_opens_nothing(folder: BlobFolder) -> None:
    write(folder, A, b"data")
    reader = BlobReader(folder.path(A))
    reader.close()
    reader.open()
    with pytest.raises(ValueError, match="not open"):
        reader.read(0, 1)


def test_a_reader_outlives_the_name(folder: BlobFolder) -> None:
    write(folder, A, b"0123456789")
    reader = BlobReader(folder.path(A))
    reader.open()
    folder.remove([A])
    assert reader.read(3, 4) == b"3456"
    assert reader.read(8, 100) == b"89"
    reader.close()


def test_removing_twice_is_no_error(folder: BlobFolder) -> None:
    write(folder, A, b"data")
    folder.remove([A, C])
    folder.remove([A])
    assert not folder.path(A).exists()


def test_a_short_write_is_continued(folder: BlobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: original(descriptor, data[:3]))
    write(folder, A, b"0123456789")
    assert folder.path(A).read_bytes() == b"0123456789"


@pytest.mark.parametrize("kernel", [True, False])
def test_joining_keeps_order_and_bytes(folder: BlobFolder, monkeypatch: pytest.MonkeyPatch, kernel: bool) -> None:
    if not kernel:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    blobs = [uuid4() for _ in range(4)]
    chunks = [b"a" * 3_000_000, b"", b"b", b"c" * 1_048_576]
    for blob, chunk in zip(blobs, chunks, strict=True):
        write(folder, blob, chunk)
    folder.join(blobs, A)
    assert folder.path(A).read_bytes() == b"".join(chunks)


def test_others_of_the_machine_cannot_look_inside(folder: BlobFolder) -> None:
    write(folder, A, b"data")
    assert folder.path(A).stat().st_mode & 0o077 == 0
    assert folder.path(A).parent.stat().st_mode & 0o077 == 0
    assert folder.path(A).parent.parent.stat().st_mode & 0o077 == 0

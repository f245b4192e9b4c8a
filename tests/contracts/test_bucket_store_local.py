"""The store on disk and PostgreSQL keeps the contract, and leaves no byte on disk that nobody owns."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from smartcover.errors import RegisterUnavailable, SettingsError, StorageError, StorageUnavailable
from smartcover.storage import BucketStore, FileReader, LocalStore, LocalVideo, require_known_folder
from smartcover.storage import blobs as blobs_module
from smartcover.storage.shelf import QUERIES
from tests.contracts.bucket_store_suite import LIMIT_BYTES, MEBIBYTE, B, BucketStoreContract, body, content, put
from tests.objects_database import Pool


def files(root: Path) -> set[UUID]:
    return {UUID(path.name) for path in root.rglob("*") if path.is_file()}


class _Failing:
    """A file on a disk that gives up."""

    def read(self, _size: int) -> bytes:
        raise OSError(errno.EIO, "I/O error")


async def owned(pool: Pool) -> set[UUID]:
    return {row["blob"] for row in await pool.fetch("SELECT blob FROM objects UNION SELECT blob FROM upload_parts")}


async def listed_garbage(pool: Pool) -> set[UUID]:
    return {row["blob"] for row in await pool.fetch("SELECT blob FROM garbage")}


async def settle(root: Path, expected: set[UUID]) -> None:
    """Wait until the clean-up of failed calls, which runs in threads, has left only these files."""
    async with asyncio.timeout(10):
        while files(root) != expected:
            await asyncio.sleep(0.01)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


class TestLocalStore(BucketStoreContract):
    @pytest.fixture
    async def store(self, root: Path, object_pool: Pool) -> BucketStore:
        store = LocalStore(root, object_pool, max_object_bytes=LIMIT_BYTES, reserve_bytes=0)
        await store.create_bucket(B, "local")
        return store

    async def test_the_disk_holds_exactly_what_is_owned_after_a_sweep(
        self, store: BucketStore, root: Path, object_pool: Pool
    ) -> None:
        now = (await store.bucket(B)).created_at
        for data in (b"one", b"two"):
            await put(store, "replaced", data)
        await put(store, "deleted")
        await store.delete(B, "deleted")
        await store.copy(B, "replaced", B, "copy", headers=None)
        done = await store.start_upload(B, "done", headers={})
        parts = [await store.put_part(B, "done", done.upload_id, number, body(b"p")) for number in (1, 2, 2)]
        await store.complete_upload(B, "done", done.upload_id, [(part.number, part.etag) for part in parts[:2]])
        aborted = await store.start_upload(B, "aborted", headers={})
        await store.put_part(B, "aborted", aborted.upload_id, 1, body(b"p"))
        await store.abort_upload(B, "aborted", aborted.upload_id)
        staged = [await store.stage(B, key, b"s", headers={}) for key in ("published", "forgotten", "discarded")]
        await store.publish(staged[:1])
        await store.discard(staged[2:])
        with pytest.raises(ConnectionResetError):
            await store.put(B, "broken", _broken(), headers={})
        # At every moment a file is owned or on the list.
        assert files(root) <= await owned(object_pool) | await listed_garbage(object_pool)
        await store.sweep(now + timedelta(days=3))
        await settle(root, await owned(object_pool))
        assert await listed_garbage(object_pool) == set()
        assert await content(store, "done") == b"pp"
        assert await content(store, "copy") == b"two"

    async def test_a_share_that_is_not_mounted_any_more_is_no_fault_of_its_videos(
        self, store: BucketStore, root: Path, object_pool: Pool
    ) -> None:
        await put(store, "v")
        away = root.rename(root.with_name("away"))
        root.mkdir()
        for call in (store.check(), store.video(B, "v"), store.put(B, "w", body(b"w"), headers={})):
            with pytest.raises(StorageUnavailable):
                await call
        with pytest.raises(SettingsError, match="mount its share"):
            await require_known_folder(root, object_pool)
        assert list(root.iterdir()) == [], "what is written there would be lost to all others"
        root.rmdir()
        away.rename(root)
        await require_known_folder(root, object_pool)
        await store.check()

    async def test_a_disk_that_became_read_only_is_not_well_and_gives_what_it_holds(
        self, store: BucketStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As the kernel answers for a disk that it mounted anew with ro: root, too, may not write."""
        await put(store, "v")
        may = os.access

        def access(path: Path, mode: int) -> bool:
            return not (mode & os.W_OK and Path(path).is_relative_to(root)) and may(path, mode)

        monkeypatch.setattr(os, "access", access)
        with pytest.raises(StorageUnavailable, match="takes no writes"):
            await store.check()
        await store.video(B, "v")
        assert await content(store, "v") == b"x"

    async def test_a_share_that_hangs_holds_one_thread_however_often_it_is_looked_for(
        self, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks: list[int] = []
        let_go = threading.Event()

        def hang() -> bool:
            looks.append(1)
            return let_go.wait(30)

        monkeypatch.setattr(store._shelf.folder, "is_there", hang)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await store.check()
        assert len(looks) == 1
        let_go.set()
        await store.check()
        await store.check()
        assert len(looks) == 2

    async def test_a_folder_that_cannot_be_looked_at_is_unavailable(
        self, root: Path, object_pool: Pool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stale(_root: Path) -> bool:
            raise OSError(errno.ESTALE, "Stale file handle")

        monkeypatch.setattr("smartcover.storage.local.is_blob_folder", stale)
        with pytest.raises(StorageUnavailable, match=f"^{root} cannot be looked at"):
            await require_known_folder(root, object_pool)

    async def test_a_first_start_may_take_any_folder(self, root: Path, object_pool: Pool) -> None:
        await require_known_folder(root, object_pool)

    async def test_a_video_whose_bytes_are_lost_says_so_and_is_not_asked_for_again(
        self, store: BucketStore, root: Path
    ) -> None:
        await put(store, "v")
        for path in files(root):
            (root / path.hex[:2] / path.hex).unlink()
        with pytest.raises(StorageError, match="upload it again") as lost:
            await store.video(B, "v")
        assert not lost.value.retryable

    async def test_a_video_that_cannot_be_opened_or_read_is_the_disks_fault(self, store: BucketStore) -> None:
        await put(store, "v")
        video = await store.video(B, "v")
        assert isinstance(video, LocalVideo)
        video.path.unlink()
        with pytest.raises(StorageUnavailable):
            video.open()
        with pytest.raises(StorageUnavailable):
            FileReader(_Failing()).read(1)  # type: ignore[arg-type]

    async def test_replaced_bytes_stay_for_the_grace_period(self, store: BucketStore, object_pool: Pool) -> None:
        info = await store.put(B, "v", body(b"old"), headers={})
        video = await store.video(B, "v")
        assert isinstance(video, LocalVideo)
        newer = await store.put(B, "v", body(b"new"), headers={})
        await store.sweep(newer.last_modified + timedelta(seconds=800))
        assert video.path.read_bytes() == b"old"
        await store.sweep(info.last_modified + timedelta(seconds=1000))
        assert not video.path.exists()

    async def test_a_name_on_the_disk_says_nothing_of_the_key(self, store: BucketStore, root: Path) -> None:
        for key in ("../../escape", "/etc/passwd", "secret"):
            await put(store, key)
        await store.sweep()
        names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
        assert len(names) == 3
        assert all(name[:2] == name[3:5] and UUID(name[3:]) for name in names)

    async def test_a_write_that_lost_its_place_to_the_sweep_fails_cleanly(self, store: BucketStore, root: Path) -> None:
        async def slow() -> AsyncIterator[bytes]:
            yield b"x" * (2 * MEBIBYTE)
            await store.sweep((await store.bucket(B)).created_at + timedelta(days=2))
            yield b"y"

        with pytest.raises(StorageUnavailable, match="send it again"):
            await store.put(B, "k", slow(), headers={})
        await settle(root, set())

    async def test_a_full_disk_is_said_clearly_and_loses_nothing(
        self, store: BucketStore, root: Path, object_pool: Pool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await put(store, "k", b"before")
        upload = await store.start_upload(B, "big", headers={})
        parts = [await store.put_part(B, "big", upload.upload_id, number, body(b"x" * 99)) for number in (1, 2)]

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            patch.setattr(blobs_module, "_append", full)
            for call in (
                store.put(B, "k", body(b"after"), headers={}),
                store.put(B, "k", body(b"x" * (3 * MEBIBYTE)), headers={}),
                store.put_part(B, "big", upload.upload_id, 3, body(b"x")),
                store.stage(B, "s", b"x", headers={}),
                store.complete_upload(B, "big", upload.upload_id, [(part.number, part.etag) for part in parts]),
            ):
                with pytest.raises(StorageUnavailable, match="full") as caught:
                    await call
                assert caught.value.retryable
                assert str(root) not in caught.value.public
        await settle(root, await owned(object_pool))
        assert await content(store, "k") == b"before"
        await store.complete_upload(B, "big", upload.upload_id, [(part.number, part.etag) for part in parts])
        assert await content(store, "big") == b"x" * 198

    async def test_the_reserve_stays_free(self, root: Path, object_pool: Pool) -> None:
        store = LocalStore(root, object_pool, reserve_bytes=1 << 60)
        await store.create_bucket(B, "local")
        with pytest.raises(StorageUnavailable, match="full"):
            await store.put(B, "k", body(b"x"), headers={})
        assert files(root) == set()

    async def test_a_copy_works_where_hard_links_are_refused(
        self, store: BucketStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refused)
        data = bytes(range(256)) * 10_000
        await put(store, "k", data)
        await store.copy(B, "k", B, "c", headers=None)
        assert await content(store, "c") == data

    async def test_parts_join_where_the_kernel_cannot_copy(
        self, store: BucketStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> int:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        monkeypatch.setattr(os, "copy_file_range", refused, raising=False)
        upload = await store.start_upload(B, "k", headers={})
        chunks = [b"a" * (2 * MEBIBYTE + 1), b"b" * 5]
        parts = [
            await store.put_part(B, "k", upload.upload_id, number, body(chunk))
            for number, chunk in enumerate(chunks, start=1)
        ]
        await store.complete_upload(B, "k", upload.upload_id, [(part.number, part.etag) for part in parts])
        assert await content(store, "k") == b"".join(chunks)

    async def test_an_object_whose_bytes_are_lost_says_so_to_whoever_reads_or_copies_it(
        self, store: BucketStore, root: Path
    ) -> None:
        await put(store, "k", b"data")
        video = await store.video(B, "k")
        assert isinstance(video, LocalVideo)
        video.path.unlink()
        for call in (content(store, "k"), store.copy(B, "k", B, "copy", headers=None)):
            with pytest.raises(StorageError, match="upload it again") as caught:
                await call
            assert not caught.value.retryable, "asking again would find no bytes either"
            assert str(root) not in caught.value.public
        away = root.rename(root.with_name("away"))
        root.mkdir()
        with pytest.raises(StorageUnavailable):  # they come back with their share
            await content(store, "k")
        root.rmdir()
        away.rename(root)
        video.path.write_bytes(b"da")
        with pytest.raises(StorageUnavailable):
            await content(store, "k")

    async def test_a_closed_database_is_unavailable_and_not_a_crash(self, root: Path, object_dsn: str) -> None:
        pool = await asyncpg.create_pool(object_dsn, min_size=1, max_size=1)
        store = LocalStore(root, pool)
        await pool.close()
        for call in (store.bucket(B), store.put(B, "k", body(b"x"), headers={}), store.head(B, "k"), store.sweep()):
            with pytest.raises(RegisterUnavailable):
                await call

    async def test_a_database_killed_under_a_call_is_unavailable(
        self, store: BucketStore, object_pool: Pool, root: Path
    ) -> None:
        async def killer() -> AsyncIterator[bytes]:
            yield b"x"
            await object_pool.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        # Whatever happens to the connections, the call ends in an object or in one of our errors.
        with contextlib.suppress(StorageUnavailable):
            await store.put(B, "k", killer(), headers={})
        for _ in range(20):
            try:
                await put(store, "k", b"after")
                break
            except StorageUnavailable:
                continue
        assert await content(store, "k") == b"after"

    async def test_two_stores_share_one_root(self, store: BucketStore, root: Path, object_pool: Pool) -> None:
        other = LocalStore(root, object_pool)
        await put(store, "k", b"shared")
        assert await content(other, "k") == b"shared"
        await asyncio.gather(*[put(one, "k", bytes([65 + n])) for n in range(20) for one in (store, other)])
        now = (await store.bucket(B)).created_at
        swept = await asyncio.gather(*[one.sweep(now + timedelta(days=3)) for one in (store, other)])
        assert sum(one.blobs for one in swept) == 40
        assert len(files(root)) == 1

    async def test_folding_reads_one_row_for_each_entry(self, store: BucketStore, object_pool: Pool) -> None:
        await object_pool.execute(
            "INSERT INTO objects (bucket, key, blob, size_bytes, etag, crc64, headers) "
            "SELECT $1, 'deep/' || n / 5000 || '/' || n, gen_random_uuid(), 1, 'e', 0, '{}' "
            "FROM generate_series(1, 20000) AS n",
            B,
        )
        await object_pool.execute("ANALYZE objects")
        page = await store.list(B, prefix="deep/", delimiter="/")
        assert page.common_prefixes == ("deep/0/", "deep/1/", "deep/2/", "deep/3/", "deep/4/")
        given = {
            "bucket": B,
            "prefix": "deep/",
            "lower": "deep/",
            "delimiter": "/",
            "after_delimiter": "0",
            "limit": 1001,
        }
        ordered = [given[name] for name in QUERIES.driver_adapter.var_sorted["list_folded"]]
        explained = await object_pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {QUERIES.list_folded.sql}", *ordered)
        plan = "\n".join(row[0] for row in explained)
        total = re.search(r"shared hit=(\d+)", plan)  # the topmost node counts those below it too
        assert total is not None
        assert int(total[1]) < 200, plan


async def _broken() -> AsyncIterator[bytes]:
    yield b"x" * (2 * MEBIBYTE)
    raise ConnectionResetError

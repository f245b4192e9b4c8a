"""After a restore, `smartcover objects check` tells how folder and database differ, and removes what nobody owns."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from smartcover.errors import SettingsError, StorageUnavailable
from smartcover.storage import LocalStore, audit_folder, remove_unowned
from tests.contracts.bucket_store_suite import B, body, content, put
from tests.objects_database import Pool


def files(root: Path) -> set[UUID]:
    return {UUID(path.name) for path in root.rglob("*") if path.is_file()}


async def command(dsn: str, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "smartcover", "objects", "check", *arguments],
        env=inherited | {"SMARTCOVER_DATABASE_URL": dsn, "SMARTCOVER_STORAGE": f"file:{root}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
async def store(root: Path, object_pool: Pool) -> LocalStore:
    store = LocalStore(root, object_pool, max_object_bytes=1 << 20, reserve_bytes=0)
    await store.create_bucket(B, "local")
    return store


async def fill(store: LocalStore) -> None:
    """Leave all that a store may own: objects, a replaced and a deleted one, a part, a staged cover."""
    for key in ("kept", "replaced", "replaced", "deleted"):
        await put(store, key, key.encode())
    await store.delete(B, "deleted")
    upload = await store.start_upload(B, "under way", headers={})
    await store.put_part(B, "under way", upload.upload_id, 1, body(b"part"))
    await store.stage(B, "cover", b"staged", headers={})


async def test_a_store_in_service_agrees_with_its_database(store: LocalStore, root: Path, object_pool: Pool) -> None:
    await fill(store)
    before = files(root)
    audit = await audit_folder(root, object_pool)
    assert (audit.owned_files, audit.unowned_files, audit.bare_objects) == (len(before), 0, 0)
    assert await remove_unowned(root, object_pool) == 0
    assert files(root) == before


async def test_what_was_written_after_the_databases_backup_is_found_and_removed(
    store: LocalStore, root: Path, object_pool: Pool, object_dsn: str
) -> None:
    await fill(store)
    restored = files(root)
    stranger = root / "00" / "notes.txt"
    stranger.write_text("not ours")
    folder = root / "00" / UUID(int=1).hex
    folder.mkdir()
    for _ in range(3):  # rows of these were lost with the database
        blob = uuid4()
        (root / blob.hex[:2] / blob.hex).write_bytes(b"12345")

    ended = await command(object_dsn, root, "--json")
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    assert (told["unowned_files"], told["unowned_bytes"], told["removed_files"]) == (3, 15, 0)
    assert "3, 0.0 MB; --remove deletes them" in (await command(object_dsn, root)).stdout

    removed = await command(object_dsn, root, "--remove", "--json")
    told = json.loads(removed.stdout)
    assert (told["removed_files"], told["unowned_files"]) == (3, 0)
    assert stranger.read_text() == "not ours"
    assert folder.is_dir(), "named as a blob, but none"
    stranger.unlink()
    assert files(root) == restored
    assert await content(store, "kept") == b"kept"


async def test_objects_whose_bytes_are_lost_are_named(
    store: LocalStore, root: Path, object_pool: Pool, object_dsn: str
) -> None:
    await fill(store)
    blob = await object_pool.fetchval("SELECT blob FROM objects WHERE key = 'kept'")
    (root / blob.hex[:2] / blob.hex).unlink()
    ended = await command(object_dsn, root)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-2:] == ["objects without their bytes      1", f"    {B}/kept"]


async def test_a_key_does_not_steer_the_terminal_that_it_is_printed_on(
    store: LocalStore, root: Path, object_dsn: str
) -> None:
    await put(store, "a\x1b[2J\nb", b"lost")
    (blob,) = files(root)
    (root / blob.hex[:2] / blob.hex).unlink()
    assert (await command(object_dsn, root)).stdout.splitlines()[-1] == f"    {B}/a?[2J?b"


async def test_every_part_of_a_large_folder_is_compared(
    store: LocalStore, root: Path, object_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartcover.storage.local_audit._BATCH", 2)
    ends = [UUID(int=number << 120 | low) for number in (0, 255) for low in (0, 1, 2, 3, (1 << 120) - 1)]
    ids = iter(ends)
    crafted = LocalStore(root, object_pool, reserve_bytes=0, make_id=lambda: next(ids))
    for number in range(len(ends)):
        await put(crafted, f"{number}", b"x")
    audit = await audit_folder(root, object_pool)
    assert (audit.owned_files, audit.unowned_files, audit.bare_objects) == (len(ends), 0, 0)
    shutil.rmtree(root / "ff")  # as where a backup leaves out folders that are empty
    audit = await audit_folder(root, object_pool)
    assert (audit.owned_files, audit.bare_objects) == (5, 5)
    assert audit.bare_names == [(B, f"{number}") for number in range(5, 10)]


async def test_a_folder_of_which_the_database_knows_nothing_is_let_be(
    store: LocalStore, root: Path, object_pool: Pool
) -> None:
    await put(store, "another's")
    await object_pool.execute("TRUNCATE objects, garbage")
    with pytest.raises(SettingsError, match="knows none of the 1 files"):
        await remove_unowned(root, object_pool)
    assert len(files(root)) == 1


async def test_the_place_of_a_share_that_is_not_mounted_is_refused(root: Path, object_pool: Pool) -> None:
    root.mkdir()
    with pytest.raises(SettingsError, match="is no folder of objects"):
        await audit_folder(root, object_pool)


async def test_a_disk_that_fails_while_a_lost_file_is_looked_for_is_told_as_a_folder_that_cannot_be_read(
    store: LocalStore, root: Path, object_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, "lost", b"lost")
    for blob in files(root):
        (root / blob.hex[:2] / blob.hex).unlink()

    def fail(_path: Path) -> bool:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "exists", fail)
    with pytest.raises(StorageUnavailable, match="cannot be looked at"):
        await audit_folder(root, object_pool)

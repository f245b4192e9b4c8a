"""The metrics tell how much room there is for objects, and a share that hangs holds up nobody."""

from __future__ import annotations

import threading
from pathlib import Path

import asyncpg
import pytest

from smartcover.app import metrics
from smartcover.app.metrics import DiskCollector, Room
from smartcover.errors import LedgerUnavailable
from smartcover.ledger.failures import ledger_failures


def shown(disk: DiskCollector) -> dict[str, float]:
    return {sample.name: sample.value for family in disk.collect() for sample in family.samples}


async def test_the_room_of_the_disk_is_shown(tmp_path: Path) -> None:
    disk = DiskCollector(tmp_path)
    assert shown(disk) == {}
    await disk.look()
    assert 0 < shown(disk)["smartcover_storage_free_bytes"] <= shown(disk)["smartcover_storage_size_bytes"]


async def test_a_store_without_a_folder_and_a_folder_that_is_gone_show_nothing(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "gone"):
        disk = DiskCollector(folder)
        await disk.look()
        assert shown(disk) == {}


async def test_a_share_that_hangs_takes_one_thread_and_shows_no_old_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, back = 0, threading.Event()

    def hang(_: Path) -> Room:
        nonlocal asked
        asked += 1
        back.wait(20)
        return Room(free_bytes=1, size_bytes=2)

    disk = DiskCollector(tmp_path)
    await disk.look()
    monkeypatch.setattr(metrics, "_room", hang)
    monkeypatch.setattr(metrics, "_PATIENCE_SECONDS", 0.05)
    for _ in range(3):
        await disk.look()
        assert shown(disk) == {}
    assert asked == 1
    back.set()
    monkeypatch.setattr(metrics, "_PATIENCE_SECONDS", 5.0)
    await disk.look()
    assert shown(disk) == {"smartcover_storage_free_bytes": 1, "smartcover_storage_size_bytes": 2}


def test_a_full_disk_of_the_database_is_said_to_be_full() -> None:
    with pytest.raises(LedgerUnavailable, match="full") as caught, ledger_failures("submit"):
        raise asyncpg.DiskFullError('could not extend file "base/1/2"')
    assert "base/1/2" not in caught.value.public

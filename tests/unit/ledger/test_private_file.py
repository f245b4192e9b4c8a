"""Secrets on disk: for their owner's eyes, whole, and there after a power cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from smartcover.app.credentials import first_key_pair
from smartcover.app.keyring import secret_maker
from smartcover.errors import SettingsError
from smartcover.ledger import EmbeddedPostgres, keep_private
from smartcover.settings import read_settings
from tests.flushes import watch_flushes


def test_a_private_file_is_its_owners_only_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for text in ("one", "two"):
        keep_private(path, text)
        assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_kept_once_is_the_first_ones(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for text in ("one", "two"):
        keep_private(path, text, once=True)
        assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", [secret_maker, first_key_pair])
def test_secrets_that_are_made_outlast_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: object
) -> None:
    flushed = watch_flushes(monkeypatch)
    make(read_settings(), tmp_path)  # type: ignore[operator]
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert flushed[0].startswith(str(kept)), "the file first"
    assert flushed[1:] == [str(tmp_path)], "and then its name"


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (errno.ENOSPC, "make room on its disk"),
        (errno.EROFS, "mount it so that it can be written"),
        (errno.EACCES, "start smartcover as the user that owns it"),
    ],
)
def test_a_folder_that_can_hold_no_key_pair_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, way_out: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SettingsError, match=rf"{tmp_path} cannot be used: {os.strerror(number)}; {way_out}, or "):
        first_key_pair(read_settings(), tmp_path)


def test_a_key_pair_that_may_not_be_read_is_not_said_to_be_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_key_pair(read_settings(), tmp_path)

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SettingsError, match=r"Permission denied \(.*credentials.json\); start smartcover as the user"):
        first_key_pair(read_settings(), tmp_path)


def test_a_database_is_not_looked_for_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"Not a directory .*; move away the file that is in its place"):
        EmbeddedPostgres.dsn_in_use(tmp_path / "file" / "postgres")

"""Secrets on disk: for their owner's eyes, whole, and there after a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from smartcover.app.credentials import first_key_pair
from smartcover.app.keyring import secret_maker
from smartcover.ledger import keep_private
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

"""What is flushed to the disk, by the name of the file or folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def watch_flushes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the paths that are flushed from now on, as they are; skip the test where they cannot be named."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to name what was flushed")
    flushed: list[str] = []
    original = os.fsync

    def watched(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    return flushed

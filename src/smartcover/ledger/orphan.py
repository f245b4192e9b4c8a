"""Stopping a PostgreSQL whose parent was killed, before another starts on the same cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

_QUIT_SECONDS = 10.0
_KILL_SECONDS = 10.0


def stop_orphan(cluster: Path) -> None:
    """
    End the server that still runs on `cluster`, if one does; a stale note of a dead one is left to PostgreSQL.

    A process is only touched when its command line names this cluster: process ids are used again.
    """
    pid = _noted_pid(cluster)
    if pid is None or not _serves(pid, cluster):
        return
    for number, seconds in ((signal.SIGQUIT, _QUIT_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _serves(pid, cluster):
                return
            time.sleep(0.02)


def _noted_pid(cluster: Path) -> int | None:
    try:
        return int((cluster / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _serves(pid: int, cluster: Path) -> bool:
    """Whether `pid` is a running server of this cluster."""
    command = Path(f"/proc/{pid}/cmdline")
    if command.parent.parent.is_dir():
        try:
            words = command.read_bytes().split(b"\0")
        except OSError:
            return False
        return f"-D{cluster}".encode() in words
    question = ["ps", "-p", str(pid), "-o", "command="]
    listing = subprocess.run(question, capture_output=True, check=False)  # noqa: S603 - a number is all we put in
    return f"-D{cluster}".encode() in listing.stdout

"""
Stopping a PostgreSQL whose parent was killed, before another starts on the same cluster.

Processes are told apart by /proc; where there is none, an orphan is left to PostgreSQL's own checks.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

_QUIT_SECONDS = 10.0
_KILL_SECONDS = 10.0


def stop_orphan(cluster: Path) -> None:
    """
    End the server that still runs on `cluster`, if one does, and forget a note that would let none start.

    A process is only touched when its command line names this cluster or it works in its folder (which was perhaps
    renamed): process ids are used again.
    """
    pid = _noted_pid(cluster)
    if pid is None or not _serves(pid, cluster):
        deadline = time.monotonic() + _QUIT_SECONDS
        while not forget_strange_note(cluster) and time.monotonic() < deadline:
            time.sleep(0.05)
        return
    for number, seconds in ((signal.SIGQUIT, _QUIT_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _serves(pid, cluster):
                return
            time.sleep(0.02)


def forget_strange_note(cluster: Path) -> bool:
    """
    Remove a note of no server, since PostgreSQL would not start beside it; tells whether none is left.

    Such is one whose server was killed before it had written its number, and one whose number now belongs to a
    stranger. That of a dead process is left to PostgreSQL. The note also keeps two servers apart while processes of a
    killed one still write to the cluster, so it goes only when no process works in the cluster's folder any more.
    """
    note = cluster / "postmaster.pid"
    pid = _noted_pid(cluster)
    if not note.exists() or (pid is not None and not Path(f"/proc/{pid}").exists()):
        return True
    if _works_in(cluster):
        return False
    note.unlink(missing_ok=True)
    return True


def _works_in(cluster: Path) -> bool:
    return any(_has_folder(process, cluster) for process in Path("/proc").glob("[0-9]*"))


def _has_folder(process: Path, cluster: Path) -> bool:
    with contextlib.suppress(OSError):
        return (process / "cwd").readlink() == cluster
    return False


def _noted_pid(cluster: Path) -> int | None:
    try:
        return int((cluster / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def _serves(pid: int, cluster: Path) -> bool:
    """Whether `pid` is a running server of this cluster: the note is the server's, and so is its folder."""
    process = Path(f"/proc/{pid}")
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"-D{cluster}".encode() in words or (words[0].endswith(b"/postgres") and _has_folder(process, cluster))

"""Processes of a run, and what CPU each part of it has taken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Part:
    """A child of this process that says on a line that it is ready; its log goes to a file."""

    def __init__(self, name: str, arguments: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(environment)
            )
        self._log = log
        self.pid = self._process.pid

    def line(self) -> str:
        """Give the next line that the process prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended early:\n{self._log.read_text()[-3000:]}")
        return line.strip()

    def stop(self) -> None:
        """Stop it, by force if it takes over 40 seconds."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def cpu_seconds(pid: int) -> dict[str, float]:
    """
    Give the CPU seconds of a process and all below it that run now, by name.

    Children that were waited for are counted with their parent.
    """
    found: dict[str, float] = {}
    for member in _tree(pid):
        fields = _stat(member)
        if fields is not None:
            name = _name(member)
            found[name] = found.get(name, 0.0) + sum(int(fields[index]) for index in (11, 12, 13, 14)) / _TICKS
    return found


def _tree(pid: int) -> list[int]:
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            below.setdefault(int(fields[1]), []).append(int(entry.name))
    members = [pid]
    for member in members:
        members.extend(below.get(member, ()))
    return members


def _stat(pid: int) -> list[str] | None:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return None


def _name(pid: int) -> str:
    try:
        command = (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return "ended"
    if command.startswith("postgres: "):  # "postgres: smartcover smartcover [local] idle", "postgres: walwriter"
        words = command.split()
        return "postgres: connections" if words[1] == "smartcover" else "postgres: " + words[1]
    if "forkserver" in command or "resource_tracker" in command:
        return "engine's server"
    return "postgres" if "/postgres " in command else "smartcover"

"""Videos that misbehave when the engine's child opens them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from smartcover.errors import NotAVideo
from smartcover.storage import FileReader


@dataclass(frozen=True, slots=True)
class Hangs:
    """Never opens; says so first."""

    note: Path

    def open(self) -> FileReader:
        # The child may write no files, so the note is a file that exists already and whose name changes.
        self.note.rename(self.note.with_suffix(f".{os.getpid()}"))
        time.sleep(600)
        raise AssertionError("nobody waits this long")


@dataclass(frozen=True, slots=True)
class Dies:
    """Ends the process without a word."""

    def open(self) -> FileReader:
        os._exit(3)


@dataclass(frozen=True, slots=True)
class IsKilled:
    """Ends as by the hand of the kernel that has no memory left, or of a supervisor."""

    signal: int

    def open(self) -> FileReader:
        os.kill(os.getpid(), self.signal)
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class IsKilledWithItsServer:
    """Ends as when a supervisor signals the whole group: the server that it was forked from is gone as well."""

    def open(self) -> FileReader:
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class IsKilledOnABusyMachine:
    """Ends by the kernel's hand while the server that tells how is slow to say so."""

    def open(self) -> FileReader:
        server = os.getppid()
        os.kill(server, signal.SIGSTOP)
        if os.fork() == 0:
            os.closerange(3, 1024)  # else our end of the pipe stays open
            time.sleep(2)
            os.kill(server, signal.SIGCONT)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class Segfaults:
    """Reads from address 0."""

    def open(self) -> FileReader:
        ctypes.string_at(0)
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class Stumbles:
    """Meets what nobody thought of."""

    def open(self) -> FileReader:
        raise ValueError("31 is not a valid Type of /srv/\udcff")


@dataclass(frozen=True, slots=True)
class Devours:
    """Asks for memory without end."""

    def open(self) -> FileReader:
        hoard = []
        while True:
            hoard.append(bytearray(16 << 20))


@dataclass(frozen=True, slots=True)
class TakesOver:
    """
    Speaks to the worker in the child's place, as a decoder that a video has taken over would, and ends.

    With a note it says there that the words are out, as `Hangs` does, and then waits.
    """

    words: bytes
    note: Path | None = None

    def open(self) -> FileReader:
        pipe: int = sys._getframe(1).f_locals["answers"].fileno()
        os.write(pipe, self.words)
        if self.note is not None:
            self.note.rename(self.note.with_suffix(f".{os.getpid()}"))
            time.sleep(600)
        os._exit(0)


@dataclass(frozen=True, slots=True)
class ShowsItsLimits:
    """Raises an error whose text is the limits it runs under."""

    def open(self) -> FileReader:
        import resource

        names = ("RLIMIT_DATA", "RLIMIT_CORE", "RLIMIT_FSIZE")
        raise NotAVideo(" ".join(str(resource.getrlimit(getattr(resource, name))[0]) for name in names))


@dataclass(frozen=True, slots=True)
class Writes:
    """Tries to leave a file behind."""

    path: Path

    def open(self) -> FileReader:
        with self.path.open("wb") as file:
            file.write(b"x" * 4096)
        return FileReader(BytesIO(b""))

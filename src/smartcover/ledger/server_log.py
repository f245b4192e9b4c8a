"""The log of the embedded PostgreSQL, which may run for years: a bounded file, and the part before it in another."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import IO

_LIMIT_BYTES = 8 << 20
_LAST_WORDS_BYTES = 2000


class ServerLog:
    """
    A log that its writer appends to through a file that stays open.

    A file in use cannot be exchanged for another one, so that what is too much is copied aside and the file emptied:
    a line that comes in between is lost. PostgreSQL's own collector bounds its files by time alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin_bytes = 0

    def open(self) -> IO[bytes]:
        """Open it for a program about to start, whose words are the last ones from then on."""
        self.bound()
        file = self._path.open("ab")  # in which every write goes to the end, also after it was emptied
        self._begin_bytes = file.tell()
        return file

    def bound(self) -> None:
        """Put the log aside if it is too long, in place of what was put aside before."""
        if not self._path.exists() or self._path.stat().st_size <= _LIMIT_BYTES:
            return
        with contextlib.suppress(OSError):  # on a full disk the bound is worth more than what was said
            shutil.copyfile(self._path, self._path.with_suffix(".log.1"))
        os.truncate(self._path, 0)
        self._begin_bytes = 0

    def last_words(self) -> str:
        """Give what the program started last has said, so that the words of an earlier start mislead nobody."""
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            file.seek(max(self._begin_bytes, self._path.stat().st_size - _LAST_WORDS_BYTES))
            return file.read().decode(errors="replace")
        return ""

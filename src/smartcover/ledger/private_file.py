"""Files that nobody else may read and that must be there after a power cut; and what to do where none can be."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import Final

from smartcover.errors import SettingsError

_WAYS_OUT: Final = {
    errno.EROFS: "mount it so that it can be written",
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "raise its owner's quota",
    errno.EEXIST: "move away the file that is in its place",
    errno.ENOTDIR: "move away the file that is in its place",
}


def keep_private(path: Path, text: str, *, once: bool = False) -> None:
    """
    Write a file that only its owner reads, whole or not at all whatever happens, a power cut included.

    Args:
        once: Whether a file that is there stays as it is: of several processes the first one's counts for all.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if once:
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        else:
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let the names in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unusable(folder: Path, error: OSError) -> SettingsError:
    """Say why a folder of the server cannot be used, and the way out."""
    way_out = _WAYS_OUT.get(error.errno or 0, "start smartcover as the user that owns it")
    where = f" ({error.filename})" if error.filename and str(error.filename) != str(folder) else ""
    return SettingsError(f"{folder} cannot be used: {error.strerror}{where}; {way_out}, or choose another --data")

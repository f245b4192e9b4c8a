"""
Run a PostgreSQL program as a child that cannot outlive its parent; a script of its own, `python launch.py MODE …`.

PostgreSQL refuses to run as root. Where the kernel allows it, root's own identity is mapped to an unprivileged one
inside a user namespace: the program then sees an ordinary user, while files stay root's, also below folders that
others may not enter. Elsewhere it runs as another, really unprivileged user.

The parent dies by any signal: the kernel then sends this process SIGQUIT, which makes PostgreSQL stop at once and
recover at the next start.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
_CLONE_NEWUSER = 0x10000000  # unshare(2)
_INSIDE_ID = 65534  # any id that is not 0 will do inside the namespace


def enter_user_namespace() -> None:
    """
    Become an ordinary user in name, keeping this user's rights over files.

    Raises:
        OSError: If the kernel does not allow user namespaces here.
    """
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_INSIDE_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{_INSIDE_ID} {gid} 1")


def become(uid: int, gid: int) -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main(arguments: list[str]) -> None:
    """Take `MODE PARENT_PID PROGRAM ARGUMENT…`; MODE is `same`, `namespace`, `try-namespace` or `UID:GID`."""
    mode, parent, *command = arguments
    if mode in {"namespace", "try-namespace"}:
        enter_user_namespace()
        if mode == "try-namespace":
            return
    elif mode != "same":
        uid, _, gid = mode.partition(":")
        become(int(uid), int(gid))
    if sys.platform == "linux":
        # After the change of identity, which would clear it.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
        if os.getppid() != int(parent):
            sys.exit("the parent ended while its database was starting")
    os.execv(command[0], command)  # noqa: S606 - no shell on purpose


if __name__ == "__main__":
    main(sys.argv[1:])

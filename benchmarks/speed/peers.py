"""Other tools on the same file: ffmpeg's `thumbnail` filter and Katna, installed beside the project when absent."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

_INSTALL_SECONDS = 600

KATNA = """
import sys
from Katna.video import Video
from Katna.writer import KeyFrameDiskWriter
if __name__ == "__main__":
    writer = KeyFrameDiskWriter(location=sys.argv[2])
    Video().extract_video_keyframes(no_of_frames=int(sys.argv[3]), file_path=sys.argv[1], writer=writer)
"""
"""A program for Katna's Python: the video, a folder for the pictures, and how many."""


def find_ffmpeg(folder: Path) -> str | None:
    """Give an ffmpeg command: the system's, or the binary in imageio-ffmpeg's wheel, installed into `folder`."""
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    target = folder / "imageio-ffmpeg"
    if not target.exists():
        _install([sys.executable, "-m", "pip", "install", "-q", "--target", str(target), "imageio-ffmpeg"])
    return next((str(path) for path in target.glob("imageio_ffmpeg/binaries/ffmpeg-*")), None)


def find_katna(folder: Path) -> str | None:
    """Give the Python of an environment with Katna, made in `folder`; None where it does not install."""
    home = folder / "katna"
    python = home / "bin" / "python"
    if not home.exists():
        venv.create(home, with_pip=True)
        _install([str(python), "-m", "pip", "install", "-q", "katna"])
    works = subprocess.run([str(python), "-c", "import Katna.video"], capture_output=True).returncode == 0
    return str(python) if works else None


def _install(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    if done.returncode:
        print(f"not installed: {' '.join(command[-1:])}: {done.stderr.strip()[-200:]}")


def peer_commands(video: Path, output: Path, folder: Path) -> dict[str, list[str]]:
    """List the commands of the peers that can run here."""
    commands: dict[str, list[str]] = {}
    ffmpeg, katna = find_ffmpeg(folder), find_katna(folder)
    if ffmpeg is not None:
        start = [ffmpeg, "-v", "error", "-y", "-threads", "1"]
        end = ["-fps_mode", "vfr", "-q:v", "2", str(output / "%d.jpg")]
        keyframes = [*start, "-skip_frame", "nokey", "-i", str(video), "-vf", "thumbnail=50", "-frames:v", "3", *end]
        commands["ffmpeg thumbnail, keyframes only"] = keyframes
        commands["ffmpeg thumbnail, whole"] = [*start, "-i", str(video), "-vf", "thumbnail=100", *end]
    if katna is not None:
        commands["Katna"] = [katna, "-c", KATNA, str(video), str(output), "3"]
    return commands


def cpu_seconds(command: list[str], timeout_seconds: float) -> float | None:
    """Run a command and give its CPU time; None when it fails, which is told, or takes too long."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=timeout_seconds)
    except subprocess.CalledProcessError as error:
        print(f"{command[0]}: {error.stderr.decode(errors='replace').strip()[-200:]}")
        return None
    except (subprocess.SubprocessError, OSError):
        return None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_peers(
    video: Path, folder: Path, limit: Callable[[], float], *, timeout_seconds: float
) -> dict[str, tuple[float, float] | None]:
    """
    Run each peer once, between two measurements of the limit.

    Returns:
        CPU seconds, and their ratio to the mean of those two; None for a peer that failed or took too long.
    """
    results: dict[str, tuple[float, float] | None] = {}
    with tempfile.TemporaryDirectory() as output:
        for name, command in peer_commands(video, Path(output), folder).items():
            before = limit()
            seconds = cpu_seconds(command, timeout_seconds)
            results[name] = None if seconds is None else (seconds, 2 * seconds / (before + limit()))
    return results

"""
Other tools, each asked for one cover of a clip.

A recipe is what the tool's own help gives for "one good frame". Commands are looked up in the folder given first, then
on the path; a tool whose command is absent is not in the list.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av

from benchmarks.speed.peers import KATNA

Recipe = Callable[[Path, Path], Path | None]
"""Takes a clip and an empty folder to work in; gives the picture, or None where the tool made none."""

_TIMEOUT_SECONDS = 900
_THUMBNAIL_MEMORY_BYTES = 2_000_000_000
"""`thumbnail` keeps all frames that it compares; above this they are made smaller first."""

_WIDEST = "8192"


def installed_recipes(tools: Path | None) -> dict[str, Recipe]:
    """List the tools that can run here, and print those that cannot."""
    recipes: dict[str, Recipe] = {}
    ffmpeg = _command("ffmpeg", tools)
    if ffmpeg is not None:
        recipes |= {
            "ffmpeg thumbnail": lambda clip, folder: _thumbnail(ffmpeg, clip, folder),
            "ffmpeg thumbnail, keyframes": lambda clip, folder: _thumbnail(ffmpeg, clip, folder, keyframes=True),
            "frame at 10 %": lambda clip, folder: _frame_at(ffmpeg, clip, folder, 0.1),
            "middle frame": lambda clip, folder: _frame_at(ffmpeg, clip, folder, 0.5),
        }
    for name, (command, recipe) in _BY_COMMAND.items():
        found = _command(command, tools)
        if found is not None:
            recipes[name] = partial(recipe, found)
    python = _command("python", tools)
    if python is not None and _run([python, "-c", "import Katna.video"]):
        recipes["Katna"] = lambda clip, folder: _katna(python, clip, folder)
    for name in ("ffmpeg thumbnail", *_BY_COMMAND, "Katna"):
        if name not in recipes:
            print(f"not installed, left out: {name}")
    return recipes


def _command(name: str, tools: Path | None) -> str | None:
    beside = None if tools is None else shutil.which(name, path=str(tools))
    return beside or shutil.which(name)


def _run(command: list[str], folder: Path | None = None) -> bool:
    try:
        done = subprocess.run(
            command, capture_output=True, cwd=folder, timeout=_TIMEOUT_SECONDS, stdin=subprocess.DEVNULL
        )
    except (subprocess.TimeoutExpired, OSError):
        return False
    return done.returncode == 0


def _picture(folder: Path) -> Path | None:
    """Find the first picture that a tool left."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    return next((path for path in found if path.is_file() and path.stat().st_size), None)


def _frames_of(clip: Path) -> tuple[int, int, float]:
    """Give the number of frames, the bytes of one as 4:4:4, and the duration in seconds."""
    with av.open(str(clip), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        count, last = 0, 0.0
        for packet in container.demux(stream):
            if packet.pts is not None and packet.time_base is not None:
                count += 1
                last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        start = float((stream.start_time or 0) * (stream.time_base or 0))
        return count, 3 * stream.width * stream.height, last - start


def _thumbnail(ffmpeg: str, clip: Path, folder: Path, *, keyframes: bool = False) -> Path | None:
    """Ask for the one most representative of all frames (of all keyframes), square pixels."""
    count, size_bytes, _duration = _frames_of(clip)
    smaller = "scale=-2:480," if not keyframes and count * size_bytes > _THUMBNAIL_MEMORY_BYTES else ""
    choose = f"{smaller}thumbnail={max(2, count)},scale=iw*sar:ih,setsar=1"
    skip = ["-skip_frame", "nokey"] if keyframes else []
    output = ["-vf", choose, "-frames:v", "1", "-q:v", "2", "cover.jpg"]
    _run([ffmpeg, "-v", "error", "-y", *skip, "-i", str(clip), *output], folder)
    return _picture(folder)


def _frame_at(ffmpeg: str, clip: Path, folder: Path, share: float) -> Path | None:
    seconds = _frames_of(clip)[2] * share
    end = ["-frames:v", "1", "-q:v", "2", "cover.jpg"]
    for seek in (["-ss", f"{seconds:.3f}"], []):
        _run([ffmpeg, "-v", "error", "-y", *seek, "-i", str(clip), "-vf", "scale=iw*sar:ih,setsar=1", *end], folder)
        found = _picture(folder)
        if found is not None:
            return found
    return None


def _sharp_frames(command: str, clip: Path, folder: Path) -> Path | None:
    _run([command, "--num-frames", "1", "--force-overwrite", str(clip), str(folder)], folder)
    return _picture(folder)


def _vcsi(command: str, clip: Path, folder: Path) -> Path | None:
    """Ask for a contact sheet of one frame, chosen out of five."""
    sheet = ["-g", "1x1", "-s", "5", "--metadata-position", "hidden", "--grid-spacing", "0", "-w", "1280"]
    _run([command, str(clip), *sheet, "-f", "jpg", "-o", str(folder / "cover.jpg")], folder)
    return _picture(folder)


def _longest_scene(command: str, clip: Path, folder: Path) -> Path | None:
    """Take the middle of the longest scene."""
    steps = ["detect-content", "list-scenes", "save-images", "-n", "1"]
    _run([command, "-q", "-i", str(clip), "-o", str(folder), *steps], folder)
    tables, pictures = sorted(folder.glob("*-Scenes.csv")), sorted(folder.glob("*-Scene-*.jpg"))
    if not tables or not pictures:
        return None
    rows = list(csv.reader(tables[0].read_text("utf-8").splitlines()))
    head = next(index for index, row in enumerate(rows) if row and row[0] == "Scene Number")
    column = rows[head].index("Length (frames)")
    lengths = [int(row[column]) for row in rows[head + 1 :] if row]
    if len(lengths) != len(pictures):
        return None
    return pictures[lengths.index(max(lengths))]


def _hecate(command: str, clip: Path, folder: Path) -> Path | None:
    end = ["--generate_jpg", "--njpg", "1", "--jpg_width_px", _WIDEST]
    _run([command, "-i", str(clip), "-o", str(folder), *end], folder)
    return _picture(folder)


def _katna(python: str, clip: Path, folder: Path) -> Path | None:
    """Give it a copy: it writes temporary files beside its input."""
    copy = folder / "input" / clip.name
    copy.parent.mkdir()
    shutil.copy(clip, copy)
    (folder / "output").mkdir()
    _run([python, "-c", KATNA, str(copy), str(folder / "output"), "1"], folder)
    return _picture(folder / "output")


_BY_COMMAND: dict[str, tuple[str, Callable[[str, Path, Path], Path | None]]] = {
    "sharp-frames": ("sharp-frames", _sharp_frames),
    "vcsi": ("vcsi", _vcsi),
    "PySceneDetect": ("scenedetect", _longest_scene),
    "hecate": ("hecate", _hecate),
}

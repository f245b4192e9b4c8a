"""What was named on the command line, as the videos that are meant."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from smartcover.errors import NotAVideo

_ENDINGS = re.compile(
    r"\.(3g2|3gpp?|asf|avi|divx|dv|f4v|flv|m2ts|m[124]v|mk3d|mkv|mov|mp4|mp(e|eg|g)|m?ts|m2t|mxf|nut|og[mv]|qt|rm|rmvb"
    r"|tod|tr?p|vob|webm|wmv|y4m)",
    re.IGNORECASE,
)
"""How names of videos end; not those that sound, pictures or music more often have (.ogg, .gif, .mod)."""

_OF_COVERS: Final = frozenset((".jpg", ".png", ".webp"))
_MOST_ENDINGS_TOLD: Final = 8


def videos_of(named: Iterable[str]) -> tuple[list[str], list[str]]:
    """
    Put the videos in a folder in its place, by name; not those in folders below it, nor hidden ones.

    A folder is gone through by the endings of names. One without videos stays, for `refuse_folder`.

    Returns:
        The videos, and a line for each folder in which there are other files than those and covers.
    """
    videos: list[str] = []
    lines: list[str] = []
    for name in named:
        files = _files_in(name)
        found = [path for path in files if _is_video(path)]
        videos += sorted(map(str, found), key=lambda video: (video.casefold(), video)) or [name]
        others = [path for path in files if not _is_video(path) and path.suffix.lower() not in _OF_COVERS]
        if found and others:
            lines.append(_left_out(name, others))
    return videos, lines


def _is_video(path: Path) -> bool:
    return _ENDINGS.fullmatch(path.suffix) is not None


def _left_out(folder: str, files: list[Path]) -> str:
    endings = sorted({path.suffix.lower() or "no ending" for path in files})
    told = ", ".join(endings[:_MOST_ENDINGS_TOLD]) + (", …" if len(endings) > _MOST_ENDINGS_TOLD else "")
    count = "1 file is" if len(files) == 1 else f"{len(files)} files are"
    return f"{folder}: {count} left out for the end of the name ({told}); name each that is a video"


def _files_in(name: str) -> list[Path]:
    with contextlib.suppress(OSError):  # why a path cannot be looked at is told when it is its turn
        return list(_shown_files(Path(name))) if _is_folder(name) else []
    return []


def _is_folder(name: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(name) and Path(name).is_dir()
    return False


def _shown_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if not path.name.startswith(".") and not path.is_dir():
            yield path


def refuse_folder(video: str) -> None:
    """
    Say what to give instead of a folder, which is one without videos or that cannot be gone through.

    Raises:
        NotAVideo: If `video` is a folder.
    """
    if not _is_folder(video):
        return
    path = Path(video)
    try:
        list(_shown_files(path))
    except OSError as error:
        raise NotAVideo(f"{path} cannot be read: {error.strerror}") from error
    raise NotAVideo(
        f"{path} is a folder and no name in it ends as those of videos do, as in .mp4; "
        "give another folder, or each file"
    )

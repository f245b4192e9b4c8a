"""What was named on the command line, as the videos that are meant."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from smartcover.errors import NotAVideo

_NAME_OF_A_VIDEO = re.compile(
    r".*\.(3g[2p]|asf|avi|divx|dv|f4v|flv|m2ts|m[24]v|mkv|mov|mp4|mpe?g|m?ts|mxf|nut|ogv|qt|rm|rmvb|vob|webm|wmv|y4m)",
    re.IGNORECASE,
)


def videos_of(named: Iterable[str]) -> list[str]:
    """
    Put the videos in a folder in its place, by name; not those in folders below it, nor hidden ones.

    A folder is gone through by the endings of names. One without videos stays, for `refuse_what_is_no_file`.
    """
    return [video for name in named for video in _in_folder(name) or [name]]


def _in_folder(name: str) -> list[str]:
    with contextlib.suppress(OSError):  # why a path cannot be looked at is told when it is opened
        if name and Path(name).is_dir():
            return sorted(map(str, _videos_below(Path(name))), key=lambda video: (video.casefold(), video))
    return []


def _videos_below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if _NAME_OF_A_VIDEO.fullmatch(path.name) and not path.name.startswith(".") and not path.is_dir():
            yield path


def refuse_what_is_no_file(video: str) -> None:
    """
    Say what to give instead of nothing, an address, or a folder without videos.

    Raises:
        NotAVideo: If `video` is one of these.
    """
    if not video:
        raise NotAVideo("the name of a video is empty; give its path")
    path = Path(video)
    with contextlib.suppress(OSError):
        if path.is_dir():
            raise NotAVideo(
                f"{path} is a folder and no name in it ends as those of videos do, as in .mp4; "
                "give another folder, or each file"
            )
        if "://" in video and not path.exists():
            raise NotAVideo(f"{video} is an address, and only files are read; download it and give its path")

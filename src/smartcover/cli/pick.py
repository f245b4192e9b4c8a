"""`smartcover pick`: the best covers of videos, as files and a table or one JSON document."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from smartcover.engine import CoverOptions, Picks, pick_covers
from smartcover.errors import BadParameter, SmartCoverError

if TYPE_CHECKING:
    from collections.abc import Iterator

_DECIMALS = 4

_LONGEST_STEM_BYTES = 240
"""With what is put behind it, a name has at most the 255 bytes that file systems allow."""


def pick(
    videos: Annotated[list[Path], typer.Argument(help="Video files.", metavar="VIDEO...", show_default=False)],
    count: Annotated[int, typer.Option("-n", "--count", help="How many covers of each video.")] = 3,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write; made if absent.")] = Path(),
    image_format: Annotated[Literal["jpg", "png", "webp"], typer.Option("--format", help="Kind of image.")] = "jpg",
    width: Annotated[int | None, typer.Option(help="Width in pixels; alone, the height follows.")] = None,
    height: Annotated[int | None, typer.Option(help="Height in pixels; with both, cropped around the subject.")] = None,
    fit: Annotated[
        Literal["crop", "pad", "stretch"], typer.Option(help="How to reach an exact width and height.")
    ] = "crop",
    unique: Annotated[bool, typer.Option("--unique", help="Leave near-duplicates out, though fewer remain.")] = False,
    crop_letterbox: Annotated[bool, typer.Option("--crop-letterbox", help="Cut black bars away.")] = False,
    quality: Annotated[int | None, typer.Option(help="1 to 100, for jpg and webp.")] = None,
    safety: Annotated[
        bool, typer.Option("--safety", help="Never take an unsafe frame (needs the extra \\[safety]).")
    ] = False,
    scorer: Annotated[Path | None, typer.Option(help="ONNX file of your own whose score counts as much.")] = None,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Decode and run the networks on an accelerator, where there is one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help="Add a contact sheet that shows why.")] = False,
) -> None:
    """Pick the best covers of videos."""
    options = CoverOptions(
        count=count,
        format=image_format,
        width_px=width,
        height_px=height,
        delete_duplicates=unique,
        fit=fit,
        crop_letterbox=crop_letterbox,
        quality=quality,
        safety=safety,
        scorer=scorer,
        gpu=gpu,
    )
    _make_folder(output)
    stems = _distinct_stems(videos)
    results = [output / _cover_name(stem, number, image_format) for stem in stems for number in range(count)]
    if sheet:
        results += [output / _sheet_name(stem) for stem in stems]
    _spare_inputs(videos, results)
    done: list[dict[str, Any]] = []
    failures = 0
    for video, stem in zip(videos, stems, strict=True):
        try:
            with _progress(video, shown=not as_json) as on_progress:
                picks = pick_covers(video, options, on_progress=on_progress)
            paths = _write_covers(picks, output, stem)
            sheet_path = _write_sheet(picks, video, output, stem) if sheet else None
        except SmartCoverError as error:
            failures += 1
            print(f"smartcover: {_one_line(_named(error, video))}", file=sys.stderr)
            continue
        entry = _describe(picks, video, paths, sheet_path)
        done.append(entry)
        if not as_json:
            _print_table(picks, video, paths, sheet_path)
    if as_json:
        # ASCII with escapes: right in every locale, and for names that are not valid text.
        print(json.dumps({"videos": done}, indent=2, allow_nan=False))
    if failures:
        raise typer.Exit(1)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadParameter(f"{folder} cannot be made: {error.strerror}; give another -o") from error


def _distinct_stems(videos: Iterable[Path]) -> list[str]:
    """
    Give each video a name for its files that no other video of this run has.

    Of `a/clip.mp4`, `b/clip.mp4` and `clip.mkv` the first keeps `clip`, the others become `clip~2` and `clip~3`.
    Compared without case, as some file systems do. What is too long for a name is cut.
    """
    used: set[str] = set()
    stems = []
    for video in videos:
        stem = video.stem or "video"
        while len(os.fsencode(stem)) > _LONGEST_STEM_BYTES:
            stem = stem[:-1]
        candidate = stem
        number = 1
        while candidate.casefold() in used:
            number += 1
            candidate = f"{stem}~{number}"
        used.add(candidate.casefold())
        stems.append(candidate)
    return stems


def _cover_name(stem: str, number: int, image_format: str) -> str:
    return f"{stem}-{number}.{image_format}"


def _sheet_name(stem: str) -> str:
    return f"{stem}-sheet.jpg"


def _spare_inputs(videos: Iterable[Path], results: Iterable[Path]) -> None:
    """
    Refuse to run when a result would be written over one of the videos.

    Raises:
        BadParameter
    """
    inputs = {_identity(video): video for video in videos}
    for result in results:
        identity = _identity(result)
        if identity is not None and identity in inputs:
            video = _one_line(str(inputs[identity]))
            raise BadParameter(f"a picture would be written over {video}, a video of this run; give another -o")


def _identity(path: Path) -> tuple[int, int] | None:
    """Tell files apart by more than their names; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _write_covers(picks: Picks, folder: Path, stem: str) -> list[Path]:
    paths = []
    for index, cover in enumerate(picks.covers):
        path = folder / _cover_name(stem, index, cover.format)
        _write(path, cover.image)
        paths.append(path)
    return paths


def _write_sheet(picks: Picks, video: Path, folder: Path, stem: str) -> Path:
    from smartcover.engine.sheet import draw_sheet

    path = folder / _sheet_name(stem)
    _write(path, draw_sheet(picks, _one_line(video.name)))
    return path


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadParameter(f"{path} cannot be written: {error.strerror}") from error


def _describe(picks: Picks, video: Path, paths: list[Path], sheet_path: Path | None) -> dict[str, Any]:
    duration = picks.video.duration_seconds
    entry: dict[str, Any] = {
        "path": str(video),
        "duration_seconds": None if duration is None else round(duration, _DECIMALS),
        "covers": [
            {
                "path": str(path),
                "seconds": round(cover.seconds, _DECIMALS),
                "score": round(cover.score, _DECIMALS),
                "signals": {name: round(value, _DECIMALS) for name, value in cover.signals.items()},
                "reasons": list(cover.reasons),
            }
            for cover, path in zip(picks.covers, paths, strict=True)
        ],
        "rejections": [
            {"seconds": round(rejection.seconds, _DECIMALS), "kind": rejection.kind, "reason": rejection.reason}
            for rejection in picks.rejections
        ],
        "fallback": picks.fallback,
        "timings": {name: round(seconds, _DECIMALS) for name, seconds in picks.timings.items()},
    }
    if sheet_path is not None:
        entry["sheet"] = str(sheet_path)
    return entry


def _print_table(picks: Picks, video: Path, paths: list[Path], sheet_path: Path | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from smartcover.engine.sheet import clock

    console = Console(highlight=False)
    table = Table(
        title=escape(_one_line(f"{video} -> {paths[0].parent}/")),
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    for heading in ("cover", "at", "score", "size", "why"):
        table.add_column(heading, overflow="fold")
    for cover, path in zip(picks.covers, paths, strict=True):
        size = f"{cover.width_px}x{cover.height_px}"
        why = ", ".join(cover.reasons) or "the best there is"
        table.add_row(escape(_one_line(path.name)), clock(cover.seconds), f"{cover.score:.2f}", size, why)
    console.print(table)
    if picks.fallback:
        console.print(f"[yellow]{escape(picks.fallback)}[/yellow]")
    if sheet_path is not None:
        console.print(f"contact sheet: {escape(_one_line(str(sheet_path)))}")
    console.print(f"[dim]{picks.timings['total']:.2f} s[/dim]\n")


@contextmanager
def _progress(video: Path, *, shown: bool) -> Iterator[Callable[[str, float], None] | None]:
    """Show a bar on standard error while a person waits; nothing when it goes to a file or a program."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(_one_line(video.name)), total=1.0)
        yield lambda _step, share: bar.update(task, completed=share)


def _named(error: SmartCoverError, video: Path) -> str:
    """Say which video is meant, once."""
    return error.public if str(video) in error.public else f"{video}: {error.public}"


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)

"""`smartcover pick`: the best covers of videos, as files and a table or one JSON document."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from smartcover.cli.options import Json, flag
from smartcover.cli.pick_report import (
    Bars,
    Written,
    describe,
    describe_failure,
    print_document,
    print_table,
)
from smartcover.cli.side_by_side import results_in_order
from smartcover.cli.terminal import one_line
from smartcover.cli.videos import refuse_folder, videos_of
from smartcover.engine import CoverOptions, Limits, Picks, pick_covers
from smartcover.engine.types import MAX_COUNT, MAX_SIDE_PX
from smartcover.errors import BadParameter, SmartCoverError

_MOST_AT_ONCE = 64

_LONGEST_STEM_BYTES = 240
"""With what is put behind it, a name has at most the 255 bytes that file systems allow."""


def pick(
    videos: Annotated[
        list[str], typer.Argument(help="Video files, and folders of them.", metavar="VIDEO...", show_default=False)
    ],
    count: Annotated[int, typer.Option("-n", "--count", help=f"How many covers of each video, 1 to {MAX_COUNT}.")] = 3,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write; made if absent.")] = Path(),
    image_format: Annotated[
        Literal["jpg", "png", "webp"], typer.Option("--format", case_sensitive=False, help="Kind of image.")
    ] = "jpg",
    width: Annotated[
        int | None, typer.Option(help=f"Width in pixels, 1 to {MAX_SIDE_PX}; alone, the height follows.")
    ] = None,
    height: Annotated[
        int | None, typer.Option(help=f"Height in pixels, 1 to {MAX_SIDE_PX}; with both, cropped around the subject.")
    ] = None,
    fit: Annotated[
        Literal["crop", "pad", "stretch"],
        typer.Option(case_sensitive=False, help="How to reach an exact width and height."),
    ] = "crop",
    unique: Annotated[bool, flag("--unique", "Leave near-duplicates out, though fewer remain.")] = False,
    crop_letterbox: Annotated[bool, flag("--crop-letterbox", "Cut black bars away.")] = False,
    quality: Annotated[
        int | None, typer.Option(help="1 to 100, for jpg (default 90; full colour resolution from 95) and webp (85).")
    ] = None,
    safety: Annotated[bool, flag("--safety", "Never take an unsafe frame (needs the extra \\[safety]).")] = False,
    scorer: Annotated[Path | None, typer.Option(help="ONNX file of your own whose score counts as much.")] = None,
    gpu: Annotated[bool, flag("--gpu", "Decode and run the networks on an accelerator, where there is one.")] = False,
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", help="For each video; half to three quarters at most goes into looking.")
    ] = Limits().seconds,
    concurrency: Annotated[
        int, typer.Option("-j", "--concurrency", help=f"How many videos at once, 1 to {_MOST_AT_ONCE}.")
    ] = 1,
    as_json: Json = False,
    sheet: Annotated[bool, flag("--sheet", "Add a contact sheet that shows why.")] = False,
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
    if not time_limit > 0:
        raise BadParameter(f"--time-limit is {time_limit:g}; give more than 0 seconds")
    if not 1 <= concurrency <= _MOST_AT_ONCE:
        raise BadParameter(f"--concurrency is {concurrency}; give 1 to {_MOST_AT_ONCE}")
    limits = Limits(seconds=time_limit)
    _make_folder(output)
    videos, left_out = videos_of(videos)
    for line in left_out:
        print(f"smartcover: {one_line(line)}", file=sys.stderr)
    paths = [Path(video) for video in videos]
    stems = _distinct_stems(paths)
    results = [output / _cover_name(stem, number, image_format) for stem in stems for number in range(count)]
    if sheet:
        results += [output / _sheet_name(stem) for stem in stems]
    _spare_inputs(paths, results)
    if gpu:
        _tell_what_has_no_accelerator()
    picker = _Picker(options, limits, output, with_sheet=sheet)
    tasks = [
        _Task(video, stem, f"{number} of {len(videos)}: " if len(videos) > 1 else "")
        for number, (video, stem) in enumerate(zip(videos, stems, strict=True), start=1)
    ]
    entries: list[dict[str, Any]] = []
    failed = False
    with picker.bars.shown():
        for entry, error in results_in_order(picker.pick, tasks, at_once=concurrency, stop=picker.stop.set):
            entries.append(entry)
            if error is not None:
                failed = True
                with picker.bars.put_aside():
                    _tell(error, entry["path"])
            elif not as_json:
                with picker.bars.put_aside():
                    print_table(entry)
    if as_json:
        print_document(entries)
    if failed:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Task:
    """A video as it was given, the name of its files, and its place among the videos as words."""

    video: str
    stem: str
    place: str


class _Picker:
    """Picks covers of videos, several of them at once in threads, and writes them."""

    def __init__(self, options: CoverOptions, limits: Limits, folder: Path, *, with_sheet: bool) -> None:
        self.bars = Bars()
        self.stop = threading.Event()
        self._options, self._limits, self._folder, self._with_sheet = options, limits, folder, with_sheet

    def pick(self, task: _Task) -> tuple[dict[str, Any], Exception | None]:
        """Give the entry of a video in the document, and what failed if something did."""
        path = Path(task.video)
        try:
            refuse_folder(task.video)
            with self.bars.bar(f"{task.place}{path.name}") as tell:
                picks = pick_covers(
                    task.video, self._options, limits=self._limits, on_progress=self._heeding_stop(tell)
                )
            covers = _write_covers(picks, self._folder, task.stem)
            sheet = _write_sheet(picks, path, self._folder, task.stem) if self._with_sheet else None
        except Exception as error:
            if _is_interrupt(error):
                raise KeyboardInterrupt from error
            return describe_failure(error, task.video), error
        return describe(picks, Written(task.video, covers, sheet)), None

    def _heeding_stop(self, tell: Callable[[float], None]) -> Callable[[str, float], None]:
        def on_progress(_step: str, share: float) -> None:
            if self.stop.is_set():  # Ctrl-C came to another thread
                raise KeyboardInterrupt
            tell(share)

        return on_progress


def _tell(error: Exception, video: str) -> None:
    """Say on standard error in one line what failed; a fault of ours is followed by where it lies."""
    text, ours = str(error), not isinstance(error, SmartCoverError | ModuleNotFoundError)
    if ours:
        text = f"{type(error).__name__}: {text}; this is a fault of smartcover, please report it with these lines:"
    named = text if not video or text.startswith((f"{video} ", f"{Path(video)} ")) else f"{video}: {text}"
    print(f"smartcover: {one_line(named)}", file=sys.stderr)
    if ours:
        for line in "".join(traceback.format_exception(error)).splitlines():
            print(one_line(line), file=sys.stderr)


def _is_interrupt(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C is behind an error: libraries that it meets while they load make an ImportError of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _tell_what_has_no_accelerator() -> None:
    """Say on standard error for what `--gpu` changes nothing on this machine."""
    from smartcover.engine import sessions, source

    found = {"decoding": source.accelerator() is not None, "the networks": sessions.accelerated()}
    if lacking := " and ".join(what for what, is_there in found.items() if not is_there):
        print(f"smartcover: no accelerator can be used here for {lacking}; the processor does it", file=sys.stderr)


def _make_folder(folder: Path) -> None:
    """
    Make the folder, and see that a file can be made in it before a video is gone through for nothing.

    Raises:
        BadParameter: If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadParameter(f"{folder} cannot be made: {error.strerror}; give another -o") from error
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadParameter(f"{folder} cannot be written to: {error.strerror}; give another -o") from error


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
            video = one_line(str(inputs[identity]))
            raise BadParameter(
                f"a picture would be written over {video}, which is given as a video; give only videos, or another -o"
            )


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
    _write(path, draw_sheet(picks, one_line(video.name)))
    return path


def _write(path: Path, content: bytes) -> None:
    """Write beside and rename, so that what an earlier run left there is replaced by a whole picture or stays."""
    target = path.resolve()  # where a link lies, what it points to is written, as ever
    draft = target.with_name(f".smartcover-{secrets.token_hex(8)}.part")
    try:
        try:
            draft.write_bytes(content)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise BadParameter(f"{path} cannot be written: {error.strerror}; give another -o") from error

"""What `smartcover pick` shows: an entry of the JSON document or a table for each video, and how far it has come."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartcover.cli.terminal import one_line
from smartcover.engine import Picks, VideoInfo
from smartcover.errors import BadParameter

_DECIMALS = 4


@contextmanager
def _printing() -> Iterator[None]:
    """Make an error of ours of a standard output that takes no more, and drop what is left for it."""
    try:
        yield
        print(end="", flush=True)
    except BrokenPipeError:  # the reader has seen enough, as `head` has: the command ends without a word
        raise
    except OSError as error:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise BadParameter(f"standard output cannot be written: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written for a video; `video` is its name as it was given."""

    video: str
    covers: list[Path]
    sheet: Path | None


def describe(picks: Picks, written: Written) -> dict[str, Any]:
    """Give the entry of a video in the JSON document."""
    entry: dict[str, Any] = {
        "path": written.video,
        "error": None,
        **_facts(picks.video),
        "covers": [
            {
                "path": str(path),
                "format": cover.format,
                "width_px": cover.width_px,
                "height_px": cover.height_px,
                "seconds": round(cover.seconds, _DECIMALS),
                "score": round(cover.score, _DECIMALS),
                "signals": {name: round(value, _DECIMALS) for name, value in cover.signals.items()},
                "reasons": list(cover.reasons),
            }
            for cover, path in zip(picks.covers, written.covers, strict=True)
        ],
        "rejections": [
            {"seconds": round(rejection.seconds, _DECIMALS), "kind": rejection.kind, "reason": rejection.reason}
            for rejection in picks.rejections
        ],
        "fallback": picks.fallback,
        "unseen": picks.unseen,
        "timings": {name: round(seconds, _DECIMALS) for name, seconds in picks.timings.items()},
    }
    if written.sheet is not None:
        entry["sheet"] = str(written.sheet)
    return entry


def describe_failure(error: Exception, video: str) -> dict[str, Any]:
    """Give the entry of a video that got no covers; its kind is the name of one of our errors, or of a fault."""
    return {
        "path": video,
        "error": {"kind": type(error).__name__, "message": str(error)},
        "covers": [],
        "rejections": [],
    }


def _facts(video: VideoInfo) -> dict[str, Any]:
    facts = dataclasses.asdict(video)
    return {name: round(fact, _DECIMALS) if isinstance(fact, float) else fact for name, fact in facts.items()}


@_printing()
def print_document(entries: list[dict[str, Any]]) -> None:
    """Print the JSON document of all videos: in ASCII, right in every locale and for names that are not valid text."""
    print(json.dumps({"videos": entries}, indent=2, allow_nan=False))


@_printing()
def print_table(entry: Mapping[str, Any]) -> None:
    """Print the covers of a video for a person, out of its entry."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from smartcover.engine.sheet import clock

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name may have characters that the output's encoding lacks
    console = Console(highlight=False)
    paths = [Path(cover["path"]) for cover in entry["covers"]]
    table = Table(
        title=escape(one_line(f"{entry['path']} -> {paths[0].parent}/")),
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    for heading in ("cover", "at", "score", "size", "why"):
        table.add_column(heading, overflow="fold")
    for path, cover in zip(paths, entry["covers"], strict=True):
        size = f"{cover['width_px']}x{cover['height_px']}"
        why = ", ".join(cover["reasons"]) or "the best there is"
        table.add_row(escape(one_line(path.name)), clock(cover["seconds"]), f"{cover['score']:.2f}", size, why)
    console.print(table)
    for note in filter(None, (entry["fallback"], entry["unseen"])):
        console.print(f"[yellow]{escape(note)}[/yellow]")
    if "sheet" in entry:
        console.print(f"contact sheet: {escape(one_line(entry['sheet']))}", soft_wrap=True)
    console.print(f"[dim]{entry['timings']['total']:.2f} s[/dim]\n")


class Bars:
    """A bar on standard error for each video that is under way; none when that goes to a file or a program."""

    def __init__(self) -> None:
        self._progress: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(console=Console(stderr=True), transient=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show bars for a while."""
        with self._progress or nullcontext():
            yield

    @contextmanager
    def put_aside(self) -> Iterator[None]:
        """Take the bars away for what is printed meanwhile."""
        if self._progress is None:
            yield
            return
        self._progress.stop()
        yield
        self._progress.start()

    @contextmanager
    def bar(self, title: str) -> Iterator[Callable[[float], None]]:
        """Show a bar for a while; what is given is told the share that is done, 0..1."""
        if self._progress is None:
            yield lambda _share: None
            return
        from rich.markup import escape

        task = self._progress.add_task(escape(one_line(title)), total=1.0)
        try:
            yield lambda share: self._progress.update(task, completed=share)
        finally:
            self._progress.remove_task(task)

"""
Count covers that fall into planted defects.

    python -m benchmarks.planted FOLDER_OF_VIDEOS [--keep FOLDER] [--seed 1]
    python -m benchmarks.planted FOLDER_OF_VIDEOS --wide [--only fade] [--seed 1] [--sheet hits.png]
    python -m benchmarks.planted FOLDER_OF_VIDEOS --three-minutes [--only fade] [--seed 1]

Goal: none, as every clip has clean frames. `--wide` plants each kind of a longer table once, in clips of 5 to 60 s, of
several sizes, rates and containers, with 20 to 85 % bad; `--three-minutes` a few kinds in clips whose keyframes are
looked at alone. Traces of a defect that nobody would see are counted apart. `--wide` takes only filmed sources that
move: among test patterns and title cards, and beside pictures that stand still, a hit would say nothing.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.planted.build import (
    Planted,
    good_frames,
    long_stretches,
    plant,
    scattered_stretches,
    shared_stretches,
    short_stretches,
)
from benchmarks.planted.kinds import KINDS
from benchmarks.planted.wide import (
    FORMATS,
    LENGTHS_SECONDS,
    LONG,
    LONG_FORMAT,
    LONG_SECONDS,
    LONG_SHARE,
    SHARES,
    WIDE,
)
from smartcover.engine import CoverOptions, Limits, pick_covers

_SECONDS = 36.0
_LONG_KINDS = ("black", "blur", "credits", "dark", "logo", "motionfreeze", "static", "testcard")
_MIXED = 8
_CARDS = (
    "Azure_Bumper", "av1-video", "ffmpeg-go__in1", "no_duration", "sam2_720px_dark", "sar_2x1", "smpte-2997",
    "transparent", "video-h265",
)  # fmt: skip
"""Parts of the names of videos that are themselves test patterns, countdowns, logos and line drawings on black."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Count covers that fall into planted defects.")
    parser.add_argument("videos", type=Path)
    parser.add_argument("--keep", type=Path, help="where to leave the clips; made if absent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suite", choices=("short", "long", "mixed"))
    parser.add_argument("--wide", action="store_true", help="the larger table of kinds instead")
    parser.add_argument("--three-minutes", action="store_true", help="a few kinds in clips of three minutes instead")
    parser.add_argument("--only", default="", help="of the wide suite, kinds with this in their name")
    parser.add_argument("--sheet", type=Path, help="where to write a picture of all covers that lie in a defect")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        totals: Counter[str] = Counter()
        shown: list[tuple[str, bytes]] = []
        for suite, name, planted in _clips(arguments, folder):
            found = check(planted)
            bad_share = sum(bool(kind) for kind in planted.kinds) / len(planted.kinds)
            print(f"{suite} {name}: {bad_share:.0%} planted, covers {', '.join(map(str, found))}", flush=True)
            totals[f"{suite} covers"] += len(found)
            totals[f"{suite} hits"] += sum(entry.is_hit for entry in found)
            totals[f"{suite} first hits"] += found[0].is_hit
            totals[f"{suite} traces"] += sum(entry.is_trace for entry in found)
            shown += [(f"{name} {entry}", entry.image) for entry in found if entry.is_hit or entry.is_trace]
        if arguments.sheet and shown:
            write_sheet(arguments.sheet, shown)
    print(*(f"{name}: {count}" for name, count in totals.items()), sep="\n")


def _clips(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str, Planted]]:
    if arguments.three_minutes:
        return long_clips(arguments.videos, folder, arguments.seed, arguments.only)
    if arguments.wide:
        return wide_clips(arguments.videos, folder, arguments.seed, arguments.only)
    return planted_clips(arguments.videos, folder, arguments.seed, arguments.suite)


def planted_clips(videos: Path, folder: Path, seed: int, only: str | None) -> Iterator[tuple[str, str, Planted]]:
    sources = _sources(videos)
    for suite, names in (("short", tuple(KINDS)), ("long", _LONG_KINDS), ("mixed", tuple(map(str, range(_MIXED))))):
        if only not in (None, suite):
            continue
        for number, name in enumerate(names):
            random = np.random.default_rng([seed, number, len(suite)])
            frames, cuts = good_frames(sources, _SECONDS, random)
            if suite == "short":
                stretches, kinds = short_stretches(len(frames)), [name]
            elif suite == "long":
                stretches, kinds = long_stretches(len(frames)), [name]
            else:
                stretches = scattered_stretches(len(frames), cuts, random)
                kinds = [str(kind) for kind in random.permutation(list(KINDS))]
            yield suite, name, plant(folder / f"{suite}-{name}.mp4", frames, stretches, kinds, random)


def wide_clips(videos: Path, folder: Path, seed: int, only: str) -> Iterator[tuple[str, str, Planted]]:
    sources = _filmed(_sources(videos))
    for number, name in enumerate(WIDE):
        if only not in name:
            continue
        random = np.random.default_rng([seed, number, 1000])
        form = FORMATS[(number + seed) % len(FORMATS)]
        seconds, share = random.choice(LENGTHS_SECONDS), float(random.choice(SHARES))
        frames, _cuts = good_frames(sources, float(seconds), random, form.rate, form.size, moving=True)
        stretches = shared_stretches(len(frames), share, random)
        path = folder / f"wide-{name}{form.suffix}"
        yield "wide", name, plant(path, frames, stretches, [name], random, WIDE, form)


def long_clips(videos: Path, folder: Path, seed: int, only: str) -> Iterator[tuple[str, str, Planted]]:
    sources = _sources(videos)
    for number, name in enumerate(LONG):
        if only not in name:
            continue
        random = np.random.default_rng([seed, number, 2000])
        form = LONG_FORMAT
        frames, _cuts = good_frames(sources, LONG_SECONDS, random, form.rate, form.size)
        stretches = shared_stretches(len(frames), LONG_SHARE, random)
        path = folder / f"three-minutes-{name}{form.suffix}"
        yield "three minutes", name, plant(path, frames, stretches, [name], random, LONG, form)


def _sources(videos: Path) -> list[Path]:
    return sorted(path for path in videos.iterdir() if path.suffix in {".mp4", ".mkv", ".webm", ".mov", ".avi"})


def _filmed(videos: list[Path]) -> list[Path]:
    return [path for path in videos if not any(name in path.name for name in _CARDS)]


@dataclass(frozen=True, slots=True)
class Found:
    """One cover: the defect in which it lies ("" for none), whether that hardly shows there, and when it is."""

    kind: str
    is_trace: bool
    seconds: float
    image: bytes

    @property
    def is_hit(self) -> bool:
        return bool(self.kind) and not self.is_trace

    def __str__(self) -> str:
        return f"{'trace of ' if self.is_trace else ''}{self.kind or 'good'} at {self.seconds:.2f}"


def check(planted: Planted) -> list[Found]:
    """Pick three covers; say of each whether it is good, or which defect it shows, and when."""
    return [
        Found(planted.kind_at(cover.seconds), planted.is_trace_at(cover.seconds), cover.seconds, cover.image)
        for cover in pick_covers(planted.path, CoverOptions(count=3), limits=Limits()).covers
    ]


def write_sheet(path: Path, shown: list[tuple[str, bytes]]) -> None:
    """Put pictures beside each other, four in a row, each with its title."""
    width, height = 320, 200
    sheet = Image.new("RGB", (4 * width, height * -(-len(shown) // 4)))
    pen = ImageDraw.Draw(sheet)
    for number, (title, image) in enumerate(shown):
        corner = number % 4 * width, number // 4 * height
        with Image.open(io.BytesIO(image)) as picture:
            picture.thumbnail((width, height - 20))
            sheet.paste(picture, corner)
        pen.text((corner[0] + 4, corner[1] + height - 16), title)
    sheet.save(path)


if __name__ == "__main__":
    main()

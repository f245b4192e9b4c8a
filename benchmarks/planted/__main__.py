"""
Count covers that fall into planted defects.

    python -m benchmarks.planted FOLDER_OF_VIDEOS [--keep FOLDER] [--seed 1]
    python -m benchmarks.planted FOLDER_OF_VIDEOS --wide [--only fade] [--seed 1]

Goal: none, as every clip has clean frames. `--wide` plants each kind of a longer table once, in clips of 5 to 60 s, of
several sizes, rates and containers, with 20 to 85 % bad.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

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
from benchmarks.planted.wide import FORMATS, LENGTHS_SECONDS, SHARES, WIDE
from smartcover.engine import CoverOptions, Limits, pick_covers

_SECONDS = 36.0
_LONG_KINDS = ("black", "blur", "credits", "dark", "logo", "motionfreeze", "static", "testcard")
_MIXED = 8


def main() -> None:
    parser = argparse.ArgumentParser(description="Count covers that fall into planted defects.")
    parser.add_argument("videos", type=Path)
    parser.add_argument("--keep", type=Path, help="where to leave the clips; made if absent")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suite", choices=("short", "long", "mixed"))
    parser.add_argument("--wide", action="store_true", help="the larger table of kinds instead")
    parser.add_argument("--only", default="", help="of the wide suite, kinds with this in their name")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        totals: Counter[str] = Counter()
        clips = (
            wide_clips(arguments.videos, folder, arguments.seed, arguments.only)
            if arguments.wide
            else planted_clips(arguments.videos, folder, arguments.seed, arguments.suite)
        )
        for suite, name, planted in clips:
            hits = check(planted)
            bad_share = sum(bool(kind) for kind in planted.kinds) / len(planted.kinds)
            print(f"{suite} {name}: {bad_share:.0%} planted, covers {', '.join(hits)}", flush=True)
            totals[f"{suite} covers"] += len(hits)
            totals[f"{suite} hits"] += sum(not hit.startswith("good") for hit in hits)
            totals[f"{suite} first hits"] += not hits[0].startswith("good")
    print(*(f"{name}: {count}" for name, count in totals.items()), sep="\n")


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
    sources = _sources(videos)
    for number, name in enumerate(WIDE):
        if only not in name:
            continue
        random = np.random.default_rng([seed, number, 1000])
        form = FORMATS[(number + seed) % len(FORMATS)]
        seconds, share = random.choice(LENGTHS_SECONDS), float(random.choice(SHARES))
        frames, _cuts = good_frames(sources, float(seconds), random, form.rate, form.size)
        stretches = shared_stretches(len(frames), share, random)
        path = folder / f"wide-{name}{form.suffix}"
        yield "wide", name, plant(path, frames, stretches, [name], random, WIDE, form)


def _sources(videos: Path) -> list[Path]:
    return sorted(path for path in videos.iterdir() if path.suffix in {".mp4", ".mkv", ".webm", ".mov", ".avi"})


def check(planted: Planted) -> list[str]:
    """Pick three covers; say of each whether it is good, or which defect it shows, and when."""
    covers = pick_covers(planted.path, CoverOptions(count=3), limits=Limits()).covers
    return [f"{planted.kind_at(cover.seconds) or 'good'} at {cover.seconds:.2f}" for cover in covers]


if __name__ == "__main__":
    main()

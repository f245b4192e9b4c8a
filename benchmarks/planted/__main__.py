"""
Count covers that fall into planted defects.

    python -m benchmarks.planted FOLDER_OF_VIDEOS [--keep FOLDER] [--seed 1]

Goal: none, as every clip has clean frames.
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
    short_stretches,
)
from benchmarks.planted.kinds import KINDS
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
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        totals: Counter[str] = Counter()
        for suite, name, planted in planted_clips(arguments.videos, folder, arguments.seed, arguments.suite):
            hits = check(planted)
            bad_share = sum(bool(kind) for kind in planted.kinds) / len(planted.kinds)
            print(f"{suite} {name}: {bad_share:.0%} planted, covers {', '.join(hits)}", flush=True)
            totals[f"{suite} covers"] += len(hits)
            totals[f"{suite} hits"] += sum(not hit.startswith("good") for hit in hits)
            totals[f"{suite} first hits"] += not hits[0].startswith("good")
    print(*(f"{name}: {count}" for name, count in totals.items()), sep="\n")


def planted_clips(videos: Path, folder: Path, seed: int, only: str | None) -> Iterator[tuple[str, str, Planted]]:
    sources = sorted(path for path in videos.iterdir() if path.suffix in {".mp4", ".mkv", ".webm", ".mov", ".avi"})
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


def check(planted: Planted) -> list[str]:
    """Pick three covers; say of each whether it is good, or which defect it shows, and when."""
    covers = pick_covers(planted.path, CoverOptions(count=3), limits=Limits()).covers
    return [f"{planted.kind_at(cover.seconds) or 'good'} at {cover.seconds:.2f}" for cover in covers]


if __name__ == "__main__":
    main()

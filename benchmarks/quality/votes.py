"""
Blind votes: which tool's cover is behind which letter, what the judge answered, and how often one is preferred.

A sheet shows tiles with letters. Tools whose pictures are the same share a tile. An answer puts the letters in order,
best first, with `=` between equals: `C>A=D>B`. On a sheet of two, `left`, `right` and `tie` say the same.
"""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.measures import bootstrap

_WORDS = {"left": "A>B", "right": "B>A", "tie": "A=B"}


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one sheet shows: for each tile, in order of its letter, the tools whose cover it is."""

    clip: str
    tiles: tuple[tuple[str, ...], ...]

    @property
    def letters(self) -> str:
        return string.ascii_uppercase[: len(self.tiles)]

    @property
    def tools(self) -> frozenset[str]:
        return frozenset(tool for tile in self.tiles for tool in tile)


@dataclass(frozen=True, slots=True)
class Preference:
    """How often ours was preferred to one other tool, over clips; intervals are 90 %, over clips drawn anew."""

    clips: int
    won: int
    tied: int
    lost: int
    share: float
    interval: tuple[float, float]
    decided_share: float
    decided_interval: tuple[float, float]

    def row(self, name: str) -> str:
        low, high = self.interval
        decided_low, decided_high = self.decided_interval
        return (
            f"| {name} | {self.clips} | {self.won} | {self.tied} | {self.lost} | {self.share:.0%} "
            f"({low:.0%}-{high:.0%}) | {self.decided_share:.0%} ({decided_low:.0%}-{decided_high:.0%}) |"
        )


HEADER = (
    "| against | clips | preferred | tie | not | share, ties half | share without ties |\n|---|---|---|---|---|---|---|"
)


def shuffled(clip: str, groups: Sequence[Sequence[str]], seed: int) -> Sheet:
    """Put the tiles of a sheet in an order that depends on the seed, the clip and the tools, and on nothing else."""
    ordered = sorted(tuple(sorted(group)) for group in groups)
    random.Random(f"{seed} {clip} {ordered}").shuffle(ordered)
    return Sheet(clip, tuple(ordered))


def read_answers(text: str) -> dict[str, str]:
    """
    Read lines of a sheet's name and its answer; `#` starts a remark. A later line replaces an earlier one.

    Raises:
        ValueError: If a line is not two words.
    """
    answers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            raise ValueError(f"line {number} is {line!r}; give a sheet's name and an answer without spaces")
        answers[words[0]] = words[1]
    return answers


def places(sheet: Sheet, answer: str) -> dict[str, int]:
    """
    Give each tool's place on a sheet, 0 for the best; equals share one.

    Raises:
        ValueError: If the answer does not name each letter of the sheet once.
    """
    tiers = [tier.split("=") for tier in _WORDS.get(answer.lower(), answer.upper()).split(">")]
    named = [letter for tier in tiers for letter in tier]
    if sorted(named) != sorted(sheet.letters):
        raise ValueError(f"{answer} does not name each of {sheet.letters} once")
    return {
        tool: place
        for place, tier in enumerate(tiers)
        for letter in tier
        for tool in sheet.tiles[sheet.letters.index(letter)]
    }


def points(sheets: Mapping[str, Sheet], answers: Mapping[str, str], ours: str, other: str) -> dict[str, float]:
    """
    Give for each clip 1 where ours was preferred, 0 where the other was, 0.5 for a tie.

    A sheet with one tile needs no answer: all its tools show one picture. Sheets without an answer do not count; of
    several about one clip the mean counts.

    Raises:
        ValueError: If an answer does not fit its sheet; the message names the sheet.
    """
    seen: dict[str, list[float]] = {}
    for name, sheet in sheets.items():
        if not {ours, other} <= sheet.tools or (len(sheet.tiles) > 1 and name not in answers):
            continue
        try:
            place = places(sheet, answers[name] if len(sheet.tiles) > 1 else "A")
        except ValueError as error:
            raise ValueError(f"sheet {name}: {error}") from error
        gap = place[other] - place[ours]
        seen.setdefault(sheet.clip, []).append(0.5 + 0.5 * (gap > 0) - 0.5 * (gap < 0))
    return {clip: float(np.mean(values)) for clip, values in seen.items()}


def preference(by_clip: Mapping[str, float]) -> Preference:
    """
    Sum up points by clip.

    Raises:
        ValueError: If there are none.
    """
    if not by_clip:
        raise ValueError("no answered sheet shows both tools")
    values = np.array([by_clip[clip] for clip in sorted(by_clip)])
    decided = values[values != 0.5]
    return Preference(
        clips=len(values),
        won=int((values > 0.5).sum()),
        tied=int((values == 0.5).sum()),
        lost=int((values < 0.5).sum()),
        share=float(values.mean()),
        interval=bootstrap(values, np.mean),
        decided_share=float((decided > 0.5).mean()) if len(decided) else 0.5,
        decided_interval=bootstrap((decided > 0.5).astype(float), np.mean) if len(decided) else (0.0, 1.0),
    )

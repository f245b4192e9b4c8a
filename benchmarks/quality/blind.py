"""
Compare the product's covers with those of other tools, blind.

    python -m benchmarks.quality.blind sheets CLIPS OUT [--tools BIN] [--judged DATA] [--seed 1]
    python -m benchmarks.quality.blind count OUT ANSWERS [--losses]

`sheets` asks each tool for one cover of each clip and leaves in OUT
  pairs/     our cover beside that of one other tool, one sheet for each clip and tool
  pages/     many pairs on one picture, in random order
  lineups/   the covers of all tools, one sheet for each clip
  key.json   what is behind each letter: not to be opened before the answers are written.
Sheets name no clip and no tool. A judge who sees pairs of one clip with several tools learns which cover is ours, as it
is the one that comes again: use line-ups for several tools, pairs for one (--against).

`count` reads lines such as `r07 C>A=D>B` or `p012 left` and prints how often ours was preferred.

With --judged, clips are scored with weights that were fitted without any judged clip of the same owner.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

from benchmarks.quality.features import graded_clips
from benchmarks.quality.model import fit_all
from benchmarks.quality.peers import Recipe, installed_recipes
from benchmarks.quality.picks import scoring_with
from benchmarks.quality.sheets import draw_sheet, same_picture, stack
from benchmarks.quality.votes import HEADER, Sheet, places, points, preference, read_answers, shuffled
from smartcover.engine import CoverOptions, Limits, pick_covers
from smartcover.errors import VideoError

OURS = "smartcover"
_PAIRS_ON_A_PAGE, _PAGE_COLUMNS = 12, 3
_SECONDS = 300

Covers = dict[str, Path]
"""Pictures by tool."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    commands = parser.add_subparsers(required=True)
    sheets = commands.add_parser("sheets", help="pick covers and draw the sheets")
    sheets.add_argument("clips", type=Path)
    sheets.add_argument("out", type=Path)
    sheets.add_argument("--tools", type=Path, help="folder of commands, such as an environment's bin")
    sheets.add_argument("--judged", type=Path, help="folder with judgements, to keep their owners apart")
    sheets.add_argument("--against", action="append", help="only this tool; may be given again")
    sheets.add_argument("--seed", type=int, default=1)
    sheets.set_defaults(run=_make)
    count = commands.add_parser("count", help="count the answers")
    count.add_argument("out", type=Path)
    count.add_argument("answers", type=Path)
    count.add_argument("--losses", action="store_true", help="also list the clips where another was preferred")
    count.set_defaults(run=_count)
    arguments = parser.parse_args()
    arguments.run(arguments)


def _make(arguments: argparse.Namespace) -> None:
    recipes = installed_recipes(arguments.tools)
    if arguments.against:
        recipes = {name: recipe for name, recipe in recipes.items() if name in arguments.against}
    scoring = _weights_apart(arguments.judged)
    covers: dict[str, Covers] = {}
    for clip in sorted(path for path in arguments.clips.iterdir() if path.is_file()):
        folder = arguments.out / "covers" / clip.name
        try:
            ours = _our_cover(clip, folder, scoring(clip))
        except VideoError as error:
            print(f"{clip.name}: left out: {error}", flush=True)
            continue
        covers[clip.name] = {OURS: ours} | _covers_of(recipes, clip, folder)
        missing = sorted(recipes.keys() - covers[clip.name].keys())
        lacking = f"; none by {', '.join(missing)}" if missing else ""
        print(f"{clip.name}: {len(covers[clip.name])} covers{lacking}", flush=True)
    sheets = draw_all(covers, arguments.out, arguments.seed)
    key = {name: asdict(sheet) for name, sheet in sheets.items()}
    (arguments.out / "key.json").write_text(json.dumps(key, indent=1), "utf-8")


def _weights_apart(judged: Path | None) -> Callable[[Path], AbstractContextManager[None]]:
    """Give what sets the weights for a clip: those fitted without its owner, or the engine's own."""
    if judged is None:
        return lambda _clip: nullcontext()
    clips = graded_clips(judged, Path(tempfile.gettempdir()) / "smartcover-quality")

    def scoring(clip: Path) -> AbstractContextManager[None]:
        owner = clip.name.split("__")[0]
        return scoring_with(fit_all([other for other in clips if other.clip.source != owner]))

    return scoring


def _our_cover(clip: Path, folder: Path, scoring: AbstractContextManager[None]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with scoring:
        picks = pick_covers(clip, CoverOptions(count=1, quality=95), limits=Limits(seconds=_SECONDS))
    path = folder / f"{OURS}.jpg"
    path.write_bytes(picks.covers[0].image)
    (folder / f"{OURS}.txt").write_text(f"{picks.covers[0].seconds:.3f}\n", "utf-8")
    return path


def _covers_of(recipes: Mapping[str, Recipe], clip: Path, folder: Path) -> Covers:
    """Ask each tool, unless its cover or its failure is kept from an earlier run."""
    covers: Covers = {}
    for name, recipe in recipes.items():
        kept = folder / f"{name}.jpg"
        if not kept.exists():
            with tempfile.TemporaryDirectory() as scratch:
                found = recipe(clip, Path(scratch))
                shutil.copy(found, kept) if found is not None else kept.touch()
        if kept.stat().st_size:
            covers[name] = kept
    return covers


def draw_all(covers: Mapping[str, Covers], out: Path, seed: int) -> dict[str, Sheet]:
    """Draw every sheet, named by numbers that tell nothing, and give what is behind them."""
    for name in ("pairs", "pages", "lineups"):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    lineups = [shuffled(clip, _same_together(found), seed) for clip, found in sorted(covers.items())]
    pairs = [
        shuffled(clip, _same_together({OURS: found[OURS], tool: found[tool]}), seed)
        for clip, found in sorted(covers.items())
        for tool in sorted(found.keys() - {OURS})
    ]
    random.Random(seed).shuffle(lineups)
    random.Random(seed).shuffle(pairs)
    named = {f"r{number:02}": sheet for number, sheet in enumerate(lineups, start=1)}
    for name, sheet in named.items():
        if len(sheet.tiles) > 1:
            draw_sheet(name, _pictures(sheet, covers), 3).save(out / "lineups" / f"{name}.jpg", quality=92)
    numbered = {f"p{number:03}": sheet for number, sheet in enumerate(pairs, start=1)}
    drawn = []
    for name, sheet in numbered.items():
        if len(sheet.tiles) > 1:
            picture = draw_sheet(name, _pictures(sheet, covers), 2)
            picture.save(out / "pairs" / f"{name}.jpg", quality=92)
            drawn.append(picture)
    for number, start in enumerate(range(0, len(drawn), _PAIRS_ON_A_PAGE), start=1):
        page = stack(drawn[start : start + _PAIRS_ON_A_PAGE], _PAGE_COLUMNS)
        page.save(out / "pages" / f"{number:02}.jpg", quality=90)
    return named | numbered


def _same_together(covers: Covers) -> list[list[str]]:
    """Put tools with the same picture into one group."""
    groups: list[list[str]] = []
    for tool, path in covers.items():
        group = next((group for group in groups if same_picture(covers[group[0]], path)), None)
        if group is None:
            groups.append([tool])
        else:
            group.append(tool)
    return groups


def _pictures(sheet: Sheet, covers: Mapping[str, Covers]) -> Sequence[Path]:
    return [covers[sheet.clip][tile[0]] for tile in sheet.tiles]


def _count(arguments: argparse.Namespace) -> None:
    key = json.loads((arguments.out / "key.json").read_text("utf-8"))
    sheets = {name: Sheet(entry["clip"], tuple(tuple(tile) for tile in entry["tiles"])) for name, entry in key.items()}
    answers = read_answers(arguments.answers.read_text("utf-8"))
    tools = sorted(frozenset().union(*(sheet.tools for sheet in sheets.values())) - {OURS})
    for kind, meaning in (("r", "line-ups"), ("p", "pairs")):
        chosen = {name: sheet for name, sheet in sheets.items() if name.startswith(kind)}
        if not any(name.startswith(kind) for name in answers):
            continue
        print(f"\n{meaning}\n\n{HEADER}")
        for tool in tools:
            by_clip = points(chosen, answers, OURS, tool)
            if by_clip:
                print(preference(by_clip).row(tool))
    if arguments.losses:
        for name, answer in sorted(answers.items()):
            place = places(sheets[name], answer)
            better = sorted(tool for tool in place if place[tool] < place[OURS])
            if better:
                print(f"{name} {sheets[name].clip}: {', '.join(better)}")


if __name__ == "__main__":
    main()

"""The steps in order: open, look, score, look closer, choose, render; the budget is checked between and inside them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from smartcover.engine.budget import Budget
from smartcover.engine.colour import ColourConverter
from smartcover.engine.cover import make_cover
from smartcover.engine.faces import FaceFinder
from smartcover.engine.gathering import Gatherer
from smartcover.engine.geometry import Orientation, output_size
from smartcover.engine.instants import best_after, settled
from smartcover.engine.jury import Judgement, Jury, networks_for
from smartcover.engine.letterbox import Letterbox
from smartcover.engine.looking import Looker
from smartcover.engine.looks import Look
from smartcover.engine.memory import keep_freed_memory
from smartcover.engine.selection import Selection
from smartcover.engine.sessions import close_all
from smartcover.engine.source import Source
from smartcover.engine.study import Studied, study
from smartcover.engine.types import (
    MAX_COUNT,
    Cover,
    CoverOptions,
    Limits,
    Picks,
    Rejection,
    RejectionKind,
    SeekableReader,
)
from smartcover.errors import DecodeTimedOut, NoFrames, NoSafeFrame

_LOOKS_FOR_EACH_COVER = 1.5
"""How many moments are looked at for each cover that is wanted, where that is more than the limits say."""

_CLOSER_ROUNDS, _UNSEEN_ROUNDS = 4, 4
"""How often finalists are chosen anew after closer looks, and in each such round after networks saw new ones."""

_SPARE_FINALISTS, _SPARE_CLOSER_LOOKS = 1, 3
"""How many more than covers are wanted are looked at closer at once, and in all: some lose their place by it."""


def pick_covers(
    video: str | os.PathLike[str] | SeekableReader,
    options: CoverOptions,
    *,
    limits: Limits,
    on_progress: Callable[[str, float], None] | None = None,
    find_faces: FaceFinder | None = None,
) -> Picks:
    """Do what `smartcover.engine.pick_covers` promises. `find_faces` replaces the vendored detector."""
    budget = Budget(limits)
    keep_freed_memory()
    picker = _Picker(video, options, budget, on_progress, find_faces)
    # An index or seeking that misleads must not cost a video its cover, nor damage everywhere.
    for attempt in (_Attempt(), _Attempt(reading_on=True), _Attempt(reading_on=True, strict=False)):
        picks = picker.run(attempt)
        if picks is not None:
            return picks
    Source(video, budget, strict=True, undecoded=True).close()  # says if all were too large to decode
    raise NoFrames(
        "No frame of the video can be decoded; the file may be damaged or incomplete: fetch or make it again"
    )


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One way to read a video. Without `strict`, frames that decoded with errors are taken too."""

    reading_on: bool = False
    strict: bool = True


class _Picker:
    def __init__(
        self,
        video: str | os.PathLike[str] | SeekableReader,
        options: CoverOptions,
        budget: Budget,
        on_progress: Callable[[str, float], None] | None,
        find_faces: FaceFinder | None,
    ) -> None:
        self._video, self._options, self._budget = video, options, budget
        self._progress = on_progress or (lambda _step, _share: None)
        self._jury = Jury(options, budget, networks_for(options, find_faces))
        self._converter = ColourConverter()
        self._timings: dict[str, float] = {}

    def run(self, attempt: _Attempt) -> Picks | None:
        """Try one way; None when it shows no usable frame."""
        with self._step("open", 0.0):
            source = Source(self._video, self._budget, strict=attempt.strict, gpu=self._options.gpu)
        with source:
            limits, least = self._budget.limits, round(self._options.count * _LOOKS_FOR_EACH_COVER)
            wanted = max(limits.candidates, least)
            enough = max(min(limits.keyframes, limits.candidates), least)
            looker = Looker(source, self._check_size)
            gatherer = Gatherer(
                source, looker, wanted, enough, lambda share: self._progress("look", 0.05 + 0.6 * share)
            )
            with self._step("look", 0.05):
                looks = gatherer.gather_reading_on() if attempt.reading_on else gatherer.gather()
            if not looks or (attempt.strict and all(look.damage for look in looks)):
                return None
            with self._step("score", 0.65):
                studied = self._look_between(gatherer, looker, self._study(looks, looker.facts.orientation))
            looker.decoder.rest()
            with self._step("networks", 0.7):
                studied = self._jury.see_best(studied)
            with self._step("closer", 0.8):
                studied = self._look_closer(looker, studied)
            looker.decoder.rest()
            with self._step("render", 0.9):
                covers, selection, failed = self._render_best(looker, studied)
            info = looker.facts.info()
        rejections = _rejections(selection, self._jury.judge(studied), failed)
        self._timings["total"] = self._budget.elapsed_seconds()
        self._progress("done", 1.0)
        fallback, unseen = selection.fallback, None
        if gatherer.unseen is not None:
            unseen = "nothing from {:g} s to {:g} s was looked at".format(*(round(end, 1) for end in gatherer.unseen))
            fallback = fallback and f"in what was looked at, {fallback}"
        return Picks(info, covers, rejections, fallback, self._timings, unseen)

    def _check_size(self, display_size: tuple[int, int]) -> None:
        """Refuse a cover that cannot be made before the work for it; what is left without black bars shows later."""
        if not self._options.crop_letterbox:
            output_size(display_size, self._options)

    @contextmanager
    def _step(self, name: str, share: float) -> Iterator[None]:
        self._budget.check_time()
        self._progress(name, share)
        started = time.perf_counter()
        yield
        self._timings[name] = self._timings.get(name, 0.0) + time.perf_counter() - started

    def _look_between(self, gatherer: Gatherer, looker: Looker, studied: list[Studied]) -> list[Studied]:
        """
        Look between keyframes too where most moments that were looked at are keyframes with a defect.

        Of a long video keyframes alone are looked at, and what spoils one may begin at each of them.
        """
        spoilt = {
            entry.look.pts
            for entry, defect in zip(studied, self._jury.judge(studied).defects, strict=True)
            if defect is not None and defect.kind != "broken" and not entry.look.neighbours
        }
        if len(spoilt) <= len(studied) // 2:
            return studied
        found = self._study(gatherer.look_between(spoilt), looker.facts.orientation)
        return sorted([*studied, *found], key=lambda entry: entry.look.pts)

    def _study(self, looks: list[Look], orientation: Orientation) -> list[Studied]:
        studied = []
        for look in sorted(looks, key=lambda look: look.pts):
            self._budget.check_time()
            studied.append(study(look, orientation))
        return studied

    def _make_room(self, looker: Looker) -> None:
        """Where frames are large, so that decoders take much memory, free what networks hold before decoding on."""
        if looker.has_large_frames:
            close_all()
            looker.decoder.rest()

    def _look_closer(self, looker: Looker, studied: list[Studied]) -> list[Studied]:
        """
        Decode on a little from the finalists that were seen alone, and take the better instant of each.

        Alone, a keyframe in the middle of a fade looks like a soft picture. When that costs a finalist its place,
        the next best is looked at in turn.
        """
        result = list(studied)
        wanted = min(MAX_COUNT, self._options.count + _SPARE_FINALISTS)
        looked, most = 0, self._options.count + _SPARE_CLOSER_LOOKS
        for _round in range(_CLOSER_ROUNDS):
            if self._budget.is_late:
                break
            selection = self._jury.see_chosen(result, wanted, _UNSEEN_ROUNDS)
            pending = [
                entry.index
                for entry in selection.chosen
                if not result[entry.index].closer and not result[entry.index].look.neighbours
            ]
            if not pending:
                break
            self._make_room(looker)
            for index in pending:
                if self._budget.sampling_is_over or looked >= most:
                    return result
                looked += 1
                result[index] = best_after(looker, self._jury, result, index)
            looker.decoder.rest()
        return result

    def _render_best(
        self, looker: Looker, studied: list[Studied]
    ) -> tuple[tuple[Cover, ...], Selection, frozenset[int]]:
        """
        Render the chosen; one whose packets do not decode again makes room for the next best. Also say which.

        When the time is over, those that are ready are all there are.
        """
        letterbox = Letterbox([entry.look.picture for entry in studied]) if self._options.crop_letterbox else None
        # Whatever the closer looks left, no cover is taken that the networks did not see.
        self._jury.see_chosen(studied, self._options.count, len(studied) + 1)
        scores = self._jury.judge(studied).standings

        def made(index: int) -> Cover | None:
            self._budget.check_time()
            self._make_room(looker)
            shown = settled(looker, self._jury, studied, index)
            content = None if letterbox is None else letterbox.content(shown.look.picture)
            return make_cover(looker, shown, scores[index], self._options, converter=self._converter, content=content)

        rendered: dict[int, Cover] = {}
        failed: frozenset[int] = frozenset()
        selection = self._jury.select(studied)
        while missing := [entry.index for entry in selection.chosen if entry.index not in rendered]:
            try:
                cover = made(missing[0])
            except DecodeTimedOut:
                selection = _cut_short(selection, rendered, self._budget.limits)
                if not selection.chosen:
                    raise
                break
            if cover is not None:
                rendered[missing[0]] = cover
            else:
                failed |= {missing[0]}
                selection = self._jury.select(studied, without=failed)
        if not selection.chosen and self._options.safety and not failed:
            raise NoSafeFrame
        if not selection.chosen:
            raise NoFrames("No frame of the video can be decoded twice; the file may be damaged")
        return tuple(rendered[entry.index] for entry in selection.chosen), selection, failed


def _cut_short(selection: Selection, rendered: Collection[int], limits: Limits) -> Selection:
    """Leave of a selection what was rendered before the time was over, and say so."""
    done = tuple(entry for entry in selection.chosen if entry.index in rendered)
    left = f"{len(done)} of {len(selection.chosen)} covers could be made in {limits.seconds:g} s; raise the time limit"
    return replace(selection, chosen=done, fallback="; ".join(filter(None, (selection.fallback, left))))


def _rejections(selection: Selection, judged: Judgement, failed: frozenset[int]) -> tuple[Rejection, ...]:
    """Say of each look that did not become a cover why."""
    chosen = {entry.index for entry in selection.chosen}
    duplicates = {entry.index for entry in selection.duplicates}
    rejections = []
    for index, (entry, defect, score) in enumerate(zip(judged.studied, judged.defects, judged.standings, strict=True)):
        if index in chosen:
            continue
        kind: RejectionKind = "outscored"
        reason = f"it is clean and its score is {max(0.0, score.value):.2f}; the covers were preferred"
        if defect is not None:
            kind, reason = defect.kind, defect.reason
        elif index in failed:
            kind, reason = "broken", "its data did not decode a second time"
        elif index in duplicates:
            kind, reason = "duplicate", "it shows the same picture as a better frame"
        rejections.append(Rejection(entry.look.seconds, kind, reason, dict(entry.signals)))
    return tuple(rejections)

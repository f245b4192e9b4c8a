"""Judging all looks of a video together: defects, scores, what the networks are shown, and who is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from smartcover.engine import safety
from smartcover.engine.budget import Budget
from smartcover.engine.candidates import Look
from smartcover.engine.company import Member, company_signals
from smartcover.engine.defects import Defect, doubt, find_defect, wreckage
from smartcover.engine.faces import FaceFinder
from smartcover.engine.norms import WORDY_LINES, Clip
from smartcover.engine.scorer_hook import UserScorer
from smartcover.engine.scoring import Score, score_all
from smartcover.engine.selection import Candidate, Selection, select
from smartcover.engine.sessions import Runtime
from smartcover.engine.signals import difference
from smartcover.engine.steadiness import steadied
from smartcover.engine.study import Networks, Studied
from smartcover.engine.types import CoverOptions
from smartcover.errors import BadParameter

_MOST_READ = 16
"""Looks whose text is read, of one video: each costs as much as decoding one at full size."""

_COMPARED, _MOST_COMPARED = 3, 6
"""How many others are read when all finalists show much text; and how many may have been read before."""


_LEAST_CONTRAST = 0.05
"""Contrast from which a picture that is read for comparison shows something."""


class Jury:
    """Judges what was studied of one video; how good a look is depends on the others."""

    def __init__(self, options: CoverOptions, budget: Budget, networks: Networks) -> None:
        self.networks = networks
        self._options, self._budget = options, budget
        self._compared: tuple[tuple[Look, ...], list[dict[str, float]]] = ((), [])

    def judge(self, studied: list[Studied]) -> tuple[list[Defect | None], list[Score]]:
        """Give each look's defect, if it has one, and its own score."""
        defects, _doubts = self._faults(studied)
        return defects, score_all([entry.signals for entry in studied])

    def _faults(self, studied: list[Studied]) -> tuple[list[Defect | None], list[float]]:
        """Give each look's defect, if it has one, and what it loses of its score for what may be one."""
        company = self._company(studied)
        known = [{**entry.signals, **signals} for entry, signals in zip(studied, company, strict=True)]
        intact = [signals for entry, signals in zip(studied, known, strict=True) if not entry.look.damage]
        clip = Clip.of(intact or known[:1])
        defects = [
            find_defect(signals, clip, broken=entry.look.damage > 0)
            for entry, signals in zip(studied, known, strict=True)
        ]
        return defects, [doubt(signals, clip) for signals in known]

    def _company(self, studied: list[Studied]) -> list[dict[str, float]]:
        """Compare the looks with each other; once for the same looks, as networks add nothing that is compared."""
        looks = tuple(entry.look for entry in studied)
        if looks != self._compared[0]:
            members = [
                Member(look.seconds, look.glance, [one.glance for one in look.neighbours], entry.signals)
                for look, entry in zip(looks, studied, strict=True)
            ]
            self._compared = looks, company_signals(members)
        return self._compared[1]

    def standings(self, studied: list[Studied]) -> tuple[list[Defect | None], list[Score]]:
        """Give each look's defect, and the score by which it is chosen: mixed with those around it."""
        defects, doubts = self._faults(studied)
        scores = score_all([entry.signals for entry in studied])
        values = steadied(
            [score.value - score.momentary for score in scores],
            [defect is None for defect in defects],
            [float(entry.look.pts) for entry in studied],
            np.stack([entry.signature for entry in studied]),
        )
        return defects, [
            replace(score, value=max(0.0, value + score.momentary - lost))
            for score, value, lost in zip(scores, values, doubts, strict=True)
        ]

    def see_best(self, studied: list[Studied]) -> list[Studied]:
        """Look for faces in all clean candidates; show the other networks the best by what is known then."""
        defects, _scores = self.judge(studied)
        result = list(studied)
        for index, defect in enumerate(defects):
            self._budget.check_time()
            if defect is None:
                result[index] = self.networks.find(studied[index])
        defects, scores = self.judge(result)
        order = sorted(range(len(result)), key=lambda index: (defects[index] is not None, -scores[index].value, index))
        for index in order[: self._budget.limits.networks_on]:
            self._budget.check_time()
            result[index] = self.networks.look(result[index])
        return result

    def see_chosen(self, studied: list[Studied], wanted: int, rounds: int) -> Selection:
        """Choose finalists; show the networks, in place, those not seen yet, read those in front, and choose again."""
        for _round in range(rounds):
            selection = self.select(studied, count=wanted)
            chosen = [entry.index for entry in selection.chosen]
            unseen = [index for index in chosen if studied[index].meaning is None]
            left = max(0, _MOST_READ - sum(entry.is_read for entry in studied))
            unread = [index for index in chosen[: self._options.count] if not studied[index].is_read][:left]
            if not unseen and not unread:
                break
            self._budget.check_time()
            for index in unseen:
                studied[index] = self.networks.look(studied[index])
            for index in unread:
                studied[index] = self.networks.read(studied[index])
            for index in _to_read_for_comparison(studied) if unread else ():
                studied[index] = self.networks.read(studied[index])
        return selection

    def select(
        self, studied: list[Studied], *, count: int | None = None, without: frozenset[int] = frozenset()
    ) -> Selection:
        """Choose the covers, or so many finalists, without those whose index is named."""
        defects, scores = self.standings(studied)
        candidates = [
            Candidate(
                index,
                entry.look.seconds,
                _standing(entry, scores[index].value, defects[index]),
                entry.signature,
                defects[index],
                entry.meaning,
            )
            for index, entry in enumerate(studied)
            if index not in without
        ]
        return select(candidates, replace(self._options, count=count) if count else self._options)


def networks_for(options: CoverOptions, find_faces: FaceFinder | None) -> Networks:
    """
    Prepare the networks that the options ask for.

    Raises:
        BadParameter: If the safety network is not installed, or the scorer cannot serve.
    """
    if options.safety and not safety.available():
        raise BadParameter(
            'the safety check needs its network, which is not installed: pip install "smartcover[safety]"'
        )
    runtime = Runtime(gpu=options.gpu)
    scorer = None if options.scorer is None else UserScorer.load(Path(options.scorer), runtime)
    return Networks(find_faces, runtime, options.safety, scorer)


def _to_read_for_comparison(studied: list[Studied]) -> list[int]:
    """
    Choose what else to read when all that was read shows much text: the softest, and those least like what was read.

    Whether lines of text are credits or what the video is made of shows only beside other moments of it.
    """
    read = [entry for entry in studied if entry.is_read]
    if min(entry.signals["text_lines"] for entry in read) < WORDY_LINES or len(read) > _MOST_COMPARED:
        return []
    signatures = np.stack([entry.signature for entry in studied])
    unread = [index for index, entry in enumerate(studied) if _may_tell(entry)]
    chosen = [max(unread, key=lambda index: studied[index].signals["blur_extent"])] if unread else []
    for _place in range(len(chosen), _COMPARED):
        known = [entry.signature for entry in studied if entry.is_read] + [signatures[index] for index in chosen]
        apart = [
            -1.0 if entry.is_read or index in chosen else min(difference(entry.signature, other) for other in known)
            for index, entry in enumerate(studied)
        ]
        if max(apart) <= 0:
            break
        chosen.append(int(np.argmax(apart)))
    return chosen


def _may_tell(entry: Studied) -> bool:
    """Tell whether reading a look may show what the video is like: it shows something, and it is intact."""
    return not entry.is_read and not entry.look.damage and entry.signals["contrast"] > _LEAST_CONTRAST


def _standing(entry: Studied, value: float, defect: Defect | None) -> float:
    """
    Say how a candidate stands in the choice.

    Among broken frames the garbage itself would score as rich detail: there the least broken stands first. The
    caller's own score counts as much as ours, and a doubtful frame loses up to half a score.
    """
    if defect is not None and defect.kind == "broken":
        return value - wreckage(entry.signals)
    unsafe = (entry.signals.get("unsafe", 0.0) - safety.DOUBT_FROM) / (safety.REJECT_FROM - safety.DOUBT_FROM)
    return (value + entry.signals.get("own_score", value)) / 2 - 0.5 * min(1.0, max(0.0, unsafe))

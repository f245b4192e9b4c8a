"""Judging all looks of a video together: defects, scores, what the networks are shown, and who is chosen."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from smartcover.engine import safety
from smartcover.engine.budget import Budget
from smartcover.engine.company import Company
from smartcover.engine.defects import Defect, find_defect, norms_of, shows_face_in_focus, wreckage
from smartcover.engine.doubts import doubt
from smartcover.engine.faces import FaceFinder
from smartcover.engine.looks import Look
from smartcover.engine.norms import WORDY_LINES
from smartcover.engine.pairs import Member
from smartcover.engine.reframing import likeness_when_reframed
from smartcover.engine.scorer_hook import UserScorer
from smartcover.engine.scoring import Score, score_all, with_own
from smartcover.engine.selection import Candidate, Selection, select
from smartcover.engine.sessions import Runtime
from smartcover.engine.signals import difference
from smartcover.engine.steadiness import steadied
from smartcover.engine.study import MEANING, Networks, Studied
from smartcover.engine.types import CoverOptions, Signals
from smartcover.errors import BadParameter

_MOST_READ = 16
"""Looks whose text is read, of one video: each costs as much as decoding one at full size."""

_COMPARED, _MOST_COMPARED = 3, 6
"""How many others are read when all finalists show much text; and how many may have been read before."""


_LOOKS_THE_SAME = 3.0
"""
Distance of signatures under which one picture's meaning is a good guess at the other's: on a third of the judged clips
the appeal of such pairs is a tenth to a half of its standard deviation within the clip apart, from 20 on 1.5.
"""

_BORROWED = (*MEANING, "own_score", "unsafe")
"""Signals of networks that are guessed so: for the choice only, never for a rejection."""

_ABOUT_THE_SAME, _REFRAMED = 0.85, 0.985
"""
Likeness of meanings from which a picture may be another in a different framing, and how well it must fit in it. Cuts of
one picture fit at 0.988 or more; of 1,500 pairs of moments that mean about the same 39 pass, most of them pans.
"""

_LEAST_CONTRAST = 0.05
"""Contrast from which a picture that is read for comparison shows something."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """
    What is thought of some looks of one video that stand together; of each look, in their order.

    Attributes:
        defects: Its defect, if it has one.
        doubts: What it loses of its score for what may be one.
        apart: How different any two of them look; see `signals.difference`.
    """

    studied: tuple[Studied, ...]
    defects: tuple[Defect | None, ...]
    doubts: tuple[float, ...]
    apart: npt.NDArray[np.float64]

    @functools.cached_property
    def guesses(self) -> list[Signals]:
        """Its signals; of one that the networks did not see, with what they saw in another that looks the same."""
        return _with_borrowed(self.studied, self.apart)

    @functools.cached_property
    def scores(self) -> list[Score]:
        """Its own score, as far as can be guessed."""
        return score_all(self.guesses)

    @functools.cached_property
    def standings(self) -> list[Score]:
        """
        The score by which it is chosen, and shown: mixed with those around it, then with the caller's own scorer's.

        It is 0 to 1, but for broken and for unsafe looks, which may stand below 0.
        """
        values = steadied(
            [score.value - score.momentary for score in self.scores],
            [defect is None for defect in self.defects],
            [float(entry.look.pts) for entry in self.studied],
            self.apart,
        )
        ours = [
            replace(score, value=max(0.0, value + score.momentary - lost))
            for score, value, lost in zip(self.scores, values, self.doubts, strict=True)
        ]
        return [
            replace(score, value=_standing(signals, score.value, defect))
            for score, signals, defect in zip(with_own(ours, self.guesses), self.guesses, self.defects, strict=True)
        ]


def _with_borrowed(studied: Sequence[Studied], apart: npt.NDArray[np.float64]) -> list[Signals]:
    """
    Give the signals of looks; those that the networks did not see borrow of the seen one that looks most alike.

    What is missing counts as the middle. So where a video repeats itself, the unseen twins of a picture that the
    networks think little of would be chosen, shown to them and left again, one after the other.
    """
    seen = [index for index, entry in enumerate(studied) if entry.meaning is not None]

    def guess(index: int, entry: Studied) -> Signals:
        if entry.meaning is not None or not seen:
            return entry.signals
        twin = min(seen, key=lambda other: apart[index, other])
        if not apart[index, twin] < _LOOKS_THE_SAME:
            return entry.signals
        known = studied[twin].signals
        return {**{name: known[name] for name in _BORROWED if name in known}, **entry.signals}

    return [guess(index, entry) for index, entry in enumerate(studied)]


class Jury:
    """Judges what was studied of one video; how good a look is depends on the others."""

    def __init__(self, options: CoverOptions, budget: Budget, networks: Networks) -> None:
        self.networks = networks
        self._options, self._budget = options, budget
        self._company = Company()
        # Weak: pictures that were looked at and left are not to be kept for their glances.
        self._members: WeakKeyDictionary[Look, Member] = WeakKeyDictionary()
        self._reframed: WeakKeyDictionary[Look, WeakKeyDictionary[Look, bool]] = WeakKeyDictionary()
        self._latest = Judgement((), (), (), np.zeros((0, 0)))

    def judge(self, studied: Sequence[Studied]) -> Judgement:
        """Judge looks that stand together; at no cost while they are the ones that were judged last."""
        if tuple(studied) != self._latest.studied:
            members = [self._member(entry) for entry in studied]
            company = self._company.signals(members)
            known = [{**entry.signals, **signals} for entry, signals in zip(studied, company, strict=True)]
            broken = [entry.look.damage > 0 for entry in studied]
            clip = norms_of(known, broken)
            defects = (
                find_defect(signals, clip, broken=damaged) for signals, damaged in zip(known, broken, strict=True)
            )
            doubts = (doubt(signals, clip) for signals in known)
            apart = self._company.distances(members)
            self._latest = Judgement(tuple(studied), tuple(defects), tuple(doubts), apart)
        return self._latest

    def _member(self, entry: Studied) -> Member:
        """Give a look as it is compared with others; once for each, as networks add nothing that is compared."""
        look = entry.look
        if look not in self._members:
            glances = [one.glance for one in look.neighbours]
            self._members[look] = Member(
                look.seconds, look.glance, entry.signature, glances, entry.signals, entry.fineness
            )
        return self._members[look]

    def see_best(self, studied: list[Studied]) -> list[Studied]:
        """
        Look for faces in all clean candidates; show the other networks the best by what is known then.

        Where only others say that a candidate is blurred, a face in focus may show that it is not. When it is late, the
        rest is left unseen.
        """
        result = list(studied)
        for index, defect in enumerate(self.judge(studied).defects):
            if self._budget.is_late:
                break
            if defect is not None and defect.kind != "blurry":
                continue
            found = self.networks.find(studied[index])
            if defect is None or shows_face_in_focus(found.signals):
                result[index] = found
        judged = self.judge(result)
        order = sorted(
            range(len(result)),
            key=lambda index: (judged.defects[index] is not None, -judged.scores[index].value, index),
        )
        best, others = order[: self._budget.limits.networks_on], order[self._budget.limits.networks_on :]
        # A moment between keyframes cost more to decode than the networks do.
        between = [index for index in others if judged.defects[index] is None and result[index].look.neighbours]
        for index in (*best, *between):
            if self._budget.is_late:
                break
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
        judged = self.judge(studied)
        candidates = [
            Candidate(
                index,
                entry.look.seconds,
                standing.value,
                entry.signature,
                defect,
                entry.meaning,
            )
            for index, (entry, standing, defect) in enumerate(
                zip(studied, judged.standings, judged.defects, strict=True)
            )
            if index not in without
        ]
        options = replace(self._options, count=count) if count else self._options
        return select(
            candidates, options, lambda one, other: self._is_reframed(studied[one.index], studied[other.index])
        )

    def _is_reframed(self, one: Studied, other: Studied) -> bool:
        """Tell whether one picture is the other moved or zoomed, as far as the networks saw both; asked once a pair."""
        if one.meaning is None or other.meaning is None or float(one.meaning @ other.meaning) < _ABOUT_THE_SAME:
            return False
        known = self._reframed.setdefault(one.look, WeakKeyDictionary())
        if other.look not in known:
            known[other.look] = likeness_when_reframed(one.look.picture, other.look.picture) > _REFRAMED
        return known[other.look]


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


def _standing(signals: Signals, value: float, defect: Defect | None) -> float:
    """
    Say how a look stands in the choice by what is more than its score.

    Among broken frames the garbage itself would score as rich detail: there the least broken stands first. One that
    may be unsafe loses up to half a score.
    """
    if defect is not None and defect.kind == "broken":
        return value - wreckage(signals)
    unsafe = (signals.get("unsafe", 0.0) - safety.DOUBT_FROM) / (safety.REJECT_FROM - safety.DOUBT_FROM)
    return value - 0.5 * min(1.0, max(0.0, unsafe))

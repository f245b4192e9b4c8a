"""The best instant around a moment: decode on from keyframes, and around moments between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from smartcover.engine.jury import Jury
from smartcover.engine.looking import Looker
from smartcover.engine.looks import Look
from smartcover.engine.signals import difference
from smartcover.engine.study import Studied, study, study_again
from smartcover.engine.types import Signals

_SAME_SHOT = 20.0
"""Distance of signatures up to which two pictures shortly after each other are one shot."""

_SHARPER, _EYES_OPENED = 1.15, 0.25
"""What an instant beside a chosen moment must gain; smaller differences of frames are noise (docs/quality.md)."""


def best_after(looker: Looker, jury: Jury, studied: list[Studied], index: int) -> Studied:
    """Take the best of the instants after a keyframe that was seen alone, judged as all other moments are."""
    entry = studied[index]
    kept = _instants(looker, jury, studied, entry)
    if not kept:
        return replace(entry, closer=True)
    judged = jury.judge([*kept, *studied])
    best = max(range(len(kept)), key=lambda place: (judged.defects[place] is None, judged.scores[place].value))
    return replace(kept[best], closer=True)


def settled(looker: Looker, jury: Jury, studied: list[Studied], index: int) -> Studied:
    """
    Leave a moment between keyframes for an instant beside it that is plainly better, now that it is a cover.

    It was chosen with what surrounds it, so its place among the covers stays.
    """
    entry = studied[index]
    if entry.closer or not entry.look.neighbours:
        return entry
    kept = _instants(looker, jury, studied, entry)
    if not kept:
        return entry
    here = min(kept, key=lambda instant: abs(instant.look.pts - entry.look.pts))
    judged = jury.judge([*kept, *studied])
    better = [
        place
        for place, instant in enumerate(kept)
        if judged.defects[place] is None and _plainly_better(instant.signals, here.signals)
    ]
    return kept[max(better, key=lambda place: judged.scores[place].value)] if better else entry


def _instants(looker: Looker, jury: Jury, studied: list[Studied], entry: Studied) -> list[Studied]:
    """Look at a moment and at the instants around it that show the same picture; none where that costs too much."""
    looks = [look for look in looker.look_closer(entry.look) if not look.damage]
    if not looks:
        return []
    first = min(looks, key=lambda look: abs(look.pts - entry.look.pts))
    others = {other.look.pts for other in studied if other is not entry}
    instants = []
    for look in looks:
        if look is not first and look.pts in others:
            continue
        if look is first and _was_seen(look, entry):
            instants.append(study_again(entry, look, looker.facts.orientation))
            continue
        instant = study(look, looker.facts.orientation)
        # A cut may lie between: what was chosen is the picture on this side of it.
        if look is first or difference(instant.signature, entry.signature) <= _SAME_SHOT:
            instants.append(jury.networks.look_again(instant, entry) if entry.meaning is not None else instant)
    return instants


def _was_seen(look: Look, entry: Studied) -> bool:
    """Tell whether the networks saw this very picture when nothing was known of what surrounds it."""
    alone = entry.meaning is not None and not entry.look.neighbours
    intact = not (entry.look.damage or entry.look.suspect or look.suspect)
    return alone and intact and np.array_equal(look.picture, entry.look.picture)


def _plainly_better(instant: Signals, moment: Signals) -> bool:
    """Tell whether an instant is clearly sharper than a moment beside it, or its eyes are open and the other's not."""
    opened = instant.get("eyes_open", 0.0) - moment.get("eyes_open", 0.0)
    sharper = instant["sharpness"] > _SHARPER * moment["sharpness"]
    return opened > _EYES_OPENED or (sharper and opened > -_EYES_OPENED)

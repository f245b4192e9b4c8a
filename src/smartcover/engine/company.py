"""
What the moments that were looked at tell about each other.

The strongest evidence against a bad picture is a better one of the same view: a blur, a fade or too much light shows
beside it however mild, and leaving the worse of two costs nothing. The signals are this project's own; the thresholds
that use them are in defects.py and doubts.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from smartcover.engine.arrays import Floats, Mask
from smartcover.engine.frame_kinds import LETTERED
from smartcover.engine.glances import NO_MIXTURE, is_cut_off, likeness_when_raised, mixture, patched
from smartcover.engine.pairs import (
    ABOUT_SAME_VIEW,
    LEAST_LIFT,
    NEAR_SECONDS,
    PARTLY_SAME_VIEW,
    SAME_VIEW,
    Acquaintance,
    Doubles,
    Member,
    Seen,
)
from smartcover.engine.types import Signals

_SAME_CONTRAST = 0.85
"""Share of its contrast that a picture must have of another's to be a measure of its sharpness."""

_LESS_WHITE = 0.03
"""How much less of a picture must be nearly white for it to be a measure of another's light."""

_MOST_MIXED = 6
"""Moments on each side of one that it may be a mixture of."""

_ENOUGH_FOR_FLASHES = 4
"""How many other pictures of one view there must be for one of them to be taken for a flash."""

_SEAM, _SAME_SEAM = 0.35, 0.012
"""Share of a line along which a border must run to count, and how near in place another is that is the same one."""

_HELD, _HELD_SECONDS = 0.2, 0.15
"""Mean change of glances, of 255, under which a picture is the one of a moment so far away or further: it is held."""


class Company:
    """The moments of one video beside each other."""

    def __init__(self) -> None:
        self._acquaintance = Acquaintance()
        self._mixtures: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Signals] = {}

    def distances(self, members: Sequence[Member]) -> Doubles:
        """Give the `signals.difference` of any two of these moments, in the order given; (n, n)."""
        return self._acquaintance.pairs(self._acquaintance.rows_of(members)).apart

    def signals(self, members: Sequence[Member]) -> list[dict[str, float]]:
        """Compute the signals of each of a video's moments among the others, in the order given."""
        if not members:
            return []
        rows = self._acquaintance.rows_of(members)
        seen, pairs = [self._acquaintance.seen[row] for row in rows], self._acquaintance.pairs(rows)
        light = np.stack([one.light for one in seen])
        means = np.array([one.mean for one in seen], dtype=np.float32)
        spreads = np.array([one.spread for one in seen], dtype=np.float32)
        times = np.array([member.seconds for member in members])
        alike, dimmed = pairs.alike, pairs.left < 1
        np.fill_diagonal(alike, 0.0)
        close = np.abs(times - times[:, None]) < NEAR_SECONDS
        partly_alike = (alike > PARTLY_SAME_VIEW) & close
        raised, curved = (_lent(table, seen, partly_alike) for table in (pairs.raised, pairs.brightened))
        # For most moments of a long video the others are too far away to be held or mixed in them.
        near = close.sum(axis=1) > 1
        held = [one.held or bool(near[place] and _is_held(place, light, times)) for place, one in enumerate(seen)]
        glares = [
            _glare(place, members, (alike[place] > SAME_VIEW) | raised[place], dimmed[:, place], means)
            for place in range(len(seen))
        ]
        glares = _spread_glare(glares, members, alike, dimmed, light, means)
        left = _light_left(pairs.left)
        smoothed, twin_smoothed = _smoothed(members, held, alike > ABOUT_SAME_VIEW, pairs.lost)
        seams = _seams_elsewhere(members)
        noise, specks = (_least_of_twins(name, members, partly_alike) for name in ("noise", "specks"))
        return [
            {
                **_beside_twins(place, members, alike[place] > SAME_VIEW, spreads),
                **(self._mixture(place, rows, times) if near[place] else NO_MIXTURE),
                "twin_glare": glares[place][0],
                "twin_lift": glares[place][1],
                "stillness": 1.0 if held[place] else one.stillness,
                "held": float(held[place]),
                "brightened": float(curved[place].any()),
                "light_left": left[place],
                "smoothed": smoothed[place],
                "twin_smoothed": twin_smoothed[place],
                "twin_noise": noise[place],
                "twin_specks": specks[place],
                "seams_elsewhere": float(seams[place]),
            }
            for place, one in enumerate(seen)
        ]

    def _mixture(self, place: int, rows: Sequence[int], times: Doubles) -> Signals:
        away = times - times[place]
        before = np.flatnonzero((away < 0) & (away > -NEAR_SECONDS))[-_MOST_MIXED:]
        after = np.flatnonzero((away > 0) & (away < NEAR_SECONDS))[:_MOST_MIXED]
        earlier, later = (tuple(rows[other] for other in others) for others in (before, after))
        key = rows[place], earlier, later
        if key not in self._mixtures:
            seen = self._acquaintance.seen
            own, around = seen[rows[place]], [[seen[row].light for row in some] for some in (earlier, later)]
            self._mixtures[key] = {
                **mixture(own.light, *around),
                "patched": patched(own.light, *around, width=own.width),
            }
        return self._mixtures[key]


def _lent(raised: Mask, seen: Sequence[Seen], partly_alike: Mask) -> Mask:
    """
    Lend what tells that one picture is over-exposed to those in the same light near it.

    Of a shot that moves some pictures are unlike the clear ones, and like others that are not.
    """
    tones = np.stack([one.tones for one in seen])
    lit_alike = partly_alike & (np.abs(tones[:, None] - tones).mean(axis=2) < LEAST_LIFT)
    # Not @: see pairs.py.
    lent: Mask = np.einsum("ij,jk->ik", lit_alike.astype(np.float32), raised.astype(np.float32)) > 0
    return raised | lent


def _beside_twins(place: int, members: Sequence[Member], alike: Mask, spreads: Floats) -> dict[str, float]:
    """
    Compare with the sharpness of the other pictures of the same view.

    Returns:
        `twin_sharpness`: own sharpness over that of the sharpest twin; `twin_softening`: what the blur extent exceeds
        that twin's by; `twin_blur`: the blur extent of the softest twin. Without twins 1, 0 and 0.
    """
    twins = np.flatnonzero(alike).tolist()
    if not twins:
        return {"twin_sharpness": 1.0, "twin_softening": 0.0, "twin_blur": 0.0}
    own = members[place].signals
    # A blur takes contrast too: a sharper one with less of it is dimmed, and letters over it are what is sharp.
    measures = [twin for twin in twins if spreads[twin] > _SAME_CONTRAST * spreads[place]] or [place]
    sharpest = members[max(measures, key=lambda twin: members[twin].signals["sharpness"])].signals
    return {
        "twin_sharpness": (own["sharpness"] + 1.0) / (sharpest["sharpness"] + 1.0),
        "twin_softening": own["blur_extent"] - sharpest["blur_extent"],
        "twin_blur": max(members[twin].signals["blur_extent"] for twin in twins),
    }


_Glare = tuple[float, float]
"""The share of nearly white beyond that of the twin with least, and by how much the mean light exceeds that twin's."""


def _glare(place: int, members: Sequence[Member], comparable: Mask, dimmed: Mask, means: Floats) -> _Glare:
    """Compare with the light of the other pictures of the same view; 0 and 0 without any that has less of it."""
    own = members[place].signals["bright_share"]
    # What is this picture itself, dimmed, does not tell that it has too much light.
    calm = [
        twin
        for twin in np.flatnonzero(comparable & ~dimmed).tolist()
        if members[twin].signals["bright_share"] <= own - _LESS_WHITE
    ]
    if not calm:
        return 0.0, 0.0
    least = min(calm, key=lambda twin: members[twin].signals["bright_share"])
    return own - members[least].signals["bright_share"], float(means[place] - means[least]) / 255


def _spread_glare(
    glares: Sequence[_Glare],
    members: Sequence[Member],
    alike: Floats,
    dimmed: Mask,
    light: Floats,
    means: Floats,
) -> list[_Glare]:
    """
    Find light that is raised and cut off from one moment to the next, and lend it to the rest of what is lit so.

    Where things move, only the moments on both sides of the step still show about one view; from there on, moments
    that follow each other in one light belong together.
    """
    result = list(glares)
    shares = np.array([member.signals["bright_share"] for member in members])
    near = [after.seconds - before.seconds < NEAR_SECONDS for before, after in pairwise(members)]
    # Where the darker one is dimmed, the other has not too much light.
    dims = np.diagonal(dimmed | dimmed.T, 1)
    steps = [_kind_of_step(place, light, means) if near[place] and not dims[place] else 0 for place in range(len(near))]
    for place, step in enumerate(steps):
        if not step:
            continue
        bright, dark = (place + 1, place) if step > 0 else (place, place + 1)
        way, reached = step, bright
        while 0 <= reached < len(members):
            lent = float(shares[reached] - shares[dark]), float(means[reached] - means[dark]) / 255
            result[reached] = max(result[reached], lent, key=min)
            following = reached if way > 0 else reached - 1
            if not 0 <= following < len(steps) or steps[following] or not near[following]:
                break
            if not _is_one_light(following, alike, means):
                break
            reached += way
    return result


def _is_one_light(place: int, alike: Floats, means: Floats) -> bool:
    return bool(alike[place, place + 1] > ABOUT_SAME_VIEW and abs(means[place + 1] - means[place]) < LEAST_LIFT)


def _kind_of_step(place: int, light: Floats, means: Floats) -> int:
    """Tell whether light is raised and cut off in the moment after (1) or in this beside that (-1), or neither (0)."""
    step = float(means[place + 1] - means[place])
    if abs(step) < 2 * LEAST_LIFT:
        return 0
    bright, dark = (light[place + 1], light[place]) if step > 0 else (light[place], light[place + 1])
    if not is_cut_off(bright) or likeness_when_raised(bright, dark[None])[0] < ABOUT_SAME_VIEW:
        return 0
    return 1 if step > 0 else -1


def _light_left(left: Floats) -> list[float]:
    """
    Give the share of contrast that is left of the most that pictures of the same scene have, flashes aside; 1 without
    such.
    """
    result = []
    for place, own in enumerate(left):
        known = own[np.isfinite(own) & (np.arange(len(own)) != place)]
        result.append(1 / _usual_most(1 / np.maximum(known, 1e-3)) if len(known) else 1.0)
    return result


def _usual_most(values: Floats) -> float:
    """Give the largest of some values but for a tenth of them: a flash is no measure for a whole scene."""
    flashes = max(1, len(values) // 10) if len(values) >= _ENOUGH_FOR_FLASHES else 0
    return float(np.sort(values)[-1 - flashes])


def _smoothed(
    members: Sequence[Member], held: Sequence[bool], like: Mask, lost: Doubles
) -> tuple[list[float], list[float]]:
    """
    Tell what is blurred beside pictures of about the same view.

    What is held and what letters make sharp is no measure for others.

    Returns:
        Of each the share of the tiles that have lost their fine detail (see `Pairs.lost`) beside the picture where it
        is most; and the most that a picture of about its view has.
    """
    measures = [
        not is_held and member.signals["blur_extent"] > LETTERED for is_held, member in zip(held, members, strict=True)
    ]
    smoothed = (lost * (like & measures)).max(axis=1)
    return smoothed.tolist(), [float(smoothed[alike].max(initial=0.0)) for alike in like]


def _least_of_twins(name: str, members: Sequence[Member], like: Mask) -> list[float]:
    """
    Give the least of a signal among the moments around that show partly the same; the own without such.

    Grass, grain and snow are as noisy in all of a scene, and stars as many; what is sown by a dissolve comes and goes.
    """
    values = np.array([member.signals[name] for member in members])
    return [float(values[alike].min(initial=own)) for own, alike in zip(values, like, strict=True)]


def _seams_elsewhere(members: Sequence[Member]) -> list[int]:
    """
    Count the other moments in which a straight border runs where this one has its own.

    The halves of a split screen, a table's edge and a door stay where they are; what slides or wipes moves on.
    """
    at = np.array([member.signals["seam_at"] for member in members])
    known = np.array([member.signals["seam"] > _SEAM for member in members])
    same = (np.abs(at - at[:, None]) < _SAME_SEAM) & known
    np.fill_diagonal(same, val=False)
    counts: list[int] = same.sum(axis=1).tolist()
    return counts


def _is_held(place: int, light: Floats, times: Doubles) -> bool:
    """
    Tell whether the next moment before or after shows the very same picture.

    Encoders make a frozen picture breathe between keyframes, so neighbours within half a second may differ more than
    moments seconds apart: those differ by at most 0.1 in frozen pictures, and by 0.6 or more in calm filmed ones.
    """
    apart = np.abs(times - times[place])
    for side in (times < times[place], times > times[place]):
        there = np.flatnonzero(side & (apart >= _HELD_SECONDS) & (apart < NEAR_SECONDS))
        if len(there) and float(np.abs(light[there[np.argmin(apart[there])]] - light[place]).mean()) < _HELD:
            return True
    return False

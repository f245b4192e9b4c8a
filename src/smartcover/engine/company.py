"""
What the moments that were looked at tell about each other.

The strongest evidence against a bad picture is a better one of the same view: a blur, a fade or too much light shows
beside it however mild, and leaving the worse of two costs nothing. Works on glances, all at once, so it is as good as
free. The signals are this project's own; the thresholds that use them are in defects.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smartcover.engine.signals import Bytes, Floats

_LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
_SAME_VIEW, _EXACTLY = 0.94, 0.975
"""Correlation of glances from which two pictures show one view; and from which their light can be compared."""

_BLOWN_OUT, _LEAST_LIFT, _LEAST_BLOWN_OUT, _LEAST_LEFT = 225.0, 12.0, 0.04, 0.15
"""
From which light on a glance may be clipped; how much brighter one must be, which share of it clipped at least, and
which share not, before it is compared as an over-exposed picture.
"""

_GAINS = 0.8, 4.0

_ABOUT_SAME_VIEW = 0.8
"""Correlation of glances from which moments that follow each other show about one view."""

_STRUCTURED = 6.0
_NEAR_SECONDS = 4.0
_MIXED_FROM, _MOST_PAIRS = 0.06, 6
_STILL, _ENOUGH_NEIGHBOURS = 0.6, 3
_HELD, _HELD_SECONDS = 0.2, 0.15
_EXACT, _ENOUGH_REPEATS = 0.06, 2
"""Change of a glance that is none: an encoder's repeat of a picture has at most that (99 of 100 frozen frames)."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One moment, as far as it is compared. `neighbours` are glances within half a second."""

    seconds: float
    glance: Bytes
    neighbours: Sequence[Bytes]
    signals: Mapping[str, float]


def company_signals(members: Sequence[Member]) -> list[dict[str, float]]:
    """Compute the signals of each of a video's moments among the others, in the order given."""
    if not members:
        return []
    glances = np.stack([member.glance for member in members]).astype(np.float32) @ _LUMA
    flat = glances.reshape(len(members), -1)
    means, spreads = flat.mean(axis=1), flat.std(axis=1)
    varied = (flat - means[:, None]) / np.maximum(spreads, 1e-6)[:, None]
    # Not @: the BLAS of numpy's wheels starts threads for it, which spend far more in waiting than the sums take.
    alike = np.einsum("ik,jk->ij", varied, varied) / flat.shape[1]
    alike[spreads < _STRUCTURED] = alike[:, spreads < _STRUCTURED] = 0.0
    np.fill_diagonal(alike, 0.0)
    times = np.array([member.seconds for member in members])
    darker = _darker_twins(flat, means)
    result = [
        {
            **_against_twins(place, members, alike[place], darker[place], means, spreads),
            **_mixture(place, flat, times),
            "stillness": 1.0
            if (held := _changes_nothing(member) or _is_held(place, flat, times))
            else _stillness(member),
            "held": float(held),
        }
        for place, member in enumerate(members)
    ]
    _spread_glare(result, members, alike, flat, means)
    return result


def _spread_glare(
    result: list[dict[str, float]], members: Sequence[Member], alike: Floats, flat: Floats, means: Floats
) -> None:
    """
    Find light that is raised and cut off from one moment to the next, and lend it to the rest of what is lit so.

    Where things move, only the moments on both sides of the step still show about one view; from there on, moments
    that follow each other in one light belong together.
    """
    shares = np.array([member.signals["bright_share"] for member in members])
    near = [after.seconds - before.seconds < _NEAR_SECONDS for before, after in pairwise(members)]
    steps = [_kind_of_step(place, flat, means) if near[place] else 0 for place in range(len(members) - 1)]
    for place, step in enumerate(steps):
        if not step:
            continue
        bright, dark = (place + 1, place) if step > 0 else (place, place + 1)
        way, reached = step, bright
        while 0 <= reached < len(members):
            glare, lift = float(shares[reached] - shares[dark]), float(means[reached] - means[dark]) / 255
            if min(glare, lift) > min(result[reached]["twin_glare"], result[reached]["twin_lift"]):
                result[reached]["twin_glare"], result[reached]["twin_lift"] = glare, lift
            following = reached if way > 0 else reached - 1
            if not 0 <= following < len(steps) or steps[following] or not near[following]:
                break
            if not _is_one_light(following, alike, means):
                break
            reached += way


def _is_one_light(place: int, alike: Floats, means: Floats) -> bool:
    return bool(alike[place, place + 1] > _ABOUT_SAME_VIEW and abs(means[place + 1] - means[place]) < _LEAST_LIFT)


def _kind_of_step(place: int, flat: Floats, means: Floats) -> int:
    """Tell whether light is raised and cut off in the moment after (1) or in this beside that (-1), or neither (0)."""
    step = float(means[place + 1] - means[place])
    if abs(step) < 2 * _LEAST_LIFT:
        return 0
    bright, dark = (flat[place + 1], flat[place]) if step > 0 else (flat[place], flat[place + 1])
    if not _is_cut_off(bright) or _likeness_when_raised(bright, dark) < _ABOUT_SAME_VIEW:
        return 0
    return 1 if step > 0 else -1


def _darker_twins(flat: Floats, means: Floats) -> list[list[int]]:
    """List for each glance those that it may be an over-exposed picture of."""
    return [
        [
            int(other)
            for other in np.flatnonzero(means < means[place] - _LEAST_LIFT)
            if _likeness_when_raised(own, flat[other]) > _SAME_VIEW
        ]
        if _is_cut_off(own)
        else []
        for place, own in enumerate(flat)
    ]


def _is_cut_off(glance: Floats) -> bool:
    """Tell whether light may be clipped in a part of a glance, and enough is left to compare."""
    return bool(_LEAST_BLOWN_OUT <= (glance > _BLOWN_OUT).mean() <= 1 - _LEAST_LEFT)


def _likeness_when_raised(bright: Floats, dark: Floats) -> float:
    """
    Correlate a glance with another whose light is raised and cut off as in the first; 0 where that cannot be.

    Light that is raised and cut off is not in proportion any more, so plain correlation misses it: a line is fitted
    to what is not cut off, and must explain the whole once it is cut off too.
    """
    left = bright <= _BLOWN_OUT
    known = dark[left]
    varied = known - known.mean()
    energy = float(varied @ varied)
    if energy < _STRUCTURED**2 * len(known):
        return 0.0
    gain = float(varied @ bright[left]) / energy
    if not _GAINS[0] < gain < _GAINS[1]:
        return 0.0
    raised = np.minimum(bright[left].mean() + gain * (dark - known.mean()), _BLOWN_OUT)
    capped = np.minimum(bright, _BLOWN_OUT)
    # Not corrcoef: of pictures this small most of its time goes into preparing.
    raised -= raised.mean()
    capped -= capped.mean()
    raised_energy = float(raised @ raised)
    if raised_energy <= len(raised):
        return 0.0
    return float(raised @ capped) / math.sqrt(raised_energy * max(float(capped @ capped), 1e-6))


def _against_twins(
    place: int, members: Sequence[Member], alike: Floats, darker: Sequence[int], means: Floats, spreads: Floats
) -> dict[str, float]:
    """
    Compare with the other pictures of the same view.

    Returns:
        `twin_sharpness`: own sharpness over that of the sharpest twin; `twin_softening`: what the blur extent exceeds
        that twin's by. `twin_gain`: own contrast over the most that a twin not more blown out has. `twin_glare`: the
        share of nearly white beyond that of the twin with least; `twin_lift`: what the mean light exceeds that twin's
        by, 0..1. `twin_blur`: the blur extent of the softest twin. Without twins 1, 0, 1, 0, 0 and 0.
    """
    own = members[place].signals
    result = {
        "twin_sharpness": 1.0,
        "twin_softening": 0.0,
        "twin_blur": 0.0,
        "twin_gain": 1.0,
        "twin_glare": 0.0,
        "twin_lift": 0.0,
    }
    twins = [int(twin) for twin in np.flatnonzero(alike > _SAME_VIEW)]
    calm = [twin for twin in {*twins, *darker} if members[twin].signals["bright_share"] <= own["bright_share"] - 0.03]
    if calm:
        least = min(calm, key=lambda twin: members[twin].signals["bright_share"])
        result["twin_glare"] = own["bright_share"] - members[least].signals["bright_share"]
        result["twin_lift"] = float(means[place] - means[least]) / 255
    if twins:
        sharpest = members[max(twins, key=lambda twin: members[twin].signals["sharpness"])].signals
        result["twin_sharpness"] = (own["sharpness"] + 1.0) / (sharpest["sharpness"] + 1.0)
        result["twin_blur"] = max(members[twin].signals["blur_extent"] for twin in twins)
        result["twin_softening"] = own["blur_extent"] - sharpest["blur_extent"]
    exact = [
        twin
        for twin in map(int, np.flatnonzero(alike > _EXACTLY))
        if members[twin].signals["bright_share"] <= own["bright_share"] + 0.05
    ]
    if exact:
        result["twin_gain"] = float(spreads[place] / max(spreads[twin] for twin in exact))
    return result


def _mixture(place: int, flat: Floats, times: npt.NDArray[np.float64]) -> dict[str, float]:
    """
    Explain a picture as an earlier one laid over a later one.

    Returns:
        `mixed`: the smaller of both shares, 0..0.5, in the mixture that fits best; `mixture_rest`: what it leaves
        unexplained, as a share of the energy of the difference of the two. (0, 1) when none fits.
    """
    own = flat[place]
    before = [other for other in np.flatnonzero(times < times[place]) if times[place] - times[other] < _NEAR_SECONDS]
    after = [other for other in np.flatnonzero(times > times[place]) if times[other] - times[place] < _NEAR_SECONDS]
    best = (1.0, 0.0)
    for earlier in before[-_MOST_PAIRS:]:
        for later in after[:_MOST_PAIRS]:
            apart = flat[later] - flat[earlier]
            energy = float(apart @ apart)
            if energy < 15.0**2 * len(apart):
                continue
            share = float((own - flat[earlier]) @ apart) / energy
            if not _MIXED_FROM < share < 1 - _MIXED_FROM:
                continue
            rest = own - flat[earlier] - share * apart
            best = min(best, (float(rest @ rest) / energy, min(share, 1 - share)))
    return {"mixture_rest": best[0], "mixed": best[1]}


def _is_held(place: int, flat: Floats, times: npt.NDArray[np.float64]) -> bool:
    """
    Tell whether the next moment before or after shows the very same picture.

    Encoders make a frozen picture breathe between keyframes, so neighbours within half a second may differ more than
    moments seconds apart: those differ by at most 0.1 in frozen pictures, and by 0.6 or more in calm filmed ones.
    """
    apart = np.abs(times - times[place])
    for side in (times < times[place], times > times[place]):
        there = np.flatnonzero(side & (apart >= _HELD_SECONDS) & (apart < _NEAR_SECONDS))
        if len(there) and float(np.abs(flat[there[np.argmin(apart[there])]] - flat[place]).mean()) < _HELD:
            return True
    return False


def _stillness(member: Member) -> float:
    """Share of the neighbours in time that show no change at all; 0 with too few neighbours to tell."""
    if len(member.neighbours) < _ENOUGH_NEIGHBOURS:
        return 0.0
    here = member.glance.astype(np.float32)
    changes = [float(np.abs(here - glance).mean()) for glance in member.neighbours]
    return float(np.mean([change < _STILL for change in changes]))


def _changes_nothing(member: Member) -> bool:
    """Tell whether a picture is repeated exactly: what a camera sees has noise, however calm."""
    if len(member.neighbours) < _ENOUGH_REPEATS:
        return False
    here = member.glance.astype(np.int16)
    return all(float(np.abs(here - glance).mean()) < _EXACT for glance in member.neighbours)

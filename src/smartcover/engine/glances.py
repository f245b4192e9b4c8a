"""
What glances tell about each other: is one the other in more light, a mixture of two, or the same again.

Pure functions of pixels; glances are tiny, so all of it is as good as free. pairs.py and company.py ask them of the
moments of a video. The signals are this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smartcover.engine.arrays import LUMA, Floats, Mask, Picture
from smartcover.engine.types import Signals

STRUCTURED = 6.0
"""Standard deviation of a glance's light, of 255, from which there is something in it to compare."""

_BLOWN_OUT, _LEAST_BLOWN_OUT, _LEAST_LEFT = 225.0, 0.04, 0.15
"""
From which light on a glance may be clipped; which share of it clipped at least, and which share not, before it is
compared as an over-exposed picture.
"""

NO_MIXTURE: Signals = {"mixture_rest": 1.0, "mixed": 0.0, "patched": 0.0}

_TELLING, _TELLING_SHARE, _LIKE, _EXPLAINED, _SCATTERED = 20.0, 0.6, 0.3, 0.8, 0.15
"""
Difference of two glances at a place, of 255, from which it tells them apart; on what share of the places two must so
differ before a third is compared with both; what share of it a picture may be off to be like one of them there; the
share of those places that must be like one or the other; and of neighbours among these the share that may be like
different ones (wipes have up to 0.15, a picture that moves 0.2).
"""

_GAINS = 0.8, 4.0
"""Contrast of an over-exposed picture over that of the clear one, where light is not cut off: least and most."""

_MIXED_FROM, _APART = 0.06, 15.0
"""
Share of another picture from which one is a mixture of two; and how far two must be apart, as the root of the mean
square of their difference, of 255, for a third to be explained by them.
"""

_STILL, _ENOUGH_NEIGHBOURS = 0.6, 3
"""Mean change of a glance, of 255, under which it stands still; and how many must be beside it to tell."""

_EXACT, _ENOUGH_REPEATS = 0.06, 2
"""Change of a glance that is none: an encoder's repeat of a picture has at most that (99 of 100 frozen frames)."""


def flat_luma(glance: Picture) -> Floats:
    """Give the light of a glance as one row, 0..255."""
    luma: Floats = glance.astype(np.float32) @ LUMA
    return luma.ravel()


def is_cut_off(light: Floats) -> bool:
    """Tell whether light may be clipped in a part of a glance, and enough is left to compare."""
    return bool(_LEAST_BLOWN_OUT <= (light > _BLOWN_OUT).mean() <= 1 - _LEAST_LEFT)


def likeness_when_raised(bright: Floats, darks: Floats) -> Floats:
    """
    Correlate a glance with others whose light is raised and cut off as in the first; 0 where that cannot be.

    Light that is raised and cut off is not in proportion any more, so plain correlation misses it: a line is fitted
    to what is not cut off, and must explain the whole once it is cut off too.

    Args:
        darks: One row for each of the others.
    """
    left = bright <= _BLOWN_OUT
    known = darks[:, left]
    middles = known.mean(axis=1)
    varied = known - middles[:, None]
    energy = np.einsum("ij,ij->i", varied, varied)
    gain = np.einsum("ij,j->i", varied, bright[left]) / np.maximum(energy, 1e-6)
    raised = np.minimum(bright[left].mean() + gain[:, None] * (darks - middles[:, None]), _BLOWN_OUT)
    capped = np.minimum(bright, _BLOWN_OUT)
    # Not corrcoef: of pictures this small most of its time goes into preparing.
    raised -= raised.mean(axis=1)[:, None]
    capped -= capped.mean()
    raised_energy = np.einsum("ij,ij->i", raised, raised)
    likeness = np.einsum("ij,j->i", raised, capped) / np.sqrt(
        np.maximum(raised_energy * max(float(capped @ capped), 1e-6), 1e-6)
    )
    possible = (energy >= STRUCTURED**2 * known.shape[1]) & (raised_energy > len(bright))
    result: Floats = np.where(possible & (gain > _GAINS[0]) & (gain < _GAINS[1]), likeness, 0.0).astype(np.float32)
    return result


def mixture(own: Floats, before: Sequence[Floats], after: Sequence[Floats]) -> Signals:
    """
    Explain a glance as an earlier one laid over a later one.

    Returns:
        `mixed`: the smaller of both shares, 0..0.5, in the mixture that fits best; `mixture_rest`: what it leaves
        unexplained, as a share of the energy of the difference of the two. `NO_MIXTURE` when none fits.
    """
    best = NO_MIXTURE["mixture_rest"], NO_MIXTURE["mixed"]
    for earlier in before:
        for later in after:
            apart = later - earlier
            energy = float(apart @ apart)
            if energy < _APART**2 * len(apart):
                continue
            share = float((own - earlier) @ apart) / energy
            if not _MIXED_FROM < share < 1 - _MIXED_FROM:
                continue
            rest = own - earlier - share * apart
            best = min(best, (float(rest @ rest) / energy, min(share, 1 - share)))
    return {"mixture_rest": best[0], "mixed": best[1]}


def patched(own: Floats, before: Sequence[Floats], after: Sequence[Floats], *, width: int) -> float:
    """
    Say how far a glance is an earlier one in some places and a later one in others, as a wipe leaves it.

    Only two that differ nearly everywhere are compared: across a cut all of a glance is like one of them, and what
    moves changes some places only. The places that are like one must lie together: those of a picture that moves as a
    whole are like both by chance.

    Args:
        width: Places in a row of the glances.

    Returns:
        The smaller of both shares of the places that tell them apart, 0..0.5; 0 where both together do not explain it.
    """
    early, late = ([glance for glance in some if glance.std() >= STRUCTURED] for some in (before, after))
    best = 0.0
    for earlier in early:
        for later in late:
            apart = np.abs(later - earlier)
            telling = apart >= _TELLING
            places = np.count_nonzero(telling)
            if places < _TELLING_SHARE * len(own):
                continue
            old, new = (telling & (np.abs(own - one) < _LIKE * apart) for one in (earlier, later))
            shares = [float(np.count_nonzero(like) / places) for like in (old, new)]
            if min(shares) > best and sum(shares) > _EXPLAINED and _lie_together(old, new, width):
                best = min(shares)
    return best


def _lie_together(one: Mask, other: Mask, width: int) -> bool:
    """Tell whether few places of one kind have a neighbour of the other kind, beside or below."""
    kinds = one.astype(np.int8) - other.astype(np.int8)
    beside = np.concatenate([kinds[step:] * kinds[:-step] for step in (1, width)])
    return bool(np.count_nonzero(beside < 0) < _SCATTERED * np.count_nonzero(beside))


def stillness(here: Picture, neighbours: Sequence[Picture]) -> float:
    """Share of the neighbours in time that show no change at all; 0 with too few neighbours to tell."""
    if len(neighbours) < _ENOUGH_NEIGHBOURS:
        return 0.0
    middle = here.astype(np.float32)
    changes = [float(np.abs(middle - glance).mean()) for glance in neighbours]
    return float(np.mean([change < _STILL for change in changes]))


def changes_nothing(here: Picture, neighbours: Sequence[Picture]) -> bool:
    """Tell whether a picture is repeated exactly: what a camera sees has noise, however calm."""
    if len(neighbours) < _ENOUGH_REPEATS:
        return False
    middle = here.astype(np.int16)
    return all(float(np.abs(middle - glance).mean()) < _EXACT for glance in neighbours)

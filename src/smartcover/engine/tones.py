"""
What was done to a picture's light, told by its tones beside those of another picture of the scene.

A tone is the light that a given share of the places of a glance is darker than. What moves changes where a tone is, and
hardly how much there is of it; so tones tell of fades and over-exposure where no two pictures show the same view.
"""

from __future__ import annotations

import numpy as np

from smartcover.engine.arrays import Floats, Mask
from smartcover.engine.glances import STRUCTURED

_SHARES = np.array([0.02, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.88, 0.94, 0.98])
"""Shares of the places of a glance that are darker than each of its tones."""

_SAME_TONES, _BRIGHTEST, _VEIL = 0.02, 262.0, (-25.0, 280.0)
"""
Share of the change of tones that less contrast must leave unexplained at most; how bright the clear picture may have to
be where it is brightest, and what light may lie over the other, of 255 and what fits are off by.
"""

_MUCH_LESS, _CONTRASTY, _DARK = 0.8, 22.0, 0.6
"""
What makes sure of it where two may only show one scene: so little contrast left, in a picture whose tones deviate by so
much, of 255, or so little of both light and contrast. The tones of a sky that grows lighter fit each other too.
"""

_LEAST_SPREAD = 4.0
"""Deviation of tones from which there is something in a picture to fade."""

_CUT_OFF, _OFF_BY, _FEWEST = 246.0, 12.0, 2
"""
Tones, of 255, that may be cut off; by how much they may be missed; and how many of them there must be, and be more than
the other picture has.
"""

_MUCH_MORE, _RAISED_TONES, _BEYOND_WHITE = 1.6, 0.03, 275.0
"""
What makes sure of over-exposure: so much more contrast below, so little of the change of tones left unexplained, and
the brightest tone so far beyond white, of 255. Cameras that set their exposure raise it by up to 1.5 in frames that
judges gave the best grade.
"""

_DARKEST = 1 / 128
"""Added to tones before their logarithm is taken."""

_CURVED, _STRAIGHTER, _MUCH_BRIGHTER, _BRIGHT, _NEARLY_BLACK = 0.003, 4.0, 0.65, 150.0, 10.0
"""
What makes sure that a curve brightened a picture: the share of the change of tones that a power leaves unexplained at
most, and how many times as much a straight line must leave; the power; how bright it must have become on the whole, of
255; and the tones of the clear picture that a curve raises too steeply to compare.
"""


def tones_of(light: Floats) -> Floats:
    """Give the tones of a glance or of a part of it, 0..255, from dark to bright."""
    tones: Floats = np.quantile(light, _SHARES)
    return tones


def light_left(tones: Floats, others: Floats, one_scene: Mask, sure: Mask | bool = False) -> Floats:
    """
    Give the share of its contrast that is left in one picture of another of the same scene, faded, dimmed or hazy.

    What is laid over a picture brings all its tones nearer to one light in the same proportion. That shows though
    things move: it changes where a tone is, and hardly how much there is of it. Were the other one over-exposed, it
    would have to be brighter than white.

    Args:
        tones, others: Of pictures, a row each.
        one_scene: Whether any two may show one scene.
        sure: Whether they show about one view, so that a little less contrast is enough.

    Returns:
        A row for each picture, a column for each of the others; 1 where it lost nothing, infinite for another scene.
    """
    means, spreads = tones.mean(axis=1)[:, None], tones.std(axis=1)[:, None]
    their_means, their_spreads = others.mean(axis=1), others.std(axis=1)
    # Not @: the BLAS of numpy's wheels starts threads for it.
    products = np.einsum("ik,jk->ij", tones - means, others - their_means[:, None]) / tones.shape[1]
    left = products / np.maximum(their_spreads, 1e-6) ** 2
    unexplained = spreads**2 - left * products
    change = np.square(tones[:, None] - others).mean(axis=2)
    brightest = their_means + (tones[:, -1:] - means) / np.maximum(left, 1e-3)
    veil = (means - left * their_means) / np.maximum(1 - left, 1e-3)
    faded = (left < 1) & (spreads > _LEAST_SPREAD) & (their_spreads > STRUCTURED) & (unexplained < _SAME_TONES * change)
    possible = (brightest < _BRIGHTEST) & (veil > _VEIL[0]) & (veil < _VEIL[1])
    dark = np.maximum(left, means / np.maximum(their_means, 1.0)) < _DARK
    told = sure | (one_scene & (left < _MUCH_LESS) & (dark | (their_spreads > _CONTRASTY)))
    shown = np.where(one_scene, 1.0, np.inf)
    return np.where(faded & possible & told, left, shown).astype(np.float32)


def raised_and_cut_off(tones: Floats, others: Floats, one_scene: Mask) -> Mask:
    """
    Tell which pictures are over-exposed beside others of the same scene.

    Light that is raised in one proportion and cut off at white keeps that proportion below white, and what is at white
    would lie beyond it. A picture that is only brighter does not reach so far.

    Args:
        tones, others: Of pictures, a row each.
        one_scene: Whether any two may show one scene.

    Returns:
        A row for each picture, a column for each of the others.
    """
    cut, theirs_cut = tones >= _CUT_OFF, (others >= _CUT_OFF).sum(axis=1)
    raised = np.zeros(one_scene.shape, dtype=np.bool_)
    for row, own in enumerate(tones):
        left = ~cut[row]
        if cut[row].sum() < _FEWEST or left.sum() <= _FEWEST:
            continue
        middles, middle = others[:, left].mean(axis=1)[:, None], own[left].mean()
        varied = others[:, left] - middles
        gains = (varied * (own[left] - middle)).sum(axis=1) / np.maximum(np.square(varied).sum(axis=1), 1e-6)
        expected = middle + gains[:, None] * (others - middles)
        missed = np.square(np.minimum(own, _CUT_OFF) - np.minimum(expected, _CUT_OFF)).mean(axis=1)
        explained = missed < _RAISED_TONES * np.square(own - others).mean(axis=1)
        beyond = (expected[:, cut[row]] >= _CUT_OFF - _OFF_BY).all(axis=1) & (expected[:, -1] > _BEYOND_WHITE)
        fewer = theirs_cut <= cut[row].sum() - _FEWEST
        something = (varied.std(axis=1) > _LEAST_SPREAD) & (gains > _MUCH_MORE)
        raised[row] = one_scene[row] & something & fewer & beyond & explained & (own.mean() > others.mean(axis=1))
    return raised


def brightened(tones: Floats, others: Floats, one_scene: Mask) -> Mask:
    """
    Tell which pictures a curve brightened (gamma), beside others of the same scene.

    It keeps white and raises what is darker the more, so nothing is cut off. All tones are one power of the other
    picture's, which neither a camera's exposure, nor haze, nor a fade makes of them: those keep proportions.

    Args:
        tones, others: Of pictures, a row each.
        one_scene: Whether any two may show one scene.

    Returns:
        A row for each picture, a column for each of the others.
    """
    result = np.zeros(one_scene.shape, dtype=np.bool_)
    possible = one_scene & (tones.mean(axis=1) > _BRIGHT)[:, None]
    for column in np.flatnonzero(possible.any(axis=0)):
        lit = others[column] > _NEARLY_BLACK
        theirs, own = others[column, lit], tones[np.ix_(possible[:, column], lit)]
        if lit.sum() <= _FEWEST or theirs.std() < STRUCTURED:
            continue
        logs, their_logs = (np.log(some / 256 + _DARKEST) for some in (own, theirs))
        powers = (logs * their_logs).sum(axis=1) / np.square(their_logs).sum()
        curved = 256 * (np.exp(powers[:, None] * their_logs) - _DARKEST)
        missed = np.square(own - curved).mean(axis=1)
        varied, middles = theirs - theirs.mean(), own.mean(axis=1)[:, None]
        gains = ((own - middles) * varied).sum(axis=1)[:, None] / np.square(varied).sum()
        missed_straight = np.square(own - middles - gains * varied).mean(axis=1)
        exact = (missed < _CURVED * np.square(own - theirs).mean(axis=1)) & (missed_straight > _STRAIGHTER * missed)
        result[possible[:, column], column] = exact & (powers < _MUCH_BRIGHTER)
    return result

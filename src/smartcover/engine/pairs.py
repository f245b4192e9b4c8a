"""
What any two moments of a video tell beside each other: do they show one view, is one the other in more or less light.

company.py draws the conclusions for each moment. The signals are this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from smartcover.engine.arrays import Floats, Mask, Picture
from smartcover.engine.glances import (
    STRUCTURED,
    changes_nothing,
    flat_luma,
    is_cut_off,
    likeness_when_raised,
    stillness,
)
from smartcover.engine.signals import differences
from smartcover.engine.tones import brightened, light_left, raised_and_cut_off, tones_of
from smartcover.engine.types import Signals

Doubles = npt.NDArray[np.float64]

SAME_VIEW = 0.94
"""Correlation of glances from which two pictures show one view."""

ABOUT_SAME_VIEW = 0.8
"""Correlation of glances from which moments that follow each other show about one view."""

PARTLY_SAME_VIEW, _HARDLY_SAME_VIEW = 0.5, 0.3
"""
Correlation of glances from which one may show the other through speckles, as a dissolve by single pixels does, or
over-exposed while things move; and from which it may do that if they are near in time.
"""

_SAME_SCENE, _SAME_SIDES = 0.6, 0.95
"""Correlation of glances, and of their sides, from which two may show one scene though something moves."""

NEAR_SECONDS = 4.0
"""Moments further apart are not taken for parts of one movement, fade or held picture."""

LEAST_LIFT = 12.0
"""How much brighter a glance must be, of 255, before it is compared as an over-exposed picture."""

_FINE, _GRAIN, _LOST, _LEAST_TILES = 10.0, 4.0, 0.38, 12
"""
Mean square of the Laplacian from which a tile has fine detail, and what of it may be grain; the share of it that is
left where much is lost (three fifths of the amplitude); and how many of the 36 tiles must have some to be compared.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """
    One moment, as far as it is compared; `signature` and `fineness` as in signals.py.

    `neighbours` are glances within half a second.
    """

    seconds: float
    glance: Picture
    signature: Floats
    neighbours: Sequence[Picture]
    signals: Signals
    fineness: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """
    What a moment's own glances tell: its light, the same with mean 0 and deviation 1, that of its sides likewise, the
    tones of both (tones.py), and whether it lasts.
    """

    light: Floats
    mean: float
    spread: float
    varied: Floats
    sides: Floats
    tones: Floats
    side_tones: Floats
    cut_off: bool
    held: bool
    stillness: float
    width: int

    @classmethod
    def of(cls, member: Member) -> Seen:
        light = flat_luma(member.glance)
        mean, spread = light.mean(), light.std()
        varied = (light - mean) / max(spread, np.float32(1e-6))
        if spread < STRUCTURED:
            varied = np.zeros_like(light)
        held = changes_nothing(member.glance, member.neighbours)
        sides = _sides(member.glance)
        return cls(
            light=light,
            mean=float(mean),
            spread=float(spread),
            varied=varied,
            sides=(sides - sides.mean()) / max(sides.std(), np.float32(1e-6)),
            tones=tones_of(light),
            side_tones=tones_of(sides),
            cut_off=is_cut_off(light),
            held=held,
            stillness=1.0 if held else stillness(member.glance, member.neighbours),
            width=member.glance.shape[1],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """
    Tables with a row and a column for each moment: what that of the row is beside that of the column.

    Attributes:
        apart: The `signals.difference` of their signatures.
        alike: The correlation of their light.
        raised: Whether it may be the other over-exposed.
        brightened: Whether it may be the other brightened by a curve.
        lost: How much of its fine detail it has lost.
        left: What is left in it of the other's light.
    """

    apart: Doubles
    alike: Floats
    raised: Mask
    brightened: Mask
    lost: Doubles
    left: Floats

    @classmethod
    def of_nobody(cls) -> Pairs:
        doubles, floats, mask = (np.zeros((0, 0), dtype=kind) for kind in (np.float64, np.float32, np.bool_))
        return cls(apart=doubles, alike=floats, raised=mask, brightened=mask, lost=doubles, left=floats)

    def grown(self, newcomers: int) -> Pairs:
        """Make room for more moments behind the others."""
        return Pairs(*(np.pad(getattr(self, table.name), (0, newcomers)) for table in fields(self)))

    def among(self, rows: Sequence[int]) -> Pairs:
        """Give the tables of some moments, in the order given."""
        places = np.ix_(rows, rows)
        return Pairs(*(getattr(self, table.name)[places] for table in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class _Lineup:
    """Moments beside each other: what is known of each in one row."""

    times: Doubles
    signatures: Floats
    fineness: Floats
    light: Floats
    means: Floats
    spreads: Floats
    varied: Floats
    sides: Floats
    tones: Floats
    side_tones: Floats

    @classmethod
    def of(cls, members: Sequence[Member], seen: Sequence[Seen]) -> _Lineup:
        return cls(
            times=np.array([member.seconds for member in members]),
            signatures=np.stack([member.signature for member in members]),
            fineness=np.stack([member.fineness for member in members]),
            light=np.stack([one.light for one in seen]),
            means=np.array([one.mean for one in seen], dtype=np.float32),
            spreads=np.array([one.spread for one in seen], dtype=np.float32),
            varied=np.stack([one.varied for one in seen]),
            sides=np.stack([one.sides for one in seen]),
            tones=np.stack([one.tones for one in seen]),
            side_tones=np.stack([one.side_tones for one in seen]),
        )

    def behind(self, first: int) -> _Lineup:
        """Leave the first so many out."""
        return _Lineup(*(getattr(self, column.name)[first:] for column in fields(self)))


class Acquaintance:
    """
    All moments that were met, compared with each other: any two of them once, when the later one is first met.

    So it costs little to ask again when a few moments have come or gone.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._rows: dict[Member, int] = {}
        self._pairs = Pairs.of_nobody()

    def rows_of(self, members: Sequence[Member]) -> list[int]:
        """Give the place of each in `seen`, and meet those that were not met."""
        newcomers = [member for member in dict.fromkeys(members) if member not in self._rows]
        if newcomers:
            self._meet(newcomers)
        return [self._rows[member] for member in members]

    def pairs(self, rows: Sequence[int]) -> Pairs:
        """Give what any two of some tell, in the order given."""
        return self._pairs.among(rows)

    def _meet(self, newcomers: Sequence[Member]) -> None:
        met = len(self.seen)
        self._rows.update((member, met + number) for number, member in enumerate(newcomers))
        self.seen.extend(map(Seen.of, newcomers))
        self._pairs = pairs = self._pairs.grown(len(newcomers))
        everyone = _Lineup.of(list(self._rows), self.seen)
        new = everyone.behind(met)
        pairs.apart[met:] = np.stack([differences(signature, everyone.signatures) for signature in new.signatures])
        pairs.apart[:, met:] = pairs.apart[met:].T
        alike, sides_alike = _correlations(new.varied, everyone.varied), _correlations(new.sides, everyone.sides)
        pairs.alike[met:], pairs.alike[:, met:] = alike, alike.T
        self._find_raised(everyone, met)
        near = np.abs(new.times[:, None] - everyone.times) < NEAR_SECONDS
        one_scene = (alike > PARTLY_SAME_VIEW) | (near & (alike > _HARDLY_SAME_VIEW))
        newly, before = (slice(met, None), slice(None)), (slice(None), slice(met, None))
        _compare(pairs, newly, new, everyone, alike, sides_alike, one_scene)
        _compare(pairs, before, everyone, new, alike.T, sides_alike.T, one_scene.T)

    def _find_raised(self, everyone: _Lineup, met: int) -> None:
        """Find of which glances, of one view with another, the light is the other's raised and cut off."""
        for row, one in enumerate(self.seen):
            if one.cut_off:
                unmet = 0 if row >= met else met
                darker = unmet + np.flatnonzero(everyone.means[unmet:] < everyone.means[row] - LEAST_LIFT)
                likeness = likeness_when_raised(one.light, everyone.light[darker])
                self._pairs.raised[row, darker] = likeness > SAME_VIEW


def _correlations(some: Floats, others: Floats) -> Floats:
    """Correlate rows of mean 0 and deviation 1, each with each."""
    # Not @: the BLAS of numpy's wheels starts threads for it, which spend far more in waiting than the sums take.
    correlations: Floats = np.einsum("ik,jk->ij", some, others) / others.shape[1]
    return correlations


def _compare(
    pairs: Pairs,
    where: tuple[slice, slice],
    some: _Lineup,
    others: _Lineup,
    alike: Floats,
    sides_alike: Floats,
    one_scene: Mask,
) -> None:
    """Fill a part of the tables in: what some moments are beside others, as they are not beside those."""
    pairs.left[where] = np.minimum(
        light_left(some.tones, others.tones, alike > _SAME_SCENE, sure=alike > ABOUT_SAME_VIEW),
        light_left(some.side_tones, others.side_tones, sides_alike > _SAME_SIDES),
    )
    pairs.lost[where] = _lost_detail(some, others)
    pairs.raised[where] |= raised_and_cut_off(some.tones, others.tones, one_scene)
    pairs.brightened[where] = brightened(some.tones, others.tones, one_scene)


def _lost_detail(some: _Lineup, others: _Lineup) -> Doubles:
    """
    Give the share of the tiles with any fine detail that have far less of it in a picture than in another.

    A blur takes fine detail from everywhere; what moves, or is written over a picture, changes only some tiles. More
    light and contrast show more detail too, so the other's is scaled down to the own contrast.

    Returns:
        A row for each picture, a column for each of the others; 0 where too few tiles have any.
    """
    scales = np.minimum(1.0, some.spreads[:, None] / np.maximum(others.spreads, 1e-6)) ** 2
    fineness = some.fineness[:, None]
    detailed = np.maximum(fineness, others.fineness) > _FINE
    lost = detailed & (fineness + _GRAIN < _LOST * (scales[..., None] * others.fineness + _GRAIN))
    tiles = np.count_nonzero(detailed, axis=2)
    shares: Doubles = np.count_nonzero(lost, axis=2) / np.maximum(tiles, 1)
    return np.where(tiles >= _LEAST_TILES, shares, 0.0)


def _sides(glance: Picture) -> Floats:
    """Give the light of the left and the right fifth of a glance as one row."""
    width = glance.shape[1] // 5
    return flat_luma(np.concatenate([glance[:, :width], glance[:, -width:]], axis=1))

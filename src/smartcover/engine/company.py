"""
What the moments that were looked at tell about each other.

The strongest evidence against a bad picture is a better one of the same view: a blur, a fade or too much light shows
beside it however mild, and leaving the worse of two costs nothing. The signals are this project's own; the thresholds
that use them are in defects.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smartcover.engine.arrays import Floats, Mask, Picture
from smartcover.engine.glances import (
    NO_MIXTURE,
    STRUCTURED,
    changes_nothing,
    flat_luma,
    is_cut_off,
    likeness_when_raised,
    mixture,
    patched,
    stillness,
)
from smartcover.engine.norms import LETTERED
from smartcover.engine.signals import differences
from smartcover.engine.tones import brightened, light_left, raised_and_cut_off, tones_of
from smartcover.engine.types import Signals

_SAME_VIEW = 0.94
"""Correlation of glances from which two pictures show one view."""

_ABOUT_SAME_VIEW = 0.8
"""Correlation of glances from which moments that follow each other show about one view."""

_PARTLY_SAME_VIEW, _HARDLY_SAME_VIEW = 0.5, 0.3
"""
Correlation of glances from which one may show the other through speckles, as a dissolve by single pixels does, or
over-exposed while things move; and from which it may do that if they are near in time.
"""

_SAME_CONTRAST = 0.85
"""Share of its contrast that a picture must have of another's to be a measure of its sharpness."""

_LEAST_LIFT = 12.0
"""How much brighter a glance must be, of 255, before it is compared as an over-exposed picture."""

_FINE, _GRAIN, _LOST, _LEAST_TILES = 10.0, 4.0, 0.38, 12
"""
Mean square of the Laplacian from which a tile has fine detail, and what of it may be grain; the share of it that is
left where much is lost (three fifths of the amplitude); and how many of the 36 tiles must have some to be compared.
"""

_NEAR_SECONDS = 4.0
_MOST_MIXED = 6
"""Moments on each side of one that it may be a mixture of."""

_SAME_SCENE, _SAME_SIDES = 0.6, 0.95
"""Correlation of glances, and of their sides, from which two may show one scene though something moves."""

_ENOUGH_FOR_FLASHES = 4
"""How many other pictures of one view there must be for one of them to be taken for a flash."""

_HELD, _HELD_SECONDS = 0.2, 0.15


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
class _Seen:
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
    def of(cls, member: Member) -> _Seen:
        light = flat_luma(member.glance)
        mean, spread = light.mean(), light.std()
        varied = (light - mean) / max(spread, np.float32(1e-6))
        if spread < STRUCTURED:
            varied = np.zeros_like(light)
        held = changes_nothing(member.glance, member.neighbours)
        still = 1.0 if held else stillness(member.glance, member.neighbours)
        sides = _sides(member.glance)
        tones, side_tones = tones_of(light), tones_of(sides)
        sides = (sides - sides.mean()) / max(sides.std(), np.float32(1e-6))
        return cls(
            light,
            float(mean),
            float(spread),
            varied,
            sides,
            tones,
            side_tones,
            is_cut_off(light),
            held,
            still,
            member.glance.shape[1],
        )


class Company:
    """
    The moments of one video beside each other. Any two are compared once, when the later one is first met.

    So it costs little to ask again when a few moments have come or gone.
    """

    def __init__(self) -> None:
        self._rows: dict[Member, int] = {}
        self._seen: list[_Seen] = []
        # Of any two by their rows: the distance of their signatures, how alike their light is, and whether the first
        # may be the second over-exposed.
        self._distances = np.zeros((0, 0))
        self._alike = np.zeros((0, 0), dtype=np.float32)
        self._raised = np.zeros((0, 0), dtype=np.bool_)
        # Whether the first may be the second brightened by a curve.
        self._brightened = np.zeros((0, 0), dtype=np.bool_)
        # How much of its fine detail the first has lost beside the second.
        self._lost = np.zeros((0, 0))
        # What is left in the first of the second's light.
        self._left = np.zeros((0, 0), dtype=np.float32)
        self._mixtures: dict[tuple[int, tuple[int, ...], tuple[int, ...]], Signals] = {}

    def distances(self, members: Sequence[Member]) -> npt.NDArray[np.float64]:
        """Give the `signals.difference` of any two of these moments, in the order given; (n, n)."""
        rows = self._rows_of(members)
        return self._distances[np.ix_(rows, rows)]

    def signals(self, members: Sequence[Member]) -> list[dict[str, float]]:
        """Compute the signals of each of a video's moments among the others, in the order given."""
        if not members:
            return []
        rows = self._rows_of(members)
        seen = [self._seen[row] for row in rows]
        light = np.stack([one.light for one in seen])
        means = np.array([one.mean for one in seen], dtype=np.float32)
        spreads = np.array([one.spread for one in seen], dtype=np.float32)
        times = np.array([member.seconds for member in members])
        alike = self._alike[np.ix_(rows, rows)]
        left = self._left[np.ix_(rows, rows)]
        np.fill_diagonal(alike, 0.0)
        close = np.abs(times - times[:, None]) < _NEAR_SECONDS
        partly_alike = (alike > _PARTLY_SAME_VIEW) & close
        raised = _lent(self._raised[np.ix_(rows, rows)], seen, partly_alike)
        curved = _lent(self._brightened[np.ix_(rows, rows)], seen, partly_alike)
        # For most moments of a long video the others are too far away to be held or mixed in them.
        near = close.sum(axis=1) > 1
        held = [one.held or bool(near[place] and _is_held(place, light, times)) for place, one in enumerate(seen)]
        result = [
            {
                **_against_twins(place, members, alike[place], raised[place], left[:, place] < 1, means, spreads),
                **(self._mixture(place, rows, times) if near[place] else NO_MIXTURE),
                "stillness": 1.0 if held[place] else one.stillness,
                "held": float(held[place]),
                "brightened": float(curved[place].any()),
            }
            for place, one in enumerate(seen)
        ]
        _spread_glare(result, members, alike, left < 1, light, means)
        _find_dimmed(result, left)
        _find_smoothed(result, members, alike > _ABOUT_SAME_VIEW, self._lost[np.ix_(rows, rows)])
        _find_speckled(result, members, partly_alike)
        return result

    def _rows_of(self, members: Sequence[Member]) -> list[int]:
        newcomers = [member for member in dict.fromkeys(members) if member not in self._rows]
        if newcomers:
            self._meet(newcomers)
        return [self._rows[member] for member in members]

    def _meet(self, newcomers: Sequence[Member]) -> None:
        met = len(self._seen)
        self._rows.update((member, met + number) for number, member in enumerate(newcomers))
        self._seen.extend(map(_Seen.of, newcomers))
        varied, light = np.stack([one.varied for one in self._seen]), np.stack([one.light for one in self._seen])
        # Not @: the BLAS of numpy's wheels starts threads for it, which spend far more in waiting than the sums take.
        alike = np.einsum("ik,jk->ij", varied[met:], varied) / varied.shape[1]
        signatures = np.stack([member.signature for member in self._rows])
        apart = np.stack([differences(member.signature, signatures) for member in newcomers])
        room = 0, len(newcomers)
        self._distances, self._alike = np.pad(self._distances, room), np.pad(self._alike, room)
        self._raised, self._lost = np.pad(self._raised, room), np.pad(self._lost, room)
        self._left, self._brightened = np.pad(self._left, room), np.pad(self._brightened, room)
        self._distances[met:], self._distances[:, met:] = apart, apart.T
        self._alike[met:], self._alike[:, met:] = alike, alike.T
        fineness = np.stack([member.fineness for member in self._rows])
        means = np.array([one.mean for one in self._seen], dtype=np.float32)
        spreads = np.array([one.spread for one in self._seen], dtype=np.float32)
        sides = np.stack([one.sides for one in self._seen])
        sides_alike = np.einsum("ik,jk->ij", sides[met:], sides) / sides.shape[1]
        tones = np.stack([one.tones for one in self._seen])
        side_tones = np.stack([one.side_tones for one in self._seen])
        for some, others, whole, outer in (
            (slice(met, None), slice(None), alike, sides_alike),
            (slice(None), slice(met, None), alike.T, sides_alike.T),
        ):
            self._left[some, others] = np.minimum(
                light_left(tones[some], tones[others], whole > _SAME_SCENE, sure=whole > _ABOUT_SAME_VIEW),
                light_left(side_tones[some], side_tones[others], outer > _SAME_SIDES),
            )
        self._lost[met:] = _lost_detail(fineness[met:], spreads[met:], fineness, spreads)
        self._lost[:, met:] = _lost_detail(fineness, spreads, fineness[met:], spreads[met:])
        for row, one in enumerate(self._seen):
            if one.cut_off:
                unmet = 0 if row >= met else met
                darker = unmet + np.flatnonzero(means[unmet:] < means[row] - _LEAST_LIFT)
                self._raised[row, darker] = likeness_when_raised(one.light, light[darker]) > _SAME_VIEW
        times = np.array([member.seconds for member in self._rows])
        near = np.abs(times[met:, None] - times) < _NEAR_SECONDS
        one_scene = (alike > _PARTLY_SAME_VIEW) | (near & (alike > _HARDLY_SAME_VIEW))
        self._raised[met:] |= raised_and_cut_off(tones[met:], tones, one_scene)
        self._raised[:, met:] |= raised_and_cut_off(tones, tones[met:], one_scene.T)
        self._brightened[met:] = brightened(tones[met:], tones, one_scene)
        self._brightened[:, met:] = brightened(tones, tones[met:], one_scene.T)

    def _mixture(self, place: int, rows: Sequence[int], times: npt.NDArray[np.float64]) -> Signals:
        away = times - times[place]
        before = np.flatnonzero((away < 0) & (away > -_NEAR_SECONDS))[-_MOST_MIXED:]
        after = np.flatnonzero((away > 0) & (away < _NEAR_SECONDS))[:_MOST_MIXED]
        earlier, later = (tuple(rows[other] for other in others) for others in (before, after))
        key = rows[place], earlier, later
        if key not in self._mixtures:
            own = self._seen[rows[place]]
            around = [[self._seen[row].light for row in some] for some in (earlier, later)]
            self._mixtures[key] = {
                **mixture(own.light, *around),
                "patched": patched(own.light, *around, width=own.width),
            }
        return self._mixtures[key]


def _lent(raised: Mask, seen: Sequence[_Seen], partly_alike: Mask) -> Mask:
    """
    Lend what tells that one picture is over-exposed to those in the same light near it.

    Of a shot that moves some pictures are unlike the clear ones, and like others that are not.
    """
    tones = np.stack([one.tones for one in seen])
    lit_alike = partly_alike & (np.abs(tones[:, None] - tones).mean(axis=2) < _LEAST_LIFT)
    # Not @, as above.
    lent: Mask = np.einsum("ij,jk->ik", lit_alike.astype(np.float32), raised.astype(np.float32)) > 0
    return raised | lent


def _spread_glare(
    result: list[dict[str, float]], members: Sequence[Member], alike: Floats, dimmed: Mask, light: Floats, means: Floats
) -> None:
    """
    Find light that is raised and cut off from one moment to the next, and lend it to the rest of what is lit so.

    Where things move, only the moments on both sides of the step still show about one view; from there on, moments
    that follow each other in one light belong together.
    """
    shares = np.array([member.signals["bright_share"] for member in members])
    near = [after.seconds - before.seconds < _NEAR_SECONDS for before, after in pairwise(members)]
    # Where the darker one is dimmed, the other has not too much light.
    dims = np.diagonal(dimmed | dimmed.T, 1)
    steps = [_kind_of_step(place, light, means) if near[place] and not dims[place] else 0 for place in range(len(near))]
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


def _kind_of_step(place: int, light: Floats, means: Floats) -> int:
    """Tell whether light is raised and cut off in the moment after (1) or in this beside that (-1), or neither (0)."""
    step = float(means[place + 1] - means[place])
    if abs(step) < 2 * _LEAST_LIFT:
        return 0
    bright, dark = (light[place + 1], light[place]) if step > 0 else (light[place], light[place + 1])
    if not is_cut_off(bright) or likeness_when_raised(bright, dark[None])[0] < _ABOUT_SAME_VIEW:
        return 0
    return 1 if step > 0 else -1


def _against_twins(
    place: int,
    members: Sequence[Member],
    alike: Floats,
    raised: Mask,
    dimmed: Mask,
    means: Floats,
    spreads: Floats,
) -> dict[str, float]:
    """
    Compare with the other pictures of the same view.

    Returns:
        `twin_sharpness`: own sharpness over that of the sharpest twin; `twin_softening`: what the blur extent exceeds
        that twin's by. `twin_glare`: the share of nearly white beyond that of the twin with least; `twin_lift`: what
        the mean light exceeds that twin's by, 0..1. `twin_blur`: the blur extent of the softest twin. Without twins the
        sharpness is 1, the others 0.
    """
    own = members[place].signals
    result = {
        "twin_sharpness": 1.0,
        "twin_softening": 0.0,
        "twin_blur": 0.0,
        "twin_glare": 0.0,
        "twin_lift": 0.0,
    }
    twins, darker = np.flatnonzero(alike > _SAME_VIEW).tolist(), np.flatnonzero(raised).tolist()
    # What is this picture itself, dimmed, does not tell that it has too much light.
    calm = [
        twin
        for twin in {*twins, *darker} - {*np.flatnonzero(dimmed).tolist()}
        if members[twin].signals["bright_share"] <= own["bright_share"] - 0.03
    ]
    if calm:
        least = min(calm, key=lambda twin: members[twin].signals["bright_share"])
        result["twin_glare"] = own["bright_share"] - members[least].signals["bright_share"]
        result["twin_lift"] = float(means[place] - means[least]) / 255
    if twins:
        # A blur takes contrast too: a sharper one with less of it is dimmed, and letters over it are what is sharp.
        measures = [twin for twin in twins if spreads[twin] > _SAME_CONTRAST * spreads[place]] or [place]
        sharpest = members[max(measures, key=lambda twin: members[twin].signals["sharpness"])].signals
        result["twin_sharpness"] = (own["sharpness"] + 1.0) / (sharpest["sharpness"] + 1.0)
        result["twin_blur"] = max(members[twin].signals["blur_extent"] for twin in twins)
        result["twin_softening"] = own["blur_extent"] - sharpest["blur_extent"]
    return result


def _lost_detail(
    fineness: Floats, spreads: Floats, others: Floats, spreads_of_others: Floats
) -> npt.NDArray[np.float64]:
    """
    Give the share of the tiles with any fine detail that have far less of it in a picture than in another.

    A blur takes fine detail from everywhere; what moves, or is written over a picture, changes only some tiles. More
    light and contrast show more detail too, so the other's is scaled down to the own contrast.

    Returns:
        A row for each picture, a column for each of the others; 0 where too few tiles have any.
    """
    scales = np.minimum(1.0, spreads[:, None] / np.maximum(spreads_of_others, 1e-6)) ** 2
    detailed = np.maximum(fineness[:, None], others) > _FINE
    lost = detailed & (fineness[:, None] + _GRAIN < _LOST * (scales[..., None] * others + _GRAIN))
    tiles = np.count_nonzero(detailed, axis=2)
    shares: npt.NDArray[np.float64] = np.count_nonzero(lost, axis=2) / np.maximum(tiles, 1)
    return np.where(tiles >= _LEAST_TILES, shares, 0.0)


def _sides(glance: Picture) -> Floats:
    """Give the light of the left and the right fifth of a glance as one row."""
    width = glance.shape[1] // 5
    return flat_luma(np.concatenate([glance[:, :width], glance[:, -width:]], axis=1))


def _find_dimmed(result: list[dict[str, float]], left: Floats) -> None:
    """
    Add `light_left`, the share of contrast that is left of the most that pictures of the same scene have, flashes
    aside; 1 without such.
    """
    for place, (entry, own) in enumerate(zip(result, left, strict=True)):
        known = own[np.isfinite(own) & (np.arange(len(own)) != place)]
        entry["light_left"] = 1 / _usual_most(1 / np.maximum(known, 1e-3)) if len(known) else 1.0


def _usual_most(values: Floats) -> float:
    """Give the largest of some values but for a tenth of them: a flash is no measure for a whole scene."""
    flashes = max(1, len(values) // 10) if len(values) >= _ENOUGH_FOR_FLASHES else 0
    return float(np.sort(values)[-1 - flashes])


def _find_smoothed(
    result: list[dict[str, float]],
    members: Sequence[Member],
    like: npt.NDArray[np.bool_],
    lost: npt.NDArray[np.float64],
) -> None:
    """
    Add what tells a blur beside pictures of about the same view.

    `smoothed` is the share of the tiles that have lost their fine detail (see `_lost_detail`) beside the picture where
    it is most; `twin_smoothed` the most that a picture of about this view has. What is held and what letters make sharp
    is no measure for others.
    """
    measures = [
        not entry["held"] and member.signals["blur_extent"] > LETTERED
        for entry, member in zip(result, members, strict=True)
    ]
    smoothed = (lost * (like & measures)).max(axis=1)
    for place, entry in enumerate(result):
        entry["smoothed"] = float(smoothed[place])
        entry["twin_smoothed"] = float(smoothed[like[place]].max(initial=0.0))


def _find_speckled(result: list[dict[str, float]], members: Sequence[Member], like: npt.NDArray[np.bool_]) -> None:
    """
    Add `twin_noise`, the noise of the quietest of the moments around that show partly the same; the own without such.

    Grass, grain and snow are as noisy in all of a scene; speckles come and go.
    """
    noise = np.array([member.signals.get("noise", 0.0) for member in members])
    for place, entry in enumerate(result):
        entry["twin_noise"] = float(noise[like[place]].min(initial=noise[place]))


def _is_held(place: int, light: Floats, times: npt.NDArray[np.float64]) -> bool:
    """
    Tell whether the next moment before or after shows the very same picture.

    Encoders make a frozen picture breathe between keyframes, so neighbours within half a second may differ more than
    moments seconds apart: those differ by at most 0.1 in frozen pictures, and by 0.6 or more in calm filmed ones.
    """
    apart = np.abs(times - times[place])
    for side in (times < times[place], times > times[place]):
        there = np.flatnonzero(side & (apart >= _HELD_SECONDS) & (apart < _NEAR_SECONDS))
        if len(there) and float(np.abs(light[there[np.argmin(apart[there])]] - light[place]).mean()) < _HELD:
            return True
    return False

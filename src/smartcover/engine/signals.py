"""
Pixels to numbers. Each signal is a small pure function of one prepared picture; its docstring names its source.

To add a signal: write the function, and list it in `PICTURE_SIGNALS` (of a picture alone) or compute it in
`time_signals` (of a picture among its neighbours); then list it in `MEANINGS` of scoring.py, for a weight that
benchmarks/quality/fit.py fits, or give it a rule in defects.py.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from smartcover.engine.arrays import LUMA, OPPONENT, Bytes, Floats, Picture

_TILES = 6
"""Tiles along each side of a picture."""


_DARK, _BRIGHT = 28.0, 238.0
"""Luma under which a pixel is nearly black, and from which it is nearly white."""

_FULL, _NEARLY_FULL, _JUST_UNDER_FULL = 252, 225, 248
"""Values of a channel that is full, give or take what encoding changes, and between which it nearly is."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture with what several signals share: luma 0..255, its gradient and its Laplacian, and its noise."""

    rgb: Picture
    luma: Floats
    gradient: Floats
    laplacian: Floats

    @functools.cached_property
    def channels(self) -> Bytes:
        """Red, green and blue apart, (3, rows, columns): arithmetic along an axis of three is several times slower."""
        return np.ascontiguousarray(np.moveaxis(self.rgb, -1, 0))

    @functools.cached_property
    def mean(self) -> Floats:
        """Mean luma, as an array of one pixel."""
        mean: Floats = self.luma.mean(keepdims=True)
        return mean

    @functools.cached_property
    def varied(self) -> Floats:
        """Luma with its mean taken off."""
        varied: Floats = self.luma - self.mean
        return varied

    @functools.cached_property
    def light(self) -> Bytes:
        """Luma in whole steps."""
        return self.luma.astype(np.uint8)

    @functools.cached_property
    def noise(self) -> float:
        """Standard deviation of noise by Immerkaer 1996, in the quieter half of the picture: texture is not noise."""
        second = -2 * self.luma[:, 1:-1]
        second += self.luma[:, 2:]
        second += self.luma[:, :-2]
        masked = -2 * second[1:-1]
        masked += second[2:]
        masked += second[:-2]
        tiles = _tile_means(np.abs(masked, out=masked))
        return math.sqrt(math.pi / 2) / 6 * float(np.median(tiles[tiles <= np.median(tiles)]))

    @functools.cached_property
    def fineness(self) -> Floats:
        """Mean square of the Laplacian in each of 6x6 tiles, row by row: how much fine detail is where."""
        return _tile_means(self.laplacian**2)

    @functools.cached_property
    def steps(self) -> tuple[Floats, Floats]:
        """How far luma is from the pixel below, and from the one to the right, without sign."""
        down, across = self.luma[1:] - self.luma[:-1], self.luma[:, 1:] - self.luma[:, :-1]
        return np.abs(down, out=down), np.abs(across, out=across)


def prepare(rgb: Picture) -> Prepared:
    """Compute the shared parts. Pictures under 3x3 are repeated at their edges, so that every signal is defined."""
    rows, columns = rgb.shape[:2]
    if rows < 3 or columns < 3:
        rgb = np.pad(rgb, ((0, max(0, 3 - rows)), (0, max(0, 3 - columns)), (0, 0)), mode="edge")
    luma = rgb.astype(np.float32) @ LUMA
    across, down = luma[1:-1, 2:] - luma[1:-1, :-2], luma[2:, 1:-1] - luma[:-2, 1:-1]
    # In place: a new array for each step costs more than the step. Not hypot: it guards against an overflow that
    # cannot happen here, at three times the cost.
    across *= across
    down *= down
    across += down
    gradient = np.sqrt(across, out=across)
    gradient /= 2
    laplacian = -4 * luma[1:-1, 1:-1]
    for beside in (luma[1:-1, 2:], luma[1:-1, :-2], luma[2:, 1:-1], luma[:-2, 1:-1]):
        laplacian += beside
    return Prepared(rgb, luma, gradient, laplacian)


def share_of(mask: npt.NDArray[np.bool_]) -> float:
    """Share of a mask that is set: its mean, at a quarter of the cost."""
    return float(np.count_nonzero(mask) / mask.size)


def brightness(picture: Prepared) -> float:
    """Mean luma, 0..1."""
    return float(picture.mean[0, 0]) / 255


def contrast(picture: Prepared) -> float:
    """Standard deviation of luma, 0..1 (RMS contrast: Peli 1990)."""
    return float(np.sqrt((picture.varied**2).mean())) / 255


def highlights(picture: Prepared) -> float:
    """The 98th percentile of luma, 0..1: a night scene with lamps is high here, a black frame is not."""
    # A quarter of the pixels: sorting is the dearest of the cheap steps, and the percentile does not need them all.
    few = picture.luma[::2, ::2].ravel()
    place = 0.98 * (len(few) - 1)
    below, above = math.floor(place), math.ceil(place)
    few.partition((below, above))
    # Not numpy's percentile: it puts more in order than the two values between which this one lies.
    return float(few[above] - (few[above] - few[below]) * np.float32(above - place)) / 255


def lowlights(picture: Prepared) -> float:
    """
    The darkest two-hundredth of the darkest channel ends here, 0..1.

    Pictures hold something black or of a pure colour; in fog, on pale pages and in a fade to white nothing is.
    """
    darkest = picture.channels[:, ::4, ::4].min(axis=0).ravel()
    place = len(darkest) // 200
    return float(np.partition(darkest, place)[place]) / 255


def dark_share(picture: Prepared) -> float:
    """Share of pixels that are nearly black."""
    return share_of(picture.luma < _DARK)


def bright_share(picture: Prepared) -> float:
    """Share of pixels that are nearly white: over-exposure, white cards, flashes."""
    return share_of(picture.luma > _BRIGHT)


def cut_off_share(picture: Prepared) -> float:
    """
    Share of pixels whose strongest channel is full, where hardly any end just below; else 0.

    Light that is raised beyond full is cut off there. What a camera sees runs out before: of what judges accepted of
    filmed pictures next to none is over 0.12. Pure colours of drawings are full too.
    """
    strongest = picture.channels.max(axis=0)
    full, nearly = share_of(strongest >= _FULL), share_of((strongest >= _NEARLY_FULL) & (strongest < _JUST_UNDER_FULL))
    return full if full > 2 * nearly else 0.0


def entropy(picture: Prepared) -> float:
    """Shannon entropy of luma in 64 steps, in bits, 0..6."""
    counts = np.bincount(picture.light.ravel(), minlength=256).reshape(64, 4).sum(axis=1)
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())


def flat_share(picture: Prepared) -> float:
    """Share of pixels without any gradient: cards, blank walls, blank screens."""
    return share_of(picture.gradient < 1.5)


def detail(picture: Prepared) -> float:
    """Mean gradient of luma (Tenengrad without squares: Krotkov 1987)."""
    return float(picture.gradient.mean())


def noise(picture: Prepared) -> float:
    """Give `Prepared.noise`, which sharpness needs too."""
    return picture.noise


def sharpness(picture: Prepared) -> float:
    """
    Laplacian deviation of the sharpest quarter of the tiles (Pech-Pacheco et al. 2000, by tile).

    A sharp subject before a blurred background counts as sharp. Noise adds 20 sigma squared to the
    Laplacian's variance (the squared weights of its kernel), which is taken off.
    """
    tiles = np.sort(picture.fineness)
    best = tiles[-max(1, len(tiles) // 4) :].mean()
    return math.sqrt(max(0.0, float(best) - 20 * picture.noise**2))


def blur_extent(picture: Prepared) -> float:
    """
    How little the picture loses by blurring it more, 0 sharp to 1 (after Crete et al. 2007, "The blur effect").

    Relative to the picture's own contrast, so that a soft but calm picture is not taken for a blurred one.
    """
    extents = []
    for axis, before in enumerate(picture.steps):
        luma = np.pad(picture.luma, ((4, 4), (0, 0)) if axis == 0 else ((0, 0), (4, 4)), mode="edge")
        # Neighbours in a mean of nine differ by what enters and what leaves it.
        after = luma[9:] - luma[:-9] if axis == 0 else luma[:, 9:] - luma[:, :-9]
        np.abs(after, out=after)
        after /= 9
        lost = np.subtract(before, after, out=after)
        np.maximum(lost, 0.0, out=lost)
        extents.append(1.0 - float(lost.sum()) / max(float(before.sum()), 1e-6))
    return max(extents)


def colourfulness(picture: Prepared) -> float:
    """Colourfulness of Hasler and Suesstrunk 2003 (their M3): 0 grey, 109 extremely colourful."""
    red, green, blue = picture.channels.astype(np.int16)
    red_green, yellow_blue = (red - green).astype(np.float32), (red + green - 2 * blue).astype(np.float32) / 2
    red_green_mean, yellow_blue_mean = red_green.mean(), yellow_blue.mean()
    red_green -= red_green_mean
    yellow_blue -= yellow_blue_mean
    spreads = (np.sqrt(np.square(plane, out=plane).mean()) for plane in (red_green, yellow_blue))
    return float(np.hypot(*spreads) + 0.3 * np.hypot(red_green_mean, yellow_blue_mean))


PICTURE_SIGNALS: Mapping[str, Callable[[Prepared], float]] = {
    function.__name__: function
    for function in (
        brightness, contrast, highlights, lowlights, dark_share, bright_share, cut_off_share, entropy, flat_share,
        detail, noise, sharpness, blur_extent, colourfulness,
    )
}  # fmt: skip


def signals_of(prepared: Prepared) -> dict[str, float]:
    """Compute every signal of one picture. All are finite."""
    return {name: function(prepared) for name, function in PICTURE_SIGNALS.items()}


def streaks(rgb: Picture) -> float:
    """
    Share of the picture, in bands from top to bottom, that is drawn down in vertical streaks.

    Decoders that lose their place repeat the line above. Stripes and columns look the same, so this counts only
    where damage was met nearby.
    """
    luma = prepare(rgb).luma
    streaked = 0
    for band in np.array_split(luma, _TILES, axis=0):
        if len(band) > 1:
            across = float(np.abs(np.diff(band, axis=1)).mean()) + 0.05
            down = float(np.abs(np.diff(band, axis=0)).mean()) + 0.05
            streaked += down < 0.4 * across
    return streaked / _TILES


def time_signals(here: Picture, neighbours: Sequence[tuple[float, Picture]]) -> dict[str, float]:
    """
    Compute what a picture's neighbours tell; empty without neighbours.

    Args:
        here: The picture, small.
        neighbours: (offset in seconds, picture of the same size), in order of time.
    """
    if not neighbours:
        return {}
    middle = here.astype(np.float32)
    others = [(offset, picture.astype(np.float32)) for offset, picture in neighbours]
    nearest = min(others, key=lambda entry: abs(entry[0]))
    blend, change = 1.0, 0.0
    for before, between, after in _even_triples((0.0, middle), others):
        share = (between[0] - before[0]) / (after[0] - before[0])
        blend, change = min((blend, change), blend_fit(before[1], between[1], after[1], share))
    return {
        "motion": float(np.abs(middle - nearest[1]).mean()),
        "blend": blend,
        "change": change,
    }


def blend_fit(before: Floats, middle: Floats, after: Floats, share: float) -> tuple[float, float]:
    """
    Tell how well a picture is a mixture of an earlier and a later one.

    In a fade or dissolve the mixture is exact; moving things are never at two places half seen.

    Returns:
        What the mixture leaves unexplained, as a share of the change; and the change (mean, of 255).
        No change gives (1, 0).
    """
    change = float(np.abs(after - before).mean())
    if change < 3.0:
        return 1.0, 0.0
    mixture = before + (after - before) * share
    return float(np.abs(middle - mixture).mean()) / change, change


_Timed = tuple[float, Floats]


def _even_triples(here: _Timed, others: Sequence[_Timed]) -> list[tuple[_Timed, _Timed, _Timed]]:
    """
    List the triples of about evenly spaced pictures with `here` among them, in order of time.

    A keyframe has no earlier neighbours, so a dissolve that goes on after it must be seen from its start. Pictures
    at one and the same time, which a broken file may give, are in no triple.
    """
    entries = sorted([here, *others], key=lambda entry: entry[0])
    return [
        (first, second, third)
        for first, second, third in combinations(entries, 3)
        if any(entry[0] == here[0] for entry in (first, second, third))
        and 0.6 * (third[0] - second[0]) < second[0] - first[0] < 1.7 * (third[0] - second[0])
    ]


def shrink(luma: Floats, side: int) -> Floats:
    """Average a picture down (or repeat it up) to side x side."""
    rows = np.linspace(0, luma.shape[0], side + 1)
    columns = np.linspace(0, luma.shape[1], side + 1)
    top, bottom = rows[:-1].astype(np.intp), np.maximum(rows[:-1].astype(np.intp) + 1, rows[1:].astype(np.intp))
    left = columns[:-1].astype(np.intp)
    right = np.maximum(left + 1, columns[1:].astype(np.intp))
    area = (bottom - top)[:, None] * (right - left)[None, :]
    if min(luma.shape) >= side:
        # The cells tile the picture, so plain sums do.
        folded = np.add.reduceat(np.add.reduceat(luma, top, axis=0), left, axis=1)
        shrunk: Floats = (folded / area).astype(np.float32)
        return shrunk
    integral = np.zeros((luma.shape[0] + 1, luma.shape[1] + 1))
    integral[1:, 1:] = luma.cumsum(axis=0, dtype=np.float64).cumsum(axis=1)
    sums = (
        integral[np.ix_(bottom, right)]
        - integral[np.ix_(top, right)]
        - integral[np.ix_(bottom, left)]
        + integral[np.ix_(top, left)]
    )
    result: Floats = (sums / area).astype(np.float32)
    return result


def _tile_means(values: Floats) -> Floats:
    """Average the tiles of a grid, row by row; the first ones are a line larger where the sides do not divide."""
    rows, columns = (_tile_sizes(side) for side in values.shape)
    down, across = (np.cumsum(sizes) - sizes for sizes in (rows, columns))
    sums = np.add.reduceat(np.add.reduceat(values, down, axis=0), across, axis=1)
    result: Floats = (sums / np.outer(rows, columns)).astype(np.float32).ravel()
    return result


def _tile_sizes(side: int) -> npt.NDArray[np.intp]:
    tiles = min(_TILES, side)
    sizes = np.full(tiles, side // tiles, dtype=np.intp)
    sizes[: side % tiles] += 1
    return sizes


def signature(glance: Picture) -> Floats:
    """
    Describe a picture for comparing: a 12x12 grid of means in opponent colours, so that hue counts as much as light.

    The distance of two is `difference`.
    """
    values = glance.astype(np.float32)
    return np.stack([shrink(plane, 12) for plane in np.moveaxis(values @ OPPONENT, -1, 0)])


def difference(one: Floats, other: Floats) -> float:
    """Mean distance of two signatures in steps of 255; under 8 two pictures look the same at a glance."""
    return float(differences(one, other[None])[0])


def differences(one: Floats, others: Floats) -> npt.NDArray[np.float64]:
    """Give the `difference` of a signature to each of others, which are stacked along the first axis."""
    return weighed(plane_differences(one, others))


def plane_differences(one: Floats, others: Floats) -> npt.NDArray[np.float64]:
    """Mean distances of a signature to others, in the order of its planes: light, red-green, yellow-blue; (n, 3)."""
    planes: npt.NDArray[np.float64] = np.abs(others - one).reshape(len(others), 3, -1).mean(axis=2).astype(np.float64)
    return planes


def weighed(planes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sum `plane_differences` up: light counts twice as much as either colour."""
    apart: npt.NDArray[np.float64] = planes[:, 0] + 0.5 * planes[:, 1] + 0.5 * planes[:, 2]
    return apart

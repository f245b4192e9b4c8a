"""
More defects, as others would plant them: many looks of each, held to a stricter measure.

A tenth of another picture, of black or of white makes a frame bad; what is less but there is a trace, counted apart.
A frozen picture is bad however good it looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.planted.build import Format
from benchmarks.planted.cards import CARDS, CREDITS
from benchmarks.planted.kinds import TRACE, Frame, Maker, Stretch, all_bad, dark, static

_LEAST, _SEEN = 0.03, 0.1
"""Shares of another picture, of black or of white: from which it counts as a trace, and as bad."""

Change = Callable[[Frame, np.random.Generator], Frame]


def _each(change: Change, good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    return all_bad([change(frame, random) for frame in good])


def _plain(level: float, noise: float, frame: Frame, random: np.random.Generator) -> Frame:
    grain = random.normal(0, noise, (*frame.shape[:2], 1)) if noise else 0.0
    return np.clip(np.full(frame.shape, level) + grain, 0, 255).astype(np.uint8)


def _with_sign(
    level: float, part: tuple[float, float, float, float], frame: Frame, random: np.random.Generator
) -> Frame:
    """A plain noisy ground with something small and bright on it: a station's sign, or a subtitle."""
    picture = _plain(level, 2.0, frame, random)
    rows, columns = frame.shape[:2]
    top, bottom, left, right = (
        round(share * side) for share, side in zip(part, (rows, rows, columns, columns), strict=True)
    )
    sign = picture[top:bottom, left:right]
    sign[:, (np.arange(sign.shape[1]) // max(2, rows // 90)) % 3 > 0] = 225
    return picture


def _gain(gain: float, lift: float, frame: Frame, _random: np.random.Generator) -> Frame:
    return np.clip(frame * gain + lift, 0, 255).astype(np.uint8)


def _gaussian(share: float, frame: Frame, _random: np.random.Generator) -> Frame:
    return np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(share * frame.shape[0])))


def _box(share: float, frame: Frame, _random: np.random.Generator) -> Frame:
    return np.asarray(Image.fromarray(frame).filter(ImageFilter.BoxBlur(share * frame.shape[0])))


def _smear(share: float, slope: float, frame: Frame, _random: np.random.Generator) -> Frame:
    """Motion blur along a line, `share` of the height long."""
    steps = np.arange(-0.5, 0.5, 1 / 24) * share * frame.shape[0]
    moved = [np.roll(frame, (round(step * slope), round(step)), axis=(0, 1)).astype(np.float32) for step in steps]
    return np.mean(moved, axis=0).astype(np.uint8)


def _coarse(frame: Frame, random: np.random.Generator) -> Frame:
    """As after lost data: blocks from elsewhere, flat blocks, a band of repeated lines."""
    picture = frame.copy()
    rows, columns = frame.shape[:2]
    for _block in range(rows * columns // 1600):
        y, x = (int(random.integers(0, side // 16)) * 16 for side in (rows, columns))
        from_y, from_x = int(random.integers(0, rows - 16)), int(random.integers(0, columns - 16))
        if random.random() < 0.6:
            picture[y : y + 16, x : x + 16] = frame[from_y : from_y + 16, from_x : from_x + 16][
                : rows - y, : columns - x
            ]
        else:
            picture[y : y + 16, x : x + 16] = (128, int(random.integers(60, 200)), int(random.integers(60, 200)))
    band = int(random.integers(0, rows * 3 // 4))
    picture[band : band + rows // 4] = picture[band]
    return picture


def _mark(share: float) -> float:
    return 0.0 if share < _LEAST else TRACE if share < _SEEN else 1.0


def fade(seconds_share: float, goal: float, good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """Down over a share of the stretch, held, and up again."""
    places = np.linspace(-1, 1, len(good))
    shares = np.clip((np.abs(places) - 1 + seconds_share) / seconds_share, 0, 1)
    frames = [(frame * share + goal * (1 - share)).astype(np.uint8) for frame, share in zip(good, shares, strict=True)]
    return frames, [_mark(1 - share) for share in shares]


def dissolve(hold: float, good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """From the moving picture into another moving one; with `hold`, both stay over each other for that share."""
    others = [np.ascontiguousarray(frame[:, ::-1]) for frame in reversed(good)]
    ramp = np.linspace(0, 1, len(good))
    middle = 0.3 + 0.4 * ramp
    shares = np.where(np.abs(ramp - 0.5) < hold / 2, middle, ramp)
    frames = [
        (one * (1.0 - share) + other * share).astype(np.uint8)
        for one, other, share in zip(good, others, shares, strict=True)
    ]
    return frames, [_mark(min(share, 1 - share)) for share in shares]


def frozen(change: Change, good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    return all_bad([change(good[0], random)] * len(good))


def _mixed(other: Frame, frame: Frame, _random: np.random.Generator) -> Frame:
    return ((frame.astype(np.uint16) + other) // 2).astype(np.uint8)


def frozen_mixture(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    return frozen(partial(_mixed, np.ascontiguousarray(good[-1][:, ::-1])), good, random)


def flashes(change: Change, good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """Single bad frames among clean ones."""
    bad = [place % 9 == 0 for place in range(len(good))]
    return [change(frame, random) if is_bad else frame for frame, is_bad in zip(good, bad, strict=True)], bad


def letterboxed(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """Bars above and below a picture that is nearly black."""
    return all_bad([np.pad((frame[60:-60] * 0.08).astype(np.uint8) + 12, ((60, 60), (0, 0), (0, 0))) for frame in good])


_LOGO, _SUBTITLE = (0.06, 0.16, 0.82, 0.95), (0.86, 0.93, 0.25, 0.75)

WIDE: Mapping[str, Maker] = {
    "black-tv": partial(_each, partial(_plain, 16.0, 0.0)),
    "black-noisy": partial(_each, partial(_plain, 18.0, 7.0)),
    "black-sign": partial(_each, partial(_with_sign, 16.0, _LOGO)),
    "black-subtitle": partial(_each, partial(_with_sign, 10.0, _SUBTITLE)),
    "black-letterboxed": letterboxed,
    "dark": dark,
    "dim": partial(_each, partial(_gain, 0.2, 0.0)),
    "white-tv": partial(_each, partial(_plain, 235.0, 0.0)),
    "white-noisy": partial(_each, partial(_plain, 240.0, 6.0)),
    "white-subtitle": partial(_each, partial(_with_sign, 205.0, _SUBTITLE)),
    "grey": partial(_each, partial(_plain, 128.0, 3.0)),
    "fade-black": partial(fade, 0.5, 0.0),
    "fade-slow": partial(fade, 1.0, 0.0),
    "fade-white": partial(fade, 0.7, 255.0),
    "fade-held": partial(fade, 0.2, 16.0),
    "dissolve": partial(dissolve, 0.0),
    "dissolve-held": partial(dissolve, 0.7),
    "gain-1.7": partial(_each, partial(_gain, 1.7, 0.0)),
    "gain-2.5": partial(_each, partial(_gain, 2.5, 0.0)),
    "lifted": partial(_each, partial(_gain, 1.0, 90.0)),
    "washed": partial(_each, partial(_gain, 1.3, 80.0)),
    "gaussian-2": partial(_each, partial(_gaussian, 0.02)),
    "gaussian-1": partial(_each, partial(_gaussian, 0.01)),
    "gaussian-0.6": partial(_each, partial(_gaussian, 0.006)),
    "box": partial(_each, partial(_box, 0.015)),
    "motion-across": partial(_each, partial(_smear, 0.06, 0.0)),
    "motion-aslant": partial(_each, partial(_smear, 0.04, 0.7)),
    "freeze": partial(frozen, partial(_gain, 1.0, 0.0)),
    "freeze-blurred": partial(frozen, partial(_smear, 0.03, 0.3)),
    "freeze-mixture": frozen_mixture,
    "freeze-damaged": partial(frozen, _coarse),
    "flash-white": partial(flashes, partial(_plain, 255.0, 0.0)),
    "flash-black": partial(flashes, partial(_plain, 0.0, 0.0)),
    "flash-damaged": partial(flashes, _coarse),
    "static": static,
    **CREDITS,
    **CARDS,
}

_X264 = Format().options
FORMATS: Sequence[Format] = (
    Format(),
    Format(size=(1280, 720), rate=25, sparse=True),
    Format(".ts", size=(480, 270), rate=25),
    Format(".mkv", "libx265", (("preset", "ultrafast"), ("crf", "24"), ("x265-params", "log-level=none")), rate=12),
    Format(".webm", "libvpx-vp9", (("deadline", "realtime"), ("cpu-used", "8"), ("b", "1500k")), sparse=True),
    Format(size=(360, 640), rate=30),
    Format(".mkv", size=(854, 480), rate=24, sparse=True),
)
LONG: Mapping[str, Maker] = {
    name: WIDE[name]
    for name in (
        "dissolve",
        "fade-slow",
        "fade-black",
        "credits-dimmed",
        "gaussian-2",
        "gain-2.5",
        "freeze",
        "smptebars",
    )
}
LONG_FORMAT = Format(size=(384, 216), rate=18, keyframe_seconds=2.0)
LONG_SECONDS, LONG_SHARE = 180.0, 0.4
"""So long that keyframes are looked at alone, without what comes before and after."""

LENGTHS_SECONDS = (5, 12, 24, 36, 60)
SHARES = (0.2, 0.4, 0.6, 0.75, 0.85)

"""
The defects. Each makes the frames of one stretch from the good frames that it replaces.

`good` are uint8 RGB frames of one size, as many as the stretch is long. What comes back counts as bad throughout,
save where a kind says otherwise by its marks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Frame = npt.NDArray[np.uint8]
TRACE = 0.5
"""The mark of a frame whose defect is there and hardly seen."""

Stretch = tuple[list[Frame], Sequence[float]]
"""Frames, and how bad each is: 0, `TRACE` or 1."""

Maker = Callable[[Sequence[Frame], np.random.Generator], Stretch]

_WORDS = ("DIRECTED", "PRODUCED", "EDITED", "BY", "MUSIC", "SOUND", "CAMERA", "LIGHT", "THANKS", "TO", "ALL")


def black(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    return all_bad([np.full_like(frame, random.integers(0, 5)) for frame in good])


def white(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    return all_bad([np.full_like(frame, random.integers(250, 256)) for frame in good])


def fade(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """Down to black (or white) and up again; only what is clearly faded counts."""
    shares = np.abs(np.linspace(-1, 1, len(good)))
    goal = 0.0 if random.random() < 0.7 else 255.0
    frames = [(frame * share + goal * (1 - share)).astype(np.uint8) for frame, share in zip(good, shares, strict=True)]
    return frames, [bool(share < 0.75) for share in shares]


def dark(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """Under-exposed: a tenth of the light."""
    return all_bad([(frame * 0.1).astype(np.uint8) for frame in good])


def overexposed(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    return all_bad([np.clip(frame * 2.2 + 110.0, 0, 255).astype(np.uint8) for frame in good])


def blur(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """Out of focus."""
    radius = good[0].shape[0] / 40
    return all_bad([np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius))) for frame in good])


def motionfreeze(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """One frame smeared sideways and held: sharp across, still, and useless."""
    width = good[0].shape[1] // 12
    shifted = [np.roll(good[0], offset, axis=1).astype(np.float32) for offset in range(-width // 2, width // 2)]
    smeared = np.mean(shifted, axis=0).astype(np.uint8)
    return all_bad([smeared] * len(good))


def dissolve(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """One picture slowly into another; the clear ends do not count."""
    first, last = good[0].astype(np.float32), np.asarray(good[-1][:, ::-1], dtype=np.float32)
    shares = np.linspace(0, 1, len(good))
    frames = [(first * (1 - share) + last * share).astype(np.uint8) for share in shares]
    return frames, [bool(0.15 < share < 0.85) for share in shares]


def credits_(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """White lines on black that roll upwards."""
    rows, columns = good[0].shape[:2]
    lines = [" ".join(random.choice(_WORDS, 3)) for _line in range(60)]
    font = ImageFont.load_default(max(10, rows // 18))
    frames = []
    for number in range(len(good)):
        image = Image.new("RGB", (columns, rows))
        pen = ImageDraw.Draw(image)
        for line, text in enumerate(lines):
            top = rows * 0.1 + line * rows / 9 - number * 2
            if -rows < top < rows:
                pen.text((columns / 2, top), text, (235, 235, 235), font, anchor="ma")
        frames.append(np.asarray(image))
    return all_bad(frames)


def testcard(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """Colour bars over a grey ramp."""
    rows, columns = good[0].shape[:2]
    card = np.zeros_like(good[0])
    bars = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)]
    for place, colour in enumerate(bars):
        card[: rows * 2 // 3, columns * place // 7 : columns * (place + 1) // 7] = colour
    card[rows * 2 // 3 :] = np.linspace(0, 255, columns, dtype=np.uint8)[None, :, None]
    return all_bad([card] * len(good))


def static(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """Noise of a lost signal."""
    return all_bad(
        [np.repeat(random.integers(0, 256, (*frame.shape[:2], 1), dtype=np.uint8), 3, axis=2) for frame in good]
    )


def logo(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """A sign and a name on a plain ground."""
    rows, columns = good[0].shape[:2]
    ground = tuple(int(value) for value in random.integers(0, 60, 3))
    image = Image.new("RGB", (columns, rows), ground)
    pen = ImageDraw.Draw(image)
    x, y, radius = columns / 2, rows * 0.42, rows * 0.16
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(230, 120, 30))
    pen.text((x, rows * 0.65), "NORTHLIGHT PICTURES", (240, 240, 240), ImageFont.load_default(rows // 12), anchor="ma")
    return all_bad([np.asarray(image)] * len(good))


KINDS: Mapping[str, Maker] = {
    "black": black,
    "white": white,
    "fade": fade,
    "dark": dark,
    "overexposed": overexposed,
    "blur": blur,
    "motionfreeze": motionfreeze,
    "dissolve": dissolve,
    "credits": credits_,
    "testcard": testcard,
    "static": static,
    "logo": logo,
}


def all_bad(frames: list[Frame]) -> Stretch:
    return frames, [True] * len(frames)

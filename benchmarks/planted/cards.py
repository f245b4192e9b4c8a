"""Credits, titles and test cards of many looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from benchmarks.planted.kinds import Frame, Maker, Stretch, all_bad

_NAMES = ("Anna Berg", "Tom Okafor", "Li Wei", "Maria Rossi", "J. Novak", "Sam Cole", "Ines Prado", "K. Tanaka")
_ROLES = ("Director", "Producer", "Camera", "Sound", "Editor", "Colour", "Music", "Best Boy", "Make-up", "Costumes")


def _ground(look: str, frame: Frame, still: Frame) -> Image.Image:
    rows, columns = frame.shape[:2]
    if look == "dimmed":
        return Image.fromarray((frame * 0.35).astype(np.uint8))
    if look == "blurred":
        return Image.fromarray(frame).filter(ImageFilter.GaussianBlur(rows / 25)).point(lambda value: value * 0.6)
    if look == "still":
        return Image.fromarray(still)
    if look == "ramp":
        ramp = np.linspace((20, 30, 90), (90, 20, 60), rows)[:, None, :].repeat(columns, axis=1)
        return Image.fromarray(ramp.astype(np.uint8))
    return Image.new("RGB", (columns, rows), look)


def credits_(
    look: str, ink: str, lines: int, height: float, speed: float, good: Sequence[Frame], random: np.random.Generator
) -> Stretch:
    """
    Lines of roles and names.

    Args:
        look: A colour, or what `_ground` knows.
        lines: How many the picture holds.
        height: Of the letters, as a share of the picture's.
        speed: Upwards, in heights of the picture for each hundred frames; 0 stays.
    """
    rows, columns = good[0].shape[:2]
    font = ImageFont.load_default(max(8, rows * height))
    step = rows * (0.8 / lines)
    texts = [f"{random.choice(_ROLES)}    {random.choice(_NAMES)}" for _line in range(lines * 3 if speed else lines)]
    frames = []
    for number, frame in enumerate(good):
        image = _ground(look, frame, good[0])
        pen = ImageDraw.Draw(image)
        for line, text in enumerate(texts):
            top = rows * 0.12 + line * step - number * speed * rows / 100
            pen.text((columns / 2, top), text, ink, font, anchor="ma")
        frames.append(np.asarray(image))
    return all_bad(frames)


def character(pen: ImageDraw.ImageDraw, corner: tuple[float, float], side: float, ink: str, number: int) -> None:
    """Draw something like a Chinese character: strokes across, down and aslant in a square; `number` says which."""
    strokes = np.random.default_rng(number)
    left, top = corner
    width = max(1, round(side / 11))
    for _stroke in range(int(strokes.integers(2, 5))):
        y, begin, end = top + side * strokes.uniform(0.08, 0.92), *np.sort(strokes.uniform(0.05, 0.95, 2))
        pen.line((left + side * min(begin, 0.35), y, left + side * max(end, 0.65), y), ink, width)
    for _stroke in range(int(strokes.integers(1, 4))):
        x, begin, end = left + side * strokes.uniform(0.1, 0.9), *np.sort(strokes.uniform(0.05, 0.95, 2))
        pen.line((x, top + side * min(begin, 0.3), x, top + side * max(end, 0.7)), ink, width)
    for way in strokes.choice((-1, 1), int(strokes.integers(0, 3))):
        x, y = left + side * 0.5, top + side * strokes.uniform(0.3, 0.6)
        pen.line((x, y, x + way * side * 0.42, top + side * 0.93), ink, width)


def cjk_credits(
    look: str, ink: str, lines: int, height: float, speed: float, good: Sequence[Frame], random: np.random.Generator
) -> Stretch:
    """Lines of a role and a name in characters that fill squares. The arguments are those of `credits_`."""
    rows, columns = good[0].shape[:2]
    side, step = rows * height, rows * (0.8 / lines)
    count = lines * 3 if speed else lines
    texts = [random.integers(0, 2500, (2, 4))[:, : random.integers(2, 5)] for _line in range(count)]
    frames = []
    for number, frame in enumerate(good):
        image = _ground(look, frame, good[0])
        pen = ImageDraw.Draw(image)
        for line, (role, name) in enumerate(texts):
            top = rows * 0.12 + line * step - number * speed * rows / 100
            if not -side < top < rows:
                continue
            for place, sign in enumerate(role):
                left = columns / 2 - side * 1.1 * (len(role) - place + 0.5)
                character(pen, (left, top), side, ink, int(sign))
            for place, sign in enumerate(name):
                character(pen, (columns / 2 + side * 1.1 * (place + 0.5), top), side, ink, int(sign))
        frames.append(np.asarray(image))
    return all_bad(frames)


def title(look: str, ink: str, good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """A sign, a name, a line below."""
    rows, columns = good[0].shape[:2]
    frames = []
    for frame in good:
        image = _ground(look, frame, good[0])
        pen = ImageDraw.Draw(image)
        x, y, size = columns / 2, rows * 0.32, rows * 0.13
        pen.polygon(((x, y - size), (x + size, y + size), (x - size, y + size)), fill="#d04020")
        pen.text((x, rows * 0.52), "THE LONG WAY", ink, ImageFont.load_default(rows / 8), anchor="ma")
        pen.text((x, rows * 0.7), "a film by Ines Prado", ink, ImageFont.load_default(rows / 18), anchor="ma")
        frames.append(np.asarray(image))
    return all_bad(frames)


def pattern(name: str, noise: float, good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """One of libavfilter's test sources, running."""
    rows, columns = good[0].shape[:2]
    graph = av.filter.Graph()
    source, sink = graph.add(name, f"size={columns}x{rows}:rate=15"), graph.add("buffersink")
    source.link_to(sink)
    graph.configure()
    frames = []
    for _frame in good:
        pulled = graph.pull()
        assert isinstance(pulled, av.VideoFrame)
        picture = pulled.to_ndarray(format="rgb24")
        if noise:
            picture = np.clip(picture + random.normal(0, noise, picture.shape), 0, 255).astype(np.uint8)
        frames.append(picture)
    return all_bad(frames)


def circle_card(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """After the PM5544: a grey grid, and in a circle bars, gratings, a ramp and a name."""
    rows, columns = good[0].shape[:2]
    image = Image.new("RGB", (columns, rows), "#808080")
    pen = ImageDraw.Draw(image)
    step = rows / 14
    for place in range(round(columns / step) + 1):
        pen.line((place * step, 0, place * step, rows), "white", max(1, rows // 180))
    for place in range(15):
        pen.line((0, place * step, columns, place * step), "white", max(1, rows // 180))
    inner = Image.new("RGB", (columns, rows), "black")
    ink = ImageDraw.Draw(inner)
    bars = ("#bfbf00", "#00bfbf", "#00bf00", "#bf00bf", "#bf0000", "#0000bf")
    left, side = columns / 2 - rows * 0.43, rows * 0.86
    for place, colour in enumerate(bars):
        ink.rectangle((left + side * place / 6, rows * 0.25, left + side * (place + 1) / 6, rows * 0.45), colour)
    for place in range(60):
        width = 2 + place % 5
        ink.rectangle((left + side * place / 60, rows * 0.47, left + side * place / 60 + width, rows * 0.6), "white")
    for place in range(6):
        level = place * 51
        ink.rectangle(
            (left + side * place / 6, rows * 0.62, left + side * (place + 1) / 6, rows * 0.75), (level, level, level)
        )
    ink.rectangle((left, 0, left + side, rows * 0.2), "white")
    ink.text((columns / 2, rows * 0.1), "CHANNEL 5", "black", ImageFont.load_default(rows / 14), anchor="ma")
    mask = Image.new("L", (columns, rows), 0)
    ImageDraw.Draw(mask).ellipse((left, rows * 0.07, left + side, rows * 0.93), fill=255)
    image.paste(inner, mask=mask)
    return all_bad([np.asarray(image)] * len(good))


def countdown(good: Sequence[Frame], random: np.random.Generator) -> Stretch:
    """Figures in circles on grey, with a hand that turns, as on film leaders."""
    rows, columns = good[0].shape[:2]
    frames = []
    for number in range(len(good)):
        image = Image.new("RGB", (columns, rows), "#9a968c")
        pen = ImageDraw.Draw(image)
        x, y = columns / 2, rows / 2
        turn = number % 15 / 15 * 360 - 90
        pen.pieslice((x - columns, y - columns, x + columns, y + columns), -90, turn, fill="#6e6a62")
        for radius in (rows * 0.42, rows * 0.36):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline="#202020", width=max(2, rows // 120))
        pen.line((0, y, columns, y), "#202020", 2)
        pen.line((x, 0, x, rows), "#202020", 2)
        pen.text((x, y), str(9 - number // 15 % 9), "#101010", ImageFont.load_default(rows / 2), anchor="mm")
        grain = random.normal(0, 5, (rows, columns, 1))
        frames.append(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))
    return all_bad(frames)


CREDITS: Mapping[str, Maker] = {
    "credits-scrolling": partial(credits_, "black", "white", 9, 0.05, 1.5),
    "credits-small": partial(credits_, "black", "#cccccc", 18, 0.028, 0.7),
    "credits-on-white": partial(credits_, "white", "black", 8, 0.055, 0.0),
    "credits-coloured": partial(credits_, "#20406a", "#f0e0a0", 7, 0.06, 1.0),
    "credits-ramp": partial(credits_, "ramp", "white", 8, 0.055, 1.2),
    "credits-dimmed": partial(credits_, "dimmed", "white", 8, 0.055, 1.2),
    "credits-blurred": partial(credits_, "blurred", "white", 7, 0.06, 1.0),
    "credits-over-still": partial(credits_, "still", "white", 8, 0.06, 0.0),
    "credits-few": partial(credits_, "black", "white", 2, 0.09, 0.0),
    "credits-cjk": partial(cjk_credits, "black", "white", 8, 0.06, 1.0),
    "credits-cjk-dimmed": partial(cjk_credits, "dimmed", "white", 7, 0.06, 1.0),
    "credits-cjk-over-still": partial(cjk_credits, "still", "white", 6, 0.07, 0.0),
    "title-black": partial(title, "black", "white"),
    "title-white": partial(title, "#f4f2ee", "#202020"),
    "title-ramp": partial(title, "ramp", "white"),
    "title-dimmed": partial(title, "dimmed", "white"),
}

CARDS: Mapping[str, Maker] = {
    name: partial(pattern, name, 0.0)
    for name in (
        "testsrc", "testsrc2", "smptebars", "smptehdbars", "rgbtestsrc", "yuvtestsrc", "pal75bars", "pal100bars",
    )
} | {
    "smptebars-noisy": partial(pattern, "smptebars", 6.0),
    "circle-card": circle_card,
    "countdown": countdown,
}  # fmt: skip

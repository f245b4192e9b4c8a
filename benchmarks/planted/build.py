"""
Clips with planted defects: what is bad is known for every frame.

Keyframes are forced every half second in bad stretches and only at the start of good ones, so that a tool that
trusts keyframes walks into them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from PIL import Image

from benchmarks.planted.kinds import KINDS, Frame, Maker

RATE = 15
SIZE = (640, 360)
_SHORT_STRETCH = 25
_LONG_STRETCH = 75
_LEAST_CHANGE = 0.3
"""Mean change from frame to frame, of 255, of what is not taken to stand still."""


@dataclass(frozen=True, slots=True)
class Planted:
    """
    A clip on disk and which of its frames are bad, with the kind that made them so ("" for good ones).

    Frames of `traces` have a kind, but hardly show it.
    """

    path: Path
    kinds: tuple[str, ...]
    rate: int = RATE
    traces: frozenset[int] = frozenset()

    def kind_at(self, seconds: float) -> str:
        return self.kinds[self._place(seconds)]

    def is_trace_at(self, seconds: float) -> bool:
        return self._place(seconds) in self.traces

    def _place(self, seconds: float) -> int:
        return min(len(self.kinds) - 1, max(0, round(seconds * self.rate)))


@dataclass(frozen=True, slots=True)
class Format:
    """
    How a clip is written.

    With `sparse`, clean stretches have no keyframe at their start either. `keyframe_seconds` is the longest time
    between keyframes of clean stretches.
    """

    suffix: str = ".mp4"
    codec: str = "libx264"
    options: tuple[tuple[str, str], ...] = (("preset", "veryfast"), ("crf", "20"))
    size: tuple[int, int] = SIZE
    rate: int = RATE
    sparse: bool = False
    keyframe_seconds: float = 600.0


_FORMAT = Format()


def short_stretches(length: int) -> list[tuple[int, int]]:
    """At the start, over a tenth and the half, and at the end: under a quarter of the clip."""
    half = _SHORT_STRETCH // 2
    centres = (half, length // 10 + 2 * _SHORT_STRETCH, length // 2, length - half - 1)
    return [(max(0, centre - half), min(length, centre + half + 1)) for centre in centres]


def long_stretches(length: int) -> list[tuple[int, int]]:
    """Also over the thirds, and longer: well over half of the clip."""
    half = _LONG_STRETCH // 2
    centres = (half, length // 3, length // 2, length * 2 // 3 + half, length - half - 1)
    return [(max(0, centre - half), min(length, centre + half + 1)) for centre in centres]


def scattered_stretches(length: int, cuts: Sequence[int], random: np.random.Generator) -> list[tuple[int, int]]:
    """At random: some of a second or two, and some of one to three frames right at cuts."""
    stretches = []
    for _stretch in range(5):
        start = int(random.integers(0, length - 30))
        stretches.append((start, start + int(random.integers(8, 30))))
    for cut in cuts:
        size = int(random.integers(1, 4))
        after = random.random() < 0.5
        stretches.append((cut, min(length, cut + size)) if after else (max(0, cut - size), cut))
    return stretches


def shared_stretches(length: int, share: float, random: np.random.Generator) -> list[tuple[int, int]]:
    """At random places, always with the first and the last frames, until `share` of the clip is bad."""
    count = max(2, min(6, length // 40))
    sizes = np.maximum(4, random.dirichlet(np.full(count, 4.0)) * share * length).astype(int)
    gaps = random.dirichlet(np.full(count - 1, 2.0)) * max(0, length - sizes.sum())
    starts = np.concatenate([[0], np.cumsum(sizes[:-1] + np.maximum(3, gaps).astype(int))])
    stretches = [(int(start), int(start + size)) for start, size in zip(starts, sizes, strict=True)]
    return [*stretches[:-1], (min(stretches[-1][0], length - int(sizes[-1])), length)]


def good_frames(
    videos: Sequence[Path],
    seconds: float,
    random: np.random.Generator,
    rate: int = RATE,
    size: tuple[int, int] = SIZE,
    *,
    moving: bool = False,
) -> tuple[list[Frame], list[int]]:
    """
    Take pieces of some seconds from several videos; give the frames and where one piece follows another.

    With `moving`, pieces that mostly stand still are left out: a frozen picture is one of the defects.
    """
    frames: list[Frame] = []
    cuts: list[int] = []
    wanted = round(seconds * rate)
    for path in random.permutation(np.array(videos, dtype=object)):
        piece = list(_frames(path, round(float(random.uniform(4, 8)) * rate), rate, size))
        if len(piece) < 2 * rate or np.mean([frame.std() for frame in piece]) < 25:
            continue
        if moving and np.median([_change(*pair) for pair in pairwise(piece)]) < _LEAST_CHANGE:
            continue
        if frames:
            cuts.append(len(frames))
        frames += piece
        if len(frames) >= wanted:
            return frames[:wanted], [cut for cut in cuts if cut < wanted]
    raise SystemExit("the videos do not hold enough good frames")


def _change(one: Frame, other: Frame) -> float:
    return float(np.abs(one[::6, ::6].astype(np.int16) - other[::6, ::6]).mean())


def plant(
    path: Path,
    frames: Sequence[Frame],
    stretches: Sequence[tuple[int, int]],
    kinds: Sequence[str],
    random: np.random.Generator,
    makers: Mapping[str, Maker] = KINDS,
    form: Format = _FORMAT,
) -> Planted:
    """Write a clip; each stretch gets the next of `kinds`."""
    result, marks = list(frames), [""] * len(frames)
    traces = set()
    for number, (start, end) in enumerate(stretches):
        kind = kinds[number % len(kinds)]
        made, bad = makers[kind](frames[start:end], random)
        for place, frame, mark in zip(range(start, end), made, bad, strict=True):
            result[place] = frame
            marks[place] = kind if mark else ""
            if 0 < mark < 1:
                traces.add(place)
    borders = {start for start, _end in stretches}
    if not form.sparse:
        borders |= {end for _start, end in stretches}
    _write(path, result, [bool(mark) for mark in marks], borders, form)
    return Planted(path, tuple(marks), form.rate, frozenset(traces))


def _write(path: Path, frames: Sequence[Frame], bad: Sequence[bool], borders: set[int], form: Format) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(form.codec, rate=form.rate, options=dict(form.options))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = form.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 10_000
        since = 0
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, form.rate)
            since += 1
            most = form.rate // 2 if bad[number] else form.rate * form.keyframe_seconds
            if number in borders or since >= most:
                frame.pict_type = PictureType.I
                since = 0
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _frames(path: Path, most: int, rate: int, size: tuple[int, int]) -> Iterator[Frame]:
    """Decode from a second on, at about the common rate, in the common size (cut to its shape)."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            due, given = None, 0
            for frame in container.decode(stream):
                if frame.pts is None or frame.time_base is None:
                    continue
                now = float(frame.pts * frame.time_base)
                due = now + 1.0 if due is None else due
                if now < due:
                    continue
                due += 1 / rate
                given += 1
                yield _shaped(Image.fromarray(frame.to_ndarray(format="rgb24")), size)
                if given >= most:
                    return
    except (av.error.FFmpegError, IndexError):
        return


def _shaped(image: Image.Image, size: tuple[int, int]) -> Frame:
    width, height = size
    scale = max(width / image.width, height / image.height)
    image = image.resize((max(width, round(image.width * scale)), max(height, round(image.height * scale))))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return np.asarray(image.crop((left, top, left + width, top + height)).convert("RGB"))

"""The engine's words: what is asked for, within which limits, and what comes back. Standard library only."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Integral
from types import UnionType
from typing import Literal, Protocol, runtime_checkable

from smartcover.errors import BadParameter

ImageFormat = Literal["jpg", "png", "webp"]
Fit = Literal["crop", "pad", "stretch"]

Signals = Mapping[str, float]
"""What is known of a frame, by name: one number each. One that could not be computed is missing."""

MAX_SIDE_PX = 8192
"""Largest cover side that may be asked for or follow from one; beyond 8K it only serves to exhaust memory."""

MAX_COUNT = 100
"""Most covers of one video; more than that is a contact sheet, not a choice."""


@runtime_checkable
class SeekableReader(Protocol):
    """
    A video that is not a local file: bytes at positions.

    `read(n)` returns at most `n` bytes and `b""` only at the end; `seek` follows `io.SEEK_SET`, `SEEK_CUR`, `SEEK_END`.
    """

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


@runtime_checkable
class PrefetchingReader(SeekableReader, Protocol):
    """A reader that can fetch many ranges at once, so that a far store costs one round trip and not sixty."""

    def prefetch(self, ranges: list[tuple[int, int]], /) -> None:
        """Fetch the (offset, size) ranges that will be read next. A hint: reads elsewhere must still work."""
        ...


def check_type(name: str, value: object, kind: type | UnionType, wanted: str) -> None:
    """
    Refuse an argument of a wrong type by its name, before it fails somewhere inside.

    Raises:
        TypeError: If `value` is not of `kind`; it says what is `wanted`.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r:.60}; give {wanted}")


@dataclass(frozen=True, slots=True)
class CoverOptions:
    """
    What covers are wanted.

    With one of `width_px` and `height_px` the other follows the picture's display shape; with both, the cover has
    exactly that size and `fit` says how: `crop` around faces or subject, `pad` with black, or `stretch`.
    With none the cover has the display size of the video. `quality` (1-100) is for JPEG (default 90; below 95 the
    chroma of pictures over 640x360 is at half resolution) and WebP (default 85). `delete_duplicates` leaves
    near-duplicates out, so fewer than `count` may come back.

    Optional powers: `safety` never takes a frame that the safety network calls unsafe (needs the extra `[safety]`);
    `scorer` is an ONNX file of the caller's own whose score counts as much as ours (see scorer_hook.py); `gpu` decodes
    on an accelerator that libav can open and runs the networks on that of the installed onnxruntime, where they exist.

    Raises:
        BadParameter: If a value is out of range.
        TypeError: If a value is of the wrong type.
    """

    count: int = 3
    format: ImageFormat = "jpg"
    width_px: int | None = None
    height_px: int | None = None
    delete_duplicates: bool = False
    fit: Fit = "crop"
    crop_letterbox: bool = False
    quality: int | None = None
    safety: bool = False
    scorer: str | os.PathLike[str] | None = None
    gpu: bool = False

    def __post_init__(self) -> None:
        check_type("count", self.count, Integral, "a whole number")
        for name in ("width_px", "height_px", "quality"):
            check_type(name, getattr(self, name), Integral | None, "a whole number or None")
        for name in ("delete_duplicates", "crop_letterbox", "safety", "gpu"):
            check_type(name, getattr(self, name), bool, "True or False")
        check_type("scorer", self.scorer, str | os.PathLike | None, "a path or None")
        _check_range("count", self.count, 1, MAX_COUNT)
        for name, side in (("width", self.width_px), ("height", self.height_px)):
            if side is not None:
                _check_range(name, side, 1, MAX_SIDE_PX)
        if self.quality is not None:
            _check_range("quality", self.quality, 1, 100)
        if self.format not in ("jpg", "png", "webp"):
            raise BadParameter(f"format is {self.format!r}; give jpg, png or webp")
        if self.fit not in ("crop", "pad", "stretch"):
            raise BadParameter(f"fit is {self.fit!r}; give crop, pad or stretch")


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise BadParameter(f"{name} is {value}; give {lowest} to {highest}")


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How much one video may cost. Every loop over its bytes ends by one of these.

    Attributes:
        seconds: Wall time after which `DecodeTimedOut` is raised, or the covers that are ready are all there are.
            Sampling stops by itself at half of it, or at three quarters where reading alone took half, so that what was
            found can still be ranked and rendered. The other limits end the work of most videos within seconds; this
            one is for those that are built to last.
        max_pixels: Largest coded picture.
        candidates: Moments that are looked at; half as many again as covers are wanted, where that is more.
        keyframes: Moments that are looked at instead where every one of the `candidates` would be a keyframe, as where
            those are many or the video is long; as above. 60 instead of 40 raised the grade of the first cover by 0.02
            of 3 (standard error 0.015), at 1.2 to 1.3 times the cost of the whole.
        packets, bytes: Most that may be read from the container before sampling ends with what it has.
        held_bytes: Most compressed data kept for decoding the winners again. A lone keyframe that is larger than a
            quarter of what this comes to for each of the `candidates` (by default 400 kB) is not kept but read again.
        between_pixels: Pixels that may be decoded on the way from keyframes to moments between them
            (the default is about 300 frames of 1080p, or all of a minute at 480p).
        long_way_pixels: Pixels that may be decoded where a third of a video or more would else not be looked at, as
            nearly all keyframes lie elsewhere (the default is about 3,900 frames of 1080p: two minutes at 30 a second).
        networks_on: How many of the best candidates all networks see in any case; of moments between keyframes, which
            cost more to decode than to be seen, they see all clean ones. Faces are looked for in every clean candidate.
    """

    seconds: float = 300.0
    max_pixels: int = 8192 * 8192
    candidates: int = 60
    keyframes: int = 40
    packets: int = 500_000
    bytes: int = 2_000_000_000
    held_bytes: int = 96_000_000
    between_pixels: int = 640_000_000
    long_way_pixels: int = 8_000_000_000
    networks_on: int = 24

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            check_type(f"limit {entry.name}", value, int | float, "a number")
            if not value > 0:
                raise BadParameter(f"limit {entry.name} is {value}; give more than 0")


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """
    What was learnt of the video.

    Width and height are as displayed: after rotation and pixel aspect. `rotation_degrees` is the clockwise turn that
    made the stored picture upright; where it is `mirrored`, left and right were swapped before the turn.
    """

    container: str
    codec: str
    width_px: int
    height_px: int
    duration_seconds: float | None
    frame_rate: float | None
    rotation_degrees: int
    mirrored: bool
    hdr: Literal["pq", "hlg"] | None
    interlaced: bool
    size_bytes: int | None


RejectionKind = Literal[
    "dark",
    "bright",
    "flat",
    "card",
    "eyes",
    "frozen",
    "blurry",
    "transition",
    "duplicate",
    "broken",
    "unsafe",
    "outscored",
]
"""`outscored` is said of a clean moment where the covers were preferred: for their score, or for being less alike."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a moment that was looked at is not a cover."""

    seconds: float
    kind: RejectionKind
    reason: str
    signals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cover:
    """
    One cover, encoded.

    `seconds` counts from the start of the video as a player shows it; `pts` is the exact time stamp in the container.
    """

    image: bytes = field(repr=False)
    format: ImageFormat
    width_px: int
    height_px: int
    seconds: float
    pts: Fraction
    score: float
    signals: Mapping[str, float]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picks:
    """
    The answer: covers best first, and why. Every moment that was looked at is a cover or has a rejection;
    one around which others were looked at counts by the instant that was taken for it.

    `fallback` is None when every cover is a clean frame and the time was enough for all of them; otherwise it says
    which rule was relaxed, or how many were made.
    `unseen` says what part of the video was not looked at, when a limit ended the looking or its data is damaged.
    `timings` are seconds for each step, in order, and `total`.
    """

    video: VideoInfo
    covers: tuple[Cover, ...]
    rejections: tuple[Rejection, ...]
    fallback: str | None
    timings: Mapping[str, float]
    unseen: str | None = None

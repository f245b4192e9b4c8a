"""Where pixels go: orientation, pixel aspect and output sizes. Pure arithmetic on small values."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from smartcover.engine.arrays import Picture
from smartcover.engine.types import MAX_SIDE_PX, CoverOptions, ImageFormat
from smartcover.errors import SizeOutOfRange

_MAX_ASPECT = 64
"""Pixel aspects beyond this are a damaged header, not a picture."""

_LONGEST_SIDES_PX: dict[ImageFormat, int] = {"jpg": 65500, "webp": 16383}
"""What the encoders take; PNG holds more than any video."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """
    One of the eight ways a picture can be stored: an optional transpose, then optional mirrors, makes it upright.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: bytes) -> Orientation:
        """
        Read the 3x3 matrix of ISO/IEC 14496-12 (8.5.2): a stored point (p, q) is shown at (a p + c q, b p + d q).

        Angles between the right ones are taken to the nearest right one. An unreadable matrix leaves the picture as is.
        """
        if len(matrix) < 36:
            return cls()
        a, b, _u, c, d, *_rest = struct.unpack("=9i", matrix[:36])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, flip_x=a < 0, flip_y=d < 0)
        return cls(True, flip_x=c < 0, flip_y=b < 0)

    @property
    def mirrored(self) -> bool:
        return (self.flip_x != self.flip_y) != self.transpose

    @property
    def rotation_degrees(self) -> int:
        """Clockwise turn that makes the picture upright, after undoing a mirror image left to right."""
        if self.transpose:
            return 90 if self.flip_x != self.mirrored else 270
        return 180 if self.flip_y else 0

    def apply(self, picture: Picture) -> Picture:
        """Make a stored picture (rows, columns, channels) upright."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        if self.flip_x:
            picture = picture[:, ::-1]
        if self.flip_y:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)

    def as_stored(self, upright: Picture) -> Picture:
        """View an upright picture the way it is stored: what is written there comes to lie upright."""
        if self.flip_y:
            upright = upright[::-1]
        if self.flip_x:
            upright = upright[:, ::-1]
        return upright.transpose(1, 0, 2) if self.transpose else upright

    def swap(self, size: tuple[int, int]) -> tuple[int, int]:
        """Turn a (width, height) between stored and shown."""
        return (size[1], size[0]) if self.transpose else size


def square_pixel_size(width_px: int, height_px: int, pixel_aspect: Fraction | None) -> tuple[int, int]:
    """
    Give the stored size that a picture has with square pixels.

    The longer way is stretched and nothing is thrown away: wide pixels widen the picture, tall ones heighten it.
    Sizes beyond `MAX_SIDE_PX` twice over are scaled down: a forged pixel aspect must not ask for gigabytes.
    """
    if not pixel_aspect or not Fraction(1, _MAX_ASPECT) <= pixel_aspect <= _MAX_ASPECT:
        return width_px, height_px
    if pixel_aspect >= 1:
        return fit_within((max(1, round(width_px * pixel_aspect)), height_px), 2 * MAX_SIDE_PX)
    return fit_within((width_px, max(1, round(height_px / pixel_aspect))), 2 * MAX_SIDE_PX)


def fit_within(size: tuple[int, int], longest_px: int) -> tuple[int, int]:
    """Scale a size down, never up, so that its longer side is at most `longest_px`."""
    longest = max(size)
    if longest <= longest_px:
        return size
    return max(1, round(size[0] * longest_px / longest)), max(1, round(size[1] * longest_px / longest))


def output_size(picture: tuple[int, int], options: CoverOptions) -> tuple[int, int]:
    """
    Give the (width, height) of a cover from the picture's upright, square-pixel size.

    Raises:
        SizeOutOfRange: If a side that follows from the other is over `MAX_SIDE_PX`, or the picture's own size is more
            than the format holds.
    """
    width_px, height_px = picture
    if options.width_px and options.height_px:
        return options.width_px, options.height_px
    if options.width_px:
        follows = max(1, round(height_px * options.width_px / width_px))
        _check_side(options.width_px, "wide", follows, "high")
        return options.width_px, follows
    if options.height_px:
        follows = max(1, round(width_px * options.height_px / height_px))
        _check_side(options.height_px, "high", follows, "wide")
        return follows, options.height_px
    longest = _LONGEST_SIDES_PX.get(options.format)
    if longest is not None and max(picture) > longest:
        raise SizeOutOfRange(
            f"a cover of the video's size is {width_px}x{height_px} px and {options.format} holds {longest} a side; "
            "ask for a width or a height, or for png"
        )
    return picture


def _check_side(asked: int, asked_way: str, follows: int, follows_way: str) -> None:
    if follows > MAX_SIDE_PX:
        raise SizeOutOfRange(
            f"a cover {asked} px {asked_way} of this video is {follows} px {follows_way}, more than {MAX_SIDE_PX}; "
            "ask for less, or for both width and height"
        )


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of some picture."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    def scaled(self, by_x: float, by_y: float) -> Box:
        return Box(self.left * by_x, self.top * by_y, self.width * by_x, self.height * by_y)

"""Clips with known content for the engine's tests: every pixel follows from a formula, none from our own code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from smartcover.engine.signals import prepare, signals_of
from smartcover.engine.transitions import transition_signals

Picture = npt.NDArray[np.uint8]


def picture_signals(rgb: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Compute every signal that a picture has by itself."""
    prepared = prepare(rgb)
    return {**signals_of(prepared), **transition_signals(prepared)}


def write_clip(
    path: Path,
    frames: Iterable[Picture | av.VideoFrame],
    *,
    codec: str = "libx264",
    rate: int = 10,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    keyframe_every: int = 10,
    pixel_aspect: Fraction | None = None,
    display_matrix: Sequence[int] | None = None,
    tags: tuple[int, int, int, int] | None = None,
    field_order: int | None = None,
) -> Path:
    """
    Encode frames (RGB arrays, or video frames as they are) at a fixed rate.

    Args:
        tags: H.273 code points for matrix, range (1 limited, 2 full), transfer and primaries.
        field_order: What the container says of the fields: 1 progressive, 2 the top one first.
    """
    if options is None:
        options = {"preset": "ultrafast", "crf": "12"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream: Any = None
        for number, picture in enumerate(frames):
            frame = picture if isinstance(picture, av.VideoFrame) else av.VideoFrame.from_ndarray(picture, "rgb24")
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt
                stream.codec_context.gop_size = keyframe_every
                if pixel_aspect is not None:
                    stream.codec_context.sample_aspect_ratio = pixel_aspect
                if display_matrix is not None:
                    stream.set_display_matrix(display_matrix)
                if field_order is not None:
                    stream.codec_context.field_order = field_order
                if tags is not None:
                    context = stream.codec_context
                    context.colorspace, context.color_range, context.color_trc, context.color_primaries = tags
            if tags is not None:
                frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = tags
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def planes_frame(*planes: npt.NDArray[Any], pix_fmt: str) -> av.VideoFrame:
    """Make a frame of given code values, untouched by any conversion: one array for each plane that the format has."""
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], pix_fmt)
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((values.shape[0], plane.line_size // values.itemsize), dtype=values.dtype)
        rows[:, : values.shape[1]] = values
        plane.update(rows.tobytes())
    return frame


def texture(
    height_px: int = 96, width_px: int = 160, *, seed: int = 1, tint: tuple[int, int, int] = (0, 0, 0)
) -> Picture:
    """A sharp, colourful, well exposed picture of blocks; another for each seed."""
    random = np.random.default_rng(seed)
    cells = random.integers(40, 215, size=(-(-height_px // 12), -(-width_px // 12), 3))
    picture: npt.NDArray[np.int64] = cells.repeat(12, axis=0).repeat(12, axis=1)[:height_px, :width_px]
    result: Picture = np.clip(picture + np.array(tint), 0, 255).astype(np.uint8)
    return result


def plain(value: int | tuple[int, int, int], height_px: int = 96, width_px: int = 160) -> Picture:
    """A picture of one colour."""
    return np.broadcast_to(np.asarray(value, dtype=np.uint8), (height_px, width_px, 3)).copy()


def numbered(number: int, height_px: int = 96, width_px: int = 160) -> Picture:
    """A textured picture that carries its number in ten black or white squares along the bottom, for `read_number`."""
    picture = texture(height_px, width_px, seed=7)
    # Something must differ between the frames for a choice to exist.
    picture[:24, (number * 7) % (width_px - 24) :][:, :24] = (230, 60, 40)
    for bit in range(10):
        picture[-16:, bit * 16 : bit * 16 + 16] = 235 if number >> bit & 1 else 16
    return picture


def read_number(picture: Picture) -> int:
    """Read the number that `numbered` drew."""
    return sum(1 << bit for bit in range(10) if picture[-10:-6, bit * 16 + 6 : bit * 16 + 10].mean() > 128)


def shift(picture: Picture, by_px: int) -> Picture:
    """Move a picture to the right, around the edge."""
    return np.roll(picture, by_px, axis=1)

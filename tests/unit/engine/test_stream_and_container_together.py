"""What a stream or its container alone says of colours, pixel shape and cropping counts, wherever it stands."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from smartcover.engine import CoverOptions, pick_covers
from tests.engine_clips import Picture, plain, planes_frame, texture, write_clip

LOSSLESS = {"preset": "ultrafast", "qp": "0"}
LUMA_WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
GREEN = np.array([30.0, 170.0, 40.0])


def _covers(clip: Path, count: int = 1) -> list[Picture]:
    picks = pick_covers(clip, CoverOptions(count=count, format="png"))
    return [np.asarray(Image.open(io.BytesIO(cover.image)).convert("RGB")) for cover in picks.covers]


def _green_frames(matrix: int, pix_fmt: str, *, full_range: bool = False) -> list[av.VideoFrame]:
    """Frames of one green, in code values by the equations of H.273 section 8.3."""
    red_weight, blue_weight = LUMA_WEIGHTS[matrix]
    red, green, blue = GREEN / 255
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    step = 4 if "10" in pix_fmt else 1
    scale, offset, chroma = (255, 0, 255) if full_range else (219, 16, 224)
    values = (
        luma * scale + offset,
        (blue - luma) / (2 * (1 - blue_weight)) * chroma + 128,
        (red - luma) / (2 * (1 - red_weight)) * chroma + 128,
    )
    kind = np.dtype(np.uint16 if step > 1 else np.uint8)
    shrunk = 1 if "444" in pix_fmt else 2
    sizes = [(96, 160), (96 // shrunk, 160 // shrunk), (96 // shrunk, 160 // shrunk)]
    planes = [np.full(size, round(value * step), dtype=kind) for size, value in zip(sizes, values, strict=True)]
    return [planes_frame(*planes, pix_fmt=pix_fmt) for _number in range(3)]


def _put_into(
    path: Path,
    source: Path,
    *,
    tags: tuple[int, int, int, int] | None = None,
    pixel_aspect: Fraction | None = None,
) -> Path:
    """Copy a stream into a container that has its own word on matrix, range, transfer, primaries, or pixel shape."""
    with av.open(str(source)) as original, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(original.streams.video[0])
        context = stream.codec_context
        if tags is not None:
            context.colorspace, context.color_range, context.color_trc, context.color_primaries = tags
        if pixel_aspect is not None:
            context.sample_aspect_ratio = pixel_aspect
        for packet in original.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("codec", "suffix", "full_range"),
    [("libx264", ".mp4", False), ("libx264", ".mp4", True), ("libx264", ".mkv", True), ("libx265", ".mp4", False)],
)
def test_the_matrix_and_range_that_the_container_alone_tells_count(
    tmp_path: Path, codec: str, suffix: str, full_range: bool
) -> None:
    frames = _green_frames(1, "yuv444p", full_range=full_range)
    options = LOSSLESS if codec == "libx264" else {"preset": "ultrafast", "x265-params": "lossless=1:log-level=none"}
    untagged = write_clip(tmp_path / f"untagged{suffix}", frames, codec=codec, pix_fmt="yuv444p", options=options)
    clip = _put_into(tmp_path / f"clip{suffix}", untagged, tags=(1, 2 if full_range else 1, 1, 1))
    assert np.abs(_covers(clip)[0][48, 80] - GREEN).max() <= 2


@pytest.mark.parametrize(("codec", "suffix"), [("libx265", ".mp4"), ("prores_ks", ".mov")])
def test_the_container_alone_may_tell_that_a_video_is_hdr(tmp_path: Path, codec: str, suffix: str) -> None:
    frames = _green_frames(9, "yuv444p10le")
    options = {"preset": "ultrafast", "x265-params": "log-level=none"} if codec == "libx265" else {}
    untagged = write_clip(tmp_path / f"untagged{suffix}", frames, codec=codec, pix_fmt="yuv444p10le", options=options)
    clip = _put_into(tmp_path / f"clip{suffix}", untagged, tags=(9, 1, 16, 9))
    assert pick_covers(clip, CoverOptions(count=1)).video.hdr == "pq"


def test_vp8_has_the_matrix_of_its_container(tmp_path: Path) -> None:
    """Its stream cannot name another than BT.601."""
    frames = _green_frames(1, "yuv420p")
    untagged = write_clip(tmp_path / "untagged.webm", frames, codec="libvpx", options={"b": "4M", "auto-alt-ref": "0"})
    clip = _put_into(tmp_path / "clip.webm", untagged, tags=(1, 1, 1, 1))
    assert np.abs(_covers(clip)[0][48, 80] - GREEN).max() <= 6


@pytest.mark.parametrize(
    ("cut_off", "pix_fmt"),
    [((6, 0, 0, 0), "yuv420p"), ((38, 4, 10, 8), "yuv420p"), ((16, 2, 0, 0), "yuv444p"), ((6, 4, 2, 2), "yuv420p10le")],
)
@pytest.mark.parametrize("size", [(192, 320), (720, 1280)])
def test_what_the_stream_cuts_off_at_the_left_is_not_shown(
    tmp_path: Path, cut_off: tuple[int, int, int, int], pix_fmt: str, size: tuple[int, int]
) -> None:
    left, top, right, bottom = cut_off
    rows, columns = size[0] - top - bottom, size[1] - left - right
    picture = plain((0, 0, 255), *size)
    corners = {(0, 0): (200, 30, 30), (0, 1): (30, 180, 40), (1, 0): (220, 210, 40), (1, 1): (128, 128, 128)}
    for (down, across), colour in corners.items():
        half = slice(top + down * (rows // 2), top + rows // 2 + down * (rows // 2))
        picture[half, left + across * (columns // 2) : left + columns // 2 + across * (columns // 2)] = colour
    options = LOSSLESS | {"x264-params": f"crop-rect={left},{top},{right},{bottom}"}
    cover = _covers(write_clip(tmp_path / "clip.mp4", [picture] * 3, pix_fmt=pix_fmt, options=options))[0]
    assert cover.shape[:2] == (rows, columns)
    for (down, across), colour in corners.items():
        for row in (down * rows // 2 + 4, (down + 1) * rows // 2 - 5):
            for column in (across * columns // 2 + 4, (across + 1) * columns // 2 - 5):
                assert np.abs(cover[row, column].astype(int) - colour).max() <= 24


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_a_cover_has_the_pixel_shape_of_its_own_moment(tmp_path: Path, codec: str) -> None:
    """Broadcasts go from 4:3 to 16:9 without a change of the stored size."""
    # MPEG-2 tells the shape of the picture: 4:3 and 16:9 of 160x96 stored pixels.
    shapes = {"4:3": (Fraction(4, 5), (160, 120)), "16:9": (Fraction(16, 15), (171, 96))}
    parts = []
    for number, (aspect, _size) in enumerate(shapes.values()):
        frames = [texture(seed=number * 4 + frame) for frame in range(4)]
        options = {"b": "8M"} if codec == "mpeg2video" else None
        clip = tmp_path / f"{number}.ts"
        parts.append(
            write_clip(clip, frames, codec=codec, options=options, keyframe_every=2, pixel_aspect=aspect).read_bytes()
        )
    path = tmp_path / "clip.ts"
    path.write_bytes(b"".join(parts))
    sizes = {(cover.shape[1], cover.shape[0]) for cover in _covers(path, count=8)}
    assert sizes == {size for _aspect, size in shapes.values()}


def test_the_pixel_shape_of_the_container_counts_over_that_of_the_stream(tmp_path: Path) -> None:
    wide = write_clip(tmp_path / "wide.mp4", [texture()] * 3, pixel_aspect=Fraction(2))
    clip = _put_into(tmp_path / "clip.mp4", wide, pixel_aspect=Fraction(3))
    with av.open(str(clip)) as container:
        known = container.streams.video[0]
        assert (known.sample_aspect_ratio, known.codec_context.sample_aspect_ratio) == (Fraction(3), Fraction(2))
    assert _covers(clip)[0].shape[:2] == (96, 480)


@pytest.mark.parametrize(
    ("codec", "suffix", "pix_fmt", "at_left"),
    [
        ("libx264", ".mp4", "yuv420p", True),
        ("libvpx-vp9", ".webm", "yuv420p", True),
        ("prores_ks", ".mov", "yuv422p10le", True),
        ("utvideo", ".avi", "yuv422p", True),
        ("mjpeg", ".avi", "yuvj422p", False),
    ],
)
def test_colours_stand_where_the_codec_puts_them(
    tmp_path: Path, codec: str, suffix: str, pix_fmt: str, at_left: bool
) -> None:
    """JPEG's chroma lies between two pixels, that of most other codecs on the left one (H.273: type 0), told or not."""
    step, rows = (4 if "10" in pix_fmt else 1), (48 if "420" in pix_fmt else 96)
    kind = np.dtype(np.uint16 if step > 1 else np.uint8)
    luma, grey, colour = (np.full(size, 128 * step, dtype=kind) for size in ((96, 160), (rows, 80), (rows, 80)))
    colour[:, :40], colour[:, 40:] = 90 * step, 170 * step
    if at_left:
        colour[:, 40] = 150 * step  # weighed 1:2:1 about the pixel it lies on
    frames = [planes_frame(luma, grey, colour, pix_fmt=pix_fmt) for _number in range(3)]
    options = LOSSLESS if codec == "libx264" else {"b": "20M"}
    row = _covers(write_clip(tmp_path / f"clip{suffix}", frames, codec=codec, pix_fmt=pix_fmt, options=options))[0][48]
    reds = row[:, 0].astype(float)
    share = (reds[-10] - reds) / (reds[-10] - reds[10])
    assert share.clip(0, 1).sum() == pytest.approx(80, abs=0.2)

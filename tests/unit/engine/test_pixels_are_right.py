"""Colour, range, HDR, pixel aspect, interlacing, transparency, odd sizes: each against code values set by formula."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import ColorRange
from PIL import Image

from smartcover.engine import CoverOptions, Picks, pick_covers
from smartcover.engine.colour import ColourConverter
from smartcover.engine.filters import deinterlace
from smartcover.engine.geometry import Orientation
from tests.engine_clips import plain, planes_frame, texture, write_clip

BARS = [(255, 255, 255), (190, 190, 20), (20, 180, 180), (30, 170, 30), (180, 40, 180), (190, 30, 30), (30, 30, 190)]
LUMA_WEIGHTS = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
LOSSLESS = {"preset": "ultrafast", "qp": "0"}


def _cover(clip: Path, options: CoverOptions | None = None) -> npt.NDArray[np.uint8]:
    picks = pick_covers(clip, options or CoverOptions(count=1, format="png"))
    return np.asarray(Image.open(io.BytesIO(picks.covers[0].image)).convert("RGB"))


def _encode_bars(matrix: str, *, full_range: bool, height_px: int, width_px: int) -> list[av.VideoFrame]:
    """Turn the bars into code values by the equations of H.273 section 8.3."""
    red_weight, blue_weight = LUMA_WEIGHTS[matrix]
    rgb = np.array(BARS, dtype=float) / 255
    luma = red_weight * rgb[:, 0] + (1 - red_weight - blue_weight) * rgb[:, 1] + blue_weight * rgb[:, 2]
    blue = (rgb[:, 2] - luma) / (2 * (1 - blue_weight))
    red = (rgb[:, 0] - luma) / (2 * (1 - red_weight))
    scale, offset, chroma = (255.0, 0.0, 255.0) if full_range else (219.0, 16.0, 224.0)
    columns = np.arange(width_px) * len(BARS) // width_px
    planes = [np.round(values)[columns] for values in (luma * scale + offset, blue * chroma + 128, red * chroma + 128)]
    full = [np.tile(values.clip(0, 255).astype(np.uint8), (height_px, 1)) for values in planes]
    return [planes_frame(full[0], full[1], full[2], pix_fmt="yuv444p") for _number in range(2)]


@pytest.mark.parametrize(
    ("matrix", "tag", "full_range", "size"),
    [
        ("601", 6, False, (96, 168)),
        ("709", 1, False, (96, 168)),
        ("601", 6, True, (96, 168)),
        ("709", 1, True, (96, 168)),
        ("2020", 9, False, (96, 168)),
        ("601", 2, False, (96, 168)),  # untagged and small
        ("709", 2, False, (720, 1260)),  # untagged and HD
    ],
)
def test_colour_bars_keep_their_colours(
    tmp_path: Path, matrix: str, tag: int, full_range: bool, size: tuple[int, int]
) -> None:
    frames = _encode_bars(matrix, full_range=full_range, height_px=size[0], width_px=size[1])
    clip = write_clip(
        tmp_path / "clip.mp4", frames, pix_fmt="yuv444p", options=LOSSLESS, tags=(tag, 2 if full_range else 1, 2, 2)
    )
    picture = _cover(clip)
    for number, colour in enumerate(BARS):
        column = round((number + 0.5) * size[1] / len(BARS))
        assert np.abs(picture[size[0] // 2, column].astype(int) - colour).max() <= 4


@pytest.mark.parametrize("size", [(97, 161), (720, 1280)])
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_stored_as_ycgco_are_told_apart(tmp_path: Path, full_range: bool, size: tuple[int, int]) -> None:
    red, green, blue = (np.array(BARS, dtype=float) / 255).T
    scale, offset, chroma = (255.0, 0.0, 255.0) if full_range else (219.0, 16.0, 224.0)
    values = [
        (red / 4 + green / 2 + blue / 4) * scale + offset,
        (green / 2 - red / 4 - blue / 4) * chroma + 128,
        (red - blue) / 2 * chroma + 128,
    ]
    columns = np.arange(size[1]) * len(BARS) // size[1]
    planes = [np.tile(np.round(plane).clip(0, 255).astype(np.uint8)[columns], (size[0], 1)) for plane in values]
    frames = [planes_frame(planes[0], planes[1], planes[2], pix_fmt="yuv444p") for _number in range(2)]
    tags = (8, 2 if full_range else 1, 2, 2)
    picture = _cover(write_clip(tmp_path / "clip.mp4", frames, pix_fmt="yuv444p", options=LOSSLESS, tags=tags))
    for number, colour in enumerate(BARS):
        column = round((number + 0.5) * size[1] / len(BARS))
        assert np.abs(picture[size[0] // 2, column].astype(int) - colour).max() <= 4


def _pq_code(nits: float) -> int:
    """10-bit limited-range code of a luminance: SMPTE ST 2084."""
    power = math.pow(nits / 10000, 2610 / 16384)
    signal = math.pow((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power), 2523 / 32)
    return round(signal * 876 + 64)


@pytest.mark.parametrize(("transfer", "code", "expected"), [
    (16, _pq_code(203), 190), (16, _pq_code(400), 219), (16, _pq_code(1000), 255), (16, _pq_code(0.01), 1),
    (18, round(0.75 * 876 + 64), 190), (18, 940, 255),
])  # fmt: skip
def test_hdr_greys_land_where_the_tone_curve_says(tmp_path: Path, transfer: int, code: int, expected: int) -> None:
    luma = np.full((96, 160), code, dtype=np.uint16)
    chroma = np.full((96, 160), 512, dtype=np.uint16)
    frames = [planes_frame(luma, chroma, chroma, pix_fmt="yuv444p10le") for _number in range(2)]
    clip = write_clip(tmp_path / "clip.mp4", frames, pix_fmt="yuv444p10le", options=LOSSLESS, tags=(9, 1, transfer, 9))
    picks = pick_covers(clip, CoverOptions(count=1, format="png"))
    assert picks.video.hdr == ("pq" if transfer == 16 else "hlg")
    picture = np.asarray(Image.open(io.BytesIO(picks.covers[0].image))).astype(int)
    assert np.abs(picture[40:60, 60:100] - expected).max() <= 3


def test_sdr_is_not_tone_mapped(tmp_path: Path) -> None:
    luma = np.full((96, 160), 64 + 876, dtype=np.uint16)
    chroma = np.full((96, 160), 512, dtype=np.uint16)
    frames = [planes_frame(luma, chroma, chroma, pix_fmt="yuv444p10le") for _number in range(2)]
    clip = write_clip(tmp_path / "clip.mp4", frames, pix_fmt="yuv444p10le", options=LOSSLESS, tags=(1, 1, 1, 1))
    assert _cover(clip).min() >= 254


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(2), (320, 96)), (Fraction(1, 2), (160, 192)), (Fraction(64, 45), (228, 96))]
)
def test_wide_and_tall_pixels_become_square(tmp_path: Path, aspect: Fraction, size: tuple[int, int]) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [texture()] * 2, pixel_aspect=aspect)
    picks = pick_covers(clip)
    assert (picks.video.width_px, picks.video.height_px) == size
    assert (picks.covers[0].width_px, picks.covers[0].height_px) == size


def test_an_odd_size_is_kept(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [texture(97, 161)] * 2, codec="ffv1", pix_fmt="yuv444p")
    assert _cover(clip).shape == (97, 161, 3)


def _combed() -> list[npt.NDArray[np.uint8]]:
    """Frames of two fields between which a bar moves by 24 pixels."""
    frames = []
    for number in range(4):
        picture = plain(40, 96, 160)
        picture[0::2, 40 + number : 70 + number] = 220
        picture[1::2, 64 + number : 94 + number] = 220
        frames.append(picture)
    return frames


def _step_between_rows(picks: Picks) -> float:
    picture = np.asarray(Image.open(io.BytesIO(picks.covers[0].image)).convert("L")).astype(int)
    assert picture.max() > 200
    return float(np.abs(np.diff(picture[8:88], axis=0)).mean())


def test_interlaced_fields_are_not_combed(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "crf": "4", "x264-params": "tff=1"}
    clip = write_clip(tmp_path / "clip.mp4", _combed(), options=options)
    picks = pick_covers(clip, CoverOptions(count=1, format="png"))
    assert picks.video.interlaced
    assert _step_between_rows(picks) < 2


@pytest.mark.parametrize(("field_order", "interlaced"), [(1, False), (2, True)])
def test_a_container_tells_of_fields_where_its_codec_cannot(tmp_path: Path, field_order: int, interlaced: bool) -> None:
    clip = write_clip(tmp_path / "clip.mov", _combed(), codec="mjpeg", pix_fmt="yuvj422p", field_order=field_order)
    picks = pick_covers(clip, CoverOptions(count=1, format="png"))
    assert picks.video.interlaced == interlaced
    assert (_step_between_rows(picks) < 2) == interlaced


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12", "uyvy422", "yuva444p10le"])
@pytest.mark.parametrize("full_range", [False, True])
def test_deinterlacing_keeps_the_light(pix_fmt: str, full_range: bool) -> None:
    """Also of formats that the filter does not take and that are converted for it."""
    depth = 4 if "10" in pix_fmt else 1
    luma = np.full((96, 160), 200 * depth, dtype=np.uint16 if depth > 1 else np.uint8)
    grey, opaque = np.full_like(luma, 128 * depth), np.full_like(luma, 256 * depth - 1)
    whole = "yuva444p10le" if depth > 1 else "yuva444p"
    frame = planes_frame(luma, grey, grey, opaque, pix_fmt=whole)
    value = int(ColorRange.JPEG if full_range else ColorRange.MPEG)
    frame = frame.reformat(format=pix_fmt, src_color_range=value, dst_color_range=value)
    frame.color_range, frame.time_base, frame.pts = value, Fraction(1, 25), 0
    expected = 200 if full_range else (200 - 16) * 255 / 219
    assert np.abs(ColourConverter().full(deinterlace(frame), Orientation()).astype(float) - expected).max() <= 1


def test_transparent_video_is_laid_on_white(tmp_path: Path) -> None:
    picture = np.zeros((96, 160, 4), dtype=np.uint8)
    picture[20:80, 30:90] = (200, 30, 30, 255)
    frames = [av.VideoFrame.from_ndarray(picture, "rgba").reformat(format="bgra") for _number in range(2)]
    cover = _cover(write_clip(tmp_path / "clip.mkv", frames, codec="ffv1", pix_fmt="bgra"))
    assert cover[5, 5].tolist() == [255, 255, 255]
    assert np.abs(cover[50, 60].astype(int) - (200, 30, 30)).max() <= 2


def test_transparency_that_is_stored_behind_the_colours_counts(tmp_path: Path) -> None:
    colours = [np.full((96, 160), value, dtype=np.uint8) for value in (120, 100, 180)]
    opacity = np.zeros((96, 160), dtype=np.uint8)
    opacity[20:80, 30:90] = 255
    frames = [planes_frame(*colours, opacity, pix_fmt="yuva444p") for _number in range(2)]
    clip = write_clip(tmp_path / "clip.mov", frames, codec="v408", pix_fmt="yuva444p")
    with av.open(str(clip)) as container:
        assert next(container.decode(video=0)).format.name == "uyva"
    cover = _cover(clip)
    assert cover[5, 5].tolist() == [255, 255, 255]
    assert cover[50, 60].max() < 220


@pytest.mark.parametrize(("transfer", "primaries", "matrix"), [(1, 9, 9), (16, 9, 9), (18, 9, 9), (1, 12, 1)])
def test_transparent_video_of_wide_gamut_is_laid_on_white_too(
    tmp_path: Path, transfer: int, primaries: int, matrix: int
) -> None:
    luma, chroma = np.full((96, 160), 400, dtype=np.uint16), np.full((96, 160), 512, dtype=np.uint16)
    opacity = np.zeros((96, 160), dtype=np.uint16)
    opacity[20:80, 30:90] = 1023
    opacity[40:60, 50:70] = 512
    shown = {}
    for name, planes in (("yuva444p10le", (opacity,)), ("yuv444p10le", ())):
        frames = [planes_frame(luma, chroma, chroma, *planes, pix_fmt=name) for _number in range(2)]
        tags = (matrix, 1, transfer, primaries)
        shown[name] = _cover(write_clip(tmp_path / "clip.mkv", frames, codec="ffv1", pix_fmt=name, tags=tags))
    grey, transparent = shown["yuv444p10le"][30, 40].astype(int), shown["yuva444p10le"].astype(int)
    assert transparent[5, 5].tolist() == [255, 255, 255]
    assert np.abs(transparent[30, 40] - grey).max() <= 1
    assert np.abs(transparent[50, 60] - (grey + 255) / 2).max() <= 2


@pytest.mark.parametrize(("pix_fmt", "step"), [("gray", 1), ("gray10le", 4), ("gray12le", 16)])
@pytest.mark.parametrize("full_range", [False, True])
def test_greys_have_the_range_that_their_stream_says(tmp_path: Path, pix_fmt: str, step: int, full_range: bool) -> None:
    greys = np.arange(160) * 255 // 159
    codes = np.round(greys * step if full_range else greys * 219 * step / 255 + 16 * step)
    kind: Any = np.uint8 if step == 1 else np.uint16
    frames = [planes_frame(np.tile(codes.astype(kind), (96, 1)), pix_fmt=pix_fmt) for _number in range(2)]
    tags = (2, 2 if full_range else 1, 2, 2)
    cover = _cover(write_clip(tmp_path / "clip.mkv", frames, codec="ffv1", pix_fmt=pix_fmt, tags=tags))
    # The largest code of full range is a little above the one that stands for white of 8 bits.
    assert np.abs(cover[48].astype(int) - greys[:, None]).max() <= 1


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_a_transparent_webm_is_laid_on_white(tmp_path: Path, codec: str) -> None:
    for cover in pick_covers(_transparent_webm(tmp_path, codec), CoverOptions(format="png")).covers:
        pixels = np.asarray(Image.open(io.BytesIO(cover.image)))
        assert pixels[5, 5].tolist() == [255, 255, 255]
        assert np.abs(pixels[24, 70].astype(int) - (200, 30, 30)).max() <= 12
        assert np.abs(pixels[48, 70].astype(int) - (227, 142, 142)).max() <= 12


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_a_webm_whose_transparency_does_not_decode_gets_opaque_covers(
    tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartcover.engine.alpha._ID_BYTES", 9)  # so that each frame of it lacks its first byte
    cover = pick_covers(_transparent_webm(tmp_path, codec), CoverOptions(count=1, format="png")).covers[0]
    shown = np.asarray(Image.open(io.BytesIO(cover.image)))[5, 5].astype(int)
    assert np.abs(shown - (20, 30, 200)).max() <= 40


def _transparent_webm(tmp_path: Path, codec: str) -> Path:
    frames = []
    for number in range(12):
        picture = np.full((96, 160, 4), (20, 30, 200, 0), dtype=np.uint8)
        picture[16:80, 32 + number : 96 + number] = (200, 30, 30, 255)
        picture[32:64, 48 + number : 80 + number, 3] = 128
        frames.append(av.VideoFrame.from_ndarray(picture, "rgba"))
    return write_clip(
        tmp_path / "clip.webm",
        frames,
        codec=codec,
        pix_fmt="yuva420p",
        options={"auto-alt-ref": "0", "b": "2M"},
        keyframe_every=4,
    )


@pytest.mark.parametrize("orientation", [Orientation(), Orientation(True, flip_x=True), Orientation(False, True, True)])
@pytest.mark.parametrize(
    "name", ["yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuv420p10le", "p010le", "yuva444p12le", "gbrp", "yuyv422"]
)
@pytest.mark.parametrize(("height_px", "transfer"), [(560, 1), (560, 16), (541, 16)])
def test_a_large_cover_has_the_same_pixels_as_one_that_is_converted_at_once(
    monkeypatch: pytest.MonkeyPatch, name: str, orientation: Orientation, height_px: int, transfer: int
) -> None:
    dice = np.random.default_rng(7)
    rgba = dice.integers(0, 256, (height_px, 160, 4), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format=name)
    frame.color_trc, frame.color_primaries = transfer, 9 if transfer == 16 else 1
    at_once = ColourConverter().full(frame, orientation)
    monkeypatch.setattr("smartcover.engine.colour._MOST_AT_ONCE_PX", 0)

    assert np.array_equal(at_once, ColourConverter().full(frame, orientation))

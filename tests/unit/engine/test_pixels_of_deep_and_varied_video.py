"""10-bit, wide gamut, subsampled chroma, variable rate, mixed interlacing: each against values set by formula."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from smartcover.engine import CoverOptions, pick_covers
from tests.engine_clips import numbered, plain, planes_frame, read_number, texture, write_clip

BARS = [(255, 255, 255), (190, 190, 20), (20, 180, 180), (30, 170, 30), (180, 40, 180), (190, 30, 30), (30, 30, 190)]
LUMA_WEIGHTS = {"601": (0.299, 0.114), "709": (0.2126, 0.0722), "2020": (0.2627, 0.0593)}
LOSSLESS = {"preset": "ultrafast", "qp": "0"}
PNG = CoverOptions(count=1, format="png")


def _cover(clip: Path, options: CoverOptions = PNG) -> npt.NDArray[np.int64]:
    picks = pick_covers(clip, options)
    return np.asarray(Image.open(io.BytesIO(picks.covers[0].image)).convert("RGB")).astype(np.int64)


def _codes(
    rgb: npt.NDArray[np.float64], matrix: str, *, full_range: bool, bits: int
) -> tuple[npt.NDArray[np.float64], ...]:
    """Non-linear RGB 0..1 to code values: ITU-T H.273 section 8.3."""
    red_weight, blue_weight = LUMA_WEIGHTS[matrix]
    luma = red_weight * rgb[..., 0] + (1 - red_weight - blue_weight) * rgb[..., 1] + blue_weight * rgb[..., 2]
    blue = (rgb[..., 2] - luma) / (2 * (1 - blue_weight))
    red = (rgb[..., 0] - luma) / (2 * (1 - red_weight))
    top, step = 2**bits - 1, 2 ** (bits - 8)
    scale, offset, chroma = (top, 0, top) if full_range else (219 * step, 16 * step, 224 * step)
    planes = (luma * scale + offset, blue * chroma + 128 * step, red * chroma + 128 * step)
    return tuple(np.round(plane).clip(0, top) for plane in planes)


def _bars_at(width_px: int) -> npt.NDArray[np.float64]:
    return np.array(BARS, dtype=float)[np.arange(width_px) * len(BARS) // width_px] / 255


def _bars_clip(
    path: Path, matrix: str, tags: tuple[int, int, int, int], *, bits: int, size: tuple[int, int] = (96, 168)
) -> Path:
    kind: Any = np.uint16 if bits > 8 else np.uint8
    codes = _codes(_bars_at(size[1]), matrix, full_range=tags[1] == 2, bits=bits)
    planes = [np.tile(plane.astype(kind), (size[0], 1)) for plane in codes]
    pix_fmt = "yuv444p10le" if bits > 8 else "yuv444p"
    frames = [planes_frame(planes[0], planes[1], planes[2], pix_fmt=pix_fmt) for _number in range(2)]
    return write_clip(path, frames, pix_fmt=pix_fmt, options=LOSSLESS, tags=tags)


def _assert_bars(picture: npt.NDArray[np.int64], tolerance: int) -> None:
    for number, colour in enumerate(BARS):
        column = round((number + 0.5) * picture.shape[1] / len(BARS))
        assert np.abs(picture[picture.shape[0] // 2, column] - colour).max() <= tolerance


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("matrix", "tag"), [("601", 6), ("709", 1), ("2020", 9)])
def test_ten_bit_bars_keep_their_colours(tmp_path: Path, matrix: str, tag: int, full_range: bool) -> None:
    tags = (tag, 2 if full_range else 1, 1, 1)
    _assert_bars(_cover(_bars_clip(tmp_path / "clip.mp4", matrix, tags, bits=10)), 3)


@pytest.mark.parametrize("full_range", [False, True])
def test_eight_bit_bt2020_bars_keep_their_colours(tmp_path: Path, full_range: bool) -> None:
    tags = (9, 2 if full_range else 1, 1, 1)
    _assert_bars(_cover(_bars_clip(tmp_path / "clip.mp4", "2020", tags, bits=8)), 4)


@pytest.mark.parametrize(("matrix", "tag", "size"), [
    ("601", 6, (96, 168)), ("709", 1, (96, 168)), ("709", 2, (720, 1288)), ("601", 2, (576, 728)),
])  # fmt: skip
def test_subsampled_bars_keep_their_colours(tmp_path: Path, matrix: str, tag: int, size: tuple[int, int]) -> None:
    rows, columns = size
    luma, blue, red = _codes(_bars_at(columns), matrix, full_range=False, bits=8)
    planes = [np.tile(luma.astype(np.uint8), (rows, 1))]
    planes += [np.tile(plane[::2].astype(np.uint8), (rows // 2, 1)) for plane in (blue, red)]
    frames = []
    for _number in range(2):
        frame = av.VideoFrame(columns, rows, "yuv420p")
        for plane, values in zip(frame.planes, planes, strict=True):
            padded = np.zeros((values.shape[0], plane.line_size), dtype=np.uint8)
            padded[:, : values.shape[1]] = values
            plane.update(padded.tobytes())
        frames.append(frame)
    _assert_bars(_cover(write_clip(tmp_path / "clip.mp4", frames, options=LOSSLESS, tags=(tag, 1, 2, 2))), 5)


def test_fine_colour_survives_where_chroma_is_kept(tmp_path: Path) -> None:
    """Red and blue columns of one pixel: quality 95 and PNG keep both, an ordinary JPEG mixes them."""
    picture = plain(128, 720, 1280)
    picture[:, 0::2] = (200, 40, 40)
    picture[:, 1::2] = (40, 40, 200)
    clip = write_clip(tmp_path / "clip.mkv", [picture] * 2, codec="ffv1", pix_fmt="bgr0")
    contrast = {}
    for quality in (80, 95):
        shown = _cover(clip, CoverOptions(count=1, quality=quality))
        contrast[quality] = np.abs(shown[:, 0::2, 0] - shown[:, 1::2, 0]).mean()
    assert contrast[95] > 100
    assert contrast[80] < 80


def _light_to_709(rgb_2020: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Linear BT.2020 to linear BT.709, by the primaries' chromaticities (ITU-R BT.2087)."""
    light: npt.NDArray[np.float64] = np.linalg.solve(
        _to_xyz([(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]), _TO_XYZ_2020 @ rgb_2020
    ).astype(np.float64)
    return light


def _to_xyz(primaries: list[tuple[float, float]]) -> npt.NDArray[np.float64]:
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


_TO_XYZ_2020 = _to_xyz([(0.708, 0.292), (0.170, 0.797), (0.131, 0.046)])


@pytest.mark.parametrize("signal", [(0.5, 0.5, 0.5), (0.6, 0.5, 0.45), (0.4, 0.6, 0.5), (0.45, 0.5, 0.62)])
def test_wide_gamut_sdr_is_brought_into_srgb(tmp_path: Path, signal: tuple[float, float, float]) -> None:
    code = _codes(np.array([signal]), "2020", full_range=False, bits=10)
    planes = [np.full((96, 160), plane[0], dtype=np.uint16) for plane in code]
    frames = [planes_frame(planes[0], planes[1], planes[2], pix_fmt="yuv444p10le") for _number in range(2)]
    clip = write_clip(tmp_path / "clip.mp4", frames, pix_fmt="yuv444p10le", options=LOSSLESS, tags=(9, 1, 14, 9))
    # Light by the sRGB curve (IEC 61966-2-1), primaries by chromaticity, and back by the same curve.
    light = _light_to_709(((np.array(signal) + 0.055) / 1.055) ** 2.4).clip(0, 1)
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(_cover(clip)[48, 80] - expected).max() <= 3


@pytest.mark.parametrize(("transfer", "primaries"), [(1, 9), (14, 9), (15, 9), (1, 12), (13, 12)])
def test_greys_of_wide_gamut_sdr_keep_their_values(tmp_path: Path, transfer: int, primaries: int) -> None:
    greys = np.arange(1, 255, 2)
    matrix, tag = ("2020", 9) if primaries == 9 else ("709", 1)
    codes = _codes(np.repeat(greys[:, None], 3, axis=1) / 255, matrix, full_range=False, bits=10)
    planes = [np.tile(plane.astype(np.uint16), (96, 1)) for plane in codes]
    frames = [planes_frame(planes[0], planes[1], planes[2], pix_fmt="yuv444p10le") for _number in range(2)]
    tags = (tag, 1, transfer, primaries)
    clip = write_clip(tmp_path / "clip.mkv", frames, pix_fmt="yuv444p10le", options=LOSSLESS, tags=tags)
    assert np.abs(_cover(clip)[48] - greys[:, None]).max() <= 1


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.5807), (18, 0.75)])
def test_hdr_keeps_order_and_hue(tmp_path: Path, transfer: int, white: float) -> None:
    """Signals from shadow to far above diffuse white stay apart; a saturated red stays red. `white` is 203 nits."""
    steps = [0.1, 0.25, 0.4, white, (white + 0.75) / 2 if transfer == 16 else 0.87, 0.75 if transfer == 16 else 0.98]
    signals = np.array([[value] * 3 for value in steps] + [[white, 0.3, 0.3]])
    columns = np.arange(168) * len(signals) // 168
    codes = _codes(signals[columns], "2020", full_range=False, bits=10)
    planes = [np.tile(plane.astype(np.uint16), (96, 1)) for plane in codes]
    frames = [planes_frame(planes[0], planes[1], planes[2], pix_fmt="yuv444p10le") for _number in range(2)]
    clip = write_clip(tmp_path / "clip.mp4", frames, pix_fmt="yuv444p10le", options=LOSSLESS, tags=(9, 1, transfer, 9))
    picture = _cover(clip)
    shown = [picture[48, round((number + 0.5) * 168 / len(signals))] for number in range(len(signals))]
    greys = [int(colour.mean()) for colour in shown[:-1]]
    assert all(later - earlier >= 10 for earlier, later in pairwise(greys))
    # The reference tone curve (hable, as zscale and tonemap apply it) puts 203 nits at 193.
    assert abs(greys[3] - 193) <= 8
    assert all(np.ptp(colour) <= 2 for colour in shown[:-1])
    red = shown[-1]
    assert red[0] > red[1] + 60
    assert red[0] > red[2] + 60


def _write_at(path: Path, pictures: list[npt.NDArray[np.uint8]], stamps: list[int]) -> Path:
    """Encode pictures at the given milliseconds."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=1000, options={"preset": "ultrafast", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = 8
        for picture, stamp in zip(pictures, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_variable_rate_gives_the_right_time_of_each_cover(tmp_path: Path, suffix: str) -> None:
    random = np.random.default_rng(4)
    stamps = np.cumsum(random.choice([20, 33, 40, 120, 500], size=80)).tolist()
    stamps = [stamp - stamps[0] for stamp in stamps]
    clip = _write_at(tmp_path / f"clip{suffix}", [numbered(number) for number in range(80)], stamps)
    for cover in pick_covers(clip, CoverOptions(count=6, format="png")).covers:
        number = read_number(np.asarray(Image.open(io.BytesIO(cover.image)).convert("RGB")))
        assert cover.seconds == pytest.approx(stamps[number] / 1000, abs=0.0015)


def test_progressive_frames_of_an_interlaced_kind_keep_every_line(tmp_path: Path) -> None:
    """A stream may be flagged for fields and show still pictures: one-pixel lines must not flicker away entirely."""
    picture = plain(40, 96, 160)
    picture[:, 60:100] = 220
    options = {"preset": "ultrafast", "crf": "4", "x264-params": "tff=1"}
    cover = _cover(write_clip(tmp_path / "clip.mp4", [picture] * 4, options=options))
    expected = picture.astype(np.int64)
    assert np.abs(cover - expected)[4:-4].mean() < 3


@pytest.mark.parametrize("broken_share", [0.02, 0.3])
def test_a_broken_tail_costs_nothing_of_the_rest(tmp_path: Path, broken_share: float) -> None:
    clip = write_clip(tmp_path / "clip.ts", [numbered(number) for number in range(60)], keyframe_every=6)
    data = bytearray(clip.read_bytes())
    start = int(len(data) * (1 - broken_share))
    data[start:] = np.random.default_rng(2).integers(0, 256, len(data) - start, dtype=np.uint8).tobytes()
    clip.write_bytes(data)
    picks = pick_covers(clip, CoverOptions(format="png"))
    assert picks.fallback is None
    for cover in picks.covers:
        number = read_number(np.asarray(Image.open(io.BytesIO(cover.image)).convert("RGB")))
        assert number == round(cover.seconds * 10)


@pytest.mark.parametrize(("rows", "columns"), [(64, 1280), (1280, 64), (2, 2), (16, 16), (98, 54)])
def test_strange_shapes_give_covers_of_every_size(tmp_path: Path, rows: int, columns: int) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [texture(rows, columns)] * 2, codec="ffv1", pix_fmt="bgr0")
    for options, size in [
        (CoverOptions(count=1), (columns, rows)),
        (CoverOptions(count=1, width_px=128), (128, max(1, round(rows * 128 / columns)))),
        (CoverOptions(count=1, height_px=128), (max(1, round(columns * 128 / rows)), 128)),
        (CoverOptions(count=1, width_px=128, height_px=128), (128, 128)),
        (CoverOptions(count=1, width_px=300, height_px=40, fit="pad"), (300, 40)),
    ]:
        cover = pick_covers(clip, options).covers[0]
        assert Image.open(io.BytesIO(cover.image)).size == size == (cover.width_px, cover.height_px)

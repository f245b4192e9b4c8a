"""Decoded frames to sRGB pixels: matrix and range, wide gamut, and high dynamic range down to what a JPEG can show."""

from __future__ import annotations

import functools
from typing import Any, Literal

import av.error
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from smartcover.engine.filters import rows_of
from smartcover.engine.geometry import Orientation

# Code points of ITU-T H.273.
_MATRIX_RGB, _MATRIX_709, _MATRIX_UNSPECIFIED = 0, 1, 2
_MATRIX_601 = (5, 6)
_MATRIX_240M = 7
_MATRIX_2020 = (9, 10)
_MATRIX_FCC = 4
_MATRIX_YCGCO = 8
_TRANSFER_PQ, _TRANSFER_HLG = 16, 18
_PRIMARIES_2020, _PRIMARIES_P3 = 9, 12

# The scaler's own numbers for its matrices (libswscale SWS_CS_*).
_SWS_709, _SWS_FCC, _SWS_601, _SWS_240M, _SWS_2020 = 1, 4, 5, 7, 9

_HD_HEIGHT_PX, _HD_WIDTH_PX = 720, 1280
"""Untagged video of at least this size is BT.709, smaller is BT.601, as players take it."""

_REFERENCE_WHITE_NITS = 203.0
"""Diffuse white of HDR (ITU-R BT.2408)."""

_PEAK_NITS = 1000.0
"""Luminance that is mapped to full white: the usual mastering peak, and the nominal peak of HLG (BT.2100)."""

# Linear RGB to linear BT.709 RGB. BT.2020: ITU-R BT.2087 annex; P3-D65: SMPTE RP 431-2 primaries with a D65 white.
_TO_709: dict[int, npt.NDArray[np.float32]] = {
    _PRIMARIES_2020: np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
    ),
    _PRIMARIES_P3: np.array(
        [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]], dtype=np.float32
    ),
}
_LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
_LUMINANCE_709 = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)

_BACKGROUND = 255
"""Transparent video is laid on white, as on a page."""

# How the scaler interpolates a frame for a cover, for comparing, and for looking at.
_REFINED = int(Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND)
_GLANCE = int(Interpolation.FAST_BILINEAR)
_SMALL = int(Interpolation.BILINEAR | Interpolation.ACCURATE_RND)
_STRIP_ROWS = 32
"""Rows of a picture that are mapped at once from linear light, in floats."""

_MOST_AT_ONCE_PX = 2560 * 1440
"""Of larger frames not all is converted at once: what lies between a 4K frame and its cover takes up to 200 MB."""

_BAND_ROWS, _BAND_MARGIN_ROWS = 120, 8
"""
How many rows of large frames are converted at once, and how many more on both sides, of which the filter for chroma
needs half. Multiples of 8, after which the scaler's patterns repeat: the pixels are those of the frame in one piece.
"""

_BAND_STEP_ROWS = 4
"""Most rows that share chroma. Where the height is no multiple of it, the scaler stretches the chroma a little."""


def hdr_kind(frame: VideoFrame) -> Literal["pq", "hlg"] | None:
    """Tell by the transfer tag whether a frame is HDR."""
    if frame.color_trc == _TRANSFER_PQ:
        return "pq"
    return "hlg" if frame.color_trc == _TRANSFER_HLG else None


class ColourConverter:
    """
    Turns frames into sRGB arrays of uint8, (rows, columns, 3), as they are stored, but for `full`.

    A scaler is kept for each use: one that changes its size is set up anew, which costs more than a small frame.

    `size` is in stored pixels: orientation is applied afterwards.
    """

    def __init__(self) -> None:
        self._scalers = {use: VideoReformatter() for use in (_GLANCE, _SMALL, _REFINED)}

    def glance(self, frame: VideoFrame, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Convert at a tiny size, quickly, for comparing."""
        return np.array(self._convert(frame, size, _GLANCE))

    def small(self, frame: VideoFrame, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Convert at a small size, for looking at."""
        return np.array(self._convert(frame, size, _SMALL))

    def full(self, frame: VideoFrame, orientation: Orientation) -> npt.NDArray[np.uint8]:
        """Convert at the stored size with the chroma interpolated well, for a cover, and turn it upright."""
        # In one plane of YUV the scaler does not find the same pixels from every row on.
        if (
            frame.width * frame.height > _MOST_AT_ONCE_PX
            and frame.height % _BAND_STEP_ROWS == 0
            and len(frame.planes) > 1
        ):
            upright = self._by_bands(frame, orientation)
            if upright is not None:
                return upright
        return orientation.apply(self._refined(frame))

    def _by_bands(self, frame: VideoFrame, orientation: Orientation) -> npt.NDArray[np.uint8] | None:
        """Convert a large frame some rows after the other; None for a format that cannot be cut so."""
        width_px, height_px = orientation.swap((frame.width, frame.height))
        upright = np.empty((height_px, width_px, 3), dtype=np.uint8)
        stored = orientation.as_stored(upright)
        for top in range(0, frame.height, _BAND_ROWS):
            first = max(0, top - _BAND_MARGIN_ROWS)
            band = rows_of(frame, first, min(frame.height, top + _BAND_ROWS + _BAND_MARGIN_ROWS) - first)
            if band is None:
                return None
            stored[top : top + _BAND_ROWS] = self._refined(band)[top - first :][:_BAND_ROWS]
        return upright

    def _refined(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        # Only by planes has the scaler fast code for chroma at full resolution; the pixels are the same.
        return self._convert(frame, (frame.width, frame.height), _REFINED, "gbrp")

    def _convert(
        self, frame: VideoFrame, size: tuple[int, int], interpolation: int, pixel_format: str = "rgb24"
    ) -> npt.NDArray[np.uint8]:
        """Convert to what may be a view of a frame: whoever keeps many copies them, and lets the frames go."""
        if frame.colorspace == _MATRIX_YCGCO and not frame.format.is_rgb:
            return self._from_ycgco(frame, size, interpolation)
        if _is_limited_grey(frame):
            frame = _with_chroma(frame)
        hdr, has_alpha = hdr_kind(frame), _has_alpha(frame)
        if hdr or frame.color_primaries in _TO_709:
            deep = self._to_array(frame, size, "rgba64le" if has_alpha else "rgb48le", interpolation).view(np.uint16)
            colours = _strips(deep[..., :3], hdr, frame.color_primaries)
            return _flatten(colours, (deep[..., 3:] >> 8).astype(np.uint8)) if has_alpha else colours
        if has_alpha:
            rgba = self._to_array(frame, size, "rgba", interpolation)
            return _flatten(rgba[..., :3], rgba[..., 3:])
        return self._to_array(frame, size, pixel_format, interpolation)

    def _from_ycgco(self, frame: VideoFrame, size: tuple[int, int], interpolation: int) -> npt.NDArray[np.uint8]:
        """Undo the YCgCo matrix (H.273 section 8.3); the scaler does not know it and refuses its tag."""
        frame.colorspace = _MATRIX_601[0]
        try:
            planes = self._to_array(frame, size, "yuv444p", interpolation).astype(np.int16)
        finally:
            frame.colorspace = _MATRIX_YCGCO
        luma, green, orange = planes[0], planes[1] - 128, planes[2] - 128
        rest = luma - green
        return np.stack([rest + orange, luma + green, rest - orange], axis=-1).clip(0, 255).astype(np.uint8)

    def _to_array(
        self, frame: VideoFrame, size: tuple[int, int], pixel_format: str, interpolation: int
    ) -> npt.NDArray[np.uint8]:
        width_px, height_px = size
        try:
            converted = self._scalers[interpolation].reformat(
                frame,
                width=width_px,
                height=height_px,
                format=pixel_format,
                interpolation=interpolation,
                src_colorspace=_source_matrix(frame),
                src_color_range=_source_range(frame),
                dst_color_range=int(ColorRange.JPEG),
                threads=1,
            )
        except (av.error.FFmpegError, ValueError):
            # Reserved or contradictory tags make the scaler refuse pictures that every player shows: drop the tags.
            frame.colorspace = _MATRIX_UNSPECIFIED
            frame.color_trc = frame.color_primaries = 2
            converted = VideoReformatter().reformat(frame, width=width_px, height=height_px, format=pixel_format)
        view: npt.NDArray[Any] = converted.to_ndarray()  # uint16 for the deep formats
        return view


def _source_matrix(frame: VideoFrame) -> int | None:
    tag = frame.colorspace
    if tag == _MATRIX_RGB or not frame.format.components or frame.format.is_rgb:
        return None
    if tag in _MATRIX_2020:
        return _SWS_2020
    if tag in _MATRIX_601:
        return _SWS_601
    if tag == _MATRIX_709:
        return _SWS_709
    if tag == _MATRIX_240M:
        return _SWS_240M
    if tag == _MATRIX_FCC:
        return _SWS_FCC
    if frame.color_primaries == _PRIMARIES_2020:
        return _SWS_2020
    high_definition = frame.height >= _HD_HEIGHT_PX or frame.width >= _HD_WIDTH_PX
    return _SWS_709 if high_definition else _SWS_601


def _source_range(frame: VideoFrame) -> int | None:
    """Give the tagged range, or None to leave it to the pixel format (limited for YUV, full for yuvj and RGB)."""
    if frame.color_range in (ColorRange.MPEG, ColorRange.JPEG):
        return int(frame.color_range)
    return None


def _has_alpha(frame: VideoFrame) -> bool:
    """Tell by the format: one with a palette may hold transparent colours too."""
    return frame.format.name == "pal8" or any(component.is_alpha for component in frame.format.components)


def _is_limited_grey(frame: VideoFrame) -> bool:
    return frame.format.name.startswith(("gray", "ya")) and frame.color_range == ColorRange.MPEG


def _with_chroma(frame: VideoFrame) -> VideoFrame:
    """Give a frame of limited range colours to no effect: the scaler takes grey alone for full range, as in a PNG."""
    alpha, bits = "a" if _has_alpha(frame) else "", frame.format.components[0].bits
    name = f"yuv{alpha}420p" if bits == 8 else f"yuv{alpha}420p{bits}le"
    coloured = frame.reformat(format=name, src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.JPEG)
    coloured.color_range = ColorRange.MPEG
    return coloured


def _flatten(colours: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Lay sRGB pixels (rows, columns, 3) on the background by their opacity (rows, columns, 1)."""
    if alpha.min() == 255:
        return np.ascontiguousarray(colours)
    opacity = alpha.astype(np.uint16)
    mixed = (colours * opacity + _BACKGROUND * (255 - opacity) + 127) // 255
    return mixed.astype(np.uint8)


def _strips(codes: npt.NDArray[np.uint16], hdr: Literal["pq", "hlg"] | None, primaries: int) -> npt.NDArray[np.uint8]:
    """Map a 16-bit picture strip by strip, so that a 4K frame needs no gigabyte of floats."""
    result = np.empty(codes.shape, dtype=np.uint8)
    for top in range(0, codes.shape[0], _STRIP_ROWS):
        rows = slice(top, top + _STRIP_ROWS)
        result[rows] = _to_srgb(codes[rows], hdr, primaries)
    return result


def _to_srgb(codes: npt.NDArray[np.uint16], hdr: Literal["pq", "hlg"] | None, primaries: int) -> npt.NDArray[np.uint8]:
    wide_luminance = _LUMINANCE_2020 if primaries == _PRIMARIES_2020 else _LUMINANCE_709
    if hdr == "pq":
        linear = _pq_to_nits()[codes]
    elif hdr == "hlg":
        linear = _hlg_to_nits(codes, wide_luminance)
    else:
        linear = _srgb_to_linear()[codes]
    if primaries in _TO_709:
        linear = linear @ _TO_709[primaries].T
    if hdr:
        linear = _tone_map(linear)
    scaled = np.clip(linear, 0.0, 1.0) * (len(_srgb_table()) - 1) + 0.5
    return _srgb_table()[scaled.astype(np.uint16)]


def _tone_map(nits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """
    Bring light in nits to 0..1 with the extended Reinhard curve (Reinhard et al. 2002, eq. 4), white at the peak.

    It is applied to the largest channel and scales all three, which keeps the hue of bright colours.
    """
    light = nits / _REFERENCE_WHITE_NITS
    white = _PEAK_NITS / _REFERENCE_WHITE_NITS
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    mapped = brightest * (1.0 + brightest / (white * white)) / (1.0 + brightest)
    result: npt.NDArray[np.float32] = light * (mapped / brightest)
    return result


def _signal() -> npt.NDArray[np.float64]:
    """Give the signal 0..1 of each 16-bit code. The scaler's white is that of 8 bits, shifted."""
    return np.minimum(np.arange(65536) / (255 << 8), 1.0)


@functools.cache
def _pq_to_nits() -> npt.NDArray[np.float32]:
    """SMPTE ST 2084 EOTF for each 16-bit code, in nits."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = _signal() ** (1 / m2)
    nits = 10000.0 * (np.maximum(power - c1, 0.0) / (c2 - c3 * power)) ** (1 / m1)
    return nits.astype(np.float32)


@functools.cache
def _hlg_inverse_oetf() -> npt.NDArray[np.float32]:
    """ITU-R BT.2100 HLG inverse OETF for each 16-bit code, scene light 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = _signal()
    scene = np.where(signal <= 0.5, signal**2 / 3.0, (np.exp((signal - c) / a) + b) / 12.0)
    return scene.astype(np.float32)


def _hlg_to_nits(codes: npt.NDArray[np.uint16], luminance: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """BT.2100 HLG EOTF with the OOTF of a 1000 nit display (system gamma 1.2)."""
    scene = _hlg_inverse_oetf()[codes]
    weight = np.maximum(scene @ luminance, 1e-6)[..., None]
    result: npt.NDArray[np.float32] = _PEAK_NITS * scene * weight**0.2
    return result


@functools.cache
def _srgb_to_linear() -> npt.NDArray[np.float32]:
    """
    Light of each 16-bit code of SDR, by the curve (IEC 61966-2-1) by which it is encoded again.

    Video of BT.709 is passed on as it is, shown by that curve whatever its transfer: so is wide gamut, greys unchanged.
    """
    signal = _signal()
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4).astype(np.float32)


@functools.cache
def _srgb_table() -> npt.NDArray[np.uint8]:
    """IEC 61966-2-1 encoding of linear light in 16384 steps, fine enough for 8 bits in the shadows."""
    linear = np.arange(16384) / 16383.0
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255.0).astype(np.uint8)

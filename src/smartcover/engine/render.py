"""Winners to images: upright, square pixels, the size that was asked for, encoded and tagged as sRGB."""

from __future__ import annotations

import functools
import io
import struct

import numpy as np
import simplejpeg
from PIL import Image, ImageCms, PngImagePlugin

from smartcover.engine.arrays import Picture
from smartcover.engine.cropping import NOTHING_KNOWN, Subject, crop_window
from smartcover.engine.geometry import Box, output_size
from smartcover.engine.types import CoverOptions, ImageFormat

_JPEG_QUALITY, _WEBP_QUALITY = 90, 85
_FULL_CHROMA_QUALITY = 95
"""From this quality on JPEG keeps the chroma at full resolution; below, the smaller file is what is wanted."""

_SMALL_PICTURE_PX = 640 * 360
"""Small pictures keep full chroma too: there it costs little, and coloured edges show."""


def render(
    picture: Picture, square: tuple[int, int], options: CoverOptions, subject: Subject = NOTHING_KNOWN
) -> Picture:
    """
    Bring an upright picture to its final size.

    Args:
        square: The (width, height) that the picture has with square pixels.
        subject: What a crop is placed around.
    """
    size = output_size(square, options)
    exact = options.width_px is not None and options.height_px is not None
    if not exact or options.fit == "stretch":
        return _resized(picture, size, None)
    if options.fit == "pad":
        return _padded(Image.fromarray(picture), square, size)
    scale_x, scale_y = picture.shape[1] / square[0], picture.shape[0] / square[1]
    window = crop_window(picture, square, size, subject)
    return _resized(picture, size, window.scaled(scale_x, scale_y))


def _resized(picture: Picture, size: tuple[int, int], window: Box | None) -> Picture:
    box = None
    if window is not None:
        box = (
            max(0.0, window.left),
            max(0.0, window.top),
            min(float(picture.shape[1]), window.right),
            min(float(picture.shape[0]), window.bottom),
        )
    if box is None and (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS, box=box))


def _padded(image: Image.Image, square: tuple[int, int], size: tuple[int, int]) -> Picture:
    scale = min(size[0] / square[0], size[1] / square[1])
    inner = max(1, round(square[0] * scale)), max(1, round(square[1] * scale))
    canvas = Image.new("RGB", size)
    canvas.paste(image.resize(inner, Image.Resampling.LANCZOS), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return np.asarray(canvas)


def encode(picture: Picture, image_format: ImageFormat, quality: int | None = None) -> bytes:
    """Encode sRGB pixels; the file says that they are sRGB."""
    picture = np.ascontiguousarray(picture)
    if image_format == "jpg":
        return _encode_jpeg(picture, quality or _JPEG_QUALITY)
    output = io.BytesIO()
    image = Image.fromarray(picture)
    if image_format == "png":
        tag = PngImagePlugin.PngInfo()
        tag.add(b"sRGB", b"\x00")
        image.save(output, "PNG", compress_level=3, pnginfo=tag)
    else:
        image.save(output, "WEBP", quality=quality or _WEBP_QUALITY, method=2, icc_profile=srgb_profile())
    return output.getvalue()


def _encode_jpeg(picture: Picture, quality: int) -> bytes:
    small = picture.shape[0] * picture.shape[1] <= _SMALL_PICTURE_PX
    subsampling = "444" if small or quality >= _FULL_CHROMA_QUALITY else "420"
    encoded: bytes = simplejpeg.encode_jpeg(picture, quality=quality, colorspace="RGB", colorsubsampling=subsampling)
    return _with_profile(encoded)


def _with_profile(jpeg: bytes) -> bytes:
    """Put the sRGB profile behind the JFIF header (ICC.1:2010 annex B.4)."""
    if jpeg[:4] != b"\xff\xd8\xff\xe0":
        return jpeg
    (header_size,) = struct.unpack(">H", jpeg[4:6])
    end = 4 + header_size
    body = b"ICC_PROFILE\x00\x01\x01" + srgb_profile()
    return jpeg[:end] + b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body + jpeg[end:]


@functools.cache
def srgb_profile() -> bytes:
    """The sRGB profile, with its date blanked so that equal covers are equal bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)

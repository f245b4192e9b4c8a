"""All eight ways to store a picture come out upright; where each colour belongs follows from ISO/IEC 14496-12."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from PIL import Image

from smartcover.engine import Limits, pick_covers
from smartcover.engine.budget import Budget
from smartcover.engine.gathering import Gatherer
from smartcover.engine.geometry import Orientation
from smartcover.engine.looking import Looker
from smartcover.engine.source import Source
from tests.engine_clips import plain, write_clip

ONE = 1 << 16
COLOURS = {(-1, -1): (220, 30, 30), (1, -1): (30, 200, 40), (-1, 1): (40, 60, 220), (1, 1): (220, 210, 40)}
EIGHT = [
    (ONE, 0, 0, ONE), (-ONE, 0, 0, ONE), (ONE, 0, 0, -ONE), (-ONE, 0, 0, -ONE),
    (0, ONE, ONE, 0), (0, ONE, -ONE, 0), (0, -ONE, ONE, 0), (0, -ONE, -ONE, 0),
]  # fmt: skip


def _quadrants() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    picture = plain(0, 96, 160)
    for (x, y), colour in COLOURS.items():
        rows = slice(0, 48) if y < 0 else slice(48, 96)
        columns = slice(0, 80) if x < 0 else slice(80, 160)
        picture[rows, columns] = colour
    return picture


@pytest.mark.parametrize(("a", "b", "c", "d"), EIGHT)
def test_each_corner_of_the_picture_is_where_the_display_matrix_puts_it(
    tmp_path: Path, a: int, b: int, c: int, d: int
) -> None:
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    clip = write_clip(tmp_path / "clip.mp4", [_quadrants()] * 3, display_matrix=matrix)
    _assert_upright(clip, a, b, c, d)


@pytest.mark.parametrize("tag", range(1, 9))
def test_the_orientation_in_the_exif_of_jpeg_frames_counts(tmp_path: Path, tag: int) -> None:
    # The rows and columns of EXIF 2.3, tag 0x0112: where the stored picture's first row and column are shown.
    turns = [
        (ONE, 0, 0, ONE), (-ONE, 0, 0, ONE), (-ONE, 0, 0, -ONE), (ONE, 0, 0, -ONE),
        (0, ONE, ONE, 0), (0, ONE, -ONE, 0), (0, -ONE, -ONE, 0), (0, -ONE, ONE, 0),
    ]  # fmt: skip
    clip = _write_jpegs(tmp_path / "clip.mkv", tag)
    _assert_upright(clip, *turns[tag - 1])


def _write_jpegs(path: Path, orientation: int) -> Path:
    """Store JPEG files with an EXIF orientation as the frames of a video."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = io.BytesIO()
    Image.fromarray(_quadrants()).save(image, "JPEG", quality=95, subsampling=0, exif=exif)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj444p"
        for number in range(3):
            packet = av.Packet(image.getvalue())
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 10), True
            packet.pts = packet.dts = number
            container.mux(packet)
    return path


def test_what_the_first_frame_alone_says_holds_for_all_that_is_looked_at(tmp_path: Path) -> None:
    frames = [_quadrants()] * 30
    upright = write_clip(tmp_path / "upright.mp4", frames, keyframe_every=10)
    clip = _turned_by_first_frame(upright, tmp_path / "turned.mp4")
    with Source(clip, Budget(Limits()), strict=True) as source:
        looker = Looker(source, lambda _size: None)
        looks = Gatherer(source, looker, 6, 6, lambda _share: None).gather()
    assert len(looks) > 3
    for look in looks:
        assert look.picture.shape[:2] == (160, 96)
        assert np.abs(look.picture[0, 0].astype(int) - COLOURS[1, -1]).max() < 16
    _assert_upright(clip, 0, -ONE, ONE, 0)


def _turned_by_first_frame(source: Path, path: Path) -> Path:
    """Write an H.264 stream again with a display orientation (a quarter turn) in its first frame alone."""
    with av.open(str(source)) as clip, av.open(str(path), "w") as container:
        stored = clip.streams.video[0]
        stream = container.add_stream_from_template(stored)
        turn = BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=90", stored)
        for number, packet in enumerate(clip.demux(stored)):
            if packet.dts is None:
                continue
            for written in turn.filter(packet) if number == 0 else [packet]:
                written.stream = stream
                container.mux(written)
    return path


def _assert_upright(clip: Path, a: int, b: int, c: int, d: int) -> None:
    """See each corner where a stored point (p, q) is shown at (a p + c q, b p + d q)."""
    cover = pick_covers(clip).covers[0]
    picture = np.asarray(Image.open(io.BytesIO(cover.image)))
    assert picture.shape[:2] == ((160, 96) if b else (96, 160))
    for (x, y), colour in COLOURS.items():
        shown_x, shown_y = (a * x + c * y) / ONE, (b * x + d * y) / ONE
        row = round((shown_y / 2 + 1) / 2 * picture.shape[0])
        column = round((shown_x / 2 + 1) / 2 * picture.shape[1])
        assert np.abs(picture[row, column].astype(int) - colour).max() < 16


def test_an_unreadable_matrix_leaves_the_picture_as_it_is() -> None:
    assert Orientation.from_display_matrix(b"short") == Orientation()


@pytest.mark.parametrize(
    ("numbers", "degrees", "mirrored"),
    [((0, ONE, -ONE, 0), 90, False), ((0, -ONE, ONE, 0), 270, False), ((-ONE, 0, 0, -ONE), 180, False),
     ((-ONE, 0, 0, ONE), 0, True)],
)  # fmt: skip
def test_the_turn_is_reported_in_degrees(numbers: tuple[int, int, int, int], degrees: int, mirrored: bool) -> None:
    a, b, c, d = numbers
    orientation = Orientation.from_display_matrix(struct.pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30))
    assert (orientation.rotation_degrees, orientation.mirrored) == (degrees, mirrored)

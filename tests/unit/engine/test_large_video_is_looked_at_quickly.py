"""Large H.264 is looked at without its loop filter and decoded again with it: time, turn, colour and pixels hold."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from PIL import Image

from smartcover.engine import CoverOptions, Limits, pick_covers
from tests.engine_clips import Picture, numbered, read_number, write_clip

ONE = 1 << 16
_CAREFULLY = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
QUARTER_TURN = (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30)


def _large(number: int) -> Picture:
    # Slow waves break into blocks where little is spent on them: there the filter shows.
    rows, columns = np.mgrid[0:720, 0:1280]
    grey = 128 + 70 * np.sin(columns / 61 + number / 9) * np.cos(rows / 47)
    picture = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    picture[100:196, 200:360] = numbered(number)
    picture[400:600, 100 : 300 + number * 3] = (200, 60, 30)
    return picture


def _open(image: bytes) -> Picture:
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))


@pytest.mark.parametrize("candidates", [6, 30])
def test_the_cover_is_the_very_frame_that_a_player_shows(tmp_path: Path, candidates: int) -> None:
    options = {"preset": "veryfast", "crf": "38"}
    clip = write_clip(
        tmp_path / "clip.mp4", [_large(number) for number in range(40)], options=options, tags=(1, 1, 1, 1)
    )
    with av.open(str(clip)) as container:
        shown = [frame.to_ndarray()[:720].astype(float) for frame in container.decode(video=0)]
    limits = Limits(candidates=candidates, between_pixels=1280 * 720 * 8)
    for cover in pick_covers(clip, CoverOptions(count=3, format="png"), limits=limits).covers:
        picture = _open(cover.image)
        number = read_number(picture[100:196, 200:360])
        assert number == round(cover.seconds * 10)
        # The luma of BT.709 in limited range (H.273), against that of a plain decode.
        luma = 16 + 219 / 255 * (picture @ np.array([0.2126, 0.7152, 0.0722]))
        assert (np.abs(luma - shown[number]) > 2).mean() < 0.002


def test_a_large_turned_video_comes_out_upright(tmp_path: Path) -> None:
    frames = [_large(number) for number in range(12)]
    clip = write_clip(tmp_path / "clip.mp4", frames, display_matrix=QUARTER_TURN)
    cover = pick_covers(clip, CoverOptions(count=1, format="png")).covers[0]
    assert (cover.width_px, cover.height_px) == (720, 1280)
    # A stored point (x, y) is shown at (-y, x): the picture's left edge is at the top.
    upright = np.rot90(_open(cover.image), 1)
    assert read_number(upright[100:196, 200:360]) == round(cover.seconds * 10)

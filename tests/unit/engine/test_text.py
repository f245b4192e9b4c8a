"""Text is found where it is drawn, and not where it is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

from smartcover.engine.regions import Rectangle
from smartcover.engine.text import describe, find_boxes, text_area
from tests.engine_clips import plain, texture
from tests.real_frames import frames

Picture = npt.NDArray[np.uint8]

_CREDITS = ("Directed by Anna Keller", "Written by Tom Brook", "Music: Lena Ortiz", "Camera: P. Novak", "Thank you")


def _written(base: Picture, lines: tuple[str, ...], top: float, size: int) -> Picture:
    image = Image.fromarray(base)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for number, line in enumerate(lines):
        left, _top, right, _bottom = pen.textbbox((0, 0), line, font=font)
        place = ((image.width - right + left) / 2, image.height * top + number * size * 1.6)
        pen.text(place, line, fill=(255, 255, 255), font=font)
    return np.asarray(image)


@pytest.mark.parametrize(("width", "height"), [(854, 480), (480, 270), (1920, 1080), (480, 854)])
def test_each_line_of_credits_is_counted(width: int, height: int) -> None:
    picture = _written(plain(0, height, width), _CREDITS, 0.2, max(17, min(width, height) // 16))
    found = text_area(picture)
    assert found.lines == len(_CREDITS)
    assert found.share > 0.03


def test_a_subtitle_on_a_real_frame_is_one_line() -> None:
    (frame,) = frames("bigbuckbunny.mp4", (60,))
    base = np.asarray(Image.fromarray(frame).resize((854, 480)))
    found = text_area(_written(base, ("I told you not to come here.",), 0.88, 28))
    assert found.lines == 1
    assert 0.005 < found.share < 0.08


@pytest.mark.parametrize("name", ["bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4"])
def test_no_text_is_seen_in_frames_that_have_none(name: str) -> None:
    for frame in frames(name, (20, 60, 100)):
        assert text_area(frame).lines == 0


@pytest.mark.parametrize("picture", [plain(0, 270, 480), plain(255, 270, 480), texture(270, 480), plain(9, 1, 1)])
def test_pictures_of_nothing_have_no_text(picture: Picture) -> None:
    found = text_area(picture)
    assert (found.share, found.lines) == (0.0, 0)


def _map(*bars: tuple[int, int, int, int], value: float = 0.9) -> npt.NDArray[np.float32]:
    values = np.zeros((200, 300), dtype=np.float32)
    for top, bottom, left, right in bars:
        values[top:bottom, left:right] = value
    return values


def test_a_core_is_grown_by_its_area_over_its_perimeter() -> None:
    (box,) = find_boxes(_map((100, 110, 50, 150)))
    margin = 1.5 * 100 * 10 / 220
    assert (box.width, box.height) == pytest.approx((100 + 2 * margin, 10 + 2 * margin))


def test_doubtful_tiny_high_and_square_cores_are_no_text() -> None:
    assert find_boxes(_map((100, 110, 50, 150), value=0.5)) == []
    assert find_boxes(_map((100, 102, 50, 150))) == []
    assert find_boxes(_map((100, 140, 50, 250))) == []
    assert find_boxes(_map((100, 115, 50, 66))) == []


def test_boxes_side_by_side_are_one_line() -> None:
    found = [Rectangle(60, 20, 50, 10, 0.0), Rectangle(160, 22, 50, 10, 0.0), Rectangle(100, 190, 50, 10, 0.0)]
    told = describe(found, (200, 200))
    assert told.lines == 2
    assert told.share == pytest.approx(3 * 500 / 40000)


def test_a_map_of_noise_ends_soon() -> None:
    noise = np.random.default_rng(0).random((288, 480)).astype(np.float32)
    assert find_boxes(noise) == []

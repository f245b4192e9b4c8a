"""The size that was asked for, around what matters, in the format that was asked for."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from PIL import Image

from smartcover.engine import CoverOptions, Limits, pick_covers
from smartcover.engine.faces import Face
from smartcover.engine.geometry import Box, output_size
from smartcover.engine.pick import pick_covers as pick_with
from smartcover.engine.render import encode, render
from smartcover.engine.types import ImageFormat
from smartcover.errors import BadParameter
from tests.engine_clips import plain, shift, texture, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [shift(texture(seed=9), number * 2) for number in range(12)]
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames)


@pytest.mark.parametrize(
    ("width_px", "height_px", "size"),
    [
        (None, None, (160, 96)),
        (80, None, (80, 48)),
        (None, 192, (320, 192)),
        (100, 100, (100, 100)),
        (33, 97, (33, 97)),
    ],
)
def test_covers_have_the_size_that_was_asked_for(
    clip: Path, width_px: int | None, height_px: int | None, size: tuple[int, int]
) -> None:
    for cover in pick_covers(clip, CoverOptions(count=2, width_px=width_px, height_px=height_px)).covers:
        assert Image.open(io.BytesIO(cover.image)).size == size == (cover.width_px, cover.height_px)


@pytest.mark.parametrize(("image_format", "name"), [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")])
def test_covers_have_the_format_that_was_asked_for_and_say_that_they_are_srgb(
    clip: Path, image_format: ImageFormat, name: str
) -> None:
    cover = pick_covers(clip, CoverOptions(count=1, format=image_format)).covers[0]
    image = Image.open(io.BytesIO(cover.image))
    assert image.format == name
    image.load()
    assert "icc_profile" in image.info or "srgb" in image.info
    assert cover.format == image_format


@pytest.mark.parametrize(("image_format", "tolerance"), [("jpg", 6), ("png", 0), ("webp", 9)])
def test_encoding_keeps_the_picture(image_format: ImageFormat, tolerance: float) -> None:
    picture = texture(240, 400)
    decoded = np.asarray(Image.open(io.BytesIO(encode(picture, image_format))).convert("RGB"))
    assert np.abs(decoded.astype(int) - picture).mean() <= tolerance


def test_quality_makes_the_file_larger_and_the_picture_truer() -> None:
    picture = texture(720, 1280)
    low, high = (encode(picture, "jpg", quality) for quality in (40, 97))
    errors = [np.abs(np.asarray(Image.open(io.BytesIO(data))).astype(int) - picture).mean() for data in (low, high)]
    assert len(high) > 1.5 * len(low)
    assert errors[1] < errors[0]


@pytest.mark.parametrize(
    ("size", "quality", "sampling"),
    [((720, 1280), None, "420"), ((720, 1280), 94, "420"), ((720, 1280), 95, "444"), ((360, 640), None, "444")],
)
def test_a_large_jpeg_has_half_the_chroma_below_quality_95(
    size: tuple[int, int], quality: int | None, sampling: str
) -> None:
    encoded = encode(texture(*size), "jpg", quality)
    assert simplejpeg.decode_jpeg_header(encoded)[3] == sampling


def test_a_crop_is_never_stretched() -> None:
    picture = plain(30, 200, 400)
    rows, columns = np.mgrid[0:200, 0:400]
    picture[(rows - 100) ** 2 + (columns - 200) ** 2 < 60**2] = 220
    cropped = render(picture, (400, 200), CoverOptions(width_px=100, height_px=100))
    light = cropped[..., 0] > 128
    assert abs(int(light.any(axis=0).sum()) - int(light.any(axis=1).sum())) <= 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (CoverOptions(width_px=4096, format="webp"), "4096 px wide of this video is 10240 px high, more than 8192; "),
        (CoverOptions(width_px=8192, crop_letterbox=True), "8192 px wide of this video is 20480 px high"),
        (CoverOptions(width_px=3300), "3300 px wide of this video is 8250 px high"),
    ],
)
def test_a_side_that_follows_has_the_limit_of_one_that_is_asked_for(
    tmp_path: Path, options: CoverOptions, words: str
) -> None:
    tall = write_clip(tmp_path / "tall.mp4", [texture(160, 64, seed=number) for number in range(4)])
    with pytest.raises(BadParameter, match=words) as refusal:
        pick_covers(tall, options)
    assert "ask for less, or for both width and height" in refusal.value.public
    with pytest.raises(BadParameter, match="8192 px high of this video is 13653 px wide"):
        output_size((160, 96), CoverOptions(height_px=8192))


def test_a_size_that_cannot_be_made_is_refused_before_the_work(tmp_path: Path) -> None:
    tall = write_clip(tmp_path / "tall.mp4", [texture(160, 64, seed=number) for number in range(4)])
    steps: list[str] = []
    with pytest.raises(BadParameter):
        pick_covers(tall, CoverOptions(width_px=8192), on_progress=lambda step, _share: steps.append(step))
    assert steps == ["open", "look"]


def test_a_video_longer_than_webp_holds_is_refused_in_webp_alone(tmp_path: Path) -> None:
    wide = write_clip(tmp_path / "wide.mkv", [texture(16, 16400)], codec="ffv1")
    with pytest.raises(BadParameter, match=r"16400x16 px and webp holds 16383 a side; ask for a width"):
        pick_covers(wide, CoverOptions(format="webp"))
    assert pick_covers(wide, CoverOptions(format="webp", width_px=8000)).covers[0].height_px == 8
    for image_format in ("jpg", "png"):
        assert pick_covers(wide, CoverOptions(format=image_format)).covers[0].width_px == 16400
    assert output_size((70_000, 16), CoverOptions(format="png")) == (70_000, 16)
    with pytest.raises(BadParameter, match="70000x16 px and jpg holds 65500 a side"):
        output_size((70_000, 16), CoverOptions())


def test_padding_shows_the_whole_picture_and_stretching_fills_the_size() -> None:
    picture = plain(200, 100, 200)
    padded = render(picture, (200, 100), CoverOptions(width_px=100, height_px=100, fit="pad"))
    assert (padded[:20].max(), padded[30:70].min(), padded[-20:].max()) == (0, 200, 0)
    stretched = render(picture, (200, 100), CoverOptions(width_px=100, height_px=100, fit="stretch"))
    assert stretched.min() == 200


def test_black_bars_are_cut_away_on_request(tmp_path: Path) -> None:
    frames = []
    for number in range(10):
        frame = plain(0, 160, 160)
        frame[32:128] = shift(texture(96, 160, seed=2), number * 3)
        frames.append(frame)
    path = write_clip(tmp_path / "clip.mp4", frames)
    cover = pick_covers(path, CoverOptions(count=1, crop_letterbox=True)).covers[0]
    assert cover.width_px == 160
    assert cover.height_px == pytest.approx(96, abs=4)
    assert pick_covers(path, CoverOptions(count=1)).covers[0].height_px == 160


@pytest.mark.parametrize("kind", ["picture", "white"])
def test_black_bars_are_cut_away_though_a_few_moments_fill_the_frame(tmp_path: Path, kind: str) -> None:
    frames = []
    for number in range(20):
        frame = plain(0, 160, 160)
        frame[32:128] = shift(texture(96, 160, seed=2), number * 3)
        frames.append(frame)
    for number in (0, 10, 19):
        frames[number] = texture(160, 160, seed=number + 5) if kind == "picture" else plain(255, 160, 160)
    path = write_clip(tmp_path / "clip.mp4", frames, keyframe_every=1)
    picks = pick_covers(path, CoverOptions(count=20, crop_letterbox=True))
    full = {cover.height_px for cover in picks.covers if round(cover.seconds * 10) in (0, 10, 19)}
    barred = {cover.height_px for cover in picks.covers if round(cover.seconds * 10) not in (0, 10, 19)}
    assert full <= {160}
    assert barred
    assert all(height == pytest.approx(96, abs=4) for height in barred)


def test_a_video_that_often_fills_the_frame_has_no_bars(tmp_path: Path) -> None:
    frames = [texture(160, 160, seed=number + 5) for number in range(20)]
    for number in range(0, 20, 2):
        frames[number][:32] = frames[number][128:] = 0
    path = write_clip(tmp_path / "clip.mp4", frames, keyframe_every=1)
    picks = pick_covers(path, CoverOptions(count=4, crop_letterbox=True))
    assert {cover.height_px for cover in picks.covers} == {160}


def test_the_narrow_black_columns_of_a_digitised_tape_are_bars_too(tmp_path: Path) -> None:
    frames = []
    for number in range(10):
        frame = plain(0, 480, 640)
        frame[:, 8:-8] = shift(texture(480, 624, seed=2), number * 3)
        frames.append(frame)
    path = write_clip(tmp_path / "clip.mp4", frames)
    cover = pick_covers(path, CoverOptions(count=1, crop_letterbox=True)).covers[0]
    assert cover.width_px == pytest.approx(622, abs=3)
    assert cover.height_px == 480


class _FaceAtThree:
    """Finds a face in pictures whose first rows are red, too small for a closer look, and none elsewhere."""

    def find(self, picture: npt.NDArray[np.uint8]) -> list[Face]:
        red = picture[2, 2, 0] > 180 and picture[2, 2, 1] < 80
        return [Face(Box(60, 20, 26, 26), ((66, 28), (80, 28), (73, 34), (68, 40), (78, 40)), 0.95)] if red else []


def test_a_face_wins_over_an_equal_picture_without_one(tmp_path: Path) -> None:
    frames = [shift(texture(seed=9), number // 3) for number in range(12)]
    for number in (6, 7, 8):
        frames[number][:8] = (230, 20, 20)
    path = write_clip(tmp_path / "clip.mp4", frames)
    picks = pick_with(path, CoverOptions(count=1), limits=Limits(), find_faces=_FaceAtThree())
    assert picks.covers[0].seconds == pytest.approx(0.7, abs=0.11)
    assert "shows a face" in picks.covers[0].reasons


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count is 0; give 1 to 100"),
        ({"width_px": 0}, "width is 0; give 1 to 8192"),
        ({"height_px": 10_000}, "height is 10000; give 1 to 8192"),
        ({"quality": 101}, "quality is 101; give 1 to 100"),
        ({"format": "bmp"}, "format is 'bmp'; give jpg, png or webp"),
        ({"fit": "zoom"}, "fit is 'zoom'; give crop, pad or stretch"),
    ],
)
def test_a_wrong_option_is_named_with_its_limits(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(BadParameter, match=message):
        CoverOptions(**arguments)  # type: ignore[arg-type]

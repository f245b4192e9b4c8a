"""Blocks of compression rise with compression and are not seen where there is none."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from smartcover.engine.blockiness import blockiness
from tests.engine_clips import plain, texture
from tests.real_frames import frames

Picture = npt.NDArray[np.uint8]

_CLIPS = ("bikes.mp4", "bigbuckbunny.mp4")


def _jpeg(picture: Picture, quality: int) -> Picture:
    store = io.BytesIO()
    Image.fromarray(picture).save(store, "JPEG", quality=quality)
    return np.asarray(Image.open(store))


@pytest.mark.parametrize("name", _CLIPS)
def test_blockiness_rises_with_every_step_of_compression(name: str) -> None:
    (picture,) = frames(name, (60,))
    found = [blockiness(picture), *(blockiness(_jpeg(picture, quality)) for quality in (50, 20, 5))]
    assert found[0] < 0.05
    assert found == sorted(found)
    assert found[1] > 0.05
    assert found[3] > 0.8


def test_the_grid_may_lie_anywhere() -> None:
    (picture,) = frames("bikes.mp4", (60,))
    damaged = _jpeg(picture, 10)
    assert blockiness(damaged[3:, 5:]) == pytest.approx(blockiness(damaged), rel=0.15)


@pytest.mark.parametrize("picture", [plain(0, 270, 480), plain(200, 10, 10), plain(7, 1, 1), texture(270, 480)])
def test_there_is_none_where_nothing_was_compressed(picture: Picture) -> None:
    assert blockiness(picture) < 0.05


def test_one_sharp_edge_is_no_grid() -> None:
    picture = np.zeros((270, 480, 3), dtype=np.uint8)
    picture[:, 200:] = 255
    assert blockiness(picture) < 0.3

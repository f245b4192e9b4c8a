"""Appeal tells a clear picture from the same picture spoilt, which no judge had graded."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from smartcover.engine.appeal import appeal, fitted_weights
from smartcover.engine.arrays import Picture
from smartcover.engine.embedding import see
from tests.real_frames import frames

_FRAMES = (("bikes.mp4", 80), ("bigbuckbunny.mp4", 20), ("carphone_pristine.mp4", 20))


def _appeal(picture: Picture) -> float:
    return appeal(see(picture).stages)


@pytest.mark.parametrize(("clip", "number"), _FRAMES)
def test_a_picture_out_of_focus_or_in_the_dark_appeals_far_less(clip: str, number: int) -> None:
    (picture,) = frames(clip, (number,))
    blurred = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(min(picture.shape[:2]) / 20)))
    dark = (picture * 0.1).astype(np.uint8)
    assert _appeal(picture) > _appeal(blurred) + 1
    assert _appeal(picture) > _appeal(dark) + 1


def test_there_is_a_weight_for_each_value_of_the_stages() -> None:
    (picture,) = frames("bikes.mp4", (80,))
    assert fitted_weights().shape == see(picture).stages.shape

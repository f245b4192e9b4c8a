"""Whether one picture is another in a different framing, on cuts of one picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from smartcover.engine.reframing import likeness_when_reframed
from tests.engine_clips import Picture, texture


def _scene() -> Picture:
    """A picture with much to hold on to: blurred fields of light under a texture."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(20, 235, (10, 16, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((960, 540), Image.Resampling.BICUBIC))
    return (0.8 * smooth + 0.2 * texture(540, 960, seed=3)).astype(np.uint8)


def _cut(scene: Picture, share: float, across: float = 0.0, down: float = 0.0) -> Picture:
    """Cut a share of each side out, its middle moved by shares of the whole, at 480x270."""
    height, width = scene.shape[:2]
    left, top = (0.5 + across - share / 2) * width, (0.5 + down - share / 2) * height
    box = left, top, left + share * width, top + share * height
    return np.asarray(Image.fromarray(scene).resize((480, 270), Image.Resampling.LANCZOS, box=box))


@pytest.mark.parametrize(
    ("share", "across", "down"),
    [(0.9, 0.04, 0.0), (0.9, -0.02, 0.03), (0.8, 0.0, 0.0), (0.7, 0.03, -0.05), (1.0, 0.0, 0.0)],
    ids=["moved", "moved both ways", "zoomed in", "zoomed in and moved", "zoomed out"],
)
def test_a_picture_moved_or_zoomed_is_the_same_in_another_framing(share: float, across: float, down: float) -> None:
    scene = _scene()
    one, other = _cut(scene, 0.9), _cut(scene, share, across, down)
    assert likeness_when_reframed(one, other) > 0.985
    assert likeness_when_reframed(other, one) > 0.985


def test_what_changes_within_the_framing_is_not_another_framing() -> None:
    scene = _scene()
    changed = scene.copy()
    changed[150:400, 300:600] = texture(250, 300, seed=9)
    assert likeness_when_reframed(_cut(scene, 0.9), _cut(changed, 0.9)) == 0.0, "the framing is the same"
    assert likeness_when_reframed(_cut(scene, 0.9), _cut(changed, 0.8)) < 0.97, "more than the framing differs"


def test_other_pictures_and_empty_ones_are_no_framings_of_each_other() -> None:
    scene, plain = _scene(), np.full((270, 480, 3), 90, dtype=np.uint8)
    assert likeness_when_reframed(_cut(scene, 0.9), _cut(scene[::-1], 0.9)) < 0.8
    assert likeness_when_reframed(plain, plain) == 0.0
    assert likeness_when_reframed(plain, _cut(scene, 0.9)) == 0.0

"""Hard reasons against a frame."""

from __future__ import annotations

import pytest

from smartcover.engine.defects import Clip, find_defect
from smartcover.engine.signals import picture_signals
from tests.engine_clips import plain, texture

GOOD = picture_signals(texture(270, 480))
CLIP = Clip.of([GOOD])


def test_a_good_frame_has_no_defect() -> None:
    assert find_defect(GOOD, CLIP, broken=False) is None


@pytest.mark.parametrize(("colour", "kind"), [(0, "dark"), (255, "bright"), ((0, 120, 60), "flat")])
def test_plain_frames_are_named_by_what_they_are(colour: int | tuple[int, int, int], kind: str) -> None:
    defect = find_defect(picture_signals(plain(colour, 270, 480)), CLIP, broken=False)
    assert defect is not None
    assert defect.kind == kind


def test_a_dim_scene_with_lamps_is_not_dark() -> None:
    night = plain(14, 270, 480)
    night[60:120, 50:400] = texture(60, 350)
    assert find_defect(picture_signals(night), Clip.of([picture_signals(night)]), broken=False) is None


def test_white_pages_are_no_defect_in_a_screen_recording() -> None:
    page = plain(255, 270, 480)
    page[40:230:12, 40:440] = 30
    signals = picture_signals(page)
    assert signals["bright_share"] > 0.75
    assert find_defect(signals, Clip.of([signals]), broken=False) is None
    assert find_defect(signals, CLIP, broken=False) is not None


def test_damage_is_the_gravest_reason() -> None:
    defect = find_defect(picture_signals(plain(0, 270, 480)), CLIP, broken=True)
    assert defect is not None
    assert defect.kind == "broken"


def test_shut_eyes_are_a_defect_where_the_same_video_has_open_ones() -> None:
    shut = {**GOOD, "faces": 1.0, "face_size": 0.3, "eyes_open": 0.05}
    awake = {**shut, "eyes_open": 0.9}
    defect = find_defect(shut, Clip.of([shut, awake]), broken=False)
    assert defect is not None
    assert defect.kind == "eyes"
    assert find_defect(awake, Clip.of([shut, awake]), broken=False) is None
    assert find_defect(shut, Clip.of([shut]), broken=False) is None, "who sleeps all the time still gets a cover"


def test_a_face_too_small_for_its_eyes_to_be_seen_is_no_defect() -> None:
    far = {**GOOD, "faces": 1.0, "face_size": 0.05}
    awake = {**GOOD, "faces": 1.0, "face_size": 0.3, "eyes_open": 0.9}
    assert find_defect(far, Clip.of([far, awake]), broken=False) is None

"""Hard reasons against a frame, and scores among the frames of one video."""

from __future__ import annotations

import pytest

from smartcover.engine.scoring import Clip, Term, find_defect, score_all
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


def test_scores_follow_the_weights_and_give_the_reasons() -> None:
    terms = (Term("good", 2.0, "good thing"), Term("bad", -1.0))
    scores = score_all([{"good": 1.0, "bad": 0.0}, {"good": 0.0, "bad": 1.0}, {"good": 0.0, "bad": 0.0}], terms)
    assert [score.value for score in scores] == pytest.approx([1.0, 0.0, 1 / 3])
    assert [score.reasons for score in scores] == [("good thing",), (), ()]


def test_a_frame_that_lacks_a_signal_is_neither_favoured_nor_punished() -> None:
    terms = (Term("motion", -1.0),)
    still, unknown, moving = score_all([{"motion": 0.0}, {}, {"motion": 9.0}], terms)
    assert still.value > unknown.value > moving.value


def test_one_frame_alone_has_a_score() -> None:
    (score,) = score_all([GOOD])
    assert 0 <= score.value <= 1

"""What the moments of a video tell about each other, and the reasons against a frame that rest on it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from smartcover.engine.cards import card_signals
from smartcover.engine.company import Member, company_signals
from smartcover.engine.defects import Clip, Defect, find_defect
from smartcover.engine.signals import picture_signals, prepare
from tests.engine_clips import plain, texture

Picture = np.ndarray
GOOD, OTHER = texture(270, 480, seed=1), texture(270, 480, seed=2)


def _glance(picture: Picture) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((48, 27), Image.Resampling.BOX))


def _blurred(picture: Picture) -> Picture:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(3)))


def _lit(picture: Picture, gain: float, lift: float = 0.0) -> Picture:
    return np.clip(picture * gain + lift, 0, 255).astype(np.uint8)


def _mixed(one: Picture, other: Picture, share: float) -> Picture:
    return (one * (1 - share) + other * share).astype(np.uint8)


def _defects(pictures: list[Picture], neighbours: list[list[Picture]] | None = None) -> list[Defect | None]:
    own = [{**picture_signals(picture), **card_signals(prepare(picture))} for picture in pictures]
    around = neighbours or [[] for _picture in pictures]
    company = company_signals(
        [
            Member(float(place), _glance(picture), [_glance(one) for one in near], signals)
            for place, (picture, near, signals) in enumerate(zip(pictures, around, own, strict=True))
        ]
    )
    known = [{**one, **other} for one, other in zip(own, company, strict=True)]
    return [find_defect(signals, Clip.of(known), broken=False) for signals in known]


@pytest.mark.parametrize(
    ("worse", "kind"),
    [(_blurred(GOOD), "blurry"), (_lit(GOOD, 0.7), "transition"), (_lit(GOOD, 1.3, 50), "bright")],
    ids=["blurred", "dimmed", "over-exposed"],
)
def test_of_two_pictures_of_one_view_only_the_worse_is_rejected(worse: Picture, kind: str) -> None:
    found = _defects([GOOD, worse])
    assert found[0] is None
    assert found[1] is not None
    assert found[1].kind == kind


def test_without_a_better_picture_of_the_view_a_soft_or_dim_one_stays() -> None:
    assert _defects([_lit(GOOD, 0.7), OTHER])[0] is None


def test_a_dissolve_is_seen_between_the_pictures_that_it_joins() -> None:
    found = _defects([GOOD, _mixed(GOOD, OTHER, 0.4), OTHER])
    assert [None if defect is None else defect.kind for defect in found] == [None, "transition", None]


def test_a_cut_to_a_third_picture_is_no_dissolve() -> None:
    assert _defects([GOOD, texture(270, 480, seed=3), OTHER]) == [None, None, None]


def test_a_frozen_picture_is_rejected_only_where_the_video_otherwise_moves() -> None:
    pictures = [texture(270, 480, seed=10 + place) for place in range(4)]
    moving, still = [[OTHER] * 4] * 3, [[pictures[3]] * 4]
    found = _defects(pictures, moving + still)
    assert found[:3] == [None] * 3
    assert found[3] is not None
    assert found[3].kind == "frozen"
    assert _defects(pictures, [[picture] * 4 for picture in pictures]) == [None] * 4


def test_a_pattern_of_pure_colours_is_a_test_card_beside_filmed_frames() -> None:
    card = plain(0, 270, 480)
    for place, colour in enumerate(
        ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255))
    ):
        card[:, place * 80 : place * 80 + 80] = colour
    card[::30, ::7] = 255
    found = _defects([GOOD, OTHER, card])
    assert found[2] is not None
    assert found[2].kind == "card"


def test_credits_over_a_picture_are_told_by_their_lines_unless_all_frames_have_them() -> None:
    silent = {**picture_signals(GOOD), "text_lines": 0.0, "text_share": 0.0}
    written = {**silent, "text_lines": 8.0, "text_share": 0.2}
    defect = find_defect(written, Clip.of([silent, written]), broken=False)
    assert defect is not None
    assert defect.kind == "card"
    assert find_defect(written, Clip.of([written, written]), broken=False) is None


def test_one_moment_alone_and_plain_pictures_are_compared_with_nothing() -> None:
    assert company_signals([]) == []
    black = Member(0.0, _glance(plain(0, 270, 480)), [], picture_signals(plain(0, 270, 480)))
    for signals in company_signals([black, black]):
        assert signals["twin_sharpness"] == signals["twin_gain"] == 1.0
        assert signals["mixed"] == 0.0

"""What the moments of a video tell about each other, and the reasons against a frame that rest on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from PIL import Image, ImageFilter

from smartcover.engine.cards import card_signals
from smartcover.engine.company import Company
from smartcover.engine.defects import Defect, find_defect, norms_of
from smartcover.engine.norms import Clip
from smartcover.engine.pairs import Member
from smartcover.engine.signals import difference, prepare, signature, time_signals
from smartcover.engine.tones import brightened
from tests.engine_clips import picture_signals, plain, shift, texture

Picture = np.ndarray
SCALES = (9, 16), (135, 240)
GOOD, OTHER = texture(270, 480, seed=1), texture(270, 480, seed=2)


def _glance(picture: Picture) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((48, 27), Image.Resampling.BOX))


def company_signals(members: Sequence[Member]) -> list[dict[str, float]]:
    return Company().signals(members)


def _blurred(picture: Picture, radius: float = 3.0) -> Picture:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


def _member(
    seconds: float, picture: Picture, near: Sequence[Picture] = (), signals: Mapping[str, float] | None = None
) -> Member:
    glance, fineness = _glance(picture), prepare(picture).fineness
    return Member(seconds, glance, signature(glance), near, signals or picture_signals(picture), fineness)


def _filmed(seed: int, moved_px: int = 0) -> Picture:
    """Coarse shapes with fine grown detail in all of them; what stands at the right may have moved."""
    random = np.random.default_rng(seed)
    layers = [
        np.asarray(Image.fromarray(patches).resize((480, 270), Image.Resampling.BICUBIC)).astype(np.float32)
        for patches in (random.integers(0, 255, (rows, columns, 3), dtype=np.uint8) for rows, columns in SCALES)
    ]
    picture: Picture = (0.7 * layers[0] + 0.3 * layers[1]).astype(np.uint8)
    picture[:, 400:] = np.roll(picture[:, 400:], moved_px, axis=0)
    return picture


def _lit(picture: Picture, gain: float, lift: float = 0.0) -> Picture:
    return np.clip(picture * gain + lift, 0, 255).astype(np.uint8)


def _mixed(one: Picture, other: Picture, share: float) -> Picture:
    return (one * (1 - share) + other * share).astype(np.uint8)


def _defects(pictures: list[Picture], neighbours: list[list[Picture]] | None = None) -> list[Defect | None]:
    around = neighbours or [[] for _picture in pictures]
    own = [
        {
            **picture_signals(picture),
            **card_signals(prepare(picture)),
            **time_signals(_glance(picture), [(number / 10, _glance(one)) for number, one in enumerate(near, start=1)]),
        }
        for picture, near in zip(pictures, around, strict=True)
    ]
    company = company_signals(
        [
            _member(float(place), picture, [_glance(one) for one in near], signals)
            for place, (picture, near, signals) in enumerate(zip(pictures, around, own, strict=True))
        ]
    )
    known = [{**one, **other} for one, other in zip(own, company, strict=True)]
    clip = norms_of(known, [False] * len(known))
    return [find_defect(signals, clip, broken=False) for signals in known]


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


def test_a_held_picture_that_the_encoder_lets_breathe_is_frozen_too() -> None:
    held = texture(270, 480, seed=13)
    pictures = [*(texture(270, 480, seed=10 + place) for place in range(6)), held, held]
    breathing = [_lit(held, 1.0, 2.0)] * 4
    found = _defects(pictures, [[OTHER] * 4] * 6 + [breathing] * 2)
    assert found[:3] == [None] * 3
    assert [defect and defect.kind for defect in found[6:]] == ["frozen", "frozen"]


def test_a_frozen_picture_that_is_mostly_plain_is_no_page_where_the_video_is_filmed() -> None:
    moving, frozen = [texture(270, 480, seed=10 + place) for place in range(3)], texture(270, 480, seed=13)
    damaged = frozen.copy()
    damaged[60:] = 128
    stills = [frozen] * 5 + [damaged] * 4
    found = _defects([*moving, *stills], [[OTHER] * 4] * 3 + [[picture] * 4 for picture in stills])
    assert [defect and defect.kind for defect in found] == [None] * 3 + ["frozen"] * 9


def test_light_that_is_cut_off_is_over_exposed_beside_the_same_view() -> None:
    found = _defects([GOOD, _lit(GOOD, 2.4, 60)])
    assert found[0] is None
    assert found[1] is not None
    assert found[1].kind == "bright"


def test_a_test_card_with_grain_and_a_grid_is_one_beside_filmed_frames() -> None:
    card = plain(128, 270, 480).astype(np.int16)
    colours = ((191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191))
    for place, colour in enumerate(colours):
        card[90:200, 60 + place * 60 : 120 + place * 60] = colour
    card[::45] = card[:, ::40] = 255
    grain = np.random.default_rng(3).normal(0, 2.5, card.shape)
    card = np.clip(card + grain, 0, 255).astype(np.uint8)
    found = _defects([GOOD, OTHER, card])
    assert found[:2] == [None, None]
    assert found[2] is not None
    assert found[2].kind == "card"


def test_lines_of_text_do_not_set_the_sharpness_that_filmed_frames_are_held_to() -> None:
    filmed = {**picture_signals(GOOD), "one_colour": 0.1, "blur_extent": 0.3}
    credits = {**filmed, "sharpness": 400.0, "one_colour": 0.8}
    assert Clip.of([filmed] * 3 + [credits] * 7).sharp == filmed["sharpness"]


def test_a_calm_picture_without_much_detail_is_not_taken_for_a_blurred_one() -> None:
    sharp = picture_signals(GOOD)
    calm = {**sharp, "sharpness": 0.2 * sharp["sharpness"], "detail": 0.3 * sharp["detail"], "blur_extent": 0.48}
    clip = Clip.of([sharp] * 4 + [calm])
    assert find_defect(calm, clip, broken=False) is None
    assert find_defect({**calm, "blur_extent": 0.55}, clip, broken=False) is not None


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
    defect = find_defect(written, Clip.of([silent, silent, written]), broken=False)
    assert defect is not None
    assert defect.kind == "card"
    assert find_defect(written, Clip.of([written, written]), broken=False) is None


def test_one_moment_alone_and_plain_pictures_are_compared_with_nothing() -> None:
    assert company_signals([]) == []
    black = _member(0.0, plain(0, 270, 480))
    for signals in company_signals([black, black]):
        assert signals["twin_sharpness"] == signals["light_left"] == 1.0
        assert signals["mixed"] == 0.0


def test_light_that_is_cut_off_is_told_at_the_step_and_lent_to_what_follows_though_all_moves() -> None:
    patches = np.random.default_rng(5).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    view = np.asarray(Image.fromarray(patches).resize((480, 270), Image.Resampling.BICUBIC))
    pictures = [_lit(np.roll(view, 7 * place, axis=1), 0.7 if place < 4 else 1.8) for place in range(8)]
    company = company_signals([_member(place / 5, picture) for place, picture in enumerate(pictures)])
    assert all(signals["twin_glare"] > 0.05 and signals["twin_lift"] > 0.05 for signals in company[4:])
    assert all(signals["twin_glare"] == 0.0 for signals in company[:4])


def test_a_picture_that_is_repeated_exactly_is_held() -> None:
    near = np.clip(_glance(GOOD).astype(np.int16) + 1, 0, 255).astype(np.uint8)
    members = [_member(0.0, GOOD, [_glance(GOOD)] * 2), _member(9.0, GOOD, [near, near])]
    assert [signals["held"] for signals in company_signals(members)] == [1.0, 0.0]


def test_moments_that_come_and_go_get_the_signals_that_they_would_get_if_all_were_met_at_once() -> None:
    pictures = [GOOD, _blurred(GOOD), OTHER, _mixed(GOOD, OTHER, 0.5), _lit(OTHER, 1.3, 50), _lit(GOOD, 0.7)]
    members = [_member(float(place), picture, [_glance(picture)] * place) for place, picture in enumerate(pictures)]
    company = Company()
    for some in (members[:3], members[1:], [members[5], *members[:4]], members):
        assert company.signals(some) == company_signals(some)
        for member, distances in zip(some, company.distances(some), strict=True):
            assert distances.tolist() == [difference(member.signature, other.signature) for other in some]


def test_a_mild_blur_shows_beside_a_picture_of_about_the_same_view() -> None:
    sharp, soft = _filmed(1), _blurred(_filmed(1, moved_px=40), 1.6)
    signals = company_signals([_member(0.0, sharp), _member(1.0, soft), _member(2.0, _filmed(2))])
    assert [one["smoothed"] > 0.5 for one in signals] == [False, True, False]
    assert [one["twin_smoothed"] > 0.5 for one in signals] == [True, False, False]
    assert [defect and defect.kind for defect in _defects([sharp, soft])] == [None, "blurry"]


@pytest.mark.parametrize("gain", [0.4, 0.6])
def test_more_light_and_contrast_do_not_make_the_darker_picture_a_blurred_one(gain: float) -> None:
    company = company_signals([_member(0.0, _filmed(1)), _member(1.0, _lit(_filmed(1), gain))])
    assert company[1]["smoothed"] == 0.0


def test_words_over_a_soft_picture_do_not_make_the_others_blurred() -> None:
    soft = _blurred(_filmed(1), 1.2)
    written = soft.copy()
    written[60:200:20, 120:300:3] = 235
    company = company_signals([_member(0.0, soft), _member(1.0, written)])
    assert company[0]["smoothed"] < 0.5


def test_a_frozen_picture_is_no_measure_for_the_sharpness_of_others() -> None:
    frozen, soft = _filmed(1), _blurred(_filmed(1, moved_px=40), 1.6)
    company = company_signals([_member(0.0, frozen), _member(1.0, frozen), _member(2.0, soft)])
    assert company[2]["smoothed"] == 0.0


def test_a_title_over_a_dimmed_picture_is_told_by_the_light_that_its_sides_have_lost() -> None:
    clear, titled = _filmed(1), _lit(_filmed(1), 0.5)
    titled[80:190, 120:360] = 235
    signals = company_signals([_member(0.0, clear), _member(1.0, titled), _member(2.0, _filmed(2))])
    assert [one["light_left"] < 0.6 for one in signals] == [False, True, False]
    assert [defect and defect.kind for defect in _defects([clear, titled])] == [None, "transition"]


def test_an_over_exposed_picture_is_no_measure_for_the_light_of_others() -> None:
    normal, over_exposed = _lit(_filmed(1), 0.5), _lit(_filmed(1), 1.7)
    assert company_signals([_member(0.0, normal), _member(1.0, over_exposed)])[0]["light_left"] == 1.0


def _passed_through(number: int) -> Picture:
    """One scene, a fifth of which something large covers, each time elsewhere."""
    picture = _filmed(1)
    picture[:, 50 * number : 50 * number + 100] = _filmed(3)[:, 50 * number : 50 * number + 100]
    return picture


@pytest.mark.parametrize("light", [0, 60, 255], ids=["black", "grey", "white"])
def test_a_fade_is_seen_by_its_tones_though_something_large_moves(light: int) -> None:
    faded = _mixed(_passed_through(7), np.full((270, 480, 3), light), 0.45)
    found = _defects([*(_passed_through(number) for number in range(4)), faded])
    assert [defect and defect.kind for defect in found] == [None, None, None, None, "transition"]


@pytest.mark.parametrize("light", [0.4, 0.7])
def test_a_clear_picture_with_much_white_in_it_is_a_measure_for_the_dimmed_one_and_not_over_exposed(
    light: float,
) -> None:
    clear = [_filmed(1, 20 * number) for number in range(3)]
    for picture in clear:
        picture[:120] = 250
    found = _defects([*clear, _lit(clear[0], light), _lit(clear[1], light)])
    assert [defect and defect.kind for defect in found] == [None, None, None, "transition", "transition"]


def _walked_through(number: int) -> Picture:
    """One scene, a tenth of which something covers, each time elsewhere, and which moves as a whole."""
    picture = _lit(np.roll(_filmed(1), 8 * number, axis=1), 0.8)
    picture[:, 50 * number : 50 * number + 50] = _lit(_filmed(3)[:, 50 * number : 50 * number + 50], 0.8)
    return picture


@pytest.mark.parametrize("gain", [2.2, 2.8])
def test_over_exposure_is_seen_by_its_tones_though_all_moves(gain: float) -> None:
    clear, raised = map(_walked_through, range(2)), (_lit(_walked_through(number), gain) for number in range(2, 6))
    found = _defects([*clear, *raised])
    assert [defect and defect.kind for defect in found] == [None, None, *["bright"] * 4]


def test_a_scene_that_is_only_lit_better_is_not_over_exposed() -> None:
    scene = [_lit(_passed_through(number), 0.35) for number in range(6)]
    found = _defects([*scene[:3], *(_lit(picture, 2.6) for picture in scene[3:])])
    assert "bright" not in [defect and defect.kind for defect in found]


def _curved(picture: Picture, power: float) -> Picture:
    return (255 * (picture / 255) ** power).astype(np.uint8)


def _with_shadows(number: int) -> Picture:
    """A scene from deep shadows to bright lights, in patches, in which something walks."""
    light = np.random.default_rng(4).permutation(np.linspace(12, 245, 9 * 16)).astype(np.uint8).reshape(9, 16)
    patches = np.asarray(Image.fromarray(light).resize((480, 270), Image.Resampling.NEAREST))
    picture = _mixed(np.stack([patches] * 3, axis=2), _filmed(1), 0.08)
    picture[60:200, 40 + 60 * number : 80 + 60 * number] = _mixed(picture[:140, :40], _filmed(3)[:140, :40], 0.4)
    return picture


@pytest.mark.parametrize("power", [0.25, 0.4, 0.5])
def test_a_picture_that_gamma_brightened_is_told_by_the_shadows_of_another_though_all_moves(power: float) -> None:
    raised = (_curved(_with_shadows(number), power) for number in range(2, 6))
    found = _defects([_with_shadows(0), _with_shadows(1), *raised])
    assert [defect and defect.kind for defect in found] == [None, None, *["bright"] * 4]


@pytest.mark.parametrize("power", [1.6, 2.2])
def test_a_clear_picture_is_not_brightened_where_gamma_darkened_others(power: float) -> None:
    scene = [_with_shadows(number) for number in range(6)]
    found = company_signals(
        [_member(float(place), _curved(one, power) if place > 2 else one) for place, one in enumerate(scene)]
    )
    assert [signals["brightened"] for signals in found] == [0.0] * 6


@pytest.mark.parametrize(("gain", "lift"), [(0.5, 127), (0.7, 76), (1.0, 70), (1.9, 0)], ids=str)
def test_haze_a_fade_and_more_light_are_no_curve(gain: float, lift: float) -> None:
    dim = _lit(_filmed(1), 0.5)
    found = company_signals([_member(0.0, dim), _member(1.0, _lit(dim, gain, lift))])
    assert [signals["brightened"] for signals in found] == [0.0, 0.0]


def test_a_sky_that_grows_lighter_is_no_fade() -> None:
    rows, columns = np.mgrid[0:270, 0:480].astype(np.float32)
    skies = [48 + 30 * rows / 270 + 14 * columns / 480, 60 + 52 * rows / 270 + 12 * (1 - columns / 480)]
    members = [
        _member(float(place), np.stack([sky, sky, sky], axis=2).astype(np.uint8)) for place, sky in enumerate(skies)
    ]
    assert [signals["light_left"] for signals in company_signals(members)] == [1.0, 1.0]


@pytest.mark.parametrize("moved_px", [0, 20], ids=["still", "moving"])
def test_one_flash_does_not_make_the_rest_of_a_scene_a_fade(moved_px: int) -> None:
    scene = [_lit(_filmed(1, number * moved_px), 0.5) for number in range(10)]
    scene[5] = _lit(scene[5], 1.6)
    assert _defects(scene) == [None] * 10


def test_speckles_are_seen_beside_a_quiet_picture_of_partly_the_same_and_grass_is_not() -> None:
    random = np.random.default_rng(1)
    quiet, later = _filmed(1), _filmed(2)
    half = np.where(random.random((270, 480, 1)) < 0.4, later, quiet).astype(np.uint8)
    noise = [picture_signals(picture)["noise"] for picture in (quiet, half)]
    dissolving = company_signals([_member(0.0, quiet), _member(1.0, half), _member(2.0, later)])
    assert dissolving[1]["twin_noise"] == noise[0] < noise[1] / 4
    alone = company_signals([_member(0.0, later), _member(1.0, half), _member(2.0, half), _member(9.0, quiet)])
    assert alone[1]["twin_noise"] == noise[1]


def test_a_border_that_stays_where_it_is_is_told_from_one_that_moves_on() -> None:
    soft = [_blurred(_filmed(1, 8 * number), 1.2) // 2 for number in range(3)]
    sliding = []
    for picture, place in zip(soft, (60, 120, 180), strict=True):
        both = picture.copy()
        both[place:] = 255 - picture[place:] // 2
        sliding.append(both)
    moving = company_signals([_member(number / 5, picture) for number, picture in enumerate(sliding)])
    assert [signals["seams_elsewhere"] for signals in moving] == [0, 0, 0]
    split = [np.vstack([picture[:120], 255 - picture[120:] // 2]) for picture in soft]
    staying = company_signals([_member(number / 5, picture) for number, picture in enumerate(split)])
    assert [signals["seams_elsewhere"] for signals in staying] == [2, 2, 2]


def test_letters_over_a_dimmed_picture_do_not_make_its_clear_views_blurred() -> None:
    soft = [_blurred(_filmed(1, 8 * number), 1.2) for number in range(4)]
    titled = [_lit(picture, 0.5) for picture in soft]
    for picture in titled:
        picture[60:200:20, 120:360:3] = 235
    kinds = [defect and defect.kind for defect in _defects([*soft, *titled])]
    assert kinds[:4] == [None] * 4
    assert None not in kinds[4:]


@pytest.mark.parametrize(
    ("share", "found"), [(0.05, None), (0.3, "transition"), (0.7, "transition")], ids=["start", "third", "late"]
)
def test_a_wipe_is_seen_between_the_pictures_that_it_joins(share: float, found: str | None) -> None:
    wiped = _filmed(1)
    wiped[:, : round(480 * share)] = _filmed(2)[:, : round(480 * share)]
    assert [defect and defect.kind for defect in _defects([_filmed(1), wiped, _filmed(2)])] == [None, found, None]


def test_what_moves_through_a_picture_is_no_wipe_nor_is_one_that_moves_as_a_whole() -> None:
    passing = [_filmed(1), _filmed(1), _filmed(1)]
    for place, picture in enumerate(passing):
        picture[:, 120 * place : 120 * place + 120] = 250
    moving = [shift(GOOD, 6 * number) for number in range(10)]
    for pictures in (passing, moving):
        company = company_signals([_member(0.1 * place, picture) for place, picture in enumerate(pictures)])
        assert all(one["patched"] == 0.0 for one in company)


@pytest.mark.parametrize(("power", "told"), [(0.5, True), (0.8, False)], ids=str)
def test_a_slight_curve_may_be_the_cameras_own(power: float, told: bool) -> None:
    clear = np.linspace(60, 250, 64, dtype=np.float32)[None]
    curved = (255 * (clear / 255) ** power).astype(np.float32)
    assert brightened(curved, clear, np.ones((1, 1), dtype=np.bool_)).item() is told


def test_haze_over_few_tones_is_no_brightening_though_a_curve_would_nearly_make_it() -> None:
    clear = np.linspace(100, 180, 64, dtype=np.float32)[None]
    hazy = 0.5 * clear + 128
    assert not brightened(hazy, clear, np.ones((1, 1), dtype=np.bool_)).item()

"""Hard reasons against a frame."""

from __future__ import annotations

import numpy as np
import pytest

from smartcover.engine.cards import card_signals
from smartcover.engine.defects import Defect, find_defect, norms_of
from smartcover.engine.doubts import doubt
from smartcover.engine.norms import Clip
from smartcover.engine.signals import prepare
from tests.engine_clips import picture_signals, plain, texture

GOOD = picture_signals(texture(270, 480))
FILMED = {**GOOD, "blur_extent": 0.35, "flat_share": 0.2}
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


def _in_a_video(odd: dict[str, float], usual: dict[str, float] = GOOD) -> Defect | None:
    return find_defect(odd, Clip.of([*[usual] * 9, odd]), broken=False)


def test_a_picture_without_any_dark_is_washed_out_where_others_have_it() -> None:
    pale = picture_signals((texture(270, 480) * 0.6 + 90).astype("uint8"))
    assert pale["lowlights"] > 0.3 > GOOD["lowlights"]
    defect = _in_a_video(pale, {**GOOD, "lowlights": 0.02})
    assert defect is not None
    assert defect.kind == "transition"
    assert find_defect(pale, Clip.of([pale] * 10), broken=False) is None, "a video in fog is pale throughout"


def test_what_is_sharper_than_anything_filmed_is_a_card() -> None:
    drawn, filmed = {**GOOD, "blur_extent": 0.1}, {**GOOD, "blur_extent": 0.35}
    defect = _in_a_video(drawn, filmed)
    assert defect is not None
    assert defect.kind == "card"
    assert _in_a_video(drawn, drawn) is None, "a video of drawings is shown by them"


def test_a_wipe_is_an_exception_in_its_video() -> None:
    wiped = {**FILMED, "patched": 0.3}
    assert (defect := _in_a_video(wiped, FILMED)) is not None
    assert defect.kind == "transition"
    assert find_defect(wiped, Clip.of([wiped] * 7 + [FILMED] * 3), broken=False) is None, "patterns that run through"


def test_beside_black_titles_and_noise_what_a_video_shows_is_no_exception() -> None:
    portrait = {**FILMED, "bright_share": 0.72, "flat_share": 0.7, "brightness": 0.8}
    black = {**picture_signals(plain(0)), "one_colour": 1.0}
    title = {**FILMED, "one_colour": 0.93, "flat_share": 0.9, "blur_extent": 0.13, "colourfulness": 0.0}
    noise = {**FILMED, "likeness_of_neighbours": 0.1}
    for planted in (black, title, noise):
        every = [portrait] * 5 + [planted] * 5
        clip = norms_of(every, [False] * 10)
        assert [find_defect(signals, clip, broken=False) is None for signals in every] == [True] * 5 + [False] * 5


def test_the_pure_colours_of_a_drawn_video_are_no_test_card_beside_titles() -> None:
    drawn = {**FILMED, "colourfulness": 185.0, "noise": 0.0, "flat_share": 0.9}
    card = {**drawn, "colourfulness": 260.0}
    title = {**FILMED, "one_colour": 0.93, "colourfulness": 0.0}
    clip = norms_of([*[drawn] * 5, *[title] * 5, card], [False] * 11)
    assert find_defect(drawn, clip, broken=False) is None
    assert find_defect(card, clip, broken=False) is not None


def test_pure_colours_are_a_test_card_however_their_borders_run() -> None:
    card = {**FILMED, "colourfulness": 260.0, "noise": 0.01, "flat_share": 0.82, "ruled": 0.88}
    assert (defect := _in_a_video(card, FILMED)) is not None
    assert defect.kind == "card"
    assert _in_a_video({**card, "colourfulness": 150.0}, FILMED) is None


def test_bars_are_a_test_card_though_a_name_and_a_clock_lie_over_them() -> None:
    # As a recording of one has it: the letters are not straight, and its colours are not the full ones.
    card = {**FILMED, "straight": 0.61, "ruled": 0.91, "colourfulness": 115.0, "flat_share": 0.84, "noise": 0.001}
    defect = _in_a_video(card, FILMED)
    assert defect is not None
    assert defect.kind == "card"
    others = ({"noise": 0.4}, {"colourfulness": 80.0}, {"straight": 0.4}, {"flat_share": 0.6}, {"one_colour": 0.8})
    for other in others:
        assert _in_a_video({**card, **other}, FILMED) is None
    assert _in_a_video(card, card) is None, "a video of bars is shown by them"
    drawn = {**card, "straight": 0.2, "blur_extent": 0.16}
    assert find_defect({**card, "blur_extent": 0.3}, Clip.of([drawn] * 9), broken=False) is None


def test_all_colours_alike_are_a_test_card() -> None:
    rows, columns = np.mgrid[0:270, 0:480]
    cells = rows // 16 + 17 * (columns // 16)
    card = np.stack([columns % 16 * 17, rows % 16 * 17, cells * 97 % 256], axis=2).astype(np.uint8)
    defect = find_defect({**picture_signals(card), **card_signals(prepare(card))}, CLIP, broken=False)
    assert defect is not None
    assert defect.kind == "card"


def test_grain_over_a_countdown_does_not_make_it_a_picture() -> None:
    countdown = {**FILMED, "straight": 0.72, "blur_extent": 0.17}
    defect = _in_a_video(countdown, FILMED)
    assert defect is not None
    assert defect.kind == "card"
    assert _in_a_video({**countdown, "blur_extent": 0.3}, FILMED) is None, "a window and a shelf are as straight"
    assert _in_a_video({**countdown, "straight": 0.6}, FILMED) is None


def test_a_third_of_a_frame_in_white_is_over_exposed_where_others_have_none_and_a_page_is_not() -> None:
    usual = {**GOOD, "bright_share": 0.02, "blur_extent": 0.35}
    white = {**usual, "bright_share": 0.35}
    defect = _in_a_video(white, usual)
    assert defect is not None
    assert defect.kind == "bright"
    assert _in_a_video({**white, "blur_extent": 0.17}, usual) is None, "letters on a page are sharper than a picture"
    assert _in_a_video(white, {**usual, "bright_share": 0.14}) is not None
    assert _in_a_video(white, {**usual, "bright_share": 0.17}) is None, "hardly more than others have"
    assert _in_a_video({**white, "bright_share": 0.6}, {**usual, "bright_share": 0.25}) is None, "white is usual there"


def test_a_portrait_on_a_white_ground_is_not_over_exposed_where_others_have_no_white() -> None:
    usual = {**GOOD, "bright_share": 0.02, "blur_extent": 0.35}
    portrait = {**usual, "bright_share": 0.63, "one_colour": 0.62, "dark_share": 0.08}
    assert _in_a_video(portrait, usual) is None
    for raised in ({"dark_share": 0.0}, {"one_colour": 0.4}):
        defect = _in_a_video({**portrait, **raised}, usual)
        assert defect is not None, f"more light than the others have, with {raised}"
        assert defect.kind == "bright"


def test_credits_are_told_by_one_filmed_frame_without_text_and_not_by_an_empty_page() -> None:
    credits_ = {**GOOD, "text_lines": 9.0, "text_share": 0.2, "blur_extent": 0.2}
    filmed = {**GOOD, "text_lines": 0.0, "text_share": 0.0, "blur_extent": 0.35, "flat_share": 0.2}
    page = {**filmed, "flat_share": 0.9}
    defect = find_defect(credits_, Clip.of([*[credits_] * 9, filmed, *[FILMED] * 2]), broken=False)
    assert defect is not None
    assert defect.kind == "card"
    assert find_defect(credits_, Clip.of([*[credits_] * 9, page, *[FILMED] * 2]), broken=False) is None


def test_text_is_what_a_recording_of_a_screen_shows() -> None:
    screen = {**GOOD, "text_lines": 13.0, "text_share": 0.2, "blur_extent": 0.2, "flat_share": 0.85}
    menu = {**screen, "text_lines": 1.0, "text_share": 0.01, "flat_share": 0.5}
    assert find_defect(screen, Clip.of([*[screen] * 12, menu]), broken=False) is None
    assert find_defect(screen, Clip.of([*[screen] * 12, menu, *[FILMED] * 3]), broken=False) is not None


def test_what_was_not_read_is_taken_for_credits_if_it_looks_like_those() -> None:
    credits_ = {**GOOD, "text_lines": 9.0, "text_share": 0.2, "blur_extent": 0.2}
    filmed = {**GOOD, "text_lines": 0.0, "text_share": 0.0, "blur_extent": 0.35, "flat_share": 0.2}
    unread = {**GOOD, "blur_extent": 0.2}
    others = [filmed, unread, *[FILMED] * 2]
    defect = find_defect(unread, Clip.of([*[credits_] * 4, *others]), broken=False)
    assert defect is not None
    assert defect.kind == "card"
    assert find_defect(unread, Clip.of([*[credits_] * 3, *others]), broken=False) is None, "too few to tell"
    crisp = {**filmed, "blur_extent": 0.19}
    assert find_defect(unread, Clip.of([*[credits_] * 4, crisp, *others]), broken=False) is None, (
        "sharpness tells nothing"
    )


def test_a_repeated_picture_is_frozen_even_where_most_of_the_video_is() -> None:
    held = {**GOOD, "stillness": 1.0, "held": 1.0, "flat_share": 0.3}
    moving = {**GOOD, "stillness": 0.0, "held": 0.0, "motion": 5.0}
    defect = find_defect(held, Clip.of([*[held] * 8, moving, moving, moving]), broken=False)
    assert defect is not None
    assert defect.kind == "frozen"
    page = {**held, "flat_share": 0.9}
    assert find_defect(page, Clip.of([*[page] * 8, moving, moving, moving]), broken=False) is None, "pages stand still"
    assert find_defect(held, Clip.of([*[held] * 10]), broken=False) is None


def test_pages_that_were_looked_at_alone_do_not_make_the_others_frozen() -> None:
    page = {**GOOD, "stillness": 1.0, "held": 1.0, "flat_share": 0.88}
    alone = {**page, "stillness": 0.0, "held": 0.0}
    assert find_defect(page, Clip.of([*[page] * 4, *[alone] * 6]), broken=False) is None
    changing = {**alone, "motion": 5.0}
    frozen = find_defect(page, Clip.of([*[page] * 4, *[changing] * 6]), broken=False)
    assert frozen is not None
    assert frozen.kind == "frozen"


def test_pages_full_of_text_that_were_looked_at_alone_do_not_make_a_page_frozen_and_what_is_filmed_does() -> None:
    still = {**FILMED, "stillness": 1.0, "held": 0.0, "motion": 0.0, "flat_share": 0.8}
    full = {**GOOD, "stillness": 0.0, "held": 0.0, "flat_share": 0.61, "blur_extent": 0.19}
    assert find_defect(still, Clip.of([*[still] * 3, *[full] * 7]), broken=False) is None
    filmed = {**full, "flat_share": 0.3, "blur_extent": 0.35}
    frozen = find_defect(still, Clip.of([*[still] * 3, *[filmed] * 7]), broken=False)
    assert frozen is not None
    assert frozen.kind == "frozen"


def test_a_title_over_a_picture_is_doubtful_and_a_page_of_text_is_not() -> None:
    title = {**GOOD, "text_lines": 2.0, "text_share": 0.1, "one_colour": 0.2}
    wordless = {**GOOD, "text_lines": 0.0, "text_share": 0.0}
    clip = Clip.of([title, wordless, wordless])
    assert doubt(title, clip) == pytest.approx(0.2)
    assert doubt(wordless, clip) == 0.0
    assert doubt({**title, "one_colour": 0.7}, clip) == 0.0


def test_a_recording_of_a_screen_is_shown_by_its_pages_though_some_have_little_text() -> None:
    page = {**GOOD, "text_lines": 13.0, "text_share": 0.2, "flat_share": 0.8, "blur_extent": 0.13}
    sparse = {**page, "text_lines": 4.0, "text_share": 0.04}
    assert find_defect(page, Clip.of([*[page] * 12, *[sparse] * 4]), broken=False) is None
    assert find_defect(page, Clip.of([*[page] * 4, *[sparse] * 12]), broken=False) is not None


def test_the_end_of_a_dissolve_is_doubtful() -> None:
    assert doubt({**GOOD, "mixture_rest": 0.02, "mixed": 0.13}, CLIP) > 0.1
    assert doubt({**GOOD, "mixture_rest": 0.2, "mixed": 0.4}, CLIP) == 0.0


def _moving(**others: float) -> dict[str, float]:
    return {**GOOD, "stillness": 0.1, **others}


def test_a_dissolve_of_moving_pictures_is_doubtful_and_smooth_motion_is_not() -> None:
    moving = {**GOOD, "blend": 0.3, "change": 20.0, "mixture_rest": 0.3, "mixed": 0.3}
    assert doubt(moving, CLIP) == 0.0
    assert doubt({**moving, "mixture_rest": 0.08}, CLIP) > 0.0
    assert doubt({**moving, "mixture_rest": 0.08, "blend": 0.45}, CLIP) == 0.0, "a picture of its own, like two others"


@pytest.mark.parametrize(("held", "dissolves"), [(8, 2), (4, 1), (30, 9)])
def test_the_pictures_of_a_slide_show_are_not_frozen(held: int, dissolves: int) -> None:
    picture = {**GOOD, "stillness": 1.0, "held": 1.0}
    between = _moving(blend=0.05, change=20.0, mixture_rest=0.01, mixed=0.5)
    clip = Clip.of([picture] * held + [between] * dissolves)
    assert find_defect(picture, clip, broken=False) is None
    assert find_defect(between, clip, broken=False) is not None


@pytest.mark.parametrize(("usual", "odd"), [(16, 4), (4, 1), (5, 1), (2, 1)])
def test_what_most_of_a_video_looks_like_is_no_exception_in_it(usual: int, odd: int) -> None:
    looks = (
        {"bright_share": 0.6, "brightness": 0.85, "blur_extent": 0.3},  # something on a white ground
        {"lowlights": 0.4},  # fog
        {"blur_extent": 0.1},  # drawings
    )
    for look in looks:
        other = {**GOOD, "bright_share": 0.0, "brightness": 0.3, "lowlights": 0.0, "blur_extent": 0.35}
        frame = {**other, **look}
        assert find_defect(frame, Clip.of([frame] * usual + [other] * odd), broken=False) is None, look
        assert find_defect(frame, Clip.of([frame] * odd + [other] * usual), broken=False) is not None, look


def test_sharp_frames_are_not_taken_for_text_because_credits_lie_over_a_blur() -> None:
    credits = {**GOOD, "blur_extent": 0.3, "text_lines": 12.0, "text_share": 0.3}
    soft = {**GOOD, "blur_extent": 0.5, "text_lines": 0.0, "text_share": 0.0}
    unread = {**GOOD, "blur_extent": 0.25}
    assert find_defect(unread, Clip.of([*[credits] * 4, soft, *[unread] * 10]), broken=False) is None


def test_what_is_as_soft_as_frames_known_to_be_blurred_is_doubtful_unless_it_is_the_better_of_its_view() -> None:
    blurred = {**FILMED, "blur_extent": 0.55, "smoothed": 0.9}
    soft = {**FILMED, "blur_extent": 0.56}
    clip = Clip.of([FILMED, *[blurred] * 3, soft])
    assert doubt(soft, clip) > 0.1
    assert doubt({**soft, "twin_smoothed": 0.9}, clip) == 0.0
    assert doubt(FILMED, clip) == 0.0
    assert doubt(soft, Clip.of([FILMED, blurred, soft])) == 0.0, "one blurred frame says nothing of the video"


def test_letters_over_a_held_picture_do_not_set_the_sharpness_that_moving_frames_are_held_to() -> None:
    lettered = {**FILMED, "held": 1.0, "stillness": 1.0, "sharpness": 80.0, "blur_extent": 0.2}
    moving = {**FILMED, "stillness": 0.0, "sharpness": 15.0, "blur_extent": 0.6}
    clip = Clip.of([lettered] * 6 + [moving] * 4)
    assert find_defect(moving, clip, broken=False) is None
    assert find_defect(moving, Clip.of([{**lettered, "held": 0.0}] * 6 + [moving] * 4), broken=False) is not None


def test_a_close_face_in_focus_is_not_blurred_beside_wide_views_and_one_out_of_focus_is() -> None:
    wide = {**FILMED, "sharpness": 30.0, "blur_extent": 0.33}
    close = {**FILMED, "sharpness": 8.0, "blur_extent": 0.62, "face_closeness": 0.6, "face_focus": 0.4}
    clip = Clip.of([wide] * 6 + [close] * 2)
    assert find_defect(close, clip, broken=False) is None
    others = ({"face_focus": 0.28}, {"face_closeness": 0.2}, {"face_closeness": 0.0, "face_focus": 0.0})
    for other in others:
        defect = find_defect({**close, **other}, clip, broken=False)
        assert defect is not None
        assert defect.kind == "blurry"


def test_a_close_face_is_blurred_where_the_same_view_is_sharper_whatever_its_own_focus() -> None:
    close = {**FILMED, "face_closeness": 0.6, "face_focus": 0.4, "twin_sharpness": 0.5, "twin_softening": 0.2}
    defect = find_defect(close, Clip.of([FILMED]), broken=False)
    assert defect is not None
    assert defect.kind == "blurry"


def test_what_is_rejected_for_another_reason_does_not_make_the_rest_of_a_video_blurred() -> None:
    soft = {**FILMED, "sharpness": 15.0, "blur_extent": 0.6, "text_lines": 0.0, "text_share": 0.0}
    credits_ = {**FILMED, "sharpness": 80.0, "blur_extent": 0.25, "text_lines": 6.0, "text_share": 0.2}
    every = [soft] * 6 + [credits_] * 4
    assert find_defect(soft, Clip.of(every), broken=False) is not None
    assert find_defect(soft, norms_of(every, [False] * 10), broken=False) is None
    sharp = {**credits_, "text_lines": 0.0}
    assert find_defect(soft, norms_of([soft] * 6 + [sharp] * 4, [False] * 10), broken=False) is not None


def test_a_dissolve_by_single_pixels_is_told_by_its_noise_in_a_filmed_video_that_has_little() -> None:
    speckled = {**FILMED, "noise": 5.0, "specks": 0.0}
    quiet = {**FILMED, "noise": 0.3}
    defect = find_defect(speckled, Clip.of([quiet] * 6 + [speckled] * 4), broken=False)
    assert defect is not None
    assert defect.kind == "transition"
    grainy = {**FILMED, "noise": 2.0}
    assert find_defect(speckled, Clip.of([grainy] * 6 + [speckled] * 4), broken=False) is None
    assert find_defect(speckled, Clip.of([quiet] * 3 + [speckled] * 7), broken=False) is None
    # Grass and grain are as noisy in all of their scene.
    assert find_defect({**speckled, "twin_noise": 5.0}, Clip.of([quiet] * 6 + [speckled] * 4), broken=False) is None
    drawn = {**GOOD, "noise": 0.0, "blur_extent": 0.16}
    assert find_defect({**drawn, "noise": 5.0, "specks": 0.01}, Clip.of([drawn] * 6), broken=False) is None
    # Sharp grass between blurred moments has as much noise, and few specks.
    assert find_defect({**speckled, "specks": 0.001}, Clip.of([quiet] * 6 + [speckled] * 4), broken=False) is None


def test_a_dissolve_by_single_pixels_is_told_by_its_specks_before_it_has_much_noise() -> None:
    clean, begun = {**FILMED, "noise": 1.0, "specks": 0.0003}, {**FILMED, "noise": 1.5, "specks": 0.0025}
    defect = find_defect(begun, Clip.of([clean] * 6 + [begun] * 4), broken=False)
    assert defect is not None
    assert defect.kind == "transition"
    assert find_defect(begun, Clip.of([clean] * 3 + [begun] * 7), broken=False) is None, "a video that is so"
    assert find_defect({**begun, "twin_specks": 0.002}, Clip.of([clean] * 6), broken=False) is None, "a starry sky"
    assert find_defect({**begun, "noise": 1.1}, Clip.of([clean] * 6), broken=False) is None, "no noisier than others"
    many = {**begun, "specks": 0.01, "twin_specks": 0.01}
    assert find_defect(many, Clip.of([clean] * 6), broken=False) is not None, "nothing clean is around it"


def test_bars_with_grain_are_a_card_in_a_film_that_is_less_colourful() -> None:
    bars = {**FILMED, "colourfulness": 170.0, "straight": 0.6, "flat_share": 0.6, "noise": 0.4}
    filmed = {**FILMED, "colourfulness": 40.0, "one_colour": 0.1}
    defect = find_defect(bars, Clip.of([filmed] * 4 + [bars]), broken=False)
    assert defect is not None
    assert defect.kind == "card"
    assert find_defect(bars, Clip.of([{**filmed, "colourfulness": 150.0}] * 5), broken=False) is None, "a green screen"
    assert find_defect({**bars, "straight": 0.4}, Clip.of([filmed] * 5), broken=False) is None


def test_letters_on_one_colour_are_a_card_in_a_filmed_video() -> None:
    letters = {**FILMED, "blur_extent": 0.16, "one_colour": 0.8, "flat_share": 0.85}
    filmed = {**FILMED, "one_colour": 0.1}
    defect = find_defect(letters, Clip.of([filmed] * 4 + [letters]), broken=False)
    assert defect is not None
    assert defect.kind == "card"
    assert find_defect(letters, Clip.of([letters] * 3 + [filmed]), broken=False) is None, "a video of such pages"
    assert find_defect({**letters, "blur_extent": 0.2}, Clip.of([filmed] * 5), broken=False) is None, "a plain wall"


def test_black_does_not_make_the_usual_light_of_a_video_doubtful() -> None:
    black = picture_signals(plain(0, 270, 480))
    dim = {**FILMED, "brightness": 0.45, "entropy": 5.0, "one_colour": 0.1}
    bright = {**dim, "brightness": 0.5, "entropy": 4.2}
    every = [black] * 9 + [dim] * 11 + [bright]
    assert doubt(bright, norms_of(every, [False] * len(every))) == 0.0
    assert doubt(bright, Clip.of(every)) > 0.0, "measured with the black"


def test_two_pictures_side_by_side_are_doubtful_unless_the_video_shows_them_so() -> None:
    clip = Clip.of([FILMED] * 3)
    halves = {**FILMED, "seam": 0.8, "seam_at": 0.4}
    assert doubt({**halves, "seams_elsewhere": 0.0}, clip) > 0.2
    assert doubt({**halves, "seams_elsewhere": 1.0}, clip) == 0.0, "a split screen"
    assert doubt({**halves, "seam": 0.5, "seams_elsewhere": 0.0}, clip) == 0.0


def test_a_frame_that_is_far_brighter_and_poorer_in_tones_than_its_video_is_doubtful() -> None:
    usual = {**FILMED, "brightness": 0.3, "entropy": 5.0, "one_colour": 0.1, "bright_share": 0.0, "dark_share": 0.0}
    washed = {**usual, "brightness": 0.8, "entropy": 3.6}
    assert doubt(washed, Clip.of([usual, usual, washed])) > 0.2
    assert doubt({**washed, "brightness": 0.6}, Clip.of([usual, usual, washed])) > 0.2
    assert doubt({**washed, "brightness": 0.5}, Clip.of([usual, usual, washed])) == 0.0
    assert doubt(washed, Clip.of([washed, washed, usual])) == 0.0, "a video of which most is so"
    assert doubt({**washed, "entropy": 4.8}, Clip.of([usual] * 3)) == 0.0, "a bright scene with all its tones"
    on_white = {**washed, "one_colour": 0.6, "bright_share": 0.62, "dark_share": 0.08}
    assert doubt(on_white, Clip.of([usual] * 3)) == 0.0, "something before a white ground"


def test_light_that_is_cut_off_is_doubtful_where_the_video_has_little_of_it() -> None:
    clean, burnt = {**FILMED, "cut_off_share": 0.0}, {**FILMED, "cut_off_share": 0.2}
    assert doubt(burnt, Clip.of([clean, clean, burnt])) > 0.2
    assert doubt(burnt, Clip.of([burnt, burnt, clean])) == 0.0, "a video of which most is so"
    assert doubt({**burnt, "cut_off_share": 0.7}, Clip.of([clean])) == 0.0, "a drawing in pure colours"

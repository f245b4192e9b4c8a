"""A blind comparison must hide who is who, and count what the judge said."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.quality.sheets import draw_sheet, same_picture
from benchmarks.quality.votes import Sheet, places, points, preference, read_answers, shuffled

OURS, OTHER, THIRD = "smartcover", "other", "third"


def test_a_seed_gives_the_same_order_whatever_order_the_tools_come_in() -> None:
    first = shuffled("clip.mp4", [[OURS], [OTHER], [THIRD]], seed=3)
    second = shuffled("clip.mp4", [[THIRD], [OURS], [OTHER]], seed=3)
    assert first == second


def test_ours_is_on_either_side_about_equally_often() -> None:
    sheets = [shuffled(f"{number}.mp4", [[OURS], [OTHER]], seed=1) for number in range(400)]
    left = sum(sheet.tiles[0] == (OURS,) for sheet in sheets)
    assert 150 < left < 250


def test_another_seed_gives_another_order_to_some_clips() -> None:
    clips = [f"{number}.mp4" for number in range(40)]
    one, two = ([shuffled(clip, [[OURS], [OTHER]], seed) for clip in clips] for seed in (1, 2))
    assert one != two


def test_answers_are_read_with_remarks_and_the_last_line_of_a_sheet_counts() -> None:
    text = "# a remark\nr01 A>B=C  # sharp\n\np001 left\np001 right\n"
    assert read_answers(text) == {"r01": "A>B=C", "p001": "right"}


def test_an_answer_with_spaces_inside_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        read_answers("p001 left\nr01 A > B\n")


def test_a_ranking_gives_places_and_equals_share_one() -> None:
    sheet = Sheet("clip.mp4", ((OTHER,), (OURS, "fourth"), (THIRD,)))
    assert places(sheet, "B>a=C") == {OURS: 0, "fourth": 0, OTHER: 1, THIRD: 1}


@pytest.mark.parametrize("answer", ["A", "A>B>B", "A>D", "A>B>C", ""])
def test_a_ranking_that_does_not_name_each_letter_once_is_refused(answer: str) -> None:
    with pytest.raises(ValueError, match="does not name"):
        places(Sheet("clip.mp4", ((OTHER,), (OURS,))), answer)


@pytest.mark.parametrize(
    ("tiles", "answer", "wanted"),
    [
        (((OURS,), (OTHER,)), "left", 1.0),
        (((OTHER,), (OURS,)), "left", 0.0),
        (((OTHER,), (OURS,)), "right", 1.0),
        (((OTHER,), (OURS,)), "tie", 0.5),
        (((OTHER, OURS), (THIRD,)), "B>A", 0.5),
        (((OTHER,), (OURS,), (THIRD,)), "C>B>A", 1.0),
        (((OTHER,), (OURS,), (THIRD,)), "A=C>B", 0.0),
    ],
)
def test_points_go_to_the_preferred_side(tiles: tuple[tuple[str, ...], ...], answer: str, wanted: float) -> None:
    assert points({"x": Sheet("clip.mp4", tiles)}, {"x": answer}, OURS, OTHER) == {"clip.mp4": wanted}


def test_a_sheet_without_an_answer_or_without_the_other_tool_does_not_count() -> None:
    sheets = {
        "p001": Sheet("a.mp4", ((OURS,), (OTHER,))),
        "p002": Sheet("b.mp4", ((OURS,), (THIRD,))),
    }
    assert points(sheets, {"p002": "left"}, OURS, OTHER) == {}


def test_one_picture_by_both_is_a_tie_without_an_answer() -> None:
    assert points({"p001": Sheet("a.mp4", ((OTHER, OURS),))}, {}, OURS, OTHER) == {"a.mp4": 0.5}


def test_an_answer_that_does_not_fit_names_its_sheet() -> None:
    with pytest.raises(ValueError, match="sheet r07"):
        points({"r07": Sheet("a.mp4", ((OURS,), (OTHER,)))}, {"r07": "A>B>C"}, OURS, OTHER)


def test_shares_count_ties_half_and_leave_them_out() -> None:
    found = preference({"a": 1.0, "b": 1.0, "c": 0.5, "d": 0.0})
    assert (found.clips, found.won, found.tied, found.lost) == (4, 2, 1, 1)
    assert found.share == pytest.approx(0.625)
    assert found.decided_share == pytest.approx(2 / 3)
    assert found.interval[0] < found.share < found.interval[1]


def test_nothing_judged_is_no_share() -> None:
    with pytest.raises(ValueError, match="no answered sheet"):
        preference({})


def test_tiles_are_of_one_size_whatever_the_pictures_are(tmp_path: Path) -> None:
    for name, size, colour in (("wide", (640, 360), "red"), ("small", (160, 90), "blue")):
        Image.new("RGB", size, colour).save(tmp_path / f"{name}.png")
    wide, small = tmp_path / "wide.png", tmp_path / "small.png"
    assert draw_sheet("p001", [wide, small], 2).size == draw_sheet("p001", [small, wide], 2).size
    sheet = draw_sheet("p001", [wide, small], 2)
    counts = {colour: count for count, colour in sheet.getcolors(1 << 24) or []}
    assert counts[(255, 0, 0)] == counts[(0, 0, 255)] == 480 * 270


def test_one_frame_by_two_encoders_is_one_picture_and_another_frame_is_not(tmp_path: Path) -> None:
    frame = Image.linear_gradient("L").resize((640, 360)).convert("RGB")
    frame.save(tmp_path / "fine.png")
    frame.resize((320, 180)).save(tmp_path / "coarse.jpg", quality=60)
    frame.rotate(90).save(tmp_path / "other.png")
    assert same_picture(tmp_path / "fine.png", tmp_path / "coarse.jpg")
    assert not same_picture(tmp_path / "fine.png", tmp_path / "other.png")

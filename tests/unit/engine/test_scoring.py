"""Scores among the frames of one video."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.engine.composition import composition_signals
from smartcover.engine.scoring import MEANINGS, Score, Term, fitted_terms, levels, score_all, shares_of, with_own
from smartcover.engine.signals import prepare
from tests.engine_clips import picture_signals, texture

PICTURE = texture(270, 480)
GOOD = {**picture_signals(PICTURE), **composition_signals(prepare(PICTURE))}


def test_scores_follow_the_weights_and_give_the_reasons() -> None:
    terms = (Term("good", 2.0, 0.5, "good thing"), Term("bad", -1.0, 0.5))
    best, worst, middling = score_all([{"good": 1, "bad": 0}, {"good": 0, "bad": 1}, {"good": 0, "bad": 0}], terms)
    assert best.value > middling.value > worst.value
    assert (best.reasons, worst.reasons, middling.reasons) == (("good thing",), (), ())


def test_a_frame_that_lacks_a_signal_is_neither_favoured_nor_punished() -> None:
    still, unknown, moving = score_all([{"motion": 0.0}, {}, {"motion": 9.0}], (Term("motion", -1.0, 1.0),))
    assert still.value > unknown.value > moving.value


def test_one_frame_alone_has_a_middling_score_and_nothing_to_boast_of() -> None:
    (score,) = score_all([GOOD])
    assert (score.value, score.reasons) == (0.5, ())


def test_differences_that_are_small_for_the_signal_count_little() -> None:
    small, usual = levels([10.0, 10.1, 10.2], spread=5.0), levels([10.0, 15.0, 20.0], spread=5.0)
    assert small[-1] < 0.1 < 1.0 < usual[-1]


def test_one_outlier_does_not_flatten_the_others() -> None:
    steps = levels([0.0, 1.0, 2.0, 3.0, 1000.0], spread=1.0)
    assert steps[3] - steps[0] > 0.5


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=40), st.floats(0.001, 1e3))
def test_levels_keep_the_order_and_stay_bounded(values: list[float | None], spread: float) -> None:
    found = levels(values, spread)
    assert len(found) == len(values)
    assert all(abs(level) <= 2.0 for level in found)
    known = [(value, level) for value, level in zip(values, found, strict=True) if value is not None]
    ordered = [level for _value, level in sorted(known, key=lambda entry: entry[0])]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(ordered))


def test_the_fitted_weights_have_the_directions_that_were_set_beforehand() -> None:
    terms = {(term.of, term.signal): term for term in fitted_terms()}
    assert set(terms) == {(of, signal) for of, signals in MEANINGS.items() for signal in signals}
    for (of, signal), term in terms.items():
        assert term.weight * MEANINGS[of][signal][0] >= 0
        assert math.isfinite(term.spread) and term.spread > 0


def test_in_a_portrait_the_expression_counts_and_elsewhere_the_scene() -> None:
    terms = (Term("detail", 1.0, 0.5, of="scene"), Term("eyes", 1.0, 0.5, of="portrait"))
    for face_size, better in ((0.0, 0), (0.4, 1)):
        rich = {"detail": 1.0, "eyes": 0.0, "face_size": face_size}
        awake = {"detail": 0.0, "eyes": 1.0, "face_size": face_size}
        values = [score.value for score in score_all([rich, awake], terms)]
        assert values[better] > 0.5 > values[1 - better], face_size


def test_a_video_is_a_portrait_by_how_large_its_faces_mostly_are() -> None:
    assert shares_of([]) == shares_of([{"face_size": 0.0}]) == {"scene": 1.0, "portrait": 0.0}
    assert shares_of([{"face_size": 0.5}, {"face_size": 0.5}, {}, {"face_size": 0.0}])["portrait"] == 1.0
    some = shares_of([{"face_size": 0.06}])
    assert 0.2 < some["portrait"] < 0.8 and sum(some.values()) == 1.0


def test_what_is_good_in_two_ways_is_told_once() -> None:
    terms = tuple(Term("eyes", 5.0, 0.1, "open eyes", of) for of in ("scene", "portrait"))
    shut, wide, _shut = score_all([{"eyes": eyes, "face_size": 0.06} for eyes in (0.0, 1.0, 0.0)], terms)
    assert (shut.reasons, wide.reasons) == ((), ("open eyes",))


@pytest.mark.parametrize("signal", ["centre_detail", "colourfulness"])
def test_more_of_a_good_signal_gives_a_higher_score(signal: str) -> None:
    more = {**GOOD, signal: GOOD[signal] * 2}
    plain, better = score_all([GOOD, more])
    assert better.value > plain.value


def test_the_callers_own_score_counts_as_much_as_ours_and_is_told_where_it_is_better_than_usual() -> None:
    ours = [Score(0.6, ("colourful",)), Score(0.6, ("colourful",)), Score(0.4, ())]
    liked, disliked, unseen = with_own(ours, [{"own_score": 1.0}, {"own_score": 0.2}, {}])
    assert [score.value for score in (liked, disliked, unseen)] == pytest.approx([0.8, 0.4, 0.4])
    reasons = [("the scorer's 1.00", "colourful"), ("colourful",), ()]
    assert [score.reasons for score in (liked, disliked, unseen)] == reasons


def test_a_scorer_that_thinks_the_same_of_all_is_no_reason() -> None:
    assert [score.reasons for score in with_own([Score(0.6, ())] * 3, [{"own_score": 0.7}] * 3)] == [()] * 3

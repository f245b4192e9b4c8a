"""A set of covers: best first, different from each other, and never empty."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smartcover.engine.defects import Defect
from smartcover.engine.selection import Candidate, select
from smartcover.engine.signals import signature
from smartcover.engine.types import CoverOptions, RejectionKind
from tests.engine_clips import plain, texture


def _candidate(index: int, score: float, seed: int, kind: RejectionKind | None = None) -> Candidate:
    defect = Defect(kind, "because") if kind else None
    return Candidate(index, index * 5.0, score, signature(texture(27, 48, seed=seed)), defect)


def test_the_best_comes_first_and_the_same_picture_once() -> None:
    every = [_candidate(0, 0.7, 1), _candidate(1, 0.9, 2), _candidate(2, 0.8, 2), _candidate(3, 0.6, 3)]
    selection = select(every, CoverOptions(count=3))
    assert [entry.index for entry in selection.chosen] == [1, 0, 3]
    assert [entry.index for entry in selection.duplicates] == [2]
    assert selection.fallback is None


def test_the_same_picture_again_is_better_than_a_far_worse_one() -> None:
    every = [_candidate(0, 0.15, 1), _candidate(1, 0.9, 2), _candidate(2, 0.8, 2)]
    assert [entry.index for entry in select(every, CoverOptions(count=2)).chosen] == [1, 2]
    assert [entry.index for entry in select(every, CoverOptions(count=2, delete_duplicates=True)).chosen] == [1, 0]


def test_half_as_good_is_too_bad_to_be_shown_for_being_different() -> None:
    every = [_candidate(0, 0.66, 1), _candidate(1, 0.65, 1), _candidate(2, 0.33, 2)]
    assert [entry.index for entry in select(every, CoverOptions(count=2)).chosen] == [0, 1]


def test_a_little_less_good_is_worth_being_different() -> None:
    every = [_candidate(0, 0.66, 1), _candidate(1, 0.65, 1), _candidate(2, 0.5, 2)]
    assert [entry.index for entry in select(every, CoverOptions(count=2)).chosen] == [0, 2]


def test_covers_are_in_order_of_their_scores_whatever_each_adds() -> None:
    every = [_candidate(0, 0.9, 1), _candidate(1, 0.5, 2), _candidate(2, 0.8, 1), _candidate(3, 0.1, 1)]
    assert [entry.index for entry in select(every, CoverOptions(count=3)).chosen] == [0, 2, 1]


def test_duplicates_fill_the_count_unless_they_are_to_be_deleted() -> None:
    every = [_candidate(0, 0.5, 1), _candidate(1, 0.9, 1)]
    assert [entry.index for entry in select(every, CoverOptions(count=3)).chosen] == [1, 0]
    assert [entry.index for entry in select(every, CoverOptions(count=3, delete_duplicates=True)).chosen] == [1]


def test_another_framing_is_left_out_only_where_duplicates_are_to_be_deleted() -> None:
    every = [_candidate(0, 0.9, 1), _candidate(1, 0.8, 2), _candidate(2, 0.7, 3)]
    kept = select(every, CoverOptions(count=2), lambda one, other: {one.index, other.index} == {0, 1})
    assert [entry.index for entry in kept.chosen] == [0, 1]
    deleted = select(
        every, CoverOptions(count=2, delete_duplicates=True), lambda one, other: {one.index, other.index} == {0, 1}
    )
    assert [entry.index for entry in deleted.chosen] == [0, 2]
    assert [entry.index for entry in deleted.duplicates] == [1]


def test_a_different_hue_is_a_different_picture() -> None:
    # Both have luma 100 within 1: a comparison of grey alone would take them for one.
    red, green = plain((215, 67, 80), 27, 48), plain((40, 120, 80), 27, 48)
    every = [
        Candidate(number, number * 5.0, 0.5, signature(glance), None) for number, glance in enumerate((red, green))
    ]
    assert len(select(every, CoverOptions(count=2, delete_duplicates=True)).chosen) == 2


def test_a_second_view_of_a_clean_picture_comes_before_a_bad_one() -> None:
    every = [_candidate(0, 0.5, 1), _candidate(1, 0.4, 1), _candidate(2, 0.9, 2, "dark")]
    assert [entry.index for entry in select(every, CoverOptions(count=2)).chosen] == [0, 1]


def test_a_repeat_that_was_rejected_is_told_as_a_relaxed_rule() -> None:
    every = [_candidate(0, 0.5, 1), _candidate(1, 0.4, 1, "blurry")]
    selection = select(every, CoverOptions(count=2))
    assert [entry.index for entry in selection.chosen] == [0, 1]
    assert selection.fallback == "too few clean frames were found; blurry frames were allowed after them"


def test_the_least_bad_kind_is_taken_when_nothing_is_clean() -> None:
    every = [_candidate(0, 0.9, 1, "broken"), _candidate(1, 0.1, 2, "dark"), _candidate(2, 0.5, 3, "flat")]
    selection = select(every, CoverOptions(count=1))
    assert [entry.index for entry in selection.chosen] == [1]
    assert selection.fallback == "no clean frame was found; dark or bright frames were allowed"


KINDS: list[RejectionKind | None] = [None, None, "dark", "bright", "flat", "blurry", "transition", "broken"]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), st.sampled_from(KINDS)), min_size=1, max_size=20),
    st.integers(1, 8),
    st.booleans(),
)
def test_there_is_always_a_first_and_never_one_twice(
    entries: list[tuple[float, int, RejectionKind | None]], count: int, delete: bool
) -> None:
    every = [_candidate(index, score, seed, kind) for index, (score, seed, kind) in enumerate(entries)]
    chosen = select(every, CoverOptions(count=count, delete_duplicates=delete)).chosen
    assert len({entry.index for entry in chosen}) == len(chosen) >= 1
    if not delete:
        assert len(chosen) == min(count, len(every))
    if any(entry.defect is None for entry in every):
        assert chosen[0].defect is None
    assert all(np.isfinite(entry.score) for entry in chosen)


def _seen(index: int, glance: np.ndarray, meaning: list[float]) -> Candidate:
    vector = np.array(meaning, dtype=np.float32)
    return Candidate(index, index * 9.0, 0.5, signature(glance), None, vector / np.linalg.norm(vector))


def _are_one(one: Candidate, other: Candidate) -> bool:
    return len(select([one, other], CoverOptions(count=2, delete_duplicates=True)).chosen) == 1


def test_a_picture_in_other_colours_is_the__are_one() -> None:
    glance = texture(27, 48, seed=4)
    grey = np.repeat((glance @ np.array([0.2126, 0.7152, 0.0722]))[..., None], 3, axis=2).astype(np.uint8)
    assert _are_one(_seen(0, glance, [1, 0]), _seen(1, grey, [0.7, 0.7]))


def test_another_framing_of_the_same_things_is_the__are_one() -> None:
    glance = np.repeat(np.linspace(60, 160, 48, dtype=np.float32)[None], 27, axis=0)[..., None].repeat(3, axis=2)
    moved = np.roll(glance, 4, axis=1)
    one, other = glance.astype(np.uint8), moved.astype(np.uint8)
    assert _are_one(_seen(0, one, [1, 0.05]), _seen(1, other, [1, 0.1]))
    assert not _are_one(_seen(0, one, [1, 0]), _seen(1, other, [0.5, 1]))


def test_pictures_that_look_alike_but_mean_other_things_are_two() -> None:
    dim = plain(90, 27, 48)
    lighter = plain(95, 27, 48)
    assert _are_one(_seen(0, dim, [1, 0]), _seen(1, lighter, [1, 0.1]))
    assert not _are_one(_seen(0, dim, [1, 0]), _seen(1, lighter, [0.2, 1]))

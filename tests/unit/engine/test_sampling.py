"""Which moments are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from smartcover.engine.sampling import is_near, part, plan_visits


def _moments(keyframes: list[int], end: int, *, wanted: int = 10, budget: int = 0) -> list[float]:
    visits = plan_visits([Fraction(stamp) for stamp in keyframes], Fraction(end), wanted, 25.0, budget)
    return [float(moment) for visit in visits for moment in (visit.moments or (visit.start,))]


def test_many_keyframes_are_thinned_to_one_for_each_slot() -> None:
    assert _moments(list(range(100)), 100) == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]


def test_few_keyframes_are_all_looked_at() -> None:
    assert _moments([0, 40, 70], 100) == [0, 40, 70]


def test_slots_without_a_keyframe_are_served_from_the_keyframe_before_while_the_budget_lasts() -> None:
    visits = plan_visits([Fraction(0), Fraction(50)], Fraction(100), 10, 25.0, 25 * 20)
    assert [(float(visit.start), [float(moment) for moment in visit.moments]) for visit in visits] == [
        (0.0, [15.0]),
        (50.0, []),
    ]


def test_a_bad_stretch_full_of_keyframes_does_not_draw_all_the_moments() -> None:
    crowded = [Fraction(number, 10) for number in range(300)]
    visits = plan_visits([*crowded, Fraction(30)], Fraction(60), 12, 25.0, 10_000)
    later = [moment for visit in visits for moment in (visit.start, *visit.moments) if moment >= 30]
    assert len(later) >= 6


@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=200, unique=True),
    st.integers(-10, 6000),
    st.integers(1, 60),
    st.integers(0, 3000),
)
def test_the_number_of_moments_and_of_frames_between_stays_within_bounds(
    stamps: list[int], end: int, wanted: int, budget: int
) -> None:
    keyframes = [Fraction(stamp, 10) for stamp in sorted(stamps)]
    visits = plan_visits(keyframes, Fraction(end, 10), wanted, 25.0, budget)
    assert visits
    assert len(visits) + sum(len(visit.moments) for visit in visits) <= 2 * wanted
    assert all(visit.start in keyframes for visit in visits)
    spent = sum(float(visit.moments[-1] - visit.start) * 25 for visit in visits if visit.moments)
    assert spent <= budget + 1e-6


_TIMES = st.lists(st.integers(0, 40).map(lambda ticks: Fraction(ticks, 7)), min_size=1, max_size=12)


@given(_TIMES, _TIMES.map(sorted))
def test_each_moment_is_shown_by_a_frame_that_no_frame_beside_it_is_nearer_than(
    frames: list[Fraction], moments: list[Fraction]
) -> None:
    shown: dict[Fraction, list[int]] = {moment: [] for moment in moments}
    left: Sequence[Fraction] = moments
    for place in range(len(frames) - 1):
        passed, left = part(left, frames[place], frames[place + 1])
        for moment in passed:
            shown[moment].append(place)
    for moment in left:
        shown[moment].append(len(frames) - 1)
    for moment, places in shown.items():
        assert len(set(places)) == 1, "a moment is shown once, also where time starts anew"
        away = [abs(time - moment) for time in frames]
        assert away[places[0]] <= min(away[max(0, places[0] - 1) : places[0] + 2])
        if frames == sorted(frames):
            assert away[places[0]] == min(away)


@given(_TIMES, _TIMES.map(sorted))
def test_a_time_is_near_when_any_moment_is(times: list[Fraction], moments: list[Fraction]) -> None:
    for time in times:
        reach = Fraction(1, 2)
        assert is_near(time, moments, reach) == any(abs(time - moment) < reach for moment in moments)

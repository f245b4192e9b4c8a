"""Which moments are looked at."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from smartcover.engine.sampling import (
    Visit,
    Waiting,
    is_near,
    plan_between,
    plan_long_visits,
    plan_visits,
    wide_stretches,
    widest_gap,
)


def _moments(keyframes: list[int], end: int, *, wanted: int = 10, budget: int = 0) -> list[float]:
    visits = plan_visits([Fraction(stamp) for stamp in keyframes], Fraction(end), wanted, wanted, 25.0, budget)
    return [float(moment) for visit in visits for moment in (visit.moments or (visit.start,))]


def test_many_keyframes_are_thinned_to_one_for_each_slot() -> None:
    assert _moments(list(range(100)), 100) == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]


def test_fewer_moments_are_enough_where_every_one_would_be_a_keyframe() -> None:
    def starts(keyframes: list[int]) -> list[int]:
        visits = plan_visits([Fraction(stamp) for stamp in keyframes], Fraction(100), 10, 5, 25.0, 10_000)
        return [int(moment) for visit in visits for moment in (visit.moments or (visit.start,))]

    assert starts(list(range(100))) == [10, 30, 50, 70, 90]
    assert starts([stamp for stamp in range(100) if not 40 <= stamp <= 60]) == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]


def test_few_keyframes_are_all_looked_at() -> None:
    assert _moments([0, 40, 70], 100) == [0, 40, 70]


def test_slots_without_a_keyframe_are_served_from_the_keyframe_before_while_the_budget_lasts() -> None:
    visits = plan_visits([Fraction(0), Fraction(50)], Fraction(100), 10, 10, 25.0, 25 * 20)
    assert [(float(visit.start), [float(moment) for moment in visit.moments]) for visit in visits] == [
        (0.0, [15.0]),
        (50.0, []),
    ]


def test_what_the_budget_does_not_reach_is_spread_over_all_keyframes() -> None:
    keyframes = [Fraction(stamp) for stamp in (0, 25, 50, 75)]
    visits = plan_visits(keyframes, Fraction(100), 40, 40, 25.0, 25 * 50)
    assert [len(visit.moments) for visit in visits] == [5, 5, 4, 4]
    assert [float(visit.moments[-1] - visit.start) for visit in visits] == [13.75, 13.75, 11.25, 11.25]


def test_a_bad_stretch_full_of_keyframes_does_not_draw_all_the_moments() -> None:
    crowded = [Fraction(number, 10) for number in range(300)]
    visits = plan_visits([*crowded, Fraction(30)], Fraction(60), 12, 12, 25.0, 10_000)
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
    visits = plan_visits(keyframes, Fraction(end, 10), wanted, wanted, 25.0, budget)
    assert visits
    assert len(visits) + sum(len(visit.moments) for visit in visits) <= 2 * wanted
    assert all(visit.start in keyframes for visit in visits)
    spent = sum(float(visit.moments[-1] - visit.start) * 25 for visit in visits if visit.moments)
    assert spent <= budget + 1e-6


def _between(spoilt: list[int], *, wanted: int = 10, budget: int = 10_000) -> list[tuple[float, float]]:
    keyframes = [Fraction(stamp) for stamp in range(0, 100, 10)]
    visits = plan_between(keyframes, {Fraction(stamp) for stamp in spoilt}, Fraction(100), wanted, 25.0, budget)
    assert all(len(visit.moments) == 1 for visit in visits)
    return [(float(visit.start), float(visit.moments[0])) for visit in visits]


def test_behind_spoilt_keyframes_it_is_looked_half_way_and_just_before_the_next_in_turn() -> None:
    assert _between([10, 20, 90]) == [(10, 15), (20, 29), (90, 95)]


def test_of_many_spoilt_keyframes_some_all_over_the_video_are_followed() -> None:
    assert [start for start, _moment in _between(list(range(0, 100, 10)), wanted=4)] == [0, 30, 60, 90]


def test_behind_spoilt_keyframes_what_is_near_is_looked_at_first() -> None:
    assert _between([10, 20, 30, 40], budget=25 * 10) == [(10, 15), (30, 35)]


def _visits(*starts: int) -> list[Visit]:
    return [Visit(Fraction(start), ()) for start in starts]


def _ways(visits: list[Visit], end: int, *, wanted: int = 10, kept: int = 100, budget: int) -> list[Visit]:
    return plan_long_visits(visits, wide_stretches(visits, Fraction(end)), wanted, kept, 25.0, budget)


def _seconds(visit: Visit) -> list[float]:
    return [float(moment) for moment in (visit.start, *visit.moments)]


def test_a_stretch_is_wide_when_a_third_of_the_video_would_not_be_looked_at() -> None:
    assert wide_stretches(_visits(0, 10, 20), Fraction(30)) == []
    assert wide_stretches(_visits(0, 1, 2), Fraction(30)) == [(Fraction(2), Fraction(30))]
    assert wide_stretches([Visit(Fraction(0), (Fraction(18),)), *_visits(25)], Fraction(30)) == []


def test_a_long_visit_reaches_as_far_as_the_budget_and_is_looked_at_evenly() -> None:
    first, on = _ways(_visits(0), 100, wanted=5, budget=25 * 40)
    assert first == Visit(Fraction(0), ())
    assert on.is_long
    assert _seconds(on) == [0, 5, 15, 25, 35]


def test_long_visits_share_the_budget_and_what_one_does_not_need_is_the_others() -> None:
    *_short, one, other = _ways(_visits(0, 40), 100, wanted=22, budget=25 * 80)
    assert _seconds(one) == [0, *range(2, 40, 4)]
    assert _seconds(other) == [40, *range(42, 80, 4)]


def test_long_visits_come_last_and_are_not_denser_than_can_be_kept() -> None:
    plan = _ways([*_visits(0), Visit(Fraction(50), (Fraction(51),)), *_visits(52)], 100, kept=4, budget=10_000)
    assert [visit.is_long for visit in plan] == [False, False, False, True, True]
    assert sum(len(visit.moments) for visit in plan if visit.is_long) == 4
    assert _seconds(plan[1]) == [50, 51], "what is cheap is looked at as before"


@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=50, unique=True),
    st.integers(-10, 6000),
    st.integers(1, 60),
    st.integers(1, 30_000),
)
def test_long_visits_stay_within_budget_and_bounds(stamps: list[int], end: int, wanted: int, budget: int) -> None:
    visits = plan_visits(
        [Fraction(stamp, 10) for stamp in sorted(stamps)], Fraction(end, 10), wanted, wanted, 25.0, 300
    )
    if wide := wide_stretches(visits, Fraction(end, 10)):
        plan = plan_long_visits(visits, wide, wanted, 60, 25.0, budget)
        ways = [visit for visit in plan if visit.is_long]
        assert len(ways) == len(wide)
        assert sum(float(way.moments[-1] - way.start) * 25 for way in ways) <= budget + 1
        assert sum(len(way.moments) for way in ways) <= 60 + len(ways)
        assert all(
            begin < moment < finish for way, (begin, finish) in zip(ways, wide, strict=True) for moment in way.moments
        )


def test_the_widest_gap_is_found_before_between_and_after_what_was_seen() -> None:
    zero, five, twenty, forty, fifty, hundred = map(Fraction, (0, 5, 20, 40, 50, 100))
    seen = [(forty, forty), (zero, twenty), (five, five)]
    assert widest_gap(seen, zero, fifty) == (twenty, forty)
    assert widest_gap(seen, zero, hundred) == (forty, hundred)
    assert widest_gap([(forty, fifty)], zero, hundred) == (fifty, hundred)
    assert widest_gap([(fifty, hundred)], zero, hundred) == (zero, fifty)


_TIMES = st.lists(st.integers(0, 40).map(lambda ticks: Fraction(ticks, 7)), min_size=1, max_size=12)


@given(_TIMES, _TIMES.map(sorted))
def test_each_moment_is_shown_by_a_frame_that_no_frame_beside_it_is_nearer_than(
    frames: list[Fraction], moments: list[Fraction]
) -> None:
    shown: dict[Fraction, list[int]] = {moment: [] for moment in moments}
    waiting = Waiting(moments, reach=Fraction(1000))
    for place in range(len(frames) - 1):
        for moment in waiting.taken_by(frames[place], frames[place + 1]):
            shown[moment].append(place)
    for moment in waiting.left:
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

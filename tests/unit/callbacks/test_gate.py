"""The circuit breaker and the rate of one destination."""

from __future__ import annotations

from smartcover.callbacks.gate import GateConfig, Gates

HERE = "http://receiver.example:80"
BREAKER = GateConfig(open_after=3, pause_seconds=10, longest_pause_seconds=25)


def fail(gates: Gates, delivery_id: str, now: float, outcome: str = "timed_out") -> bool:
    return gates.report(HERE, delivery_id, outcome, None, now)


def broken_at(now: float) -> Gates:
    gates = Gates(BREAKER)
    for number in range(3):
        assert gates.admit(HERE, f"d{number}", now) == 0
    assert [fail(gates, f"d{number}", now) for number in range(3)] == [False, False, True]
    return gates


def test_different_deliveries_that_fail_in_a_row_shut_the_gate() -> None:
    gates = broken_at(100)
    assert gates.admit(HERE, "d9", 104) == 6
    assert gates.shut(104) == {HERE: 6}
    assert gates.broken() == (HERE,)


def test_one_delivery_that_fails_again_and_again_follows_its_own_schedule() -> None:
    gates = Gates(BREAKER)
    for now in range(50):
        assert gates.admit(HERE, "d1", now) == 0
        assert not fail(gates, "d1", now)


def test_an_answer_in_between_starts_the_count_again() -> None:
    gates = Gates(BREAKER)
    fail(gates, "d1", 0)
    fail(gates, "d2", 0)
    assert not gates.report(HERE, "d3", "ok", 200, 0)
    assert not fail(gates, "d4", 0)
    assert gates.admit(HERE, "d5", 0) == 0


def test_an_error_about_one_callback_says_nothing_about_the_receiver() -> None:
    gates = Gates(BREAKER)
    for number in range(10):
        assert not gates.report(HERE, f"d{number}", "http", 500, 0)
    assert gates.broken() == ()


def test_an_overloaded_receiver_is_left_alone() -> None:
    gates = Gates(BREAKER)
    assert [gates.report(HERE, f"d{number}", "http", 503, 0) for number in range(3)] == [False, False, True]


def test_after_the_pause_one_probe_at_a_time_is_let_through() -> None:
    gates = broken_at(100)
    assert gates.admit(HERE, "probe", 110) == 0
    assert gates.admit(HERE, "other", 110) > 0
    assert HERE in gates.shut(110)


def test_a_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    gates = broken_at(100)
    assert gates.admit(HERE, "p1", 110) == 0
    assert not fail(gates, "p1", 111)
    assert gates.shut(111) == {HERE: 20}
    assert gates.admit(HERE, "p2", 131) == 0
    assert not fail(gates, "p2", 131)
    assert gates.shut(131) == {HERE: 25}


def test_late_failures_from_before_the_break_do_not_lengthen_the_pause() -> None:
    gates = broken_at(100)
    fail(gates, "late", 105)
    assert gates.shut(105) == {HERE: 5}


def test_a_probe_that_arrives_opens_the_gate() -> None:
    gates = broken_at(100)
    assert gates.admit(HERE, "p1", 110) == 0
    assert gates.report(HERE, "p1", "ok", 200, 111)
    assert gates.broken() == ()
    assert gates.shut(111) == {}
    assert gates.admit(HERE, "d8", 111) == 0
    assert gates.admit(HERE, "d9", 111) == 0


def test_a_probe_that_was_not_made_makes_room_for_another() -> None:
    gates = broken_at(100)
    assert gates.admit(HERE, "p1", 110) == 0
    gates.withdraw(HERE, "p1")
    assert gates.admit(HERE, "p2", 110) == 0


def test_destinations_do_not_touch_each_other() -> None:
    gates = broken_at(100)
    assert gates.admit("http://other.example:80", "d1", 100) == 0


def test_a_rate_lets_a_second_s_worth_through_and_then_spaces_the_tries() -> None:
    gates = Gates(GateConfig(rate_per_second=4))
    assert [gates.admit(HERE, f"d{n}", 50) for n in range(4)] == [0, 0, 0, 0]
    assert gates.admit(HERE, "d4", 50) == 0.25
    assert gates.shut(50) == {HERE: 0.25}
    assert gates.admit(HERE, "d4", 50.25) == 0
    assert gates.admit(HERE, "d5", 50.25) == 0.25


def test_a_rate_below_one_per_second_still_lets_one_through() -> None:
    gates = Gates(GateConfig(rate_per_second=0.5))
    assert gates.admit(HERE, "d1", 0) == 0
    assert gates.admit(HERE, "d2", 0) == 2
    assert gates.admit(HERE, "d2", 2) == 0

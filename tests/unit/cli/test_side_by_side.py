"""Several things at once, and their results in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from smartcover.cli.side_by_side import results_in_order


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_results_come_in_the_order_of_the_things_however_many_are_done_at_once(at_once: int) -> None:
    slow = threading.Event()

    def do(number: int) -> int:
        if at_once > 1 and number == 0:
            assert slow.wait(30)
        if number == 4:
            slow.set()
        return number * 10

    results = results_in_order(do, range(100), at_once=at_once, stop=lambda: None)
    assert list(results) == [number * 10 for number in range(100)]


def test_no_more_are_begun_than_may_wait_for_one_that_takes_long() -> None:
    slow = threading.Event()
    begun: list[int] = []

    def do(number: int) -> int:
        begun.append(number)
        if number == 0:
            assert slow.wait(30)
        return number

    def things() -> Iterator[int]:
        for number in range(1000):
            if number == 30:  # asked for only when the first has been given
                assert slow.is_set()
            yield number

    results = results_in_order(do, things(), at_once=2, stop=lambda: None)
    threading.Timer(0.2, slow.set).start()
    assert next(results) == 0
    assert len(begun) <= 30


def test_what_is_under_way_is_told_when_nobody_waits_for_it_any_longer() -> None:
    stop = threading.Event()
    done: list[int] = []

    def do(number: int) -> int:
        if number > 0:
            assert stop.wait(30)
        done.append(number)
        return number

    results = results_in_order(do, range(1000), at_once=3, stop=stop.set)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]  # an iterator, as far as callers know
    assert stop.is_set()
    assert len(done) <= 4, "what had not begun is not begun any more"

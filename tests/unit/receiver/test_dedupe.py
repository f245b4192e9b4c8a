"""A delivery that arrives twice is worked on once, and one whose work failed again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from smartcover.receiver import MemorySeen, once


def test_an_id_is_new_once() -> None:
    seen = MemorySeen()
    assert seen.first("a")
    assert not seen.first("a")
    assert seen.first("b")


def test_ids_leave_after_their_time_and_when_there_are_too_many() -> None:
    now = [0.0]
    seen = MemorySeen(max_ids=2, keep_seconds=10, clock=lambda: now[0])
    assert seen.first("a")
    now[0] = 9.9
    assert not seen.first("a")
    now[0] = 10.0
    assert seen.first("a")
    assert seen.first("b")
    assert seen.first("c")  # pushes a out
    assert not seen.first("b")
    assert seen.first("a")


def test_work_that_fails_makes_the_next_try_new_again() -> None:
    seen = MemorySeen()
    with pytest.raises(RuntimeError), once(seen, "a") as new:
        assert new
        raise RuntimeError
    with once(seen, "a") as new:
        assert new
    with pytest.raises(RuntimeError), once(seen, "a") as new:
        assert not new
        raise RuntimeError
    assert not seen.first("a"), "a repetition that fails must not undo the work of the first"


def test_a_delivery_without_an_id_is_always_new() -> None:
    seen = MemorySeen()
    for _ in range(2):
        with once(seen, None) as new:
            assert new


def test_of_many_threads_one_is_first() -> None:
    seen = MemorySeen()
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: seen.first("a"), range(200))) == 1


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_ids"):
        MemorySeen(max_ids=0)

"""Doing the same with several things at once, in threads: decoders and networks leave the interpreter to others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")

_AHEAD = 16
"""How many results may wait for one before them that takes long."""


def results_in_order(
    do: Callable[[Thing], Result], things: Iterable[Thing], *, at_once: int, stop: Callable[[], None]
) -> Iterator[Result]:
    """
    Do something with each of some things, and give the results in the order of the things.

    One at a time is done in the caller's thread. When the caller leaves before the end, what is under way is waited
    for, as a thread cannot be ended from outside.

    Args:
        stop: Called when the caller leaves, to tell what is under way that nobody waits for its result.
    """
    if at_once == 1:
        yield from map(do, things)
        return
    left = iter(things)
    under_way: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while True:
                room = at_once + _AHEAD - len(under_way)
                under_way.extend(pool.submit(do, thing) for thing in islice(left, room))
                if not under_way:
                    return
                yield under_way.popleft().result()
        finally:
            stop()
            pool.shutdown(wait=False, cancel_futures=True)

"""
Doing the work of a callback once, although it may arrive more than once.

Delivery is at least once: a callback whose answer was lost on its way back is sent again, with the same `webhook-id`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol


class Seen(Protocol):
    """
    Remembers which deliveries were taken up; any store that many processes share can be one.

    `first` must be atomic: of two callers with one id, exactly one is told True. In Redis it is
    `SET key 1 NX EX seconds`, in SQL an INSERT that a unique key refuses. Ids should be kept for longer than the
    sender tries, which is about a day with the default schedule.
    """

    def first(self, delivery_id: str) -> bool:
        """Note an id; tell whether it was not noted yet."""

    def forget(self, delivery_id: str) -> None:
        """Take an id back, so that the next try counts as the first."""


class MemorySeen:
    """
    Remembers ids in this process, the most recent ones and not for ever.

    Enough for one process that may do a callback twice after its restart; several processes need a shared store.

    Args:
        max_ids: How many ids are kept; the one that was noted first goes first.
        keep_seconds: How long an id is kept.
        clock: Monotonic seconds.
    """

    def __init__(
        self, *, max_ids: int = 100_000, keep_seconds: float = 2 * 86400.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if max_ids < 1 or keep_seconds <= 0:
            raise ValueError("max_ids is at least 1, and keep_seconds is positive")
        self._max_ids = max_ids
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def first(self, delivery_id: str) -> bool:
        """Note an id; tell whether it was not noted yet."""
        with self._lock:
            now = self._clock()
            while self._noted and next(iter(self._noted.values())) <= now - self._keep_seconds:
                self._noted.popitem(last=False)
            if delivery_id in self._noted:
                return False
            self._noted[delivery_id] = now
            if len(self._noted) > self._max_ids:
                self._noted.popitem(last=False)
            return True

    def forget(self, delivery_id: str) -> None:
        """Take an id back, so that the next try counts as the first."""
        with self._lock:
            self._noted.pop(delivery_id, None)


@contextlib.contextmanager
def once(seen: Seen, delivery_id: str | None) -> Iterator[bool]:
    """
    Tell inside the block whether this delivery is new; if the block fails, forget it, so that the next try is new.

    A delivery without an id, as other senders make them, is always new. Two tries that arrive at the same time: the
    second is told False while the first is still at work, and if the first fails then its sender tries again.
    """
    new = delivery_id is None or seen.first(delivery_id)
    try:
        yield new
    except BaseException:
        if new and delivery_id is not None:
            seen.forget(delivery_id)
        raise

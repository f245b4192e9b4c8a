"""
How long work is tried again that the store, or the database, fails; pure.

It is not the video's fault, so no attempt is counted and an outage of hours fails nothing. But an object may be
unreadable for good, on a bad sector or behind a right that is not given back: such work must come to an end too.
"""

from __future__ import annotations

from typing import Final

from smartcover.errors import LedgerError, RegisterUnavailable, SmartCoverError

_SHORTEST_WAIT_SECONDS: Final = 10.0
_LONGEST_WAIT_SECONDS: Final = 300.0
#: The share of the time so far that the next wait takes: work that never succeeds takes few slots from other work.
_SHARE: Final = 1 / 20

#: How long work is held up at least before the database's failures end it: a fail-over takes minutes at most, and no
#: job is to fail of one only because its operator has no patience with the store.
_DATABASE_SECONDS: Final = 600.0

_MINUTE: Final = 60
_HOUR: Final = 3600


def next_wait_seconds(held_up_seconds: float) -> float:
    """Tell after how long work is tried again that was held up for so long already."""
    return min(_LONGEST_WAIT_SECONDS, max(_SHORTEST_WAIT_SECONDS, held_up_seconds * _SHARE))


def longest_held_up_seconds(error: SmartCoverError, storage_wait_seconds: float) -> float:
    """Tell for how long work may be held up that has met the error."""
    if isinstance(error, LedgerError | RegisterUnavailable):
        return max(storage_wait_seconds, _DATABASE_SECONDS)
    return storage_wait_seconds


def given_up_message(error: SmartCoverError, held_up_seconds: float, on: str) -> str:
    """Say what `on` was given up, after how long, and what it met at the last try."""
    return f"gave up {on} after {_span(held_up_seconds)} of tries; the last one met: {error.public}"


def _span(seconds: float) -> str:
    for unit, size in (("hours", _HOUR), ("minutes", _MINUTE)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"

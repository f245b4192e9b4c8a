"""
How long work is tried again that the store, or the database, fails; pure.

It is not the video's fault, so no attempt is counted and an outage of hours fails nothing. But an object may be
unreadable for good, on a bad sector or behind a right that is not given back: such work must come to an end too.
"""

from __future__ import annotations

from typing import Final

from smartcover.errors import SmartCoverError

_SHORTEST_WAIT_SECONDS: Final = 10.0
_LONGEST_WAIT_SECONDS: Final = 300.0
#: The share of the time so far that the next wait takes: work that never succeeds takes few slots from other work.
_SHARE: Final = 1 / 20

_MINUTE: Final = 60
_HOUR: Final = 3600


def next_wait_seconds(held_up_seconds: float) -> float:
    """Tell after how long work is tried again that was held up for so long already."""
    return min(_LONGEST_WAIT_SECONDS, max(_SHORTEST_WAIT_SECONDS, held_up_seconds * _SHARE))


def given_up_message(error: SmartCoverError, held_up_seconds: float, on: str) -> str:
    """Say what `on` was given up, after how long, and what it met at the last try."""
    return f"gave up {on} after {_span(held_up_seconds)} of tries; the last one met: {error.public}"


def _span(seconds: float) -> str:
    for unit, size in (("hours", _HOUR), ("minutes", _MINUTE)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"

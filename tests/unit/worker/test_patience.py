"""How often and how long work is tried that the store fails."""

from __future__ import annotations

import pytest

from smartcover.errors import StorageUnavailable
from smartcover.worker.patience import given_up_message, next_wait_seconds

HOUR = 3600.0


def waits_until(held_up_seconds: float) -> list[float]:
    """Give the waits that come one after another until work has been held up for so long."""
    waits = [0.0]
    while sum(waits) < held_up_seconds:
        waits.append(next_wait_seconds(sum(waits)))
    return waits[1:]


def test_work_is_tried_again_soon_after_a_short_outage_and_minutes_after_a_long_one() -> None:
    assert next_wait_seconds(0.0) == 10
    assert next_wait_seconds(HOUR) == 180
    assert next_wait_seconds(24 * HOUR) == 300


def test_work_that_is_never_done_is_tried_some_hundred_times_a_day() -> None:
    waits = waits_until(24 * HOUR)
    assert waits == sorted(waits)
    assert 300 < len(waits) < 400


@pytest.mark.parametrize(
    ("seconds", "span"), [(11.4, "11 seconds"), (150, "2 minutes"), (7199, "120 minutes"), (24.2 * HOUR, "24 hours")]
)
def test_who_reads_the_message_learns_what_was_tried_for_how_long_and_why_in_vain(seconds: float, span: str) -> None:
    said = given_up_message(StorageUnavailable(detail="10.0.0.7 says 503"), seconds, "object in/a.mp4")
    assert said == (
        f"gave up object in/a.mp4 after {span} of tries; "
        "the last one met: The object store cannot be reached; try again."
    )

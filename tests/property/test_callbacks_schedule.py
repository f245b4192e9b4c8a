"""Every delivery ends, whatever receivers, crashes and chance do."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from smartcover.callbacks import Schedule, next_attempt
from smartcover.callbacks.schedule import CRASH_ALLOWANCE, parse_retry_after
from smartcover.ledger import AttemptReport, DeliveryState

OUTCOMES = ("ok", "refused", "timed_out", "dns", "connection", "tls", "bad_target", "http")

schedules = st.builds(
    Schedule,
    st.lists(st.floats(0, 604800), max_size=20).map(tuple),
    st.floats(0, 0.9),
)
reports = st.builds(
    AttemptReport,
    outcome=st.sampled_from(OUTCOMES),
    duration_seconds=st.floats(0, 60),
    http_status=st.none() | st.integers(100, 599),
    retry_after_seconds=st.none() | st.floats(0, 1e9),
    error=st.none() | st.text(max_size=20),
)


@given(schedules, st.lists(reports | st.none(), min_size=60, max_size=60), st.floats(-1, 1))
def test_every_delivery_ends(schedule: Schedule, fates: list[AttemptReport | None], jitter: float) -> None:
    """A fate is a report, or None for a process that died in the try; the dispatcher stops at the most claims."""
    for tries, fate in enumerate(fates, start=1):
        if tries > schedule.most_claims:
            return
        if fate is None:
            continue
        verdict = next_attempt(tries, fate, schedule, jitter=jitter)
        assert (verdict.retry_in_seconds is None) == (verdict.state is not DeliveryState.PENDING)
        if verdict.state is not DeliveryState.PENDING:
            assert tries <= len(schedule.waits_seconds) + 1 + CRASH_ALLOWANCE
            return
        assert tries <= len(schedule.waits_seconds), "a try was promised beyond the schedule"
    raise AssertionError("the delivery did not end")


@given(schedules, st.integers(1, 30), reports, st.floats(-1, 1))
def test_a_wait_lies_within_its_step(schedule: Schedule, tries: int, report: AttemptReport, jitter: float) -> None:
    verdict = next_attempt(tries, report, schedule, jitter=jitter)
    if verdict.retry_in_seconds is None:
        return
    step = schedule.waits_seconds[tries - 1]
    slack = 1e-6 * step
    assert step * (1 - schedule.jitter) - slack <= verdict.retry_in_seconds <= 2 * step + slack


@given(st.text(max_size=60) | st.integers().map(str))
def test_any_retry_after_is_nothing_or_up_to_a_week(text: str) -> None:
    seconds = parse_retry_after(text, datetime(2022, 6, 30, tzinfo=UTC))
    assert seconds is None or 0 <= seconds <= 7 * 86400

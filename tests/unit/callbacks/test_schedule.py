"""When a delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from smartcover.callbacks import Schedule, Verdict, next_attempt
from smartcover.callbacks.schedule import describe, parse_retry_after
from smartcover.ledger import AttemptReport, DeliveryState

LADDER = Schedule((5, 30, 120), jitter=0.2)
NOON = datetime(2022, 6, 30, 12, 0, 0, tzinfo=UTC)


def failed(status: int | None = 500, *, retry_after: float | None = None, outcome: str = "http") -> AttemptReport:
    return AttemptReport(outcome, 0.1, http_status=status, retry_after_seconds=retry_after)


def test_a_delivered_callback_is_not_tried_again() -> None:
    assert next_attempt(1, AttemptReport("ok", 0.1, http_status=204), LADDER, jitter=0) == Verdict(
        DeliveryState.DELIVERED, "HTTP 204"
    )


@pytest.mark.parametrize(("tries", "wait"), [(1, 5), (2, 30), (3, 120)])
def test_each_failure_waits_its_step(tries: int, wait: float) -> None:
    verdict = next_attempt(tries, failed(), LADDER, jitter=0)
    assert verdict == Verdict(DeliveryState.PENDING, "HTTP 500", wait)


def test_one_try_more_than_waits_is_made() -> None:
    verdict = next_attempt(4, failed(), LADDER, jitter=0)
    assert verdict.state is DeliveryState.EXHAUSTED
    assert verdict.retry_in_seconds is None
    assert verdict.reason == "gave up after 4 tries; the last: HTTP 500"


def test_an_empty_schedule_means_one_try() -> None:
    assert next_attempt(1, failed(), Schedule(()), jitter=0).state is DeliveryState.EXHAUSTED


@pytest.mark.parametrize(("jitter", "wait"), [(-1, 24), (0, 30), (1, 36), (5, 36)])
def test_jitter_spreads_a_wait_by_its_share(jitter: float, wait: float) -> None:
    assert next_attempt(2, failed(), LADDER, jitter=jitter).retry_in_seconds == pytest.approx(wait)


def test_410_ends_the_delivery() -> None:
    assert next_attempt(1, failed(410), LADDER, jitter=0).state is DeliveryState.EXHAUSTED


@pytest.mark.parametrize("outcome", ["refused", "bad_target"])
def test_a_target_that_may_not_be_called_ends_the_delivery_with_its_reason(outcome: str) -> None:
    report = AttemptReport(outcome, 0.0, error="10.0.0.7, a private address")
    verdict = next_attempt(1, report, LADDER, jitter=0)
    assert verdict.state is DeliveryState.REFUSED
    assert "10.0.0.7" in verdict.reason


@pytest.mark.parametrize("outcome", ["timed_out", "dns", "connection", "tls"])
def test_a_fault_of_the_network_is_tried_again(outcome: str) -> None:
    assert next_attempt(1, failed(None, outcome=outcome), LADDER, jitter=0).state is DeliveryState.PENDING


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "wait"), [(0, 30), (29, 30), (45, 45), (60, 60), (61, 60), (86400, 60)])
def test_retry_after_stretches_within_twice_the_step(status: int, asked: float, wait: float) -> None:
    assert next_attempt(2, failed(status, retry_after=asked), LADDER, jitter=0).retry_in_seconds == wait


def test_retry_after_of_another_status_is_not_heard() -> None:
    assert next_attempt(2, failed(500, retry_after=45), LADDER, jitter=0).retry_in_seconds == 30


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("99999999999999999999", 604800),
        ("Thu, 30 Jun 2022 12:00:30 GMT", 30),
        ("Thu, 30 Jun 2022 12:00:30 -0000", 30),
        ("Thu, 30 Jun 2022 11:00:00 GMT", 0),
        ("Fri, 30 Jun 2090 12:00:00 GMT", 604800),
        ("Thu, 30 Jun 99999 12:00:00 GMT", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOON) == seconds


def test_a_date_is_measured_from_now() -> None:
    assert parse_retry_after("Thu, 30 Jun 2022 12:00:30 GMT", NOON + timedelta(seconds=10)) == 20


def test_a_fault_is_described_by_kind_and_text() -> None:
    assert (
        describe(AttemptReport("timed_out", 1.0, error="no answer after 15.0 s")) == "timed out: no answer after 15.0 s"
    )


@pytest.mark.parametrize(("waits", "jitter"), [((-1.0,), 0.2), ((1.0,), 1.0), ((1.0,), -0.1)])
def test_a_schedule_that_makes_no_sense_is_not_made(waits: tuple[float, ...], jitter: float) -> None:
    with pytest.raises(ValueError, match="jitter"):
        Schedule(waits, jitter=jitter)


def test_patience_outlasts_every_schedule() -> None:
    usual = Schedule((5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800))
    assert 3 * 86400 < usual.patience_seconds < 4 * 86400
    assert Schedule(()).patience_seconds == 86400

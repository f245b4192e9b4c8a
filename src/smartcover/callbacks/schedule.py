"""
When a delivery is tried again, and when it is over.

Pure. Times are waits in seconds and not moments: the ledger adds them to the database's clock, the only clock that
all processes share.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from smartcover.ledger import AttemptReport, DeliveryState

#: Claims of one delivery beyond its schedule. A claim whose process died has used a try, sent or not; it is sent
#: again, and this bounds a delivery that would kill its process each time.
CRASH_ALLOWANCE: Final = 20

_LONGEST_RETRY_AFTER_SECONDS: Final = 7 * 86400.0
_GONE: Final = 410
_ASKING_FOR_TIME: Final = frozenset({429, 503})
_HOPELESS: Final = frozenset({"refused", "bad_target"})


@dataclass(frozen=True, slots=True)
class Schedule:
    """
    The waits between tries.

    Args:
        waits_seconds: Wait after each try that failed; one try more than waits is made.
        jitter: Share by which each wait is spread, from 0 to below 1, so that what failed together does not return
            together.
    """

    waits_seconds: tuple[float, ...]
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if any(wait < 0 for wait in self.waits_seconds) or not 0 <= self.jitter < 1:
            raise ValueError("waits must not be negative, and the jitter lies from 0 to below 1")

    @property
    def most_claims(self) -> int:
        """How often one delivery is claimed at most, crashes included."""
        return len(self.waits_seconds) + 1 + CRASH_ALLOWANCE

    @property
    def patience_seconds(self) -> float:
        """
        Age at which a delivery is given up, whatever tries it has left.

        Twice what its tries take at most, and a day: only a delivery behind a broken gate, which spends no tries,
        gets this old. Without it a receiver that is gone for ever would gather deliveries for ever.
        """
        return 2 * sum(self.waits_seconds) * (1 + self.jitter) + 86400.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a try leads to: the delivery's state, the wait while it is pending, and the reason in a few words."""

    state: DeliveryState
    reason: str
    retry_in_seconds: float | None = None


def next_attempt(
    tries: int, report: AttemptReport, schedule: Schedule, *, jitter: float, redelivery: bool = False
) -> Verdict:
    """
    Tell what a try leads to.

    A 2xx answer delivers; 410 ends the delivery because the receiver says it is gone; a target that may not or cannot
    be called ends it too, since no later try would differ. Anything else is tried again until the schedule is used
    up. The Retry-After of a 429 or 503 may stretch the wait to twice the schedule's step and never shortens it.

    Args:
        tries: How many tries have begun, this one included.
        jitter: A random number from -1 to 1.
        redelivery: Whether the operator asked for this one try of a delivery that had ended.
    """
    reason = describe(report)
    if report.outcome == "ok":
        return Verdict(DeliveryState.DELIVERED, reason)
    if report.outcome in _HOPELESS:
        return Verdict(DeliveryState.REFUSED, reason)
    if report.http_status == _GONE:
        return Verdict(DeliveryState.EXHAUSTED, f"{reason}: the receiver wants no more tries")
    if redelivery:
        return Verdict(DeliveryState.EXHAUSTED, f"the try that was asked for failed: {reason}")
    if tries > len(schedule.waits_seconds):
        return Verdict(DeliveryState.EXHAUSTED, f"gave up after {tries} tries; the last: {reason}")
    step = schedule.waits_seconds[max(tries, 1) - 1]
    wait = step * (1 + schedule.jitter * max(-1.0, min(1.0, jitter)))
    if report.http_status in _ASKING_FOR_TIME and report.retry_after_seconds is not None:
        wait = max(wait, min(report.retry_after_seconds, 2 * step))
    return Verdict(DeliveryState.PENDING, reason, wait)


def describe(report: AttemptReport) -> str:
    """Say in a few words how a try ended: `HTTP 503`, or the kind of fault and its text."""
    if report.outcome in ("ok", "http") and report.http_status is not None:
        return f"HTTP {report.http_status}"
    kind = report.outcome.replace("_", " ")
    return f"{kind}: {report.error}" if report.error else kind


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """
    Read a Retry-After header, seconds or a date; None when it is absent or means nothing.

    Returns:
        Seconds from `now`, from 0 to a week.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:12])
    else:
        try:
            moment = parsedate_to_datetime(text)
            if moment.tzinfo is None:  # `-0000`: UTC of unknown origin
                moment = moment.replace(tzinfo=now.tzinfo)
            seconds = (moment - now) / timedelta(seconds=1)
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)

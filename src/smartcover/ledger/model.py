"""
The durable things smartcover promises about: jobs, queues, deliveries and their attempts.

All are frozen values as read from the database; change goes through `Ledger`. Times are aware and come from the
database's clock, the one clock that every process of a cluster shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class JobState(StrEnum):
    """Where a job stands; the values are the words of the wire. `Pause` is shown, never stored."""

    SUBMITTED = "Submitted"
    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCEL = "Cancel"
    PAUSE = "Pause"

    @property
    def final(self) -> bool:
        """Whether a job in this state never changes again."""
        return not TRANSITIONS[self]


#: The legal moves of a job; RUNNING to SUBMITTED is a hand-back or a sweep of a dead worker's lease.
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.SUBMITTED: frozenset({JobState.RUNNING, JobState.CANCEL, JobState.FAILED}),
    JobState.RUNNING: frozenset({JobState.SUBMITTED, JobState.SUCCESS, JobState.FAILED, JobState.CANCEL}),
    JobState.SUCCESS: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCEL: frozenset(),
    JobState.PAUSE: frozenset({JobState.SUBMITTED, JobState.CANCEL}),
}


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """Where covers go: `object_pattern` is unexpanded, as sent."""

    region: str
    bucket: str
    object_pattern: str


@dataclass(frozen=True, slots=True)
class CoverSpec:
    """The effective cover options, fixed at submit; sizes None mean the source's."""

    count: int = 3
    format: str = "jpg"
    width_px: int | None = None
    height_px: int | None = None
    delete_duplicates: bool = False


@dataclass(frozen=True, slots=True)
class CallbackTarget:
    """
    Where a finished job reports: a URL, or a message queue of the configured broker.

    `kind` is `Url` or `TDMQ`; `format` is `XML` or `JSON`; the mq fields are set for TDMQ only.
    """

    kind: str = "Url"
    url: str | None = None
    format: str = "XML"
    mq_mode: str | None = None
    mq_name: str | None = None
    mq_region: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowOrigin:
    """The workflow run and node that started a job."""

    run_id: str
    workflow_id: str
    workflow_name: str
    node_name: str


@dataclass(frozen=True, slots=True)
class JobSpec:
    """
    What was asked for, complete at submit, so that no later change of a template or queue alters it.

    `smart_cover` is the node as sent (wire names and texts, for the echo), None when there was none.
    `level_sent` says whether JobLevel is echoed. `cos_headers` are the upload's headers of a workflow's job, `batch_id`
    is the batch that made the job. With a template, `smart_cover` and `covers` are the template's as of the submit.
    `fault` says why the job cannot succeed, when that was known at its start: it fails at once with this text.
    """

    object_key: str
    output: OutputSpec
    covers: CoverSpec
    smart_cover: Mapping[str, str] | None = None
    user_data: str | None = None
    level: int = 0
    level_sent: bool = False
    template_id: str | None = None
    template_name: str | None = None
    multi: bool = False
    cos_headers: tuple[tuple[str, str], ...] = ()
    workflow: WorkflowOrigin | None = None
    batch_id: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class CoverReport:
    """One published cover and why it was chosen; for the console and the admin API, not the wire."""

    key: str
    md5: str
    size_bytes: int
    width_px: int
    height_px: int
    seconds: float
    score: float
    reasons: tuple[str, ...] = ()
    signals: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_finite(f"cover {self.key}", (self.seconds, self.score, *self.signals.values()))


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a successful job made, in cover order; `fallback` names the rule relaxed, if one was."""

    covers: tuple[CoverReport, ...]
    fallback: str | None = None
    duration_seconds: float | None = None
    timings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_finite("a result", (self.duration_seconds or 0.0, *self.timings.values()))


def _require_finite(what: str, numbers: Iterable[float]) -> None:
    """Refuse what JSON cannot hold: written as null, it would make the job unreadable for ever."""
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{what} holds a number that is not finite; leave it out")


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job about to be submitted to the bucket of the request."""

    job_id: str
    bucket: str
    region: str
    queue_id: str
    spec: JobSpec
    callback: CallbackTarget | None
    tag: str = "SmartCover"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the ledger holds it. `code` and `message` are meaningful once it has failed."""

    job_id: str
    seq: int
    bucket: str
    region: str
    queue_id: str
    tag: str
    state: JobState
    spec: JobSpec
    callback: CallbackTarget | None
    attempt: int
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    code: str = "Success"
    message: str = ""
    result: JobResult | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker holds until its lease ends; every finish must show the token."""

    job: Job
    lease_token: UUID


class QueueState(StrEnum):
    """Whether a queue starts jobs; the values are the words of the wire."""

    ACTIVE = "Active"
    PAUSED = "Paused"


#: What older pages of the vendor call an event, and their clients still send.
_OLDER_WORDS: Mapping[str, str] = {"TaskFinish": "TransCodingFinish"}


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """
    Where a queue reports, as set by the client; empty texts are what was not given.

    `events` are the words of `Event` in the order given. The Kafka fields are kept for the echo alone.
    """

    on: bool = False
    url: str = ""
    kind: str = ""
    events: tuple[str, ...] = ()
    format: str = "XML"
    mq_mode: str = ""
    mq_region: str = ""
    mq_name: str = ""
    kafka: tuple[tuple[str, str], ...] = ()

    def target(self, event: str) -> CallbackTarget | None:
        """Give the place that hears of the event, or None when there is none."""
        if not self.on or not {event, _OLDER_WORDS.get(event, event)}.intersection(self.events):
            return None
        if self.kind == "TDMQ":
            return CallbackTarget(
                kind=self.kind,
                format=self.format,
                mq_mode=self.mq_mode or "Queue",
                mq_name=self.mq_name,
                mq_region=self.mq_region,
            )
        return CallbackTarget(url=self.url, format=self.format)


@dataclass(frozen=True, slots=True)
class Queue:
    """Where the jobs of one bucket wait. `notify` says who hears of a job that names no callback itself."""

    queue_id: str
    bucket: str
    name: str
    state: str
    max_concurrent: int
    max_size: int
    notify: NotifyConfig
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Template:
    """Saved cover options; `smart_cover` is the node as sent (wire names and texts)."""

    template_id: str
    bucket: str
    tag: str
    name: str
    smart_cover: Mapping[str, str]
    created_at: datetime
    updated_at: datetime


class DeliveryState(StrEnum):
    """How a delivery stands. Exhausted and refused ones stay visible to the operator until retention."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A callback owed: the exact bytes and where they go. `destination` groups what shares one receiver."""

    delivery_id: str
    target: CallbackTarget
    destination: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """
    Which deliveries are meant: those that fit everything given; `since` and `until` are times of creation.

    `buckets` are names, or beginnings of names with a star behind them.
    """

    job_id: str | None = None
    state: DeliveryState | None = None
    destination: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    buckets: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    A callback owed, as the ledger holds it; `tries` counts attempts begun, a crashed one too.

    `redelivery` says that the operator asked for one more try of a delivery that had ended.
    """

    delivery_id: str
    job_id: str | None
    bucket: str
    target: CallbackTarget
    destination: str
    content_type: str
    body: bytes
    state: DeliveryState
    tries: int
    created_at: datetime
    next_at: datetime | None
    reason: str = ""
    redelivery: bool = False
    seq: int = 0


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """What one try came to: `outcome` is ok, refused, timed_out, dns, connection, tls, bad_target or http."""

    outcome: str
    duration_seconds: float
    address: str | None = None
    http_status: int | None = None
    error: str | None = None
    answer_head: bytes = b""
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A recorded try of a delivery."""

    number: int
    started_at: datetime
    report: AttemptReport

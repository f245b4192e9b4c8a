"""Rows of the database to values of the model, and back. JSON columns hold the model's dataclasses as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from smartcover.ledger.model import (
    Attempt,
    AttemptReport,
    CallbackTarget,
    Claim,
    Delivery,
    DeliveryState,
    Job,
    JobResult,
    JobSpec,
    JobState,
    NotifyConfig,
    Queue,
    QueueState,
    Template,
)

_SPEC = TypeAdapter(JobSpec)
_TARGET = TypeAdapter(CallbackTarget)
_RESULT = TypeAdapter(JobResult)
_NOTIFY = TypeAdapter(NotifyConfig)

#: An escaped NUL, after any number of escaped backslashes.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def json_text(adapter: TypeAdapter[Any], value: object) -> str:
    """Write a value for a JSON column. PostgreSQL reads no NUL out of one again, so each is replaced on its way in."""
    return _NUL.sub(r"\1\\ufffd", adapter.dump_json(value).decode())


def spec_json(spec: JobSpec) -> str:
    """Write what a job was asked for."""
    return json_text(_SPEC, spec)


def target_json(target: CallbackTarget | None) -> str | None:
    """Write where a callback goes."""
    return None if target is None else json_text(_TARGET, target)


def result_json(result: JobResult) -> str:
    """Write what a job made."""
    return json_text(_RESULT, result)


def notify_json(notify: NotifyConfig) -> str:
    """Write who hears of a queue's jobs."""
    return json_text(_NOTIFY, notify)


def job(row: Mapping[str, Any]) -> Job:
    """Read a job; it shows `PAUSE` where the row tells that its queue is paused (`queue_state`)."""
    return Job(
        job_id=row["job_id"],
        seq=row["seq"],
        bucket=row["bucket"],
        region=row["region"],
        queue_id=row["queue_id"],
        tag=row["tag"],
        state=_shown_state(row),
        spec=_SPEC.validate_json(row["spec"]),
        callback=_target(row["callback"]),
        attempt=row["attempt"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        code=row["code"],
        message=row["message"],
        result=None if row["result"] is None else _RESULT.validate_json(row["result"]),
    )


def claim(row: Mapping[str, Any]) -> Claim:
    """Read a job that was just claimed."""
    return Claim(job=job(row), lease_token=row["lease_token"])


def queue(row: Mapping[str, Any]) -> Queue:
    """Read a queue."""
    return Queue(
        queue_id=row["queue_id"],
        bucket=row["bucket"],
        name=row["name"],
        state=row["state"],
        max_concurrent=row["max_concurrent"],
        max_size=row["max_size"],
        notify=NotifyConfig() if row["notify"] is None else _NOTIFY.validate_json(row["notify"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def template(row: Mapping[str, Any]) -> Template:
    """Read a template."""
    return Template(
        template_id=row["template_id"],
        bucket=row["bucket"],
        tag=row["tag"],
        name=row["name"],
        smart_cover=json.loads(row["smart_cover"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def delivery(row: Mapping[str, Any]) -> Delivery:
    """Read a delivery."""
    return Delivery(
        delivery_id=row["delivery_id"],
        job_id=row["job_id"],
        bucket=row["bucket"],
        target=_TARGET.validate_json(row["target"]),
        destination=row["destination"],
        content_type=row["content_type"],
        body=row["body"],
        state=DeliveryState(row["state"]),
        tries=row["tries"],
        created_at=row["created_at"],
        next_at=row["next_at"],
        reason=row["reason"],
        redelivery=row["redelivery"],
        seq=row["seq"],
    )


def attempt(row: Mapping[str, Any]) -> Attempt:
    """Read a recorded try."""
    return Attempt(
        number=row["number"],
        started_at=row["started_at"],
        report=AttemptReport(
            outcome=row["outcome"],
            duration_seconds=row["duration_seconds"],
            address=row["address"],
            http_status=row["http_status"],
            error=row["error"],
            answer_head=row["answer_head"],
            retry_after_seconds=row["retry_after_seconds"],
        ),
    )


def _shown_state(row: Mapping[str, Any]) -> JobState:
    state = JobState(row["state"])
    waits_for_queue = state is JobState.SUBMITTED and row.get("queue_state") == QueueState.PAUSED.value
    return JobState.PAUSE if waits_for_queue else state


def _target(text: str | None) -> CallbackTarget | None:
    return None if text is None else _TARGET.validate_json(text)

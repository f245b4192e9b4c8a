"""Turning a finished job into the callback it owes: the exact bytes, made once. Pure."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Final, cast

from smartcover.callbacks.target import parse_target
from smartcover.errors import BadParameter
from smartcover.ledger import CallbackTarget, Job, JobState, NewDelivery, Run, RunState, jobs_detail, run_detail
from smartcover.protocol import CallbackFormat, callback_body, workflow_finish_body

_MAX_DESTINATION_CHARACTERS: Final = 300


def task_finish_delivery(
    job: Job, *, delivery_id: str, zone_offset_minutes: int, json_array: bool, md5_info: bool
) -> NewDelivery | None:
    """
    Give the TaskFinish callback that a finished job owes, or None when it owes none.

    A job without a callback owes none, and neither does a cancelled one: who cancelled it knows. This runs inside the
    transaction that ends the job and therefore accepts any target; one that cannot be called is found out by the
    first try, and ends the delivery and not the job.

    Args:
        job: In the state that is about to be committed.
        zone_offset_minutes: Zone in which the times are printed, minutes east of UTC.
        json_array: Write JobsDetail of a JSON body as a one-element array.
        md5_info: Fill Md5Info with the covers' digests.

    Raises:
        ValueError: If the job is not finished.
    """
    if not job.state.final:
        raise ValueError(f"job {job.job_id} is {job.state.value}; a callback is owed at the end only")
    if job.callback is None or job.state is JobState.CANCEL:
        return None
    body, content_type = callback_body(
        jobs_detail(job),
        cast(CallbackFormat, job.callback.format),
        zone=timezone(timedelta(minutes=zone_offset_minutes)),
        json_jobs_detail_array=json_array,
        md5_info=md5_info,
    )
    return NewDelivery(
        delivery_id=delivery_id,
        target=job.callback,
        destination=destination_of(job.callback),
        content_type=content_type,
        body=body,
    )


def workflow_finish_delivery(run: Run, *, delivery_id: str, zone_offset_minutes: int) -> NewDelivery | None:
    """
    Give the WorkflowFinish callback that a run owes at its end, or None when it owes none.

    A cancelled run owes none, as a cancelled job does. Like `task_finish_delivery` this accepts any target.

    Args:
        run: With its tasks, in the state that is about to be committed.
    """
    if run.finish_target is None or run.state not in (RunState.SUCCESS, RunState.FAILED):
        return None
    body, content_type = workflow_finish_body(
        run_detail(run),
        cast(CallbackFormat, run.finish_target.format),
        zone=timezone(timedelta(minutes=zone_offset_minutes)),
    )
    return NewDelivery(
        delivery_id=delivery_id,
        target=run.finish_target,
        destination=destination_of(run.finish_target),
        content_type=content_type,
        body=body,
    )


def destination_of(target: CallbackTarget) -> str:
    """
    Name the receiver that a target shares with others: `https://host:port` in lower case, or the message queue.

    Two targets of one name share a limit of tries in flight and a circuit breaker.
    """
    if target.kind != "Url":
        parts = (target.kind, target.mq_region, target.mq_mode, target.mq_name)
        return ":".join(part or "" for part in parts)[:_MAX_DESTINATION_CHARACTERS]
    try:
        return parse_target(target.url or "").origin
    except BadParameter:
        return "unreadable"

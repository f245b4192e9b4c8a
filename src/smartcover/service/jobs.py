"""Submitting, describing and cancelling jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from smartcover.errors import BadParameter, BucketMissing, UnknownJob, UnknownQueue
from smartcover.ledger import CallbackTarget, CoverSpec, Job, JobSpec, NewJob, OutputSpec, Queue
from smartcover.protocol import TASK_FINISH, CallbackRequest, JobRequest, OperationRequest, is_id
from smartcover.storage import BucketInfo, BucketStore


class JobLedger(Protocol):
    """What these use cases need of the ledger."""

    async def submit(self, jobs: Sequence[NewJob]) -> tuple[Job, ...]:
        """Store all jobs or none, and give them as stored."""

    async def jobs(self, bucket: str, job_ids: Sequence[str]) -> Mapping[str, Job]:
        """Give those of the jobs that exist in the bucket, by id."""

    async def cancel(self, bucket: str, job_id: str) -> Job:
        """Cancel a job that has not ended."""

    async def queue(self, bucket: str, queue_id: str) -> Queue:
        """Give a queue of the bucket, or raise `UnknownQueue`."""

    async def default_queue(self, bucket: str) -> Queue:
        """Give the bucket's default queue, made if it is missing."""


@dataclass(frozen=True, slots=True)
class Described:
    """The jobs asked for, in the order asked, and the ids that name none in this bucket."""

    jobs: tuple[Job, ...]
    unknown_ids: tuple[str, ...]


async def submit(
    ledger: JobLedger,
    store: BucketStore,
    bucket: BucketInfo,
    request: JobRequest,
    *,
    new_id: Callable[[str], str],
    check_callback: Callable[[str], None],
) -> tuple[Job, ...]:
    """
    Accept the jobs of a request, all of them or none; they are committed when this returns.

    The input object is not looked for: it may still be on its way, and a job without one fails and says so. The
    output bucket is: a misspelt one would else be found out only after the work is done.

    Args:
        bucket: The bucket of the request, which holds the input.
        new_id: Makes an identifier of the kind that the letter names (`j` for a job).
        check_callback: Refuses a callback URL that must not be called, by raising a `RequestError`.

    Raises:
        BadParameter: If the request names a template or a message queue, or `check_callback` refuses.
        BucketMissing: If an output bucket does not exist.
        UnknownQueue: If the queue does not exist in this bucket.
    """
    for operation in request.operations:
        if operation.template_id is not None:
            raise BadParameter(
                f"Operation.TemplateId is {operation.template_id!r}, and templates are not part of this version; "
                "give the options in Operation.SmartCover"
            )
    if request.callback.url is not None:
        check_callback(request.callback.url)
    await _require_output_buckets(store, bucket, request.operations)
    queue = await _queue(ledger, bucket, request.queue_id)
    callback = resolve_callback(request.callback, queue.notify.target(TASK_FINISH))
    return await ledger.submit(
        [
            NewJob(
                job_id=new_id("j"),
                bucket=bucket.name,
                region=bucket.region,
                queue_id=queue.queue_id,
                spec=_spec(request, operation),
                callback=callback,
                tag=operation.tag,
            )
            for operation in request.operations
        ]
    )


async def describe(ledger: JobLedger, bucket: BucketInfo, job_ids: Sequence[str]) -> Described:
    """Look jobs up; an id that is asked for twice is answered once, and what is no id at all is unknown."""
    asked = tuple(dict.fromkeys(job_ids))
    possible = [job_id for job_id in asked if is_id(job_id, "j")]
    found = await ledger.jobs(bucket.name, possible) if possible else {}
    return Described(
        jobs=tuple(found[job_id] for job_id in asked if job_id in found),
        unknown_ids=tuple(job_id for job_id in asked if job_id not in found),
    )


async def cancel(ledger: JobLedger, bucket: BucketInfo, job_id: str) -> Job:
    """
    Cancel a job that waits or runs; a running one's work is stopped, and no callback is sent.

    Raises:
        UnknownJob: If the job does not exist in this bucket.
        AlreadyFinished: If it has ended, as success, failure or cancelled.
    """
    if not is_id(job_id, "j"):
        raise UnknownJob
    return await ledger.cancel(bucket.name, job_id)


def resolve_callback(asked: CallbackRequest, notify: CallbackTarget | None) -> CallbackTarget | None:
    """
    Decide where a job reports: what the job says goes before what its queue says, field by field.

    The literal `no` means nowhere. A job that asks for URL callbacks without giving one takes the queue's only if
    that is a URL too.

    Raises:
        BadParameter: If the job asks for a message queue: there is no broker in this version.
    """
    if asked.suppressed:
        return None
    if asked.type == "TDMQ":
        raise BadParameter(
            "CallBackType is TDMQ, and message queues are not part of this version; give Url and a CallBack address"
        )
    if asked.url is not None:
        body_format = asked.format or (notify.format if notify is not None else "XML")
        return CallbackTarget(kind="Url", url=asked.url, format=body_format)
    if notify is None or (asked.type is not None and asked.type != notify.kind):
        return None
    return notify if asked.format is None else replace(notify, format=asked.format)


async def _require_output_buckets(
    store: BucketStore, bucket: BucketInfo, operations: Sequence[OperationRequest]
) -> None:
    for name in {operation.output.bucket for operation in operations} - {bucket.name}:
        try:
            await store.bucket(name)
        except BucketMissing as error:
            raise BucketMissing(
                f"Output.Bucket is {name!r}, which does not exist here; create it first or name another"
            ) from error


async def _queue(ledger: JobLedger, bucket: BucketInfo, queue_id: str | None) -> Queue:
    if queue_id is None:
        return await ledger.default_queue(bucket.name)
    try:
        return await ledger.queue(bucket.name, queue_id)
    except UnknownQueue as error:
        raise UnknownQueue(
            f"QueueId is {queue_id!r}, which bucket {bucket.name} does not have; leave it out for the default queue"
        ) from error


def _spec(request: JobRequest, operation: OperationRequest) -> JobSpec:
    params = operation.params
    output = operation.output
    return JobSpec(
        object_key=request.object_key,
        output=OutputSpec(region=output.region, bucket=output.bucket, object_pattern=output.object),
        covers=CoverSpec(
            count=params.count,
            format=params.format,
            width_px=params.width,
            height_px=params.height,
            delete_duplicates=params.delete_duplicates,
        ),
        smart_cover=None if operation.smart_cover is None else dict(operation.smart_cover.sent),
        user_data=operation.user_data,
        level=operation.job_level,
        level_sent=operation.job_level_sent,
        multi=request.multi,
    )

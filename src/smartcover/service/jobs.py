"""Submitting, describing and cancelling jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from smartcover.errors import AlreadyFinished, BucketMissing, StorageError, UnknownJob, UnknownQueue
from smartcover.ledger import (
    CallbackTarget,
    CoverSpec,
    Job,
    JobSpec,
    JobState,
    NewJob,
    OutputSpec,
    Queue,
    Submission,
    Template,
)
from smartcover.protocol import (
    TASK_FINISH,
    CallbackRequest,
    JobRequest,
    MessageQueueTarget,
    NotifyRequest,
    OperationRequest,
    SmartCoverParams,
    check_placeholders,
    is_id,
)
from smartcover.service.bindings import BindingSource, require_bound
from smartcover.service.templates import TemplateSource, template_of_job
from smartcover.storage import BucketInfo, BucketStore

_log = structlog.get_logger(__name__)


class JobLedger(Protocol):
    """What these use cases need of the ledger."""

    @property
    def templates(self) -> TemplateSource:
        """The templates of all buckets."""

    @property
    def bindings(self) -> BindingSource:
        """Which buckets take part in media processing."""

    async def submit(self, jobs: Sequence[NewJob], submission: Submission | None = None) -> tuple[Job, ...]:
        """Store all jobs or none, and give them as stored; a repetition adds nothing and gives the first ones."""

    async def submitted_before(self, bucket: str, submission: Submission) -> tuple[Job, ...] | None:
        """Give the jobs of the submit that this one repeats, None when it is a new one."""

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
    check_callback: Callable[[CallbackTarget], None],
    check_output: Callable[[str], None],
    submission: Submission | None = None,
) -> tuple[Job, ...]:
    """
    Accept the jobs of a request, all of them or none; they are committed when this returns.

    The input object is not looked for: it may still be on its way, and a job without one fails and says so. The
    output bucket is: a misspelt one would else be found out only after the work is done.

    Args:
        bucket: The bucket of the request, which holds the input.
        new_id: Makes an identifier of the kind that the letter names (`j` for a job).
        check_callback: Refuses a place that no callback can go to, by raising a `RequestError`.
        check_output: Refuses a bucket that the caller may not have covers written to, by raising `AccessDenied`.
        submission: What a repetition of this submit is recognised by; one that repeats an earlier submit is given
            the jobs of that one as they were then, whatever has changed since.

    Raises:
        NotBound: If the bucket is not bound to media processing.
        BadParameter: If `check_callback` refuses, or the submission's token was used for another body.
        BucketMissing: If an output bucket does not exist.
        UnknownQueue, UnknownTemplate: If the bucket has no such queue or template.
        QueueFull: If the queue has no room for the jobs.
    """
    if submission is not None and submission.may_repeat:
        earlier = await ledger.submitted_before(bucket.name, submission)
        if earlier is not None:
            return tuple(_as_submitted(job) for job in earlier)
    new = await plan_jobs(
        ledger, store, bucket, request, new_id=new_id, check_callback=check_callback, check_output=check_output
    )
    return tuple(_as_submitted(job) for job in await ledger.submit(new, submission))


async def plan_jobs(
    ledger: JobLedger,
    store: BucketStore,
    bucket: BucketInfo,
    request: JobRequest,
    *,
    new_id: Callable[[str], str],
    check_callback: Callable[[CallbackTarget], None],
    check_output: Callable[[str], None],
) -> list[NewJob]:
    """Put the jobs of a request together, complete and not stored; raises what `submit` raises before it stores."""
    await require_bound(ledger.bindings, bucket)
    named = resolve_callback(request.callback, None)
    if named is not None:
        check_callback(named)
    await require_output_buckets(store, bucket, {op.output.bucket for op in request.operations}, check_output)
    templates = await _templates(ledger, bucket, request.operations)
    queue = await _queue(ledger, bucket, request.queue_id)
    callback = resolve_callback(request.callback, queue.notify.target(TASK_FINISH))
    return [
        NewJob(
            job_id=new_id("j"),
            bucket=bucket.name,
            region=bucket.region,
            queue_id=queue.queue_id,
            spec=_spec(request, operation, templates.get(operation.template_id or "")),
            callback=callback,
            tag=operation.tag,
        )
        for operation in request.operations
    ]


async def describe(ledger: JobLedger, bucket: BucketInfo, job_ids: Sequence[str]) -> Described:
    """Look jobs up; an id that is asked for twice is answered once, and what is no id at all is unknown."""
    asked = tuple(dict.fromkeys(job_ids))
    possible = [job_id for job_id in asked if is_id(job_id, "j")]
    found = await ledger.jobs(bucket.name, possible) if possible else {}
    return Described(
        jobs=tuple(found[job_id] for job_id in asked if job_id in found),
        unknown_ids=tuple(job_id for job_id in asked if job_id not in found),
    )


async def cancel(
    ledger: JobLedger, store: BucketStore, bucket: BucketInfo, job_id: str, *, retried: bool = False
) -> Job:
    """
    Cancel a job that waits or runs; a running one's work is stopped, and no callback is sent.

    What it staged is taken back, so that a worker that is frozen now shows none of it later.

    Args:
        retried: The client says that it sends the call again: a job that is cancelled by then is what it asked for.

    Raises:
        UnknownJob: If the job does not exist in this bucket.
        AlreadyFinished: If it has ended, as success, failure or cancelled.
    """
    if not is_id(job_id, "j"):
        raise UnknownJob
    try:
        job = await ledger.cancel(bucket.name, job_id)
    except AlreadyFinished:
        found = (await ledger.jobs(bucket.name, [job_id])).get(job_id)
        if not retried or found is None or found.state is not JobState.CANCEL:
            raise
        job = found
    if job.attempt:
        try:
            await store.revoke(job.spec.output.bucket, job.job_id)
        except StorageError as error:  # the job is cancelled all the same, and the store's sweep removes them
            _log.warning("covers of a cancelled job are left to the store's sweep", job_id=job_id, error=error.public)
    return job


def resolve_callback(asked: CallbackRequest, notify: CallbackTarget | None) -> CallbackTarget | None:
    """
    Decide where a job reports: what the job says goes before what its queue says, field by field.

    The literal `no` means nowhere. A job that asks for URL callbacks without giving one takes the queue's only if
    that is a URL too.
    """
    if asked.suppressed:
        return None
    body_format = asked.format or (notify.format if notify is not None else "XML")
    if asked.mq is not None:
        return _queue_target(asked.mq, body_format)
    if asked.url is not None:
        return CallbackTarget(kind="Url", url=asked.url, format=body_format)
    if notify is None or (asked.type is not None and asked.type != notify.kind):
        return None
    return notify if asked.format is None else replace(notify, format=asked.format)


def notify_target(notify: NotifyRequest) -> CallbackTarget:
    """Say where a workflow reports that is to report."""
    if notify.mq is not None:
        return _queue_target(notify.mq, notify.format)
    return CallbackTarget(url=notify.url, format=notify.format)


def _queue_target(mq: MessageQueueTarget, body_format: str) -> CallbackTarget:
    return CallbackTarget(kind="TDMQ", format=body_format, mq_mode=mq.mode, mq_name=mq.name, mq_region=mq.region)


async def require_output_buckets(
    store: BucketStore, bucket: BucketInfo, names: Collection[str], check_output: Callable[[str], None]
) -> None:
    """
    Refuse covers for a bucket that the caller may not write to, or that does not exist.

    The first is asked first, so that who may not use a bucket does not learn whether there is one.
    """
    for name in set(names):
        check_output(name)
    for name in set(names) - {bucket.name}:
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


async def _templates(
    ledger: JobLedger, bucket: BucketInfo, operations: Sequence[OperationRequest]
) -> dict[str, Template]:
    """Look up the templates that the operations name, and hold their Count against the output patterns."""
    found: dict[str, Template] = {}
    for operation in operations:
        template_id = operation.template_id
        if template_id is None:
            continue
        if template_id not in found:
            found[template_id] = await template_of_job(
                ledger.templates, bucket, template_id, "Request.Operation.TemplateId"
            )
        count = _params_of(found[template_id]).count
        check_placeholders(count, operation.output.object, "Request.Operation.Output.Object")
    return found


def _params_of(template: Template) -> SmartCoverParams:
    return SmartCoverParams(sent=tuple(template.smart_cover.items()))


def cover_spec(params: SmartCoverParams) -> CoverSpec:
    """Fix what cover options mean, defaults filled in."""
    return CoverSpec(
        count=params.count,
        format=params.format,
        width_px=params.width,
        height_px=params.height,
        delete_duplicates=params.delete_duplicates,
    )


def _spec(request: JobRequest, operation: OperationRequest, template: Template | None) -> JobSpec:
    # A template wins over options that were sent beside it.
    params = operation.smart_cover if template is None else _params_of(template)
    output = operation.output
    return JobSpec(
        object_key=request.object_key,
        output=OutputSpec(region=output.region, bucket=output.bucket, object_pattern=output.object),
        covers=cover_spec(params or SmartCoverParams()),
        smart_cover=None if params is None else dict(params.sent),
        user_data=operation.user_data,
        level=operation.job_level,
        level_sent=operation.job_level_sent,
        template_id=None if template is None else template.template_id,
        template_name=None if template is None else template.name,
        multi=request.multi,
    )


def _as_submitted(job: Job) -> Job:
    """Show a job as the first answer to its submit does, whatever a worker or a paused queue made of it since."""
    return replace(
        job,
        state=JobState.SUBMITTED,
        started_at=None,
        ended_at=None,
        code="Success",
        message="",
        result=None,
    )

"""What the ledger holds as the outside sees it: the one mapping that answers and callbacks are written from."""

from __future__ import annotations

from smartcover.ledger.model import Job, JobState, NotifyConfig, Queue, Template
from smartcover.protocol import (
    CosHeader,
    JobInput,
    JobsDetail,
    Md5Info,
    OperationDetail,
    Output,
    QueueDetail,
    QueueNotify,
    SmartCoverParams,
    TemplateDetail,
    WorkflowRef,
)


def jobs_detail(job: Job) -> JobsDetail:
    """
    Describe a job in the words of the wire.

    The result shows only once the job has succeeded. Code and Message tell of a failure and of nothing else. A
    template's job echoes the template and not the options that were sent beside it, because the template won.
    """
    spec = job.spec
    covers = job.result.covers if job.result is not None and job.state is JobState.SUCCESS else ()
    failed = job.state is JobState.FAILED
    by_template = spec.template_id is not None
    return JobsDetail(
        code=job.code if failed else "Success",
        message=job.message if failed else "",
        job_id=job.job_id,
        state=job.state.value,
        creation_time=job.created_at,
        start_time=job.started_at,
        end_time=job.ended_at,
        queue_id=job.queue_id,
        tag=job.tag,
        input=JobInput(
            bucket_id=job.bucket,
            object=spec.object_key,
            region=job.region,
            cos_headers=tuple(CosHeader(key=key, value=value) for key, value in spec.cos_headers),
        ),
        operation=OperationDetail(
            smart_cover=(
                None
                if by_template or spec.smart_cover is None
                else SmartCoverParams(sent=tuple(spec.smart_cover.items()))
            ),
            template_id=spec.template_id,
            template_name=spec.template_name,
            output=Output(region=spec.output.region, bucket=spec.output.bucket, object=spec.output.object_pattern),
            user_data=spec.user_data,
            job_level=spec.level if spec.level_sent else None,
            object_names=tuple(cover.key for cover in covers),
            output_bucket=spec.output.bucket,
            output_region=spec.output.region,
            md5s=tuple(Md5Info(md5=cover.md5, object_name=cover.key) for cover in covers),
        ),
        workflow=(
            None
            if spec.workflow is None
            else WorkflowRef(
                name=spec.workflow.node_name,
                run_id=spec.workflow.run_id,
                workflow_id=spec.workflow.workflow_id,
                workflow_name=spec.workflow.workflow_name,
            )
        ),
        multi=spec.multi,
    )


def template_detail(template: Template) -> TemplateDetail:
    """Describe a template in the words of the wire."""
    return TemplateDetail(
        template_id=template.template_id,
        bucket_id=template.bucket,
        tag=template.tag,
        name=template.name,
        smart_cover=SmartCoverParams(sent=tuple(template.smart_cover.items())),
        create_time=template.created_at,
        update_time=template.updated_at,
    )


def queue_detail(queue: Queue) -> QueueDetail:
    """Describe a queue in the words of the wire."""
    return QueueDetail(
        queue_id=queue.queue_id,
        bucket_id=queue.bucket,
        name=queue.name,
        state=queue.state,
        max_size=queue.max_size,
        max_concurrent=queue.max_concurrent,
        notify=_queue_notify(queue.notify),
        create_time=queue.created_at,
        update_time=queue.updated_at,
    )


def _queue_notify(notify: NotifyConfig) -> QueueNotify:
    return QueueNotify(
        on=notify.on,
        url=notify.url,
        type=notify.kind or None,  # type: ignore[arg-type] # checked when it was set
        events=notify.events,
        format=notify.format,  # type: ignore[arg-type] # checked when it was set
        mq_mode=notify.mq_mode,
        mq_region=notify.mq_region,
        mq_name=notify.mq_name,
        kafka=notify.kafka,
    )

"""Workflows and runs of the ledger as the outside sees them: what both answers and callbacks are written from."""

from __future__ import annotations

from smartcover.ledger.model import Job, JobState
from smartcover.ledger.workflow_model import Run, Workflow
from smartcover.protocol import CosHeader, RunDetail, TaskDetail, WorkflowDetail


def workflow_detail(workflow: Workflow) -> WorkflowDetail:
    """Describe a workflow in the words of the wire."""
    content = workflow.content
    return WorkflowDetail(
        workflow_id=workflow.workflow_id,
        name=content.name,
        state=content.state.value,
        bucket_id=workflow.bucket,
        create_time=workflow.created_at,
        update_time=workflow.updated_at,
        topology=content.topology,
    )


def run_detail(run: Run) -> RunDetail:
    """Describe a run in the words of the wire, with the topology and the headers of its start."""
    return RunDetail(
        run_id=run.run_id,
        workflow_id=run.workflow_id,
        workflow_name=run.workflow_name,
        bucket_id=run.bucket,
        object=run.object_key,
        state=run.state.value,
        create_time=run.created_at,
        topology=run.topology,
        cos_headers=tuple(CosHeader(key=key, value=value) for key, value in run.cos_headers),
        tasks=tuple(_task(job) for job in run.tasks),
    )


def _task(job: Job) -> TaskDetail:
    failed = job.state is JobState.FAILED
    covers = job.result.covers if job.result is not None and job.state is JobState.SUCCESS else ()
    return TaskDetail(
        type=job.tag,
        name=job.spec.workflow.node_name if job.spec.workflow is not None else "",
        job_id=job.job_id,
        state=job.state.value,
        create_time=job.created_at,
        start_time=job.started_at,
        end_time=job.ended_at,
        code=job.code if failed else "Success",
        message=job.message if failed else "",
        template_id=job.spec.template_id,
        template_name=job.spec.template_name,
        object_names=tuple(cover.key for cover in covers),
    )

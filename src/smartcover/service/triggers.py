"""
Starting workflow runs: by an upload, by a call, by a batch.

What a run does is fixed when it starts: the topology, the options of its templates and the places it reports to are
copied, so that no later change alters it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from smartcover.errors import BucketMissing, NotBound, ObjectMissing, UnknownWorkflow
from smartcover.ledger import (
    CallbackTarget,
    CoverSpec,
    JobSpec,
    NewJob,
    NewRun,
    NewUpload,
    OutputSpec,
    Queue,
    Run,
    Surroundings,
    TakenUpload,
    Template,
    Workflow,
    WorkflowOrigin,
    Workflows,
)
from smartcover.protocol import (
    TAG,
    TASK_FINISH,
    WORKFLOW_FINISH,
    CoverNode,
    SmartCoverParams,
    Topology,
    has_number,
    is_id,
    read_topology,
)
from smartcover.service.jobs import notify_target
from smartcover.storage import BucketInfo, BucketStore, find_input

_META = "x-cos-meta-"
_DEFAULT_CONTENT_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts a run: the object, a key that is the same whenever the same cause comes again, and its headers."""

    object_key: str
    start_key: str
    cos_headers: tuple[tuple[str, str], ...] = ()
    batch_id: str | None = None


async def start_runs_of(taken: TakenUpload, store: BucketStore, *, new_id: Callable[[str], str]) -> list[Run]:
    """
    Start what an upload owes: a run of each workflow that waited for it and accepts it.

    None for one of our own outputs, whoever tells of it, none for an upload that a store tells of and our own object
    API took, and none in a bucket that is gone or not bound.
    """
    event = taken.upload.event
    if await taken.is_own_output() or await taken.is_own_upload():
        return []
    try:
        bucket = await store.bucket(event.bucket)
    except BucketMissing:
        return []
    runs = []
    for workflow in await taken.workflows():
        topology = read_topology(workflow.content.topology)
        if not topology.ext_filter.accepts(event.key, event.headers.get("content-type", "")):
            continue
        around = await taken.surroundings(topology.queue_id, template_ids(topology))
        if around.queue is None:
            continue
        trigger = Trigger(event.key, event.event_id, upload_headers(event))
        runs.append(await taken.start(plan_run(workflow, topology, trigger, bucket, around, new_id=new_id)))
    return runs


async def trigger_workflow(
    workflows: Workflows,
    store: BucketStore,
    bucket: BucketInfo,
    workflow_id: str,
    object_key: str,
    *,
    start_key: str,
    request_id: str,
    retried_within_seconds: float | None = None,
    new_id: Callable[[str], str],
) -> Run:
    """
    Start a run of a workflow on an object, whatever the workflow's prefix, filter and state.

    The object need not be there yet; a run without one fails and says so. A second call with the same `start_key`
    gives the run of the first.

    Args:
        retried_within_seconds: Set when an SDK says that it sends the call again: it is answered with the run of a
            call on the same object within that time, if there is one.

    Raises:
        UnknownWorkflow: If the bucket has none of that id.
        NotBound: If the bucket takes no part in media processing.
        QueueFull: If the queue has no room.
    """
    if not is_id(workflow_id, "w"):
        raise UnknownWorkflow(f"workflow {workflow_id[:80]!r} does not exist in bucket {bucket.name}")
    workflow = await workflows.workflow(workflow_id, bucket.name)
    if retried_within_seconds is not None:
        earlier = await workflows.called_lately(workflow_id, object_key, seconds=retried_within_seconds)
        if earlier is not None:
            return earlier
    topology = read_topology(workflow.content.topology)
    around = await workflows.surroundings(bucket.name, topology.queue_id, template_ids(topology))
    headers = await _object_headers(store, bucket, object_key, request_id)
    trigger = Trigger(object_key, start_key, headers)
    return await workflows.start(plan_run(workflow, topology, trigger, bucket, around, new_id=new_id))


def plan_run(
    workflow: Workflow,
    topology: Topology,
    trigger: Trigger,
    bucket: BucketInfo,
    around: Surroundings,
    *,
    new_id: Callable[[str], str],
) -> NewRun:
    """
    Put a run together; pure but for the ids.

    A node whose template is gone, or would write several covers to one key, becomes a job that fails and says so.

    Raises:
        NotBound: If there is no queue to wait in.
    """
    queue = around.queue
    if queue is None:
        raise NotBound(f"bucket {bucket.name} takes no part in media processing; bind it with POST /mediabucket")
    run_id = new_id("i")
    callback = _target(topology, queue, TASK_FINISH)
    jobs = tuple(
        NewJob(
            job_id=new_id("j"),
            bucket=bucket.name,
            region=bucket.region,
            queue_id=queue.queue_id,
            spec=_spec(
                node,
                trigger,
                WorkflowOrigin(run_id, workflow.workflow_id, workflow.content.name, node.name),
                around.templates.get(node.template_id or ""),
            ),
            callback=callback,
            tag=TAG,
        )
        for node in topology.nodes
    )
    return NewRun(
        run_id=run_id,
        bucket=bucket.name,
        workflow_id=workflow.workflow_id,
        workflow_name=workflow.content.name,
        object_key=trigger.object_key,
        topology=workflow.content.topology,
        start_key=trigger.start_key,
        jobs=jobs,
        cos_headers=trigger.cos_headers,
        finish_target=_target(topology, queue, WORKFLOW_FINISH),
        batch_id=trigger.batch_id,
    )


def template_ids(topology: Topology) -> list[str]:
    """Name the templates that a topology uses."""
    return [node.template_id for node in topology.nodes if node.template_id is not None]


def upload_headers(event: NewUpload) -> tuple[tuple[str, str], ...]:
    """Give the `CosHeaders` of an upload, in the order of the document, then the client's own `x-cos-meta-*`."""
    return (
        ("Content-Type", event.headers.get("content-type", _DEFAULT_CONTENT_TYPE)),
        ("x-cos-request-id", event.request_id),
        ("EventName", event.name),
        ("Size", str(event.size_bytes)),
        *_own_headers(event.headers),
    )


async def _object_headers(
    store: BucketStore, bucket: BucketInfo, key: str, request_id: str
) -> tuple[tuple[str, str], ...]:
    """Give the headers of a run that no upload started: there is no event, so none is named."""
    try:
        info = await find_input(key, partial(store.head, bucket.name))
    except ObjectMissing:
        return ()
    return (
        ("Content-Type", info.headers.get("content-type", _DEFAULT_CONTENT_TYPE)),
        ("x-cos-request-id", request_id),
        ("Size", str(info.size_bytes)),
        *_own_headers(info.headers),
    )


def _own_headers(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in sorted(headers.items()):
        if name.startswith(_META):
            yield name, _as_text(value)


def _as_text(value: str) -> str:
    """Read as UTF-8, which the Python and Go SDKs send, what the edge keeps byte for byte as Latin-1."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _target(topology: Topology, queue: Queue, event: str) -> CallbackTarget | None:
    notify = topology.notify
    if notify is None:
        return queue.notify.target(event)
    if not notify.on or event not in notify.events:
        return None
    return notify_target(notify)


def _spec(node: CoverNode, trigger: Trigger, origin: WorkflowOrigin, template: Template | None) -> JobSpec:
    if node.template_id is not None and template is not None:
        sent = dict(template.smart_cover)
    else:
        sent = {} if node.smart_cover is None else dict(node.smart_cover.sent)
    params = SmartCoverParams(sent=tuple(sent.items()))
    fault = None
    if node.template_id is not None and template is None:
        fault = f"template {node.template_id} of node {node.name} does not exist any more; update the workflow"
    elif params.count > 1 and not has_number(node.output.object):
        fault = (
            f"template {node.template_id} asks for {params.count} covers and Output.Object of node {node.name} has no "
            "${number}; update the workflow"
        )
    return JobSpec(
        object_key=trigger.object_key,
        output=OutputSpec(region=node.output.region, bucket=node.output.bucket, object_pattern=node.output.object),
        covers=CoverSpec(
            count=params.count,
            format=params.format,
            width_px=params.width,
            height_px=params.height,
            delete_duplicates=params.delete_duplicates,
        ),
        smart_cover=sent if node.smart_cover is not None or template is not None else None,
        user_data=node.user_data,
        level=node.job_level,
        level_sent=node.job_level_sent,
        template_id=node.template_id,
        template_name=None if template is None else template.name,
        cos_headers=trigger.cos_headers,
        workflow=origin,
        batch_id=trigger.batch_id,
        fault=fault,
    )

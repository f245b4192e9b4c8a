"""Defining workflows: what may be stored, changed, switched on and deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smartcover.errors import BadParameter, BucketMissing, UnknownRun, UnknownTemplate, UnknownWorkflow
from smartcover.ledger import CallbackTarget, Run, Workflow, WorkflowContent, Workflows, WorkflowState
from smartcover.protocol import Topology, WorkflowRequest, feeds_itself, is_id
from smartcover.service.jobs import notify_target
from smartcover.storage import BucketInfo, BucketStore

#: The header that lets a workflow through whose covers would be its own inputs.
ALLOW_LOOP_HEADER = "x-smartcover-allow-loop"


@dataclass(frozen=True, slots=True)
class WorkflowRules:
    """
    What a definition is held against besides its form.

    `check_callback` raises a `RequestError` for a place that no callback can go to, `check_output` `AccessDenied` for
    a bucket that the caller may not have covers written to. `allow_loop` lets a workflow through whose covers would
    be its own inputs.
    """

    check_callback: Callable[[CallbackTarget], None]
    check_output: Callable[[str], None]
    allow_loop: bool = False


@dataclass(frozen=True, slots=True)
class FoundWorkflows:
    """Some of a bucket's workflows, how many there are in all, and the ids asked for that name none."""

    workflows: tuple[Workflow, ...]
    total: int
    unknown_ids: tuple[str, ...] = ()


async def create_workflow(
    workflows: Workflows,
    store: BucketStore,
    bucket: BucketInfo,
    request: WorkflowRequest,
    *,
    rules: WorkflowRules,
    new_id: Callable[[str], str],
    retried_within_seconds: float | None = None,
) -> Workflow:
    """
    Store a new workflow.

    Args:
        retried_within_seconds: Set when an SDK says that it sends the workflow again: it is answered with one that
            says the same and was stored within that time, if there is one. Two would make every cover twice.

    Raises:
        BadParameter: If it feeds itself, reports to a message queue, or its queue or a template does not exist.
        BucketMissing: If an output bucket does not exist.
    """
    await _check(workflows, store, bucket, request.topology, rules)
    content = _content(request)
    if retried_within_seconds is not None:
        earlier = await workflows.added_lately(bucket.name, content, seconds=retried_within_seconds)
        if earlier is not None:
            return earlier
    return await workflows.add(new_id("w"), bucket.name, content)


async def update_workflow(
    workflows: Workflows,
    store: BucketStore,
    bucket: BucketInfo,
    workflow_id: str,
    request: WorkflowRequest,
    *,
    rules: WorkflowRules,
) -> Workflow:
    """
    Replace a paused workflow; nothing of what it said before stays. Runs that have started are not touched.

    Raises:
        UnknownWorkflow, WorkflowActive: If there is none, or it is active.
        BadParameter, BucketMissing: As `create_workflow` does.
    """
    _require_id(workflow_id)
    await _check(workflows, store, bucket, request.topology, rules)
    return await workflows.replace(workflow_id, bucket.name, _content(request))


async def set_workflow_state(
    workflows: Workflows, bucket: BucketInfo, workflow_id: str, state: WorkflowState
) -> Workflow:
    """Activate or pause a workflow; what it has started goes on. Raises `UnknownWorkflow`."""
    _require_id(workflow_id)
    return await workflows.set_state(workflow_id, bucket.name, state)


async def delete_workflow(workflows: Workflows, bucket: BucketInfo, workflow_id: str) -> Workflow:
    """Delete a paused workflow; its runs stay. Raises `UnknownWorkflow`, or `WorkflowActive` for an active one."""
    _require_id(workflow_id)
    return await workflows.remove(workflow_id, bucket.name)


async def find_workflows(
    workflows: Workflows, bucket: BucketInfo, *, ids: Sequence[str], name_prefix: str, page_number: int, page_size: int
) -> FoundWorkflows:
    """Look workflows up by id, or give a page of those whose name begins so, oldest first."""
    if ids:
        asked = tuple(dict.fromkeys(ids))
        possible = [workflow_id for workflow_id in asked if is_id(workflow_id, "w")]
        found = {entry.workflow_id: entry for entry in await workflows.by_id(bucket.name, possible)}
        return FoundWorkflows(
            workflows=tuple(found[workflow_id] for workflow_id in asked if workflow_id in found),
            total=len(found),
            unknown_ids=tuple(workflow_id for workflow_id in asked if workflow_id not in found),
        )
    page, total = await workflows.page(
        bucket.name, name_prefix=name_prefix, skip=(page_number - 1) * page_size, limit=page_size
    )
    return FoundWorkflows(tuple(page), total)


async def describe_run(workflows: Workflows, bucket: BucketInfo, run_id: str) -> Run:
    """Give a run with its tasks, or raise `UnknownRun`."""
    if not is_id(run_id, "i"):
        raise UnknownRun(f"workflow run {run_id[:80]!r} does not exist in bucket {bucket.name}")
    return await workflows.run(bucket.name, run_id)


async def _check(
    workflows: Workflows, store: BucketStore, bucket: BucketInfo, topology: Topology, rules: WorkflowRules
) -> None:
    notify = topology.notify
    if notify is not None and notify.on:
        rules.check_callback(notify_target(notify))
    looping = None if rules.allow_loop else feeds_itself(topology, bucket.name)
    if looping is not None:
        raise BadParameter(
            f"Topology.Nodes.{looping} writes its covers where this workflow takes them for its inputs; choose another "
            f"Output.Object or ObjectPrefix, narrow ExtFilter, or send {ALLOW_LOOP_HEADER}: true (our own covers never "
            "start a run either way)"
        )
    for node in topology.nodes:
        rules.check_output(node.output.bucket)
        if node.output.bucket != bucket.name:
            await _require_bucket(store, node.output.bucket, f"Topology.Nodes.{node.name}.Operation.Output.Bucket")
    await _require_known(workflows, bucket, topology)


async def _require_bucket(store: BucketStore, name: str, path: str) -> None:
    try:
        await store.bucket(name)
    except BucketMissing as error:
        raise BucketMissing(
            f"{path} is {name!r}, which does not exist here; create it first or name another"
        ) from error


async def _require_known(workflows: Workflows, bucket: BucketInfo, topology: Topology) -> None:
    wanted = [node.template_id for node in topology.nodes if node.template_id is not None]
    around = await workflows.surroundings(bucket.name, topology.queue_id, wanted)
    if topology.queue_id is not None and (around.queue is None or around.queue.queue_id != topology.queue_id):
        raise BadParameter(
            f"Topology.Nodes.Start.Input.QueueId is {topology.queue_id!r}, which bucket {bucket.name} does not have; "
            "leave it out for the default queue"
        )
    for node in topology.nodes:
        if node.template_id is not None and node.template_id not in around.templates:
            raise UnknownTemplate(
                f"Topology.Nodes.{node.name}.Operation.TemplateId is {node.template_id!r}, which bucket {bucket.name} "
                "does not have"
            )


def _content(request: WorkflowRequest) -> WorkflowContent:
    return WorkflowContent(
        name=request.name,
        state=WorkflowState(request.state),
        object_prefix=request.topology.object_prefix,
        topology=request.tree,
    )


def _require_id(workflow_id: str) -> None:
    if not is_id(workflow_id, "w"):
        raise UnknownWorkflow(f"workflow {workflow_id[:80]!r} does not exist in this bucket")

"""Accepting batches, and working through them step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from smartcover.errors import BucketMissing, NotBound, UnknownBatch, UnknownWorkflow
from smartcover.ledger import (
    Batch,
    BatchPlan,
    BatchStep,
    CallbackTarget,
    JobSpec,
    Ledger,
    NewBatch,
    NewJob,
    NewRun,
    Surroundings,
    Workflow,
    Workflows,
)
from smartcover.protocol import BatchRequest, ExtFilter, JobRequest, Topology, is_id, read_topology
from smartcover.service.batch_sources import Entry, entries
from smartcover.service.bindings import require_bound
from smartcover.service.jobs import plan_jobs
from smartcover.service.triggers import Trigger, plan_run, template_ids
from smartcover.storage import BucketInfo, BucketStore

_ONLY_VIDEOS = ExtFilter()


async def create_batch(
    ledger: Ledger,
    store: BucketStore,
    bucket: BucketInfo,
    request: BatchRequest,
    *,
    new_id: Callable[[str], str],
    check_callback: Callable[[CallbackTarget], None],
    check_output: Callable[[str], None],
    retried_within_seconds: float | None = None,
) -> Batch:
    """
    Accept a batch. Its jobs are fixed now, templates and callbacks included; its workflows act as they are when each
    object's turn comes.

    Args:
        retried_within_seconds: Set when an SDK says that it sends the batch again: it is answered with a batch that
            says the same and was accepted within that time, if there is one.

    Raises:
        NotBound: If the bucket takes no part in media processing.
        BadParameter, BucketMissing, UnknownQueue, UnknownTemplate: As a submit of the same job.
        UnknownWorkflow: If the bucket has no such workflow.
    """
    await require_bound(ledger.bindings, bucket)
    job: NewJob | None = None
    if request.operation is not None:
        asked = JobRequest(
            object_key="", operations=(request.operation,), queue_id=request.queue_id, callback=request.callback
        )
        [job] = await plan_jobs(
            ledger, store, bucket, asked, new_id=new_id, check_callback=check_callback, check_output=check_output
        )
    for workflow_id in request.workflow_ids:
        if not is_id(workflow_id, "w"):
            raise UnknownWorkflow(f"workflow {workflow_id[:80]!r} does not exist in bucket {bucket.name}")
        await ledger.workflows.workflow(workflow_id, bucket.name)
    new = NewBatch(
        batch_id=new_id("b"),
        bucket=bucket.name,
        name=request.name,
        kind=request.kind,
        input_tree=request.input_tree,
        operation_tree=request.operation_tree,
        plan=BatchPlan(request.source, request.place, request.since, request.until, job),
        workflow_ids=request.workflow_ids,
    )
    if retried_within_seconds is not None:
        earlier = await ledger.batches.added_lately(new, seconds=retried_within_seconds)
        if earlier is not None:
            return earlier
    return await ledger.batches.add(new)


async def describe_batch(ledger: Ledger, bucket: BucketInfo, batch_id: str) -> Batch:
    """Give a batch, or raise `UnknownBatch`."""
    _require_id(batch_id, bucket)
    return await ledger.batches.batch(bucket.name, batch_id)


async def cancel_batch(ledger: Ledger, bucket: BucketInfo, batch_id: str) -> None:
    """Stop a batch and cancel its jobs that have not ended. Raises `UnknownBatch`."""
    _require_id(batch_id, bucket)
    await ledger.batches.cancel(bucket.name, batch_id)


class BatchReader:
    """
    Makes the steps of one batch from where it stands.

    What a step starts is made anew each time it is asked for, so that a step that found no room can be made smaller.

    Raises (from `step`):
        StorageError: If the store is away or a listing is missing.
        BadParameter, UnknownWorkflow, NotBound: If the batch cannot go on.
    """

    def __init__(self, batch: Batch, store: BucketStore, workflows: Workflows, *, new_id: Callable[[str], str]) -> None:
        self._batch = batch
        self._store = store
        self._workflows = workflows
        self._new_id = new_id
        self._waiting: list[Entry] = []
        self._source = entries(store, batch.new.bucket, batch.new.plan, batch.marker, created_at=batch.created_at)
        self._marker = batch.marker
        self._at_end = False

    @property
    def marker(self) -> str:
        """Where the batch stands for this reader."""
        return self._marker

    async def step(self, most: int) -> BatchStep:
        """Make the next step of at most `most` entries; the same entries come again until `moved`."""
        while not self._at_end and len(self._waiting) < most:
            try:
                self._waiting.append(await anext(self._source))
            except StopAsyncIteration:
                self._at_end = True
        taken = self._waiting[:most]
        jobs, runs = await self._started(taken)
        return BatchStep(
            marker=taken[-1].marker if taken else self._marker,
            seen=len(taken),
            jobs=jobs,
            runs=runs,
            ended=self._at_end and len(taken) == len(self._waiting),
        )

    async def close(self) -> None:
        """Let go of what is being read."""
        await self._source.aclose()

    def moved(self, step: BatchStep) -> None:
        """Go on behind a step that was stored."""
        del self._waiting[: step.seen]
        self._marker = step.marker

    async def _started(self, taken: Sequence[Entry]) -> tuple[list[NewJob], list[NewRun]]:
        new = self._batch.new
        if new.plan.job is not None:
            prototype = new.plan.job
            keys = [e.key for e in taken if e.key is not None and (not e.listed or _ONLY_VIDEOS.accepts(e.key))]
            return [self._job(prototype, key) for key in keys], []
        bucket = await self._bucket()
        runs: list[NewRun] = []
        for workflow_id in new.workflow_ids:
            ready = await self._workflow(workflow_id)
            for entry in taken:
                if entry.key is not None and (not entry.listed or ready.topology.ext_filter.accepts(entry.key)):
                    trigger = Trigger(entry.key, f"batch:{new.batch_id}:{entry.key}", batch_id=new.batch_id)
                    runs.append(
                        plan_run(ready.workflow, ready.topology, trigger, bucket, ready.around, new_id=self._new_id)
                    )
        return [], runs

    def _job(self, prototype: NewJob, key: str) -> NewJob:
        spec: JobSpec = replace(prototype.spec, object_key=key, batch_id=self._batch.new.batch_id)
        return replace(prototype, job_id=self._new_id("j"), spec=spec)

    async def _bucket(self) -> BucketInfo:
        try:
            return await self._store.bucket(self._batch.new.bucket)
        except BucketMissing as error:
            raise NotBound(f"bucket {self._batch.new.bucket} does not exist any more") from error

    async def _workflow(self, workflow_id: str) -> _Ready:
        workflow = await self._workflows.workflow(workflow_id, self._batch.new.bucket)
        topology = read_topology(workflow.content.topology)
        around = await self._workflows.surroundings(self._batch.new.bucket, topology.queue_id, template_ids(topology))
        return _Ready(workflow, topology, around)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A workflow about to be run, with what its runs are made with."""

    workflow: Workflow
    topology: Topology
    around: Surroundings


def _require_id(batch_id: str, bucket: BucketInfo) -> None:
    if not is_id(batch_id, "b"):
        raise UnknownBatch(f"batch {batch_id[:80]!r} does not exist in bucket {bucket.name}")

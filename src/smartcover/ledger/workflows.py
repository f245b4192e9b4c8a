"""
Workflows and their runs in PostgreSQL, and the uploads that start runs.

A part of the ledger of its own, on the same connections. Each method is one transaction or one reading.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from smartcover.errors import Conflict, UnknownRun, UnknownWorkflow, WorkflowActive
from smartcover.ledger import rows, workflow_rows
from smartcover.ledger.database import Database
from smartcover.ledger.listing import times_left
from smartcover.ledger.model import Queue, Template
from smartcover.ledger.runs import QUERIES, start_run, tasks_of
from smartcover.ledger.workflow_model import (
    NewRun,
    NewUpload,
    Run,
    RunFilter,
    RunPage,
    Upload,
    Workflow,
    WorkflowContent,
    WorkflowState,
)

#: How far an upload's arrival may lie from our writing of an output of that key to be taken for it.
_NEAR_SECONDS: Final = 600.0
#: How far an event that a store tells of may lie from an upload of ours to be taken for the same.
_TWIN_SECONDS: Final = 300.0
_FORGET_BATCH: Final = 1000
#: Runs that one page looks at in search of a part of a name.
MOST_WALKED: Final = 5000


class Workflows:
    """Workflows, runs and upload events; every method raises `LedgerUnavailable` when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Workflows

    async def add(self, workflow_id: str, bucket: str, content: WorkflowContent) -> Workflow:
        """Store a new workflow."""
        async with self._database.connection("add a workflow") as connection:
            row = await QUERIES.add_workflow(
                connection, workflow_id=workflow_id, bucket=bucket, **_content_parameters(content)
            )
        return workflow_rows.workflow(row)

    async def added_lately(self, bucket: str, content: WorkflowContent, *, seconds: float) -> Workflow | None:
        """Give the newest workflow that says the same and was added within the time, None when there is none."""
        async with self._database.connection("look for an earlier workflow") as connection:
            row = await QUERIES.workflow_added_lately(
                connection, bucket=bucket, seconds=seconds, **_content_parameters(content)
            )
        return None if row is None else workflow_rows.workflow(row)

    async def replace(self, workflow_id: str, bucket: str, content: WorkflowContent) -> Workflow:
        """
        Replace what a paused workflow says.

        Raises:
            UnknownWorkflow: If the bucket has none of that id.
            WorkflowActive: If it is active.
        """
        async with self._database.connection("update a workflow") as connection:
            row = await QUERIES.update_workflow(
                connection, workflow_id=workflow_id, bucket=bucket, **_content_parameters(content)
            )
        return await self._changed(row, workflow_id, bucket, "changed")

    async def set_state(self, workflow_id: str, bucket: str, state: WorkflowState) -> Workflow:
        """Activate or pause a workflow, or raise `UnknownWorkflow`; one that is in the state already stays so."""
        async with self._database.connection("set a workflow's state") as connection:
            row = await QUERIES.set_workflow_state(
                connection, workflow_id=workflow_id, bucket=bucket, state=state.value
            )
        if row is None:
            raise UnknownWorkflow(f"workflow {workflow_id!r} does not exist in bucket {bucket}")
        return workflow_rows.workflow(row)

    async def remove(self, workflow_id: str, bucket: str) -> Workflow:
        """Delete a paused workflow; its runs go on and stay listed. Raises what `replace` raises."""
        async with self._database.connection("delete a workflow") as connection:
            row = await QUERIES.remove_workflow(connection, workflow_id=workflow_id, bucket=bucket)
        return await self._changed(row, workflow_id, bucket, "deleted")

    async def workflow(self, workflow_id: str, bucket: str) -> Workflow:
        """Give a workflow of the bucket, or raise `UnknownWorkflow`."""
        async with self._database.connection("workflow") as connection:
            row = await QUERIES.workflow(connection, workflow_id=workflow_id, bucket=bucket)
        if row is None:
            raise UnknownWorkflow(f"workflow {workflow_id!r} does not exist in bucket {bucket}")
        return workflow_rows.workflow(row)

    async def by_id(self, bucket: str, workflow_ids: Sequence[str]) -> list[Workflow]:
        """Give those of the workflows that exist in the bucket, oldest first."""
        async with self._database.connection("workflows") as connection:
            found = QUERIES.workflows_by_id(connection, bucket=bucket, workflow_ids=list(workflow_ids))
            return [workflow_rows.workflow(row) async for row in found]

    async def page(self, bucket: str, *, name_prefix: str, skip: int, limit: int) -> tuple[list[Workflow], int]:
        """Give some of the bucket's workflows, oldest first, and how many there are in all."""
        async with self._database.connection("list workflows") as connection:
            total: int = await QUERIES.count_workflows(connection, bucket=bucket, name_prefix=name_prefix)
            found = QUERIES.list_workflows(connection, bucket=bucket, name_prefix=name_prefix, skip=skip, most=limit)
            return [workflow_rows.workflow(row) async for row in found], total

    async def _changed(self, row: Mapping[str, Any] | None, workflow_id: str, bucket: str, what: str) -> Workflow:
        if row is not None:
            return workflow_rows.workflow(row)
        found = await self.workflow(workflow_id, bucket)
        if found.content.state is WorkflowState.ACTIVE:
            raise WorkflowActive(
                f"workflow {workflow_id} is Active and cannot be {what}; pause it first with PUT /workflow/<id>?paused"
            )
        raise Conflict(detail=f"workflow {workflow_id} was paused while it was looked at")

    # Runs

    async def start(self, new: NewRun) -> Run:
        """Start a run, or give the one that the same cause has started before; it is committed when this returns."""
        async with self._database.transaction("start a run") as connection:
            return await start_run(connection, new)

    async def called_lately(self, workflow_id: str, object_key: str, *, seconds: float) -> Run | None:
        """Give the newest run that a call has started on that object within the time, None when there is none."""
        async with self._database.connection("look for an earlier call") as connection:
            row = await QUERIES.run_called_lately(
                connection, workflow_id=workflow_id, object_key=object_key, seconds=seconds
            )
        return None if row is None else workflow_rows.run(row)

    async def run(self, bucket: str, run_id: str) -> Run:
        """Give a run of the bucket with its tasks, or raise `UnknownRun`."""
        async with self._database.connection("run") as connection:
            row = await QUERIES.run(connection, bucket=bucket, run_id=run_id)
            if row is not None:
                return workflow_rows.run(row, await tasks_of(connection, run_id))
        raise UnknownRun(f"workflow run {run_id!r} does not exist in bucket {bucket}")

    async def runs(
        self, bucket: str, wanted: RunFilter, *, after: tuple[datetime, int] | None = None, limit: int = 10
    ) -> RunPage:
        """
        List runs without their tasks, newest first unless asked otherwise, after a position of an earlier page.

        With a part of a name, `MOST_WALKED` runs are looked at: the page may be short, or empty, and more follow.
        """
        at, seq = after or (None, None)
        since, until = times_left(wanted.since, wanted.until, at, newest_first=not wanted.oldest_first)
        asked: dict[str, Any] = {
            "bucket": bucket,
            "workflow_id": wanted.workflow_id,
            "batch_id": wanted.batch_id,
            "states": [state.value for state in wanted.states],
            "since": since,
            "until": until,
            "at": at,
            "seq": seq,
            "most": limit + 1,
        }
        place: tuple[datetime, int] | None = None
        async with self._database.listing("list runs") as connection:
            if wanted.object_part is None:
                query = QUERIES.runs_oldest_first if wanted.oldest_first else QUERIES.runs_newest_first
                found = [row async for row in query(connection, **asked)]
            else:
                query = QUERIES.named_runs_oldest_first if wanted.oldest_first else QUERIES.named_runs_newest_first
                asked |= {"object_part": wanted.object_part, "most_walked": MOST_WALKED}
                found = [row async for row in query(connection, **asked)]
                if found[0]["walked_to"] is not None:
                    place = (found[0]["walked_to"], found[0]["walked_seq"])
                found = [row for row in found if row["run_id"] is not None]
        runs = tuple(workflow_rows.run(row) for row in found[:limit])
        if len(found) > limit:
            place = (runs[-1].created_at, runs[-1].seq)
        return RunPage(runs, place)

    async def surroundings(self, bucket: str, queue_id: str | None, template_ids: Sequence[str]) -> Surroundings:
        """Give what a run is made with now: the queue named (else the default) and those templates that exist."""
        async with self._database.connection("surroundings of a run") as connection:
            return await _surroundings(connection, bucket, queue_id, template_ids)

    # Uploads

    async def note_uploads(self, uploads: Sequence[NewUpload]) -> int:
        """
        Store events of arrived objects, all or none, and tell how many are new and start something.

        One that was told before, and one that no active workflow waits for, is dropped.
        """
        async with self._database.transaction("note uploads") as connection:
            kept = [
                await QUERIES.note_upload(
                    connection,
                    event_id=upload.event_id,
                    bucket=upload.bucket,
                    key=upload.key,
                    name=upload.name,
                    size_bytes=upload.size_bytes,
                    etag=upload.etag,
                    headers=json.dumps(dict(upload.headers)),
                    request_id=upload.request_id,
                    outside=upload.outside,
                    happened_at=upload.happened_at,
                    near_seconds=_TWIN_SECONDS,
                )
                # One order for everyone: each key is locked until all are stored.
                for upload in sorted(uploads, key=lambda upload: (upload.bucket, upload.key))
            ]
        return sum(kept)

    @asynccontextmanager
    async def taking_upload(self) -> AsyncIterator[TakenUpload | None]:
        """
        Take a stored upload that is due, in a transaction that also stores the runs it starts; None without one.

        Others pass over it meanwhile. It is done with when the block ends, and due again when the block raises or
        the process dies: then nothing of it was stored.
        """
        async with self._database.transaction("take an upload") as connection:
            row = await QUERIES.lock_upload(connection)
            if row is None:
                yield None
                return
            taken = TakenUpload(workflow_rows.upload(row), connection)
            yield taken
            await QUERIES.consume_upload(connection, event_id=taken.upload.event.event_id)

    async def postpone_upload(self, event_id: str, *, delay_seconds: float, counted: bool, most_tries: int) -> bool:
        """
        Try an upload again later, and tell whether it was given up instead.

        Only a `counted` try brings it nearer to that: one that waits for room or for the store waits for ever.
        """
        async with self._database.connection("postpone an upload") as connection:
            return bool(
                await QUERIES.postpone_upload(
                    connection,
                    event_id=event_id,
                    delay_seconds=delay_seconds,
                    counted=counted,
                    most_tries=most_tries,
                )
            )

    async def next_upload_seconds(self) -> float | None:
        """Tell in how many seconds the next stored upload is due, 0 or less when it is; None without one."""
        async with self._database.connection("next upload") as connection:
            seconds: float | None = await QUERIES.next_upload_seconds(connection)
        return seconds

    async def note_outputs(self, outputs: Sequence[tuple[str, str, str]]) -> None:
        """Write down (bucket, key, ETag) of objects about to be written by a job, before anybody can tell of them."""
        if not outputs:
            return
        # In one order for everyone, or two jobs that write the same keys could wait for each other.
        etags = dict(sorted(((bucket, key), etag) for bucket, key, etag in outputs))
        async with self._database.connection("note outputs") as connection:
            await QUERIES.note_outputs(
                connection,
                buckets=[bucket for bucket, _ in etags],
                keys=[key for _, key in etags],
                etags=list(etags.values()),
            )

    async def forget_old(self, *, older_than_seconds: float) -> int:
        """Drop events and outputs too old to be told of again; gives how many rows went, in one bounded step."""
        async with self._database.connection("forget old uploads") as connection:
            gone: int = await QUERIES.forget_old_uploads(
                connection, older_than_seconds=older_than_seconds, most=_FORGET_BATCH
            )
        return gone


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run is made with besides its workflow; `queue` is None in a bucket that has none or is not bound."""

    queue: Queue | None
    templates: Mapping[str, Template]


@dataclass(slots=True)
class TakenUpload:
    """A stored upload held by this transaction."""

    upload: Upload
    _connection: Any
    started: list[Run] = field(default_factory=list)

    async def workflows(self) -> list[Workflow]:
        """Give those workflows that the upload owes a run and that still exist, as they are now."""
        found = QUERIES.workflows_by_id(
            self._connection, bucket=self.upload.event.bucket, workflow_ids=list(self.upload.workflow_ids)
        )
        return [workflow_rows.workflow(row) async for row in found]

    async def is_own_output(self) -> bool:
        """Tell whether the object was written by a job of ours."""
        event = self.upload.event
        if not event.outside:
            return False
        return bool(
            await QUERIES.is_own_output(
                self._connection,
                bucket=event.bucket,
                key=event.key,
                etag=event.etag,
                arrived_at=self.upload.created_at,
                near_seconds=_NEAR_SECONDS,
            )
        )

    async def is_own_upload(self) -> bool:
        """
        Tell whether a store speaks of an upload through our own API, whose own event starts the runs.

        Each such upload is the twin of one event of the store, so that the same bytes sent again start runs again.
        """
        event = self.upload.event
        if not event.outside:
            return False
        return bool(
            await QUERIES.pair_with_own_upload(
                self._connection,
                event_id=event.event_id,
                bucket=event.bucket,
                key=event.key,
                etag=event.etag,
                happened_at=event.happened_at or self.upload.created_at,
                near_seconds=_TWIN_SECONDS,
            )
        )

    async def surroundings(self, queue_id: str | None, template_ids: Sequence[str]) -> Surroundings:
        """Give what a run is made with now."""
        return await _surroundings(self._connection, self.upload.event.bucket, queue_id, template_ids)

    async def start(self, new: NewRun) -> Run:
        """Start a run together with the end of the upload's waiting."""
        run = await start_run(self._connection, new)
        self.started.append(run)
        return run


async def _surroundings(
    connection: Any, bucket: str, queue_id: str | None, template_ids: Sequence[str]
) -> Surroundings:
    if not await QUERIES.bound(connection, bucket=bucket):
        return Surroundings(None, {})
    row = await QUERIES.queue_or_default(connection, bucket=bucket, queue_id=queue_id or "")
    found = QUERIES.templates_by_id(connection, bucket=bucket, template_ids=list(template_ids))
    templates = [rows.template(template) async for template in found]
    return Surroundings(
        None if row is None else rows.queue(row), {template.template_id: template for template in templates}
    )


def _content_parameters(content: WorkflowContent) -> dict[str, str]:
    return {
        "name": content.name,
        "state": content.state.value,
        "object_prefix": content.object_prefix,
        "topology": workflow_rows.tree_json(content.topology),
    }

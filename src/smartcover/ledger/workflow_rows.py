"""Rows of workflows, runs and uploads to values of the model, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from smartcover.ledger.model import CallbackTarget, Job
from smartcover.ledger.workflow_model import NewUpload, Run, RunState, Upload, Workflow, WorkflowContent, WorkflowState
from smartcover.protocol import Tree

_TARGET = TypeAdapter(CallbackTarget)


def tree_json(tree: Mapping[str, Tree]) -> str:
    """Write a tree as sent. PostgreSQL's json keeps the order of its nodes, and holds no NUL, as no tree does."""
    return json.dumps(tree, ensure_ascii=False)


def pairs_json(pairs: Sequence[tuple[str, str]]) -> str:
    """Write header pairs in order."""
    return json.dumps(pairs, ensure_ascii=False)


def workflow(row: Mapping[str, Any]) -> Workflow:
    """Read a workflow."""
    return Workflow(
        workflow_id=row["workflow_id"],
        seq=row["seq"],
        bucket=row["bucket"],
        content=WorkflowContent(
            name=row["name"],
            state=WorkflowState(row["state"]),
            object_prefix=row["object_prefix"],
            topology=json.loads(row["topology"]),
        ),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def upload(row: Mapping[str, Any]) -> Upload:
    """Read a stored upload event."""
    return Upload(
        event=NewUpload(
            event_id=row["event_id"],
            bucket=row["bucket"],
            key=row["key"],
            name=row["name"],
            size_bytes=row["size_bytes"],
            etag=row["etag"],
            request_id=row["request_id"],
            headers=json.loads(row["headers"]),
            outside=row["outside"],
            happened_at=row["happened_at"],
        ),
        workflow_ids=tuple(row["workflow_ids"]),
        tries=row["tries"],
        created_at=row["created_at"],
    )


def run(row: Mapping[str, Any], tasks: Sequence[Job] = ()) -> Run:
    """Read a run; the tasks come from the jobs."""
    target = row["finish_target"]
    return Run(
        run_id=row["run_id"],
        seq=row["seq"],
        bucket=row["bucket"],
        workflow_id=row["workflow_id"],
        workflow_name=row["workflow_name"],
        object_key=row["object_key"],
        state=RunState(row["state"]),
        topology=json.loads(row["topology"]),
        cos_headers=tuple((key, value) for key, value in json.loads(row["cos_headers"])),
        finish_target=None if target is None else _TARGET.validate_json(target),
        batch_id=row["batch_id"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        tasks=tuple(tasks),
    )

"""Workflows, their runs and the uploads that start them, as frozen values read from the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from smartcover.ledger.model import CallbackTarget, Job, NewJob
from smartcover.protocol import Tree


class WorkflowState(StrEnum):
    """Whether uploads start the workflow; the values are the words of the wire."""

    ACTIVE = "Active"
    PAUSED = "Paused"


class RunState(StrEnum):
    """How a run stands. It is Failed from its first failed task on, and ends when all its tasks have."""

    RUNNING = "Running"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCEL = "Cancel"


@dataclass(frozen=True, slots=True)
class WorkflowContent:
    """What a client says of a workflow; `topology` is the tree as sent, `object_prefix` has no leading slash."""

    name: str
    state: WorkflowState
    object_prefix: str
    topology: dict[str, Tree]


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow as the ledger holds it."""

    workflow_id: str
    seq: int
    bucket: str
    content: WorkflowContent
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewUpload:
    """
    An object that arrived.

    `event_id` is the same whenever the same event is told again. `name` is the cloud's word for how it came
    (`cos:ObjectCreated:Put`). `outside` tells that a store said so and not our own object API, so that it may be one
    of our own outputs, or an upload that we know of already; `happened_at` is by the store's clock.
    """

    event_id: str
    bucket: str
    key: str
    name: str
    size_bytes: int
    etag: str
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    outside: bool = False
    happened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A stored upload event that owes runs: one of each workflow that was active when the object arrived."""

    event: NewUpload
    workflow_ids: tuple[str, ...]
    tries: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewRun:
    """
    A run about to start, complete: no later change of the workflow alters it.

    `finish_target` hears of its end, None for nobody. `start_key` names what started it; a workflow is started once
    by each. The jobs are its tasks, one of each node.
    """

    run_id: str
    bucket: str
    workflow_id: str
    workflow_name: str
    object_key: str
    topology: dict[str, Tree]
    start_key: str
    jobs: tuple[NewJob, ...]
    cos_headers: tuple[tuple[str, str], ...] = ()
    finish_target: CallbackTarget | None = None
    batch_id: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run as the ledger holds it; `tasks` are its jobs in the order of the nodes, none in a list of runs."""

    run_id: str
    seq: int
    bucket: str
    workflow_id: str
    workflow_name: str
    object_key: str
    state: RunState
    topology: dict[str, Tree]
    cos_headers: tuple[tuple[str, str], ...]
    finish_target: CallbackTarget | None
    batch_id: str | None
    created_at: datetime
    ended_at: datetime | None
    tasks: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are listed: those that fit everything given. `object_part` is a part of the key's text."""

    workflow_id: str | None = None
    batch_id: str | None = None
    object_part: str | None = None
    states: frozenset[RunState] = frozenset(RunState)
    since: datetime | None = None
    until: datetime | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of runs; `next_position` leads to the next one, None at the end."""

    runs: tuple[Run, ...]
    next_position: tuple[datetime, int] | None

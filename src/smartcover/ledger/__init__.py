"""The durable state: jobs, queues, deliveries, and the PostgreSQL below them."""

from __future__ import annotations

from smartcover.ledger.batch_view import batch_detail
from smartcover.ledger.batches import (
    Batch,
    Batches,
    BatchFilter,
    BatchPage,
    BatchPlan,
    BatchState,
    BatchStep,
    NewBatch,
)
from smartcover.ledger.census import Census, LiveQueue, require_usable_schema, take_census
from smartcover.ledger.connections import Pool, PoolUsage, open_pool
from smartcover.ledger.database import Database
from smartcover.ledger.embedded import EmbeddedPostgres
from smartcover.ledger.finishing import Finishing
from smartcover.ledger.ledger import Ledger
from smartcover.ledger.listing import JobFilter, JobPage, JobPosition
from smartcover.ledger.model import (
    TRANSITIONS,
    Attempt,
    AttemptReport,
    CallbackTarget,
    Claim,
    CoverReport,
    CoverSpec,
    Delivery,
    DeliveryFilter,
    DeliveryState,
    Job,
    JobResult,
    JobSpec,
    JobState,
    NewDelivery,
    NewJob,
    NotifyConfig,
    OutputSpec,
    Queue,
    QueueState,
    Template,
    WorkflowOrigin,
)
from smartcover.ledger.private_file import keep_private, unusable
from smartcover.ledger.queues import QueueLimits, QueuePage
from smartcover.ledger.retention import Retention, expire
from smartcover.ledger.revisions import expected_revision
from smartcover.ledger.runs import WhenRunEnds, run_state
from smartcover.ledger.schema import check_schema, upgrade
from smartcover.ledger.submissions import Submission, add_jobs
from smartcover.ledger.team_keys import SecretSeed, TeamKey, TeamKeys
from smartcover.ledger.templates import TemplatePage
from smartcover.ledger.view import jobs_detail, queue_detail, template_detail
from smartcover.ledger.wakeups import Wakeups
from smartcover.ledger.workflow_model import (
    NewRun,
    NewUpload,
    Run,
    RunFilter,
    RunPage,
    RunState,
    Upload,
    Workflow,
    WorkflowContent,
    WorkflowState,
)
from smartcover.ledger.workflow_view import run_detail, workflow_detail
from smartcover.ledger.workflows import Surroundings, TakenUpload, Workflows

__all__ = [
    "TRANSITIONS",
    "Attempt",
    "AttemptReport",
    "Batch",
    "BatchFilter",
    "BatchPage",
    "BatchPlan",
    "BatchState",
    "BatchStep",
    "Batches",
    "CallbackTarget",
    "Census",
    "Claim",
    "CoverReport",
    "CoverSpec",
    "Database",
    "Delivery",
    "DeliveryFilter",
    "DeliveryState",
    "EmbeddedPostgres",
    "Finishing",
    "Job",
    "JobFilter",
    "JobPage",
    "JobPosition",
    "JobResult",
    "JobSpec",
    "JobState",
    "Ledger",
    "LiveQueue",
    "NewBatch",
    "NewDelivery",
    "NewJob",
    "NewRun",
    "NewUpload",
    "NotifyConfig",
    "OutputSpec",
    "Pool",
    "PoolUsage",
    "Queue",
    "QueueLimits",
    "QueuePage",
    "QueueState",
    "Retention",
    "Run",
    "RunFilter",
    "RunPage",
    "RunState",
    "SecretSeed",
    "Submission",
    "Surroundings",
    "TakenUpload",
    "TeamKey",
    "TeamKeys",
    "Template",
    "TemplatePage",
    "Upload",
    "Wakeups",
    "WhenRunEnds",
    "Workflow",
    "WorkflowContent",
    "WorkflowOrigin",
    "WorkflowState",
    "Workflows",
    "add_jobs",
    "batch_detail",
    "check_schema",
    "expected_revision",
    "expire",
    "jobs_detail",
    "keep_private",
    "open_pool",
    "queue_detail",
    "require_usable_schema",
    "run_detail",
    "run_state",
    "take_census",
    "template_detail",
    "unusable",
    "upgrade",
    "workflow_detail",
]

"""The durable state: jobs, queues, deliveries, and the PostgreSQL below them."""

from __future__ import annotations

from smartcover.ledger.database import Database
from smartcover.ledger.embedded import EmbeddedPostgres
from smartcover.ledger.ledger import Finishing, Ledger
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
from smartcover.ledger.queues import QueueLimits, QueuePage
from smartcover.ledger.schema import check_schema, expected_revision, upgrade
from smartcover.ledger.submissions import Submission, add_jobs
from smartcover.ledger.templates import TemplatePage
from smartcover.ledger.view import jobs_detail
from smartcover.ledger.wakeups import Wakeups

__all__ = [
    "TRANSITIONS",
    "Attempt",
    "AttemptReport",
    "CallbackTarget",
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
    "NewDelivery",
    "NewJob",
    "NotifyConfig",
    "OutputSpec",
    "Queue",
    "QueueLimits",
    "QueuePage",
    "QueueState",
    "Submission",
    "Template",
    "TemplatePage",
    "Wakeups",
    "WorkflowOrigin",
    "add_jobs",
    "check_schema",
    "expected_revision",
    "jobs_detail",
    "upgrade",
]

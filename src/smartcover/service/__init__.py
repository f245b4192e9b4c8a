"""Use cases: what a caller may ask of smartcover, one function each, whatever protocol the wish came by."""

from __future__ import annotations

from smartcover.service.access import EVERYWHERE, RIGHTS, Access, Right, full_access
from smartcover.service.batches import BatchReader, cancel_batch, create_batch, describe_batch
from smartcover.service.bindings import (
    BoundBuckets,
    bind_bucket,
    list_bound_buckets,
    require_bound,
    unbind_bucket,
)
from smartcover.service.buckets import create_bucket, ensure_bucket
from smartcover.service.jobs import (
    Described,
    JobLedger,
    cancel,
    cover_spec,
    describe,
    plan_jobs,
    resolve_callback,
    submit,
)
from smartcover.service.queues import FoundQueues, change_queue, create_queue, list_queues
from smartcover.service.team_keys import (
    KEEP_OLD_SECONDS,
    IssuedKey,
    SecretMaker,
    access_of,
    add_team_key,
    change_team_key,
    overlapping_keys,
    rotate_team_key,
)
from smartcover.service.templates import (
    FoundTemplates,
    create_template,
    delete_template,
    find_templates,
    replace_template,
    template_of_job,
)
from smartcover.service.triggers import Trigger, plan_run, start_runs_of, template_ids, trigger_workflow
from smartcover.service.workflows import (
    ALLOW_LOOP_HEADER,
    FoundWorkflows,
    WorkflowRules,
    create_workflow,
    delete_workflow,
    describe_run,
    find_workflows,
    set_workflow_state,
    update_workflow,
)

__all__ = [
    "ALLOW_LOOP_HEADER",
    "EVERYWHERE",
    "KEEP_OLD_SECONDS",
    "RIGHTS",
    "Access",
    "BatchReader",
    "BoundBuckets",
    "Described",
    "FoundQueues",
    "FoundTemplates",
    "FoundWorkflows",
    "IssuedKey",
    "JobLedger",
    "Right",
    "SecretMaker",
    "Trigger",
    "WorkflowRules",
    "access_of",
    "add_team_key",
    "bind_bucket",
    "cancel",
    "cancel_batch",
    "change_queue",
    "change_team_key",
    "cover_spec",
    "create_batch",
    "create_bucket",
    "create_queue",
    "create_template",
    "create_workflow",
    "delete_template",
    "delete_workflow",
    "describe",
    "describe_batch",
    "describe_run",
    "ensure_bucket",
    "find_templates",
    "find_workflows",
    "full_access",
    "list_bound_buckets",
    "list_queues",
    "overlapping_keys",
    "plan_jobs",
    "plan_run",
    "replace_template",
    "require_bound",
    "resolve_callback",
    "rotate_team_key",
    "set_workflow_state",
    "start_runs_of",
    "submit",
    "template_ids",
    "template_of_job",
    "trigger_workflow",
    "unbind_bucket",
    "update_workflow",
]

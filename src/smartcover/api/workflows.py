"""Defining, switching, listing and deleting workflows, and triggering them by a call."""

from __future__ import annotations

import re
from typing import Final

from smartcover import service
from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.api.parameters import Parameters
from smartcover.errors import BadKey, BadParameter
from smartcover.ledger import WorkflowState, workflow_detail
from smartcover.protocol import (
    key_fault,
    parse_workflow,
    shown,
    workflow_deleted,
    workflow_list,
    workflow_response,
    workflow_switched,
    workflow_triggered,
)
from smartcover.service import Right

_NAME: Final = re.compile(r"[\w\-—]{1,128}")
_KEY_HEADER: Final = "x-smartcover-idempotency-key"


async def create_workflow(edge: Edge, call: Call) -> Answer:
    """Store a workflow; it is active at once if its State says so."""
    bucket = await edge.bound_bucket(call)
    request = parse_workflow(await call.xml(edge.config.max_xml_bytes), max_bytes=edge.config.max_xml_bytes)
    workflow = await service.create_workflow(
        edge.ledger.workflows,
        edge.store,
        bucket,
        request,
        rules=_rules(edge, call),
        new_id=edge.new_id,
        retried_within_seconds=edge.retried_within_seconds(call),
    )
    return xml_answer(workflow_response(call.request_id, workflow_detail(workflow), zone=edge.config.zone))


async def change_workflow(edge: Edge, call: Call) -> Answer:
    """
    Switch a workflow with `?active` or `?paused`, or replace a paused one by the body.

    A switch is answered with a small document, where the vendor's page shows nothing: the Python SDK cannot read
    nothing. Pausing asks for no bound bucket: a workflow that is Active can else be neither stopped nor deleted.
    """
    names = {name.lower() for name in call.query.names()}
    if {"active", "paused"} <= names:
        raise BadParameter("Both active and paused are given; give one of them")
    if not names & {"active", "paused"}:
        return await _update_workflow(edge, call)
    state = WorkflowState.ACTIVE if "active" in names else WorkflowState.PAUSED
    pausing = state is WorkflowState.PAUSED
    bucket = await (edge.store.bucket(call.bucket) if pausing else edge.bound_bucket(call))
    await service.set_workflow_state(edge.ledger.workflows, bucket, call.entry, state)
    return xml_answer(workflow_switched(call.request_id, call.entry))


async def _update_workflow(edge: Edge, call: Call) -> Answer:
    bucket = await edge.bound_bucket(call)
    request = parse_workflow(await call.xml(edge.config.max_xml_bytes), max_bytes=edge.config.max_xml_bytes)
    workflow = await service.update_workflow(
        edge.ledger.workflows, edge.store, bucket, call.entry, request, rules=_rules(edge, call)
    )
    return xml_answer(workflow_response(call.request_id, workflow_detail(workflow), zone=edge.config.zone))


async def list_workflows(edge: Edge, call: Call) -> Answer:
    """List workflows by page, or find those of the ids given."""
    parameters = Parameters(call)
    bucket = await edge.store.bucket(call.bucket)
    wish = parameters.page()
    ids = parameters.words("ids", most=edge.config.max_jobs_per_query)
    found = await service.find_workflows(
        edge.ledger.workflows,
        bucket,
        ids=ids,
        name_prefix=parameters.text("name") or "",
        page_number=wish.number,
        page_size=wish.size,
    )
    return xml_answer(
        workflow_list(
            call.request_id,
            [workflow_detail(workflow) for workflow in found.workflows],
            total=found.total,
            page_number=wish.number,
            page_size=wish.size,
            unknown_ids=found.unknown_ids,
            zone=edge.config.zone,
        )
    )


async def delete_workflow(edge: Edge, call: Call) -> Answer:
    """Delete a paused workflow; its runs stay."""
    bucket = await edge.store.bucket(call.bucket)
    await service.delete_workflow(edge.ledger.workflows, bucket, call.entry)
    return xml_answer(workflow_deleted(call.request_id, call.entry))


async def trigger_workflow(edge: Edge, call: Call) -> Answer:
    """
    Start a run of a workflow on one object.

    The request id starts it, so every call is a run of its own unless the client names it with an idempotency key.
    """
    parameters = Parameters(call)
    bucket = await edge.bound_bucket(call)
    workflow_id = parameters.text("workflowId")
    object_key = call.query.text("object")
    for name, value in (("workflowId", workflow_id), ("object", object_key)):
        if value is None:
            raise BadParameter(f"The parameter {name} is missing or empty; it is required")
    label = parameters.text("name")
    if label is not None and _NAME.fullmatch(label) is None:
        raise BadParameter(
            f"The parameter name is {shown(label)}; give at most 128 letters, digits, '-', '—' and '_', or none"
        )
    key = object_key or ""
    fault = key_fault(key)
    if fault is not None:
        raise BadKey(f"The parameter object cannot name an object: {fault}")
    token = call.headers.text(_KEY_HEADER)
    run = await service.trigger_workflow(
        edge.ledger.workflows,
        edge.store,
        bucket,
        workflow_id or "",
        key,
        start_key=f"call:{call.request_id}" if token is None else f"key:{call.secret_id}:{token[:256]}",
        request_id=call.request_id,
        retried_within_seconds=edge.retried_within_seconds(call) if token is None else None,
        new_id=edge.new_id,
    )
    return xml_answer(workflow_triggered(call.request_id, run.run_id))


def _rules(edge: Edge, call: Call) -> service.WorkflowRules:
    allow = (call.headers.text(service.ALLOW_LOOP_HEADER) or "").lower()
    return service.WorkflowRules(
        check_callback=edge.check_callback,
        # Whoever may define workflows for a bucket may have covers written to any bucket of his.
        check_output=lambda name: call.access.require(Right.ADMIN, name),
        allow_loop=allow == "true",
    )

"""Listing and describing runs of workflows."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from smartcover import service
from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.api.parameters import Parameters
from smartcover.errors import BadParameter
from smartcover.ledger import RunFilter, RunState, run_detail
from smartcover.protocol import read_token, run_list, run_response, write_token

_ALL: Final = "All"
#: What a time given in whole seconds leaves out of its second: answers show times cut to seconds.
_REST_OF_SECOND: Final = timedelta(microseconds=999_999)


async def list_runs(edge: Edge, call: Call) -> Answer:
    """List a page of a workflow's runs; a filter that nothing fits gives an empty page."""
    parameters = Parameters(call)
    bucket = await edge.store.bucket(call.bucket)
    workflow_id, batch_id = parameters.text("workflowId"), parameters.text("jobId")
    if workflow_id is None and batch_id is None:
        raise BadParameter("The parameter workflowId is missing or empty; give the workflow whose runs are listed")
    states = parameters.choices("states", (_ALL, *(state.value for state in RunState)))
    until = parameters.moment("endCreationTime")
    token = parameters.text("nextToken")
    page = await edge.ledger.workflows.runs(
        bucket.name,
        RunFilter(
            workflow_id=workflow_id,
            batch_id=batch_id,
            object_part=parameters.text("name"),
            states=frozenset(RunState) if _ALL in states or not states else frozenset(map(RunState, states)),
            since=parameters.moment("startCreationTime"),
            until=until + _REST_OF_SECOND if until is not None and until.microsecond == 0 else until,
            oldest_first=parameters.choice("orderByTime", ("Desc", "Asc")) == "Asc",
        ),
        after=None if token is None else read_token(token),
        limit=parameters.size(),
    )
    next_token = "" if page.next_position is None else write_token(*page.next_position)
    details = [run_detail(run) for run in page.runs]
    return xml_answer(run_list(details, request_id=call.request_id, next_token=next_token, zone=edge.config.zone))


async def describe_run(edge: Edge, call: Call) -> Answer:
    """Describe a run with its tasks."""
    bucket = await edge.store.bucket(call.bucket)
    run = await service.describe_run(edge.ledger.workflows, bucket, call.entry)
    return xml_answer(run_response(call.request_id, run_detail(run), zone=edge.config.zone))

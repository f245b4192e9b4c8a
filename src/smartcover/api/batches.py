"""Starting, listing, describing and cancelling batches."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from smartcover import service
from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.api.parameters import Parameters, require_cancel
from smartcover.errors import UnknownBatch
from smartcover.ledger import BatchFilter, BatchState, batch_detail
from smartcover.protocol import batch_list, batch_missing, batch_response, parse_batch, read_token, write_token

_ALL: Final = "All"
#: What a time given in whole seconds leaves out of its second: answers show times cut to seconds.
_REST_OF_SECOND: Final = timedelta(microseconds=999_999)


async def create_batch(edge: Edge, call: Call) -> Answer:
    """Accept a batch; its objects are looked up after the answer."""
    bucket = await edge.store.bucket(call.bucket)
    request = parse_batch(await call.xml(edge.config.max_xml_bytes), max_bytes=edge.config.max_xml_bytes)
    batch = await service.create_batch(
        edge.ledger,
        edge.store,
        bucket,
        request,
        new_id=edge.new_id,
        check_callback=edge.check_callback,
        check_output=call.may_submit_to,
        retried_within_seconds=edge.retried_within_seconds(call),
    )
    return xml_answer(batch_response(call.request_id, batch_detail(batch), zone=edge.config.zone))


async def describe_batch(edge: Edge, call: Call) -> Answer:
    """Describe a batch; an unknown id is named and is no error, as with jobs."""
    bucket = await edge.store.bucket(call.bucket)
    try:
        batch = await service.describe_batch(edge.ledger, bucket, call.entry)
    except UnknownBatch:
        return xml_answer(batch_missing(call.request_id, call.entry))
    return xml_answer(batch_response(call.request_id, batch_detail(batch), zone=edge.config.zone))


async def list_batches(edge: Edge, call: Call) -> Answer:
    """List a page of a bucket's batches."""
    parameters = Parameters(call)
    bucket = await edge.store.bucket(call.bucket)
    states = parameters.choices("states", (_ALL, "Pause", *(state.value for state in BatchState)))
    kind = parameters.choice("type", ("Job", "Workflow"))
    until = parameters.moment("endCreationTime")
    token = parameters.text("nextToken")
    page = await edge.ledger.batches.page(
        bucket.name,
        BatchFilter(
            kind=kind,
            batch_id=parameters.text("jobId"),
            workflow_id=parameters.text("workflowId"),
            name_part=parameters.text("name"),
            # Queues are paused, batches are not: asked for those, there are none.
            states=(
                frozenset(BatchState)
                if _ALL in states or not states
                else frozenset(BatchState(state) for state in states if state != "Pause")
            ),
            since=parameters.moment("startCreationTime"),
            until=until + _REST_OF_SECOND if until is not None and until.microsecond == 0 else until,
            oldest_first=parameters.choice("orderByTime", ("Desc", "Asc")) == "Asc",
        ),
        after=None if token is None else read_token(token),
        limit=parameters.size(),
    )
    next_token = "" if page.next_position is None else write_token(*page.next_position)
    details = [batch_detail(batch) for batch in page.batches]
    return xml_answer(batch_list(call.request_id, details, next_token=next_token, zone=edge.config.zone))


async def cancel_batch(edge: Edge, call: Call) -> Answer:
    """Cancel a batch: `PUT /inventorytriggerjob/<id>` with or without `cancel` in the query."""
    require_cancel(call, "/inventorytriggerjob/<id>")
    bucket = await edge.store.bucket(call.bucket)
    await service.cancel_batch(edge.ledger, bucket, call.entry)
    return Answer()

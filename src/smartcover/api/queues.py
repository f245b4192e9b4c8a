"""Listing and changing queues. Clients can neither make nor delete one, as in the cloud; the operator can make more."""

from __future__ import annotations

from smartcover import service
from smartcover.api.call import Answer, Call, xml_answer
from smartcover.api.edge import Edge
from smartcover.api.parameters import Parameters
from smartcover.ledger import QueueState, queue_detail
from smartcover.protocol import QUEUE_CATEGORIES, QUEUE_STATES, parse_queue, queue_list, queue_response

_OTHER_CATEGORY = "SpeedTranscoding"
_ANY_STATE = "All"


async def list_queues(edge: Edge, call: Call) -> Answer:
    """List a bucket's queues; a bucket that is not bound, and the fast category, have none."""
    parameters = Parameters(call)
    bucket = await edge.store.bucket(call.bucket)
    wish = parameters.page()
    state = parameters.choice("state", (*QUEUE_STATES, _ANY_STATE))
    category = parameters.choice("category", QUEUE_CATEGORIES)
    ids = parameters.words("queueIds", most=edge.config.max_jobs_per_query)
    bound = await edge.ledger.bindings.is_bound(bucket.name)
    found = service.FoundQueues((), 0, unknown_ids=ids)
    if bound and category != _OTHER_CATEGORY:
        found = await service.list_queues(
            edge.ledger.queues,
            bucket,
            queue_ids=ids,
            state=None if state in (None, _ANY_STATE) else QueueState(state),
            skip=wish.skip,
            limit=wish.size,
        )
    return xml_answer(
        queue_list(
            call.request_id,
            [queue_detail(queue) for queue in found.queues],
            page=wish.of(found.total),
            unknown_ids=found.unknown_ids,
            zone=edge.config.zone,
        )
    )


async def change_queue(edge: Edge, call: Call) -> Answer:
    """Set a queue's name, state and receiver, all of them."""
    bucket = await edge.bound_bucket(call)
    body = await call.xml(edge.config.max_xml_bytes)
    request = parse_queue(body, max_bytes=edge.config.max_xml_bytes)
    queue = await service.change_queue(
        edge.ledger.queues, bucket, call.entry, request, check_callback=edge.check_callback
    )
    return xml_answer(queue_response(call.request_id, queue_detail(queue), zone=edge.config.zone))

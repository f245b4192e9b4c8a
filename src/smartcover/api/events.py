"""
The inlet for notifications of other stores: `POST /events/s3`.

Answered with 200 only once the events are stored, so that a store which keeps what it could not deliver (as MinIO and
the queues of AWS do) loses none, and one that tells again starts nothing again.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from smartcover.api.call import Answer, Headers, content_type
from smartcover.api.edge import Edge
from smartcover.api.limits import RequestBody
from smartcover.errors import SignatureMissing
from smartcover.ledger import NewUpload
from smartcover.protocol import parse_s3_events

Inlet = Callable[[Edge, Headers, RequestBody], Awaitable[Answer]]


async def receive_s3_events(edge: Edge, headers: Headers, body: RequestBody) -> Answer:
    """
    Store the object creations of a notification, each for the bucket of ours in which the object lies.

    Raises:
        SignatureMissing: If the token is not ours, or none is set.
    """
    _require_token(edge.config.events_token, headers)
    limit = edge.config.max_xml_bytes
    told = parse_s3_events(await body.whole(limit), max_bytes=limit)
    ours = [(place, event) for event in told if (place := edge.store.locate(event.bucket, event.key)) is not None]
    stored = await edge.ledger.workflows.note_uploads(
        [
            NewUpload(
                event_id=event.event_id,
                bucket=bucket,
                key=key,
                name=event.name,
                size_bytes=event.size_bytes,
                etag=event.etag,
                request_id=event.request_id,
                headers=event.headers,
                outside=True,
                happened_at=event.happened_at,
            )
            for (bucket, key), event in ours
        ]
    )
    answer = json.dumps({"objects": len(ours), "stored": stored}).encode() + b"\n"
    return Answer(headers=(content_type("application/json"),), body=answer)


def _require_token(token: str | None, headers: Headers) -> None:
    if token is None:
        raise SignatureMissing("No events are taken here; set SMARTCOVER_EVENTS_TOKEN on the server to take them")
    given = headers.text("authorization") or ""
    scheme, space, rest = given.partition(" ")
    # MinIO sends a token that holds a space as it is, and puts Bearer before any other.
    given = rest.strip() if space and scheme.lower() == "bearer" else given
    if not hmac.compare_digest(given.encode("latin-1", "replace"), token.encode("utf-8")):
        raise SignatureMissing("The Authorization header does not hold the token of SMARTCOVER_EVENTS_TOKEN")


OWN_INLETS: Final[Mapping[bytes, Inlet]] = MappingProxyType({b"/events/s3": receive_s3_events})
"""Raw path to what is posted there; these answer under the conditions of our own pages."""

"""
Our own pages beside the wire of CI and COS: liveness, readiness and metrics.

They answer only when the Host names no bucket and the request carries no signature, so that no object key is shadowed.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

from smartcover.api.call import Answer, content_type
from smartcover.api.edge import Edge
from smartcover.errors import BucketMissing, SmartCoverError

OwnPage = Callable[[Edge], Awaitable[Answer]]

#: A name that every store can look up and none holds: asking for it is the cheapest question.
_PROBE_BUCKET: Final = "readyz-probe"
#: Version 0.0.4 of the text format, which every scraper reads.
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


async def healthz(_edge: Edge) -> Answer:
    """Tell that this process answers."""
    return Answer(headers=(content_type("text/plain; charset=utf-8"),), body=b"ok\n")


async def readyz(edge: Edge) -> Answer:
    """Tell whether database and object store answer, as JSON; 503 if one does not."""
    parts = {"database": await _state(edge.ledger.ping), "storage": await _state(lambda: _ask_store(edge))}
    ready = all(state == "ok" for state in parts.values())
    body = json.dumps({"ready": ready, **parts}).encode() + b"\n"
    return Answer(200 if ready else 503, (content_type("application/json"),), body)


async def metrics(edge: Edge) -> Answer:
    """Give what this process counts, for Prometheus."""
    return Answer(headers=(content_type(_METRICS_TYPE),), body=edge.metrics())


OWN_PAGES: Final[Mapping[bytes, OwnPage]] = MappingProxyType(
    {b"/healthz": healthz, b"/readyz": readyz, b"/metrics": metrics}
)
"""Raw path to page; the console joins here."""


async def _ask_store(edge: Edge) -> None:
    try:
        await edge.store.bucket(_PROBE_BUCKET)
    except BucketMissing:
        return


async def _state(ask: Callable[[], Awaitable[None]]) -> str:
    try:
        await ask()
    except SmartCoverError as error:
        return error.public
    return "ok"

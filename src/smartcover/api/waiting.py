"""What the API's port answers before the process can work, while it waits for its database."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from starlette.types import ASGIApp, Receive, Scope, Send

from smartcover.api.application import last_headers, make_request_id
from smartcover.api.auth import carries_signature
from smartcover.api.call import Answer
from smartcover.api.errors import answer_error
from smartcover.api.labels import hosts_of, likely_server, trace_of
from smartcover.api.probes import OWN_PAGES, Probes
from smartcover.api.target import read_target
from smartcover.errors import LedgerUnavailable


def create_waiting(probes: Probes) -> ASGIApp:
    """Make the application that shows our own pages, and answers every call of a client with 503: try again."""

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        now = datetime.now(UTC)
        request_id = make_request_id(now, uuid4().hex)
        server = likely_server(scope["method"], _raw_target(scope), scope["query_string"], hosts_of(scope["headers"]))
        try:
            answer = await _answer(scope, probes)
        except Exception as error:  # noqa: BLE001 - answer_error is where every error becomes an answer
            trace_id = trace_of(server, request_id)
            answer = answer_error(error, resource=scope["path"], request_id=request_id, trace_id=trace_id)
        body = answer.body if isinstance(answer.body, bytes) else b""
        headers = last_headers(answer, now, server, request_id)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return application


async def _answer(scope: Scope, probes: Probes) -> Answer:
    target = read_target(_raw_target(scope), scope["query_string"], hosts_of(scope["headers"]))
    page = OWN_PAGES.get(target.raw_path)
    signed = carries_signature(scope["query_string"], list(scope["headers"]))
    # An object may have the name of a page: who signs or names a bucket does not mean ours.
    if page is None or signed or target.host_bucket is not None or scope["method"] not in ("GET", "HEAD"):
        raise LedgerUnavailable
    return await page(probes)


def _raw_target(scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw

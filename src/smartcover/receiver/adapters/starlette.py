"""An endpoint for Starlette and FastAPI."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from smartcover.errors import MalformedCallback, ReceiverError
from smartcover.receiver.dedupe import Seen, once
from smartcover.receiver.parse import MAX_CALLBACK_BYTES
from smartcover.receiver.receive import Received, receive, status_of
from smartcover.receiver.verify import DEFAULT_TOLERANCE_SECONDS

Handler = Callable[[Received], Awaitable[None] | None]


def callback_endpoint(
    handle: Handler,
    *,
    secrets: str | Iterable[str] = (),
    seen: Seen | None = None,
    tolerance_seconds: float = DEFAULT_TOLERANCE_SECONDS,
    max_bytes: int = MAX_CALLBACK_BYTES,
) -> Callable[[Request], Awaitable[Response]]:
    """
    Make an endpoint: `Route("/callback", callback_endpoint(handle), methods=["POST"])`, or in FastAPI
    `app.add_api_route("/callback", callback_endpoint(handle), methods=["POST"], status_code=204)`.

    Args:
        handle: Does the work; a plain function runs in a thread.
        secrets: `whsec_…`, one or several; none verifies nothing.
        seen: Where deliveries are remembered; with None, `handle` gets repetitions too.
    """
    keys = (secrets,) if isinstance(secrets, str) else tuple(secrets)

    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request, max_bytes)
            received = receive(
                body, request.headers, secrets=keys, tolerance_seconds=tolerance_seconds, max_bytes=max_bytes
            )
        except ReceiverError as error:
            return PlainTextResponse(error.public, status_of(error))
        if seen is None:
            await _call(handle, received)
        else:
            with once(seen, received.delivery_id) as new:
                if new:
                    await _call(handle, received)
        return Response(status_code=204)

    return endpoint


async def _call(handle: Handler, received: Received) -> None:
    if inspect.iscoroutinefunction(handle):
        await handle(received)
        return
    result = await run_in_threadpool(handle, received)
    if inspect.isawaitable(result):  # a partial or an object that wraps a coroutine function
        await result


async def _body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise MalformedCallback(f"the body is longer than {max_bytes} bytes")
    return bytes(body)

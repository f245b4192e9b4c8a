"""A view for Flask."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flask import Response, request

from smartcover.errors import ReceiverError
from smartcover.receiver.dedupe import Seen, once
from smartcover.receiver.parse import MAX_CALLBACK_BYTES
from smartcover.receiver.receive import Received, receive, status_of
from smartcover.receiver.verify import DEFAULT_TOLERANCE_SECONDS


def callback_view(
    handle: Callable[[Received], None],
    *,
    secrets: str | Iterable[str] = (),
    seen: Seen | None = None,
    tolerance_seconds: float = DEFAULT_TOLERANCE_SECONDS,
    max_bytes: int = MAX_CALLBACK_BYTES,
) -> Callable[[], Response]:
    """
    Make a view: `app.add_url_rule("/callback", "callback", callback_view(handle), methods=["POST"])`.

    Args:
        handle: Does the work.
        secrets: `whsec_…`, one or several; none verifies nothing.
        seen: Where deliveries are remembered; with None, `handle` gets repetitions too.
    """
    keys = (secrets,) if isinstance(secrets, str) else tuple(secrets)

    def view() -> Response:
        body = request.stream.read(max_bytes + 1)
        try:
            received = receive(
                body, dict(request.headers), secrets=keys, tolerance_seconds=tolerance_seconds, max_bytes=max_bytes
            )
        except ReceiverError as error:
            return Response(error.public, status_of(error), mimetype="text/plain")
        if seen is None:
            handle(received)
        else:
            with once(seen, received.delivery_id) as new:
                if new:
                    handle(received)
        return Response(status=204)

    return view

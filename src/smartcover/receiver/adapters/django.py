"""A view for Django."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

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
) -> Callable[[HttpRequest], HttpResponse]:
    """
    Make a view: `path("callback", callback_view(handle))`. It is exempt from CSRF: the sender is no browser.

    Args:
        handle: Does the work.
        secrets: `whsec_…`, one or several; none verifies nothing.
        seen: Where deliveries are remembered; with None, `handle` gets repetitions too.
    """
    keys = (secrets,) if isinstance(secrets, str) else tuple(secrets)

    def view(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        body = request.read(max_bytes + 1)
        try:
            received = receive(
                body, request.headers, secrets=keys, tolerance_seconds=tolerance_seconds, max_bytes=max_bytes
            )
        except ReceiverError as error:
            return HttpResponse(error.public, status=status_of(error), content_type="text/plain; charset=utf-8")
        if seen is None:
            handle(received)
        else:
            with once(seen, received.delivery_id) as new:
                if new:
                    handle(received)
        return HttpResponse(status=204)

    exempt: Callable[[HttpRequest], HttpResponse] = csrf_exempt(view)
    return exempt

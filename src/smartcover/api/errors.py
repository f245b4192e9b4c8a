"""The only place where an error becomes an answer. Handlers raise; nothing else in this room catches for a client."""

from __future__ import annotations

import structlog

from smartcover.api.call import Answer, HeaderPair, content_type
from smartcover.errors import SmartCoverError
from smartcover.protocol import XML_CONTENT_TYPE, error_document, http_status

_log = structlog.get_logger(__name__)

_MAX_RESOURCE_CHARACTERS = 1024
_INTERNAL = "InternalError"
_INTERNAL_TEXT = "Something went wrong in smartcover; the server's log tells more under the RequestId."


class RefusedWithHeaders(Exception):
    """Carries headers that belong into the answer of an error: Allow for a 405, Content-Range for a 416."""

    def __init__(self, error: SmartCoverError, headers: tuple[HeaderPair, ...]) -> None:
        super().__init__(str(error))
        self.error = error
        self.headers = headers


def answer_error(error: Exception, *, resource: str, request_id: str, trace_id: str | None = None) -> Answer:
    """
    Write the error document of any exception; a `trace_id` stands in a header too, as a HEAD shows no document.

    What is not ours is a mistake in this program: it is logged whole and tells the client nothing but the id under
    which the log has it.
    """
    headers: tuple[HeaderPair, ...] = ()
    if isinstance(error, RefusedWithHeaders):
        headers = error.headers
        error = error.error
    if isinstance(error, SmartCoverError):
        code, message = error.code, error.public
        status = _status_of(code)
        log = _log.warning if status >= 500 else _log.debug
        log("request failed", code=code, detail=error.detail, resource=resource)
        if status == 503:
            headers = (*headers, (b"retry-after", b"1"))
    else:
        code, message, status = _INTERNAL, _INTERNAL_TEXT, 500
        _log.error("unexpected error", resource=resource, exc_info=error)
    if trace_id is not None:
        headers = (*headers, (b"x-cos-trace-id", trace_id.encode()))
    body = error_document(code, message, resource[:_MAX_RESOURCE_CHARACTERS], request_id, trace_id=trace_id)
    return Answer(status=status, headers=(content_type(XML_CONTENT_TYPE), *headers), body=body)


def _status_of(code: str) -> int:
    try:
        return http_status(code)
    except LookupError:
        _log.error("error code without a status", code=code)
        return 500

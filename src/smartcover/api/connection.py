"""
The edge's own manners on a connection, below ASGI.

uvicorn answers bytes that are not HTTP with a line of text, waits for ever for the end of the headers, and for ever
for a client that does not read. Here the first gets the error document like any other wrong input, and both waits end.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from uuid import uuid4

import h11
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from smartcover.api.application import last_headers, make_request_id
from smartcover.api.config import EdgeConfig
from smartcover.api.errors import answer_error
from smartcover.api.labels import hosts_of, likely_server, resource_of, trace_of
from smartcover.errors import BadParameter, IncompleteBody, MissingHost, RequestTimedOut, SmartCoverError

#: How long we swallow what still comes after a refusal, so that the client reads our answer and not a reset.
_LINGER_SECONDS = 1.0
#: How much of h11's words a client is told; they may quote what it sent.
_LONGEST_REASON = 200
#: How h11 begins to say that HTTP/1.1 wants exactly one Host header.
_OF_HOST = ("Missing mandatory Host", "Found multiple Host")


def edge_protocol(
    config: EdgeConfig,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_hex: Callable[[], str] = lambda: uuid4().hex,
) -> type[H11Protocol]:
    """Make the protocol class to give to uvicorn as `http`."""

    class EdgeProtocol(_EdgeProtocol):
        edge_config = config

        def now(self) -> datetime:
            return clock().astimezone(UTC)

        def new_request_id(self) -> str:
            return make_request_id(clock(), new_hex())

    return EdgeProtocol


class _EdgeProtocol(H11Protocol):
    edge_config: EdgeConfig

    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _linger_timer: asyncio.TimerHandle | None = None
    _refused = False

    def now(self) -> datetime:
        """Give the time in UTC."""
        raise NotImplementedError

    def new_request_id(self) -> str:
        """Give a fresh request id."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_awaiting_headers()
        elif self._header_timer is None:
            self._await_headers()

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None:
            # The application sets Date and Server; uvicorn's own would stand there a second time.
            self.cycle.default_headers = []

    def eof_received(self) -> bool:  # type: ignore[override]
        """
        Go on after the client has closed its sending side, if it has sent a whole request: it may still listen.

        A client that is gone for good shows when we write.
        """
        if self._refused:
            return True
        if self.conn.their_state is h11.SEND_BODY:
            self._refuse(IncompleteBody("The body ended before the Content-Length sent"))
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(BadParameter("The request ended before its headers did"))
        elif self.cycle is None or self.cycle.response_complete:
            return False
        else:
            self.cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuse what h11 could not read; uvicorn calls this while it handles h11's error, and keeps that to itself."""
        fault = sys.exception()
        if getattr(fault, "error_status_hint", None) == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            limit_bytes = self.edge_config.max_header_bytes
            self._refuse(BadParameter(f"The request line and headers are larger than {limit_bytes} bytes"))
        elif str(fault).startswith(_OF_HOST):
            self._refuse(MissingHost("The request has no Host header, or several; send one"))
        else:
            why = str(fault)[:_LONGEST_REASON]
            self._refuse(BadParameter(f"The request cannot be read as HTTP/1.1: {why}"))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            seconds = self.edge_config.write_stall_timeout_seconds
            self._write_timer = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _await_headers(self) -> None:
        seconds = self.edge_config.body_idle_timeout_seconds
        self._header_timer = self.loop.call_later(seconds, self._on_header_timeout)

    def _stop_awaiting_headers(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _on_header_timeout(self) -> None:
        self._header_timer = None
        if self.conn.trailing_data[0]:
            self._refuse(RequestTimedOut("The request line and headers did not arrive in time"))
        else:
            self.transport.close()

    def _refuse(self, error: SmartCoverError) -> None:
        self._refused = True
        self._stop_awaiting_headers()
        self._unset_keepalive_if_required()
        unanswered = self.cycle is not None and not self.cycle.response_complete
        if unanswered:
            # The application is told that its client has left; whatever it still sends goes nowhere.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        scope = dict(self.cycle.scope) if unanswered else None
        self.transport.write(_refusal(error, scope, self.now(), self.new_request_id()))
        self._linger_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _cancel_timers(self) -> None:
        for timer in (self._header_timer, self._write_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        self._header_timer = self._write_timer = self._linger_timer = None


def _refusal(error: SmartCoverError, scope: Scope | None, now: datetime, request_id: str) -> bytes:
    """Write an answer by hand: after an error h11 knows neither the method nor the version that it would need."""
    server, resource = None, "/"
    if scope is not None:  # the request line and the headers were read
        server = likely_server(scope["method"], scope["raw_path"], scope["query_string"], hosts_of(scope["headers"]))
        resource = resource_of(scope["raw_path"])
    trace_id = trace_of(server, request_id)
    answer = answer_error(error, resource=resource, request_id=request_id, trace_id=trace_id)
    body = answer.body if isinstance(answer.body, bytes) else b""
    headers = last_headers(answer, now, server, request_id)
    status = HTTPStatus(answer.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}".encode(),
        *(name + b": " + value for name, value in headers),
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body

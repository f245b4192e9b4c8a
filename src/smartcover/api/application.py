"""The ASGI application: from a scope to a `Call`, through the handler, to an answer on the wire."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from importlib.metadata import version
from typing import Final
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smartcover.api.admin import PREFIX, create_admin
from smartcover.api.auth import authenticate, carries_signature, is_unsigned_form
from smartcover.api.call import Answer, Call, HeaderPair, Headers, Query
from smartcover.api.config import EdgeConfig, KeyRing
from smartcover.api.edge import Edge
from smartcover.api.errors import RefusedWithHeaders, answer_error
from smartcover.api.events import OWN_INLETS, Inlet
from smartcover.api.hosts import bad_bucket_name
from smartcover.api.labels import hosts_of, likely_server, resource_of, server_of, trace_of
from smartcover.api.limits import RequestBody, frame_of
from smartcover.api.metrics import HttpMetrics
from smartcover.api.probes import OWN_PAGES, OwnPage, Probes, check_database, check_store
from smartcover.api.routes import Route, find_route
from smartcover.api.target import RequestTarget, Target, locate, read_target
from smartcover.errors import BadBucketName, BadParameter, BucketMissing, MethodNotAllowed, SmartCoverError
from smartcover.ledger import CallbackTarget, Ledger
from smartcover.protocol import new_id
from smartcover.service import Access, SecretMaker
from smartcover.storage import BucketStore

_log = structlog.get_logger(__name__)

_BODILESS = frozenset({204, 304})
# uvicorn looks for exactly this spelling before it adds the header itself.
_SPELLINGS = {b"etag": b"ETag", b"connection": b"connection"}


def create_app(
    *,
    ledger: Ledger,
    store: BucketStore,
    keys: KeyRing,
    config: EdgeConfig,
    check_callback: Callable[[CallbackTarget], None],
    probes: Probes | None = None,
    metrics: HttpMetrics | None = None,
    secret_maker: SecretMaker | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    new_hex: Callable[[], str] = lambda: uuid4().hex,
) -> ASGIApp:
    """
    Make the application that answers CI calls, object calls and the probes on one port.

    It wants uvicorn with `http` set to `edge_protocol(config)`: other protocols hide absolute-form targets, answer
    broken requests without an error document, and wait for ever for clients that stop in the middle.

    Args:
        check_callback: Raises a `RequestError` for a place that no callback can go to, at submit.
        probes: What our own pages show; None checks database and store, and counts nothing.
        metrics: Who counts requests.
        secret_maker: Makes key pairs of teams through the admin API; None refuses that.
        new_hex: Gives 32 random hex digits.
    """
    edge = Edge(
        ledger=ledger,
        store=store,
        keys=keys,
        config=config,
        clock=clock,
        new_id=lambda letter: new_id(letter, new_hex()),
        check_callback=check_callback,
        probes=probes or Probes({"database": check_database(ledger), "storage": check_store(store)}),
        secret_maker=secret_maker,
    )
    return _Application(edge, new_hex, metrics or HttpMetrics(CollectorRegistry()))


def make_request_id(now: datetime, hex32: str) -> str:
    """Make a request id of the form the cloud shows: base64 of four hex words joined by `_`."""
    words = (f"{int(now.timestamp()) & 0xFFFFFFFF:08x}", hex32[:8], hex32[8:12], hex32[12:19])
    return base64.b64encode("_".join(words).encode()).decode()


def common_headers(now: datetime, server: bytes | None, request_id: str) -> list[HeaderPair]:
    """
    Make the headers of every answer: the SDKs correct their clock by Date, and look for an id of either name.

    Args:
        server: None for bytes of which it is unknown whom they were for.
    """
    return [
        (b"date", format_datetime(now.astimezone(UTC), usegmt=True).encode()),
        *([] if server is None else [(b"server", server)]),
        (b"x-cos-request-id", request_id.encode()),
        (b"x-ci-request-id", request_id.encode()),
    ]


def spelled(headers: Sequence[HeaderPair]) -> list[HeaderPair]:
    """
    Spell header names as the cloud does: `ETag`, `Content-Length`, and the `x-cos-…` in lower case.

    HTTP does not care, but the Python SDK gives them to its users in a plain dict, and they ask for `["ETag"]`.
    """
    return [(_SPELLINGS.get(name) or _title(name), value) for name, value in headers]


def last_headers(answer: Answer, now: datetime, server: bytes | None, request_id: str) -> list[HeaderPair]:
    """Make the headers of an answer whose body is bytes and after which the connection closes, as they are spelled."""
    length = len(answer.body) if isinstance(answer.body, bytes) else 0
    ending = [(b"content-length", str(length).encode()), (b"connection", b"close")]
    return spelled([*common_headers(now, server, request_id), *answer.headers, *ending])


def _title(name: bytes) -> bytes:
    return name if name.startswith(b"x-") else name.title()


_ADMIN: Final = PREFIX.encode() + b"/"


class _Seen:
    """What became of a request: the route that it found and the status that was sent, 0 when none was."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.route = "none"
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


class _Application:
    def __init__(self, edge: Edge, new_hex: Callable[[], str], metrics: HttpMetrics) -> None:
        self._edge = edge
        self._new_hex = new_hex
        self._metrics = metrics
        self._admin = create_admin(edge, version("smartcover"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = make_request_id(self._edge.clock(), self._new_hex())
        seen = _Seen(send)
        started = time.monotonic()
        self._metrics.began()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._answer(scope, receive, seen, request_id)
            finally:
                seconds = time.monotonic() - started
                self._metrics.ended(seen.route, scope["method"], seen.status, seconds)
                _log.debug(
                    "answered", method=scope["method"], route=seen.route, status=seen.status, seconds=round(seconds, 4)
                )

    async def _answer(self, scope: Scope, receive: Receive, seen: _Seen, request_id: str) -> None:
        raw_target: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        pairs: list[HeaderPair] = list(scope["headers"])
        body, framing_fault = self._body(receive, pairs)
        hosts = hosts_of(pairs)
        server = likely_server(scope["method"], raw_target, scope["query_string"], hosts)
        try:
            if framing_fault is not None:
                raise framing_fault
            self._check_headers(pairs)
            request_target = read_target(raw_target, scope["query_string"], hosts)
            path = request_target.raw_path
            own = request_target.host_bucket is None and not carries_signature(scope["query_string"], pairs)
            if own and (path + b"/").startswith(_ADMIN):
                seen.route = PREFIX
                await self._admin(scope, receive, seen.send)
                return
            if own and (path in OWN_PAGES or path in OWN_INLETS):
                seen.route = path.decode("ascii")
            if own and path in OWN_PAGES:
                answer = await self._own_page(scope["method"], OWN_PAGES[path])
            elif own and path in OWN_INLETS:
                answer = await self._own_inlet(scope["method"], OWN_INLETS[path], Headers(pairs), body)
            else:
                call = await self._call(scope["method"], request_target, pairs, body, request_id)
                server = server_of(call.target.kind)
                seen.route, route = find_route(call)
                answer = await self._by_right(call, route)
        except Exception as error:  # noqa: BLE001 - this is where every error becomes an answer
            trace_id = trace_of(server, request_id)
            answer = answer_error(error, resource=resource_of(raw_target), request_id=request_id, trace_id=trace_id)
        headers = common_headers(self._edge.clock(), server, request_id)
        await _send(scope, receive, seen.send, answer, headers, body)

    async def _call(
        self,
        method: str,
        request_target: RequestTarget,
        pairs: Sequence[HeaderPair],
        body: RequestBody,
        request_id: str,
    ) -> Call:
        edge = self._edge
        if request_target.misnamed_bucket is not None:
            raise bad_bucket_name(request_target.misnamed_bucket)
        candidate, default = request_target.path_bucket, edge.config.default_bucket
        # A form's signer is known only once it is read: until then no answer may depend on which buckets exist.
        target = locate(request_target, path_bucket_exists=True, default_bucket=default, method=method)
        if is_unsigned_form(method, request_target, target, pairs):
            # Signed in its fields, which its handler checks; no other handler sees a call without a SecretId.
            access = Access("")
        else:
            exists = candidate is not None and await self._exists(candidate)
            target = locate(request_target, path_bucket_exists=exists, default_bucket=default, method=method)
            target, access = self._signed(method, request_target, target, pairs)
        return Call(
            method=method,
            request_target=request_target,
            target=target,
            query=Query.read(request_target.raw_query),
            headers=Headers(pairs),
            body=body,
            request_id=request_id,
            access=access,
            max_page_size=edge.config.max_page_size,
            max_key_bytes=edge.config.max_key_bytes,
        )

    async def _by_right(self, call: Call, route: Route) -> Answer:
        # The signer of a form is known only once it is read; its handler asks then.
        if call.secret_id:
            call.access.require(route.right, None if route.anywhere else call.target.bucket)
        return await route.handler(self._edge, call)

    def _signed(
        self, method: str, request_target: RequestTarget, target: Target, pairs: Sequence[HeaderPair]
    ) -> tuple[Target, Access]:
        """Check the signature, and read the path as if there were no bucket that the signer cannot see."""
        candidate, default = request_target.path_bucket, self._edge.config.default_bucket
        # Without a default bucket the first segment can be nothing else, and whether it exists must not show.
        signed_without = candidate if default is None else target.path_bucket
        access = self._signer(method, request_target, signed_without, pairs)
        if candidate is None or access.covers(candidate):
            return target, access
        if default is None:
            access.require_bucket(candidate)
        target = locate(request_target, path_bucket_exists=False, default_bucket=default, method=method)
        return target, self._signer(method, request_target, None, pairs)

    def _signer(
        self,
        method: str,
        request_target: RequestTarget,
        path_bucket: str | None,
        pairs: Sequence[HeaderPair],
    ) -> Access:
        edge = self._edge
        identity = authenticate(
            method,
            request_target,
            path_bucket,
            pairs,
            keys=edge.keys,
            now_seconds=int(edge.clock().timestamp()),
            config=edge.config,
        )
        return edge.keys.access_of(identity.secret_id)

    def _check_headers(self, pairs: Sequence[HeaderPair]) -> None:
        # uvicorn's limit counts what has not been parsed yet, so headers that arrive at once can pass it.
        size_bytes = sum(len(name) + len(value) for name, value in pairs)
        config = self._edge.config
        if len(pairs) > config.max_headers or size_bytes > config.max_header_bytes:
            raise BadParameter(
                f"The request has {len(pairs)} headers of {size_bytes} bytes; the limits are {config.max_headers} and "
                f"{config.max_header_bytes}"
            )

    async def _exists(self, bucket: str) -> bool:
        try:
            await self._edge.store.bucket(bucket)
        except (BucketMissing, BadBucketName):
            return False
        return True

    async def _own_page(self, method: str, page: OwnPage) -> Answer:
        if method not in ("GET", "HEAD"):
            raise RefusedWithHeaders(MethodNotAllowed("This page is read with GET"), ((b"allow", b"GET, HEAD"),))
        return await page(self._edge.probes)

    async def _own_inlet(self, method: str, inlet: Inlet, headers: Headers, body: RequestBody) -> Answer:
        if method != "POST":
            raise RefusedWithHeaders(MethodNotAllowed("This page is written to with POST"), ((b"allow", b"POST"),))
        return await inlet(self._edge, headers, body)

    def _body(self, receive: Receive, pairs: Sequence[HeaderPair]) -> tuple[RequestBody, SmartCoverError | None]:
        headers = Headers(pairs)
        size_bytes, chunked, fault = None, True, None
        try:
            size_bytes, chunked = frame_of(headers.text("content-length"), headers.text("transfer-encoding"))
        except SmartCoverError as error:
            fault = error
        config = self._edge.config
        body = RequestBody(
            receive,
            size_bytes=size_bytes,
            chunked=chunked,
            idle_timeout_seconds=config.body_idle_timeout_seconds,
            min_bytes_per_second=config.body_min_bytes_per_second,
            client_waits=any(name.lower() == b"expect" for name, _ in pairs),
        )
        return body, fault


async def _send(
    scope: Scope, receive: Receive, send: Send, answer: Answer, headers: list[HeaderPair], body: RequestBody
) -> None:
    headers = [*headers, *answer.headers]
    closing = body.unread
    if closing:
        headers.append((b"connection", b"close"))
    try:
        if isinstance(answer.body, bytes):
            content = b"" if scope["method"] == "HEAD" or answer.status in _BODILESS else answer.body
            if answer.status not in _BODILESS and not any(name == b"content-length" for name, _ in headers):
                headers.append((b"content-length", str(len(content)).encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": spelled(headers)})
            if closing:
                # The answer is whole with these bytes; the connection stays open only to swallow what is on its way.
                await send({"type": "http.response.body", "body": content, "more_body": True})
                await body.swallow()
                content = b""
            await send({"type": "http.response.body", "body": content, "more_body": False})
        else:
            await send({"type": "http.response.start", "status": answer.status, "headers": spelled(headers)})
            await _stream(receive, send, answer.body)
    finally:
        await answer.close()


async def _stream(receive: Receive, send: Send, chunks: AsyncIterator[bytes]) -> None:
    # send() says nothing when the client has left; receive() does, and a video need not be read to nobody.
    gone = asyncio.create_task(_until_disconnect(receive))
    try:
        async for chunk in chunks:
            if gone.done():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return

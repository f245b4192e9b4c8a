"""Deliveries to test with: a ledger in memory, and receivers on real sockets that behave as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from smartcover.errors import LedgerUnavailable
from smartcover.ledger import AttemptReport, CallbackTarget, Delivery, DeliveryState

_NUMBERS = itertools.count(1)


def a_delivery(url: str, *, destination: str | None = None, body: bytes = b"<Response/>", **changes: Any) -> Delivery:
    """Make a pending delivery that is due."""
    number = next(_NUMBERS)
    made = Delivery(
        delivery_id=f"d{number:08d}",
        job_id=f"j{number:032x}",
        bucket="test-1250000000",
        target=CallbackTarget(url=url),
        destination=destination or "/".join(url.split("/")[:3]),
        content_type="application/xml",
        body=body,
        state=DeliveryState.PENDING,
        tries=0,
        created_at=datetime.now(UTC),
        next_at=datetime.now(UTC),
    )
    return replace(made, **changes)


@dataclass(slots=True)
class _Row:
    delivery: Delivery
    due: float
    claimed_until: float = 0.0


@dataclass(slots=True)
class MemoryLedger:
    """The part of the ledger that the dispatcher uses, in memory and on the monotonic clock."""

    rows: dict[str, _Row] = field(default_factory=dict)
    reports: dict[str, list[AttemptReport]] = field(default_factory=dict)
    #: The waits before the next try that were asked for, one for each report.
    waits: dict[str, list[float | None]] = field(default_factory=dict)
    away: bool = False
    releases: int = 0
    claims: int = 0
    most_in_flight: dict[str, int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def owe(self, *deliveries: Delivery) -> None:
        for delivery in deliveries:
            self.rows[delivery.delivery_id] = _Row(delivery, time.monotonic())
        self._changed.set()

    def state(self, delivery_id: str) -> DeliveryState:
        return self.rows[delivery_id].delivery.state

    def count(self, state: DeliveryState) -> int:
        return sum(row.delivery.state is state for row in self.rows.values())

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for a condition; fail after the time."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)

    async def until_ended(self, seconds: float = 10.0) -> None:
        await self.until(lambda: self.count(DeliveryState.PENDING) == 0, seconds)

    async def claim_deliveries(
        self, *, limit: int, lease_seconds: float, per_destination: int, avoid: Collection[str] = ()
    ) -> list[Delivery]:
        self._check()
        self.claims += 1
        now = time.monotonic()
        flying: dict[str, int] = {}
        for row in self.rows.values():
            if row.delivery.state is DeliveryState.PENDING and row.claimed_until > now:
                flying[row.delivery.destination] = flying.get(row.delivery.destination, 0) + 1
        claimed: list[Delivery] = []
        for row in sorted(self.rows.values(), key=lambda row: row.due):
            place = row.delivery.destination
            if row.delivery.state is not DeliveryState.PENDING or row.due > now or row.claimed_until > now:
                continue
            if place in avoid or flying.get(place, 0) >= per_destination or len(claimed) >= limit:
                continue
            flying[place] = flying.get(place, 0) + 1
            self.most_in_flight[place] = max(self.most_in_flight.get(place, 0), flying[place])
            row.claimed_until = now + lease_seconds
            row.delivery = replace(row.delivery, tries=row.delivery.tries + 1)
            claimed.append(row.delivery)
        return claimed

    async def release_delivery(self, delivery_id: str, *, delay_seconds: float) -> None:
        self._check()
        self.releases += 1
        row = self.rows[delivery_id]
        row.claimed_until, row.due = 0.0, time.monotonic() + delay_seconds
        row.delivery = replace(row.delivery, tries=row.delivery.tries - 1)

    async def record_attempt(
        self,
        delivery_id: str,
        report: AttemptReport,
        *,
        state: DeliveryState,
        retry_in_seconds: float | None,
        reason: str,
    ) -> None:
        self._check()
        row = self.rows[delivery_id]
        self.reports.setdefault(delivery_id, []).append(report)
        self.waits.setdefault(delivery_id, []).append(retry_in_seconds)
        row.claimed_until = 0.0
        row.due = time.monotonic() + (retry_in_seconds or 0.0)
        row.delivery = replace(row.delivery, state=state, reason=reason)

    async def expire_deliveries(self, *, older_than_seconds: float, reason: str) -> list[Delivery]:
        self._check()
        limit = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        expired = []
        for row in self.rows.values():
            waits = row.delivery.state is DeliveryState.PENDING and row.claimed_until <= time.monotonic()
            if waits and not row.delivery.redelivery and row.delivery.created_at < limit:
                row.delivery = replace(row.delivery, state=DeliveryState.EXHAUSTED, reason=reason)
                expired.append(row.delivery)
        return expired

    async def next_due_seconds(self) -> float | None:
        self._check()
        now = time.monotonic()
        waiting = [
            max(row.due, row.claimed_until) - now
            for row in self.rows.values()
            if row.delivery.state is DeliveryState.PENDING
        ]
        return min(waiting, default=None)

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[MemoryLedger]:
        yield self

    async def wait(self, kind: str, timeout_seconds: float) -> None:
        assert kind == "deliveries"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._changed.wait()
        self._changed.clear()

    def _check(self) -> None:
        if self.away:
            raise LedgerUnavailable


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came over the wire."""

    line: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[["Receiver", Received, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int = 200, *headers: str, body: bytes = b"thanks") -> Behaviour:
    """Answer each request with this."""

    async def behave(
        receiver: Receiver, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        lines = [f"HTTP/1.1 {status} Word", f"Content-Length: {len(body)}", "Connection: close", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Behave differently for each request; the last one stays."""

    async def behave(
        receiver: Receiver, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        now = behaviours[min(len(receiver.received), len(behaviours)) - 1]
        await now(receiver, received, reader, writer)

    return behave


async def hang(
    receiver: Receiver, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Never answer; wait until the sender leaves."""
    await reader.read()


async def reset(
    receiver: Receiver, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Cut the connection instead of answering."""
    writer.transport.abort()


@dataclass(slots=True)
class Receiver:
    """A receiver of callbacks on a real socket."""

    behaviour: Behaviour
    port: int = 0
    received: list[Received] = field(default_factory=list)
    open_now: int = 0
    most_open: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/cb"

    def ids(self) -> set[str]:
        return {request.headers["webhook-id"] for request in self.received}

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            request = Received(head[0], headers, body)
            self.received.append(request)
            await self.behaviour(self, request, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_now -= 1
            writer.close()


@contextlib.asynccontextmanager
async def receiving(behaviour: Behaviour, *, host: str = "127.0.0.1", tls: Any = None) -> AsyncIterator[Receiver]:
    """Run a receiver for as long as the block lasts."""
    receiver = Receiver(behaviour)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(receiver.handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, host, 0, ssl=tls, backlog=1024)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

"""
One try of a callback to a message queue: the stored bytes, handed to the operator's broker, and what came of it.

The broker is named by the operator and may stand in a private network: the guard of callback URLs does not apply.
All tries share one connection; a fault of the broker drops it, and the next try makes a new one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from smartcover.callbacks.broker_url import Broker, place_of
from smartcover.callbacks.brokers import NotTaken, Outgoing, Publisher, make_publisher
from smartcover.callbacks.egress import EgressPolicy, check_literal
from smartcover.callbacks.sender import error_text
from smartcover.callbacks.signing import signature_headers
from smartcover.callbacks.tls import tls_context
from smartcover.errors import BadParameter
from smartcover.ledger import AttemptReport, CallbackTarget, Delivery

_log = structlog.get_logger(__name__)

_CLOSE_SECONDS: Final = 3.0


def check_target(target: CallbackTarget, policy: EgressPolicy, broker: Broker | None) -> None:
    """
    Refuse at submit what no try could deliver: a literal address that is blocked, or a queue without a broker.

    Raises:
        BadParameter: With the setting that would allow it.
    """
    if target.kind != "TDMQ":
        check_literal(target.url or "", policy)
        return
    if broker is None:
        raise BadParameter(
            "the callback is to go to a message queue (TDMQ), and this server has no broker: its operator sets "
            "SMARTCOVER_BROKER_URL to one (amqp, nats, redis, kafka or mqtt); or give Url and an address"
        )
    place_of(broker, target.mq_name or "")


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """
    How callbacks are published.

    Args:
        connect_timeout_seconds: Longest wait for a connection.
        timeout_seconds: Longest time of one whole try.
        ca_file: Certificates to trust instead of the system's.
        signing_keys: Keys of Standard Webhooks signatures, newest first; none sends no signature.
    """

    broker: Broker
    connect_timeout_seconds: float = 5.0
    timeout_seconds: float = 15.0
    ca_file: Path | None = None
    signing_keys: tuple[bytes, ...] = ()


class QueueSender:
    """
    Publishes deliveries to their queues and topics; open it with `async with`. A broker that is away is no fault then.

    Args:
        now: The clock, aware; its time goes into signatures.

    Raises:
        SettingsError: If the broker's client is not installed, or the CA file cannot be read.
    """

    def __init__(self, config: QueueConfig, *, now: Callable[[], datetime]) -> None:
        self._config = config
        self._now = now
        self._tls = tls_context(config.ca_file)
        self._make()  # tells of a missing package at start and not at the first try
        self._open: Publisher | None = None
        self._opening: asyncio.Task[Publisher] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def _make(self) -> Publisher:
        return make_publisher(self._config.broker, self._tls)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        self._drop(self._open)
        await asyncio.gather(*self._closing)

    async def send(self, delivery: Delivery) -> AttemptReport:
        """Try a delivery once. Never raises for what the broker does: a failed try is a result."""
        started = time.monotonic()
        broker = self._config.broker
        try:
            message = self._message(delivery)
        except BadParameter as fault:
            return AttemptReport("bad_target", time.monotonic() - started, broker.label, error=fault.public)
        publisher: Publisher | None = None
        outcome, text = "ok", ""
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                publisher = await self._connected()
                await publisher.publish(message)
        except NotTaken as fault:
            outcome, text = "connection", f"the broker did not take it: {fault}"
        except TimeoutError:
            outcome = "timed_out"
            awaited = "connection" if publisher is None else "acknowledgement"
            text = f"no {awaited} after {time.monotonic() - started:.1f} s"
            self._drop(publisher)
        except _Unreachable as fault:
            outcome, text = fault.outcome, str(fault)
        except Exception as fault:
            # Only what the client is known to raise is the broker's doing; anything else is ours and goes up.
            self._drop(publisher)
            if publisher is None or not isinstance(fault, publisher.faults):
                raise
            outcome, text = _fault(fault)
        return AttemptReport(outcome, time.monotonic() - started, broker.label, error=self._error_text(text) or None)

    def _message(self, delivery: Delivery) -> Outgoing:
        target = delivery.target
        # An operator who asks for one more try wants one more message, also where the broker drops repetitions.
        asked = f".{delivery.tries}" if delivery.redelivery else ""
        return Outgoing(
            place=place_of(self._config.broker, target.mq_name or ""),
            topic=target.mq_mode == "Topic",
            body=delivery.body,
            content_type=delivery.content_type,
            headers=signature_headers(
                delivery.body, delivery_id=delivery.delivery_id, now=self._now(), keys=self._config.signing_keys
            ),
            message_id=delivery.delivery_id + asked,
        )

    async def _connected(self) -> Publisher:
        """Give the connection, made by the first who asks; all who wait for it hear of its failure together."""
        if self._open is not None:
            return self._open
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._connect(), name="connect to broker")
            self._opening.add_done_callback(_look_at)
        return await asyncio.shield(self._opening)

    async def _connect(self) -> Publisher:
        publisher = self._make()
        try:
            async with asyncio.timeout(self._config.connect_timeout_seconds):
                await publisher.open()
        except TimeoutError as fault:
            self._discard(publisher)
            text = f"no connection after {self._config.connect_timeout_seconds:g} s"
            raise _Unreachable("timed_out", text) from fault
        except publisher.faults as fault:
            self._discard(publisher)
            raise _Unreachable(*_fault(fault)) from fault
        except BaseException:
            self._discard(publisher)
            raise
        self._open = publisher
        return publisher

    def _drop(self, publisher: Publisher | None) -> None:
        """Let a connection go that failed; the tries that share it find that out by themselves."""
        if publisher is None or publisher is not self._open:
            return
        self._open = None
        self._discard(publisher)

    def _discard(self, publisher: Publisher) -> None:
        task = asyncio.create_task(_close(publisher), name="close broker connection")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _error_text(self, text: str) -> str:
        """Give `error_text` without the broker's password."""
        password = self._config.broker.password
        if password:
            text = text.replace(password, "***")
        return error_text(text)


class _Unreachable(Exception):
    """No connection to the broker; `outcome` is that of the try."""

    def __init__(self, outcome: str, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome


def _look_at(task: asyncio.Task[Publisher]) -> None:
    """Take note of a failure that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


async def _close(publisher: Publisher) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await publisher.close()
    except Exception as fault:  # noqa: BLE001 - a connection that is given up may end in any way
        _log.debug("a broker's connection did not close in order", error=f"{type(fault).__name__}: {fault}")


def _fault(fault: BaseException) -> tuple[str, str]:
    if isinstance(fault, socket.gaierror):
        return "dns", str(fault)
    if isinstance(fault, ssl.SSLError):
        return "tls", str(fault)
    return "connection", str(fault) or type(fault).__name__

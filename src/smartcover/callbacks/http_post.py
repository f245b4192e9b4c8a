"""
One try of a callback over HTTP: the stored bytes, posted to an address that was checked, and what came of it.

Nothing that a receiver does may cost more than one socket, the time of one try and a few kilobytes: the answer is
capped while it is read, never unpacked, and redirects are not followed (each would be a new target to judge). Every
try opens a connection of its own, so that none fails because an earlier one left an idle connection behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from socket import AddressFamily
from types import TracebackType
from typing import Any, Final, Self, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from smartcover.callbacks.addresses import IpAddress
from smartcover.callbacks.egress import EgressPolicy, Lookup, SystemLookup, resolve
from smartcover.callbacks.schedule import parse_retry_after
from smartcover.callbacks.sender import error_text
from smartcover.callbacks.signing import signature_headers
from smartcover.callbacks.target import Target, parse_target
from smartcover.callbacks.tls import tls_context, untrusted
from smartcover.errors import BadParameter
from smartcover.ledger import AttemptReport, Delivery

#: Of an answer, what is kept for the operator; what is read so that an honest receiver sees no broken connection;
#: and how long an answer's end is waited for once its status is known.
ANSWER_KEPT_BYTES: Final = 1024
ANSWER_READ_BYTES: Final = 64 * 1024
ANSWER_SECONDS: Final = 2.0

#: Of an answer, what is kept as it came in case that it cannot be read; and so the longest header that is.
_HEARD_BYTES: Final = 16 * 1024
_HEAD_ENDS: Final = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")


@dataclass(slots=True)
class _Pinned:
    """Of one try: the addresses vetted for it, the one that was connected to last, and how the answer began."""

    addresses: tuple[IpAddress, ...] = ()
    last: str | None = None
    heard: bytes = b""


_pinned: ContextVar[_Pinned | None] = ContextVar("smartcover_pinned_addresses", default=None)


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """
    How callbacks are posted.

    Args:
        connect_timeout_seconds: Longest wait until a connection stands, its name lookup and TLS included.
        timeout_seconds: Longest time of one whole try.
        ca_file: Certificates to trust instead of the system's.
        signing_keys: Keys of Standard Webhooks signatures, newest first; none sends no signature.
    """

    policy: EgressPolicy
    user_agent: str
    connect_timeout_seconds: float = 5.0
    timeout_seconds: float = 15.0
    ca_file: Path | None = None
    signing_keys: tuple[bytes, ...] = ()


class HttpSender:
    """
    Posts deliveries to their URLs; open it with `async with`.

    Args:
        now: The clock, aware; its time goes into signatures.
        lookup: Name resolution; the operating system's when not given.

    Raises:
        SettingsError: If the CA file cannot be read.
    """

    def __init__(self, config: HttpConfig, *, now: Callable[[], datetime], lookup: Lookup | None = None) -> None:
        self._config = config
        self._now = now
        self._tls = tls_context(config.ca_file)
        self._lookup = lookup or SystemLookup()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=_PinnedResolver(),
            use_dns_cache=False,
            socket_factory=_pinned_socket,
            force_close=True,
            limit=0,
            ssl=self._tls,
        )
        # aiohttp takes no protocol of one's own; the test of answers that break HTTP holds that it takes this one.
        connector._factory = cast("partial[ResponseHandler]", partial(_Listener, loop=asyncio.get_running_loop()))
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            max_field_size=_HEARD_BYTES,
            skip_auto_headers=("Accept", "Accept-Encoding"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, delivery: Delivery) -> AttemptReport:
        """Try a delivery once. Never raises for what the target or the network does: a failed try is a result."""
        started = time.monotonic()
        try:
            target = parse_target(delivery.target.url or "")
        except BadParameter as fault:
            return AttemptReport("bad_target", time.monotonic() - started, error=error_text(fault.public))
        pinned = _Pinned()
        token = _pinned.set(pinned)
        try:
            async with asyncio.timeout(self._config.timeout_seconds):
                async with asyncio.timeout(self._config.connect_timeout_seconds):
                    pinned.addresses = await resolve(target, self._config.policy, self._lookup)
                return await self._post(delivery, target, pinned, started)
        except BadParameter as fault:
            return AttemptReport("refused", time.monotonic() - started, error=error_text(fault.public))
        except TimeoutError:
            spent = time.monotonic() - started
            awaited = "answer" if pinned.addresses else f"address of {target.host}"
            return AttemptReport("timed_out", spent, pinned.last, error=f"no {awaited} after {spent:.1f} s")
        except OSError as fault:  # of the lookup; _post makes reports of its own
            return AttemptReport("dns", time.monotonic() - started, error=error_text(f"{target.host}: {fault}"))
        finally:
            _pinned.reset(token)

    async def _post(self, delivery: Delivery, target: Target, pinned: _Pinned, started: float) -> AttemptReport:
        assert self._session is not None, "HttpSender is used inside `async with` only"
        now = self._now()
        headers = {"Content-Type": delivery.content_type, "User-Agent": self._config.user_agent}
        headers |= signature_headers(
            delivery.body, delivery_id=delivery.delivery_id, now=now, keys=self._config.signing_keys
        )
        url = URL(target.url, encoded=True)
        if url.raw_host != target.host or url.port != target.port:  # two readers of one URL must agree
            return AttemptReport("bad_target", time.monotonic() - started, error=f"{target.origin} is ambiguous")
        left = max(0.001, self._config.connect_timeout_seconds - (time.monotonic() - started))
        try:
            async with self._session.post(
                url,
                data=delivery.body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=left, ceil_threshold=math.inf),
            ) as answer:
                duration = time.monotonic() - started
                # Ends before the time of the whole try does: the status has decided by now.
                head = await _read_head(answer, min(ANSWER_SECONDS, 0.9 * (self._config.timeout_seconds - duration)))
                answer.close()  # not drained: what a receiver sends beyond the cap is its own affair
        except aiohttp.ServerTimeoutError:
            text = f"no connection after {self._config.connect_timeout_seconds:g} s"
            return AttemptReport("timed_out", time.monotonic() - started, pinned.last, error=text)
        except TimeoutError:
            raise  # the time of the whole try is up
        except aiohttp.ClientResponseError as fault:
            return _unreadable(pinned, fault, time.monotonic() - started)
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            outcome, text = _fault(fault)
            return AttemptReport(outcome, time.monotonic() - started, pinned.last, error=error_text(text))
        return AttemptReport(
            outcome="ok" if 200 <= answer.status < 300 else "http",
            duration_seconds=duration,
            address=pinned.last,
            http_status=answer.status,
            error=_redirect_text(answer),
            answer_head=head,
            retry_after_seconds=parse_retry_after(answer.headers.get("Retry-After"), now),
        )


class _PinnedResolver(AbstractResolver):
    """Gives the client the addresses that were vetted for this very try, and none to anybody else."""

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        pinned = _pinned.get()
        if pinned is None or not pinned.addresses:
            raise PermissionError(f"no address of {host} was vetted for this try")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=AddressFamily.AF_INET6 if isinstance(address, IPv6Address) else AddressFamily.AF_INET,
                proto=0,
                flags=0,
            )
            for address in pinned.addresses
        ]

    async def close(self) -> None:
        """Hold nothing."""


def _pinned_socket(info: tuple[Any, ...]) -> socket.socket:
    """Make the socket of one connection, which is the last place to see that it goes where it was vetted to go."""
    family, kind, protocol, _, place = info
    pinned = _pinned.get()
    if pinned is None or ip_address(place[0]) not in pinned.addresses:
        raise PermissionError(f"{place[0]} was not vetted for this try")
    pinned.last = f"[{place[0]}]:{place[1]}" if ":" in place[0] else f"{place[0]}:{place[1]}"
    return socket.socket(family, kind, protocol)


class _Listener(ResponseHandler):
    """Keeps how the answer begins, before it is read as HTTP."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._kept = _pinned.get() or _Pinned()

    def data_received(self, data: bytes) -> None:
        self._kept.heard += data[: _HEARD_BYTES - len(self._kept.heard)]
        super().data_received(data)


def _unreadable(pinned: _Pinned, fault: aiohttp.ClientResponseError, duration_seconds: float) -> AttemptReport:
    """
    Tell what an answer means that breaks HTTP: what its status says, if its headers came whole.

    A receiver that says 204 with a body, or 200 with two lengths, has taken the callback, and would take it with each
    try of a day again.
    """
    status = _status_of(pinned.heard)
    said = fault.message.removesuffix("^")  # aiohttp points at the place with it, in a line of its own
    return AttemptReport(
        outcome="connection" if status is None else "ok" if 200 <= status < 300 else "http",
        duration_seconds=duration_seconds,
        address=pinned.last,
        http_status=status,
        error=error_text(f"the answer is not HTTP: {said}" if status is None else f"the answer breaks HTTP: {said}"),
        answer_head=pinned.heard[:ANSWER_KEPT_BYTES],
    )


def _status_of(heard: bytes) -> int | None:
    """Read the status that stands over headers which came to their end; None if there is none."""
    while (line := _STATUS_LINE.match(heard)) and (end := _HEAD_ENDS.search(heard)):
        if not line[1].startswith(b"1"):
            return int(line[1])
        heard = heard[end.end() :]  # behind an interim answer
    return None


async def _read_head(answer: aiohttp.ClientResponse, seconds: float) -> bytes:
    """
    Read the start of an answer, a little of the rest, and no more.

    A body that never ends, or breaks off, is no reason to deliver again what a 2xx has accepted.
    """
    head = bytearray()
    read = 0
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError, ValueError):
        async with asyncio.timeout(seconds):
            while read < ANSWER_READ_BYTES:
                chunk = await answer.content.read(ANSWER_READ_BYTES - read)
                if not chunk:
                    break
                read += len(chunk)
                head += chunk[: ANSWER_KEPT_BYTES - len(head)]
    return bytes(head)


def _fault(fault: Exception) -> tuple[str, str]:
    if isinstance(fault, aiohttp.ClientConnectorCertificateError):
        return "tls", untrusted(fault.certificate_error)
    if isinstance(fault, aiohttp.ClientSSLError | ssl.SSLError):
        met = getattr(fault, "os_error", fault)
        no_tls = getattr(met, "reason", None) == "WRONG_VERSION_NUMBER"
        return "tls", f"{met}{'; most likely the receiver speaks no TLS at this port' if no_tls else ''}"
    if isinstance(fault, aiohttp.ClientConnectorError):
        return "connection", str(fault.os_error)
    if isinstance(fault, aiohttp.ServerDisconnectedError):
        return "connection", "the receiver closed the connection without an answer"
    return "connection", str(fault) or type(fault).__name__


def _redirect_text(answer: aiohttp.ClientResponse) -> str | None:
    if not 300 <= answer.status < 400:
        return None
    return error_text(f"redirects are not followed; Location: {answer.headers.get('Location', 'none')}")

"""The HTTP edge as a part of a process: its listener, its server and its limits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from smartcover import api
from smartcover.errors import SettingsError
from smartcover.settings import Settings


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; port 0 takes any free one."""

    host: str
    port: int


def listen(address: Address, option: str = "") -> socket.socket:
    """
    Take the address before anything else is started; `option` is how the command line names it.

    Raises:
        SettingsError: If it cannot be had.
    """
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns Nagle's delay off only for sockets that say they are TCP. With it, an answer whose head and
        # body are written apart waits for the client's delayed acknowledgement: 40 ms for nothing.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(1024)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {address.host}:{address.port}: {error.strerror or error}; "
            f"choose another --{option}host or --{option}port"
        ) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket, address: Address) -> str:
    """Say where a listener is reached."""
    return f"http://{address.host}:{listener.getsockname()[1]}"


def edge_config(settings: Settings) -> api.EdgeConfig:
    """Give the edge its part of the settings."""
    return api.EdgeConfig(
        region=settings.region,
        default_bucket=settings.default_bucket,
        clock_skew_seconds=settings.auth_clock_skew_seconds,
        require_signed_host=settings.auth_require_signed_host,
        max_object_bytes=settings.max_object_bytes,
        max_xml_bytes=settings.max_xml_bytes,
        max_header_bytes=settings.max_header_bytes,
        body_idle_timeout_seconds=settings.body_idle_timeout_seconds,
        body_min_bytes_per_second=settings.body_min_bytes_per_second,
        write_stall_timeout_seconds=settings.write_stall_timeout_seconds,
        max_headers=settings.max_headers,
        max_key_bytes=settings.max_key_bytes,
        max_jobs_per_query=settings.max_jobs_per_query,
        max_page_size=settings.max_page_size,
        max_templates_per_bucket=settings.max_templates_per_bucket,
        idempotency_key_seconds=settings.idempotency_key_seconds,
        sdk_retry_seconds=settings.sdk_retry_seconds,
        events_token=settings.events_token.get_secret_value() if settings.events_token else None,
        time_zone_offset_minutes=settings.time_zone_offset_minutes,
    )


class HttpServer(uvicorn.Server):
    """uvicorn without its own signal handlers: the process stops in the order that it says itself."""

    def __init__(self, application: Any, edge: api.EdgeConfig, *, grace_seconds: float) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=api.edge_protocol(edge),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                proxy_headers=False,
                h11_max_incomplete_event_size=edge.max_header_bytes,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=grace_seconds,  # type: ignore[arg-type] # it is a time for asyncio.wait_for
            )
        )
        #: Set once requests are answered.
        self.ready = asyncio.Event()

    async def run_until(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Answer requests until `stop` is set, then take no more and let those under way end within the grace time."""
        serving = asyncio.create_task(self.serve(sockets=[listener]), name="http server")
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self.should_exit = True
            await serving
        except asyncio.CancelledError:  # the second signal: no grace
            self.force_exit = True
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            raise
        finally:
            stopping.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving(application: Any, listener: socket.socket, edge: api.EdgeConfig) -> AsyncIterator[None]:
    """Answer requests for as long as the block lasts, from its begin."""
    server = HttpServer(application, edge, grace_seconds=1.0)
    stop = asyncio.Event()
    task = asyncio.create_task(server.run_until(listener, stop), name="probes")
    try:
        await server.ready.wait()
        yield
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)

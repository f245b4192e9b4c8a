"""
The composition root: the one place where rooms meet and settings become plain values.

`serve` is every role in one process tree: the embedded PostgreSQL as a child, the HTTP edge, the worker and the
dispatcher in this process, and engine children below it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path
from random import SystemRandom
from typing import Any
from uuid import uuid4

import asyncpg
import structlog
import uvicorn

from smartcover import api, callbacks
from smartcover.app.credentials import KeyPair, OneKeyPair, first_key_pair
from smartcover.errors import SettingsError, StorageError
from smartcover.ledger import EmbeddedPostgres, Job, Ledger, NewDelivery, upgrade
from smartcover.service import create_bucket
from smartcover.settings import Settings
from smartcover.storage import LocalStore
from smartcover.worker import EngineLimits, EngineRunner, Worker, WorkerConfig

_log = structlog.get_logger(__name__)

#: Seconds between two sweeps of blobs that nothing refers to.
_STORE_SWEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; port 0 takes any free one."""

    host: str
    port: int


async def serve(
    settings: Settings, data: Path, address: Address, *, on_ready: Callable[[str, KeyPair, Path | None], None]
) -> None:
    """
    Run everything until SIGINT or SIGTERM, then stop in order and leave nothing running.

    Args:
        data: The folder that holds all state; made if absent.
        on_ready: Called once requests are answered, with the URL, the key pair and the file that holds it.

    Raises:
        SettingsError: If the folder, the address or a setting cannot be used.
    """
    stop = asyncio.Event()
    _stop_on_signals(stop)
    data = _made(data)
    listener = _listen(address)
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        keys, key_file = first_key_pair(settings, data)
        dsn = await stack.enter_async_context(_database(settings, data))
        await upgrade(dsn)
        ledger = await Ledger.connect(dsn, pool_size=settings.database_pool_size)
        stack.push_async_callback(ledger.close)
        # A pool of its own: publishing covers happens inside a ledger transaction, and two users of one
        # exhausted pool would wait for each other for ever.
        pool = await asyncpg.create_pool(dsn, min_size=0, max_size=settings.database_pool_size)
        stack.push_async_callback(pool.close)
        store = LocalStore(data / "objects", pool, max_object_bytes=settings.max_object_bytes)
        for name in settings.buckets:
            await create_bucket(store, ledger, name, settings.region)
        policy = callbacks.EgressPolicy(allow=settings.callback_allow, ports=settings.callback_ports)
        edge = _edge(settings)
        application = api.create_app(
            ledger=ledger,
            store=store,
            keys=OneKeyPair(keys),
            config=edge,
            check_callback=lambda url: callbacks.check_literal(url, policy),
        )
        server = _http_server(settings, application, edge)
        engine = _engine(settings)
        stack.callback(engine.close)
        worker = _worker(settings, ledger, store, engine)
        dispatcher = _dispatcher(settings, ledger, policy)
        url = f"http://{address.host}:{listener.getsockname()[1]}"
        parts = {
            "http": server.serve(sockets=[listener]),
            "worker": worker.run(stop),
            "callbacks": dispatcher.run(stop),
            "sweep": _sweep(store, stop),
        }
        await _run_until_stopped(parts, server, stop, lambda: on_ready(url, keys, key_file))


async def _run_until_stopped(
    parts: dict[str, Coroutine[Any, Any, None]],
    server: _Server,
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Run the parts until `stop`; one that ends before is a fault that ends the process, never a half-dead server."""
    tasks = {asyncio.create_task(part, name=name) for name, part in parts.items()}
    watch = asyncio.create_task(stop.wait())
    try:
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({ready, watch, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            on_ready()
        ready.cancel()
        await asyncio.wait({watch, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        clean = stop.is_set()
        stop.set()
        server.should_exit = True
        watch.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    faults = [result for result in results if isinstance(result, BaseException)]
    if faults:
        raise faults[0]
    if not clean:
        raise SettingsError("a part of the server ended by itself; see the log above")


@contextlib.asynccontextmanager
async def _database(settings: Settings, data: Path) -> AsyncIterator[str]:
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    embedded = EmbeddedPostgres(data / "postgres")
    dsn = await embedded.start()
    try:
        yield dsn
    finally:
        await embedded.stop()


def _made(data: Path) -> Path:
    try:
        data.mkdir(parents=True, exist_ok=True)
        return data.resolve()
    except OSError as error:
        raise SettingsError(f"--data {data} cannot be used: {error.strerror}; choose another folder") from error


def _listen(address: Address) -> socket.socket:
    try:
        family = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(1024)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {address.host}:{address.port}: {error.strerror or error}; "
            "choose another --host or --port"
        ) from error
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: this process stops in the order that `serve` says."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _http_server(settings: Settings, application: Any, edge: api.EdgeConfig) -> _Server:
    return _Server(
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
            h11_max_incomplete_event_size=settings.max_header_bytes,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=5,
        )
    )


def _edge(settings: Settings) -> api.EdgeConfig:
    return api.EdgeConfig(
        region=settings.region,
        default_bucket=settings.default_bucket,
        clock_skew_seconds=settings.auth_clock_skew_seconds,
        require_signed_host=settings.auth_require_signed_host,
        max_object_bytes=settings.max_object_bytes,
        max_xml_bytes=settings.max_xml_bytes,
        max_header_bytes=settings.max_header_bytes,
        body_idle_timeout_seconds=settings.body_idle_timeout_seconds,
        max_jobs_per_query=settings.max_jobs_per_query,
        time_zone_offset_minutes=settings.time_zone_offset_minutes,
    )


def _engine(settings: Settings) -> EngineRunner:
    return EngineRunner(
        limits=EngineLimits(
            seconds=settings.job_timeout_seconds,
            memory_bytes=settings.job_memory_bytes,
            max_pixels=settings.max_video_pixels,
        ),
        concurrency=settings.worker_concurrency,
    )


def _worker(settings: Settings, ledger: Ledger, store: LocalStore, engine: EngineRunner) -> Worker:
    def deliveries_of(job: Job) -> list[NewDelivery]:
        owed = callbacks.task_finish_delivery(
            job,
            delivery_id=str(uuid4()),
            zone_offset_minutes=settings.time_zone_offset_minutes,
            json_array=settings.callback_json_array,
            md5_info=settings.callback_md5_info,
        )
        return [owed] if owed else []

    config = WorkerConfig(
        worker_id=f"{socket.gethostname()}-{uuid4().hex[:8]}",
        concurrency=settings.worker_concurrency,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.job_max_attempts,
        grace_seconds=settings.shutdown_grace_seconds,
    )
    return Worker(ledger, store, engine, config=config, deliveries_of=deliveries_of)


def _dispatcher(settings: Settings, ledger: Ledger, policy: callbacks.EgressPolicy) -> callbacks.Dispatcher:
    secret = settings.callback_secret.get_secret_value() if settings.callback_secret else None
    sender = callbacks.HttpSender(
        callbacks.HttpConfig(
            policy=policy,
            user_agent=f"smartcover/{package_version('smartcover')}",
            connect_timeout_seconds=settings.callback_connect_timeout_seconds,
            timeout_seconds=settings.callback_timeout_seconds,
            ca_file=settings.callback_ca_file,
            signing_keys=callbacks.read_secrets(secret),
        ),
        now=lambda: datetime.now(UTC),
    )
    config = callbacks.DispatchConfig(
        schedule=callbacks.Schedule(settings.callback_schedule, jitter=settings.callback_jitter),
        concurrency=settings.callback_concurrency,
        per_destination=settings.callback_concurrency_per_destination,
        lease_seconds=settings.callback_timeout_seconds + 10.0,
        grace_seconds=settings.callback_timeout_seconds + 1.0,
        gate=callbacks.GateConfig(rate_per_second=settings.callback_rate_per_destination),
    )
    return callbacks.Dispatcher(ledger, {"Url": sender}, config=config, random=SystemRandom())


async def _sweep(store: LocalStore, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await store.sweep()
        except StorageError as error:
            _log.warning("cannot sweep the store", error=error.public, detail=error.detail)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _STORE_SWEEP_SECONDS)


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

"""
Running roles: any of the HTTP edge, the worker and the dispatcher in this process, until it is told to stop.

`smartcover serve` is all of them with a database of its own; `api`, `worker` and `dispatcher` are one each, on a
database and a store that they share. Any number of each may run, and any may be killed at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from smartcover import api, callbacks
from smartcover.app.credentials import KeyPair, first_key_pair
from smartcover.app.database_wait import DatabaseWait, StoppedWhileWaiting
from smartcover.app.foundation import Foundation, foundation
from smartcover.app.http import Address, HttpServer, edge_config, listen, serving, url_of
from smartcover.app.keyring import TeamKeyRing, secret_maker
from smartcover.app.metrics import HouseMetrics, Metrics, metrics_without_ledger
from smartcover.app.parts import (
    broker_of,
    egress_policy,
    keep_house,
    make_batch_loop,
    make_dispatcher,
    make_engine,
    make_trigger_loop,
    make_worker,
)
from smartcover.app.readiness import checks
from smartcover.errors import LedgerUnavailable, SettingsError
from smartcover.ledger import unusable
from smartcover.service import SecretMaker, ensure_bucket
from smartcover.settings import Settings
from smartcover.worker import EngineRunner, WorkerMetrics

_log = structlog.get_logger(__name__)


class Role(StrEnum):
    """What a process does."""

    API = "api"
    WORKER = "worker"
    DISPATCHER = "dispatcher"


#: Called once everything runs, with the URL of the API, the key pair, the file that holds it, and the URL of the pages
#: of a process without API; each is None where there is none.
Ready = Callable[[str | None, KeyPair | None, Path | None, str | None], None]


async def serve(
    settings: Settings, data: Path | None, roles: Collection[Role], address: Address, *, on_ready: Ready
) -> None:
    """
    Run roles until SIGINT or SIGTERM, then stop in order and leave nothing running.

    Args:
        data: The folder that holds all state of a server that is complete in itself; made if absent. None for roles
            on a shared database and store.
        address: Where the API listens, if it is one of the roles.

    Raises:
        SettingsError: If the folder, the address or a setting cannot be used.
        LedgerUnavailable: If the database stayed away for longer than the start waits.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    _stop_on_signals(stop, hurry)
    try:
        await _serve(settings, None if data is None else _made(data), roles, address, on_ready, stop, hurry)
    except StoppedWhileWaiting:
        _log.info("stopped", reason="signal, while the database was away")


async def _serve(
    settings: Settings,
    folder: Path | None,
    roles: Collection[Role],
    address: Address,
    on_ready: Ready,
    stop: asyncio.Event,
    hurry: asyncio.Event,
) -> None:
    async with AsyncExitStack() as stack:
        parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        url: str | None = None
        probes_url: str | None = None
        keys: KeyPair | None = None
        key_file: Path | None = None
        server: HttpServer | None = None
        engine: EngineRunner | None = None
        listener = listen(address) if Role.API in roles else None
        probes_listener = None
        if listener is not None:
            stack.callback(listener.close)
            keys, key_file = first_key_pair(settings, folder)
        elif settings.metrics_port is not None:
            probes_address = Address(settings.metrics_host, settings.metrics_port)
            probes_listener = listen(probes_address, "metrics-")
            stack.callback(probes_listener.close)
            probes_url = url_of(probes_listener, probes_address)
        wait = DatabaseWait(
            settings.database_wait_seconds,
            stop=stop,
            meanwhile=partial(_waiting_pages, settings, listener or probes_listener),
        )
        slots = settings.worker_concurrency if set(roles) == {Role.WORKER} else None
        base = await stack.enter_async_context(foundation(settings, folder, wait, slots=slots))
        needs_store = Role.API in roles or Role.WORKER in roles
        metrics = Metrics(
            base.ledger.database,
            base.pools,
            cancelled_jobs=lambda: base.ledger.cancelled_jobs,
            folder=base.folder if needs_store else None,
        )
        if Role.WORKER in roles:
            engine = make_engine(settings)
            stack.callback(engine.close)
            counter = WorkerMetrics(metrics.registry, slots=settings.worker_concurrency)
            parts["worker"] = partial(make_worker(settings, base.ledger, base.store, engine, counter).run, stop)
            parts["batches"] = partial(make_batch_loop(settings, base.ledger, base.store).run, stop)
            parts["triggers"] = partial(make_trigger_loop(base.ledger, base.store).run, stop)
            house = HouseMetrics(metrics.registry)
            parts["housekeeping"] = partial(keep_house, settings, base.ledger, base.store, house, stop)
        if Role.DISPATCHER in roles:
            observer = callbacks.DispatchMetrics(metrics.registry)
            parts["callbacks"] = partial(make_dispatcher(settings, base.ledger, observer).run, stop)
        probes = api.Probes(checks(base, stop, store=needs_store, engine=engine), metrics.page)
        if listener is not None and keys is not None:
            maker = secret_maker(settings, folder)
            ring = TeamKeyRing(keys, base.ledger.keys, maker)
            await wait.through(ring.load)
            parts["keys"] = partial(ring.run, stop)
            for name in settings.buckets:
                await wait.through(partial(ensure_bucket, base.store, base.ledger, name, settings.region))
            server = _api(settings, base, ring, maker, probes, api.HttpMetrics(metrics.registry))
            url = url_of(listener, address)
            parts["http"] = partial(server.run_until, listener, stop)
        if probes_listener is not None:
            # Not one of the parts: it says that the process is stopping until the last of them has ended.
            pages = api.create_probes(probes)
            await stack.enter_async_context(serving(pages, probes_listener, edge_config(settings)))
        ready = server.ready.wait() if server is not None else asyncio.sleep(0)
        await _run_until_stopped(parts, ready, stop, hurry, lambda: on_ready(url, keys, key_file, probes_url))


@contextlib.asynccontextmanager
async def _waiting_pages(settings: Settings, listener: socket.socket | None) -> AsyncIterator[None]:
    """Show on the process' own port that it lives, and that its database is away."""
    if listener is None:
        yield
        return

    async def away() -> None:
        raise LedgerUnavailable("the database is away; waiting for it")

    pages = api.create_waiting(api.Probes({"database": away}, metrics_without_ledger))
    async with serving(pages, listener.dup(), edge_config(settings)):
        yield


def _api(
    settings: Settings,
    base: Foundation,
    ring: TeamKeyRing,
    maker: SecretMaker | None,
    probes: api.Probes,
    metrics: api.HttpMetrics,
) -> HttpServer:
    policy, broker = egress_policy(settings), broker_of(settings)
    edge = edge_config(settings)
    application = api.create_app(
        ledger=base.ledger,
        store=base.store,
        keys=ring,
        config=edge,
        check_callback=lambda target: callbacks.check_target(target, policy, broker),
        probes=probes,
        metrics=metrics,
        secret_maker=maker,
    )
    return HttpServer(application, edge, grace_seconds=settings.shutdown_grace_seconds)


async def _run_until_stopped(
    parts: dict[str, Callable[[], Coroutine[Any, Any, None]]],
    ready: Coroutine[Any, Any, object],
    stop: asyncio.Event,
    hurry: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """
    Run the parts until `stop` and let each end in order, or at once with `hurry`.

    One that ends before is a fault that ends the process, never a half-dead server.
    """
    tasks = {asyncio.create_task(part(), name=name) for name, part in parts.items()}
    watch = asyncio.create_task(stop.wait())
    rush = asyncio.create_task(hurry.wait())
    up = asyncio.create_task(ready)
    try:
        await asyncio.wait({up, watch, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        if up.done():
            on_ready()
        await asyncio.wait({watch, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        clean = stop.is_set()
        stop.set()
        watch.cancel()
        up.cancel()
        _log.info("stopping", reason="signal" if clean else "a part ended")
        ending = asyncio.create_task(asyncio.wait(tasks))
        await asyncio.wait({ending, rush}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            _log.warning("stopping at once: a second signal came", parts=[t.get_name() for t in tasks if not t.done()])
            for task in tasks:
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        rush.cancel()
        ending.cancel()
    faults = [result for result in results if isinstance(result, BaseException)]
    if faults and not hurry.is_set():
        raise faults[0]
    if not clean:
        raise SettingsError("a part of the server ended by itself; see the log above")
    _log.info("stopped")


def _made(data: Path) -> Path:
    try:
        data.mkdir(parents=True, exist_ok=True)
        return data.resolve()
    except OSError as error:
        raise unusable(data, error) from error


def _stop_on_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """Let the first SIGINT or SIGTERM begin the stop, the second one end the waiting, and the third one kill."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def heed() -> None:
        if not stop.is_set():
            stop.set()
            return
        hurry.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, heed)

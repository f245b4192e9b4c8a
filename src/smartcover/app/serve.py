"""
Running roles: any of the HTTP edge, the worker and the dispatcher in this process, until it is told to stop.

`smartcover serve` is all of them with a database of its own; `api`, `worker` and `dispatcher` are one each, on a
database and a store that they share. Any number of each may run, and any may be killed at any time.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection, Coroutine
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from smartcover import api, callbacks
from smartcover.app.credentials import KeyPair, OneKeyPair, first_key_pair
from smartcover.app.foundation import Foundation, foundation
from smartcover.app.http import Address, HttpServer, edge_config, listen
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
from smartcover.errors import SettingsError
from smartcover.service import create_bucket
from smartcover.settings import Settings


class Role(StrEnum):
    """What a process does."""

    API = "api"
    WORKER = "worker"
    DISPATCHER = "dispatcher"


#: Called once everything runs, with the URL, the key pair and the file that holds it, each None where there is none.
Ready = Callable[[str | None, KeyPair | None, Path | None], None]


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
    """
    stop = asyncio.Event()
    registry = CollectorRegistry()
    _stop_on_signals(stop)
    folder = None if data is None else _made(data)
    async with AsyncExitStack() as stack:
        parts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        url: str | None = None
        keys: KeyPair | None = None
        key_file: Path | None = None
        server: HttpServer | None = None
        listener = listen(address) if Role.API in roles else None
        if listener is not None:
            stack.callback(listener.close)
            keys, key_file = first_key_pair(settings, folder)
        base = await stack.enter_async_context(foundation(settings, folder))
        if listener is not None and keys is not None:
            server = await _api(settings, base, keys, lambda: generate_latest(registry))
            url = f"http://{address.host}:{listener.getsockname()[1]}"
            parts["http"] = partial(server.run_until, listener, stop)
        if Role.WORKER in roles:
            engine = make_engine(settings)
            stack.callback(engine.close)
            parts["worker"] = partial(make_worker(settings, base.ledger, base.store, engine).run, stop)
            parts["batches"] = partial(make_batch_loop(base.ledger, base.store).run, stop)
            parts["triggers"] = partial(make_trigger_loop(base.ledger, base.store).run, stop)
            parts["housekeeping"] = partial(keep_house, settings, base.ledger, base.store, stop)
        if Role.DISPATCHER in roles:
            counter = callbacks.DispatchMetrics(registry)
            parts["callbacks"] = partial(make_dispatcher(settings, base.ledger, counter).run, stop)
        ready = server.ready.wait() if server is not None else asyncio.sleep(0)
        await _run_until_stopped(parts, ready, stop, lambda: on_ready(url, keys, key_file))


async def _api(settings: Settings, base: Foundation, keys: KeyPair, metrics: Callable[[], bytes]) -> HttpServer:
    for name in settings.buckets:
        await create_bucket(base.store, base.ledger, name, settings.region)
    policy, broker = egress_policy(settings), broker_of(settings)
    edge = edge_config(settings)
    application = api.create_app(
        ledger=base.ledger,
        store=base.store,
        keys=OneKeyPair(keys),
        config=edge,
        check_callback=lambda target: callbacks.check_target(target, policy, broker),
        metrics=metrics,
    )
    return HttpServer(application, edge)


async def _run_until_stopped(
    parts: dict[str, Callable[[], Coroutine[Any, Any, None]]],
    ready: Coroutine[Any, Any, object],
    stop: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Run the parts until `stop`; one that ends before is a fault that ends the process, never a half-dead server."""
    tasks = {asyncio.create_task(part(), name=name) for name, part in parts.items()}
    watch = asyncio.create_task(stop.wait())
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
        results = await asyncio.gather(*tasks, return_exceptions=True)
    faults = [result for result in results if isinstance(result, BaseException)]
    if faults:
        raise faults[0]
    if not clean:
        raise SettingsError("a part of the server ended by itself; see the log above")


def _made(data: Path) -> Path:
    try:
        data.mkdir(parents=True, exist_ok=True)
        return data.resolve()
    except OSError as error:
        raise SettingsError(f"--data {data} cannot be used: {error.strerror}; choose another folder") from error


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

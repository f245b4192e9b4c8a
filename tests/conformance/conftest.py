"""The HTTP edge over the store on disk and PostgreSQL, or in memory, and the official Python SDK pointed at it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import uvicorn

from smartcover.api import EdgeConfig, create_app, edge_protocol
from smartcover.ledger import Ledger
from smartcover.storage import LocalStore
from tests.edge_server import BUCKET, REGION, SECRET_ID, SECRET_KEY, Keys, RunningEdge, refuse_blocked, running_edge
from tests.objects_database import object_dsn

__all__ = ["object_dsn"]

#: How the SDK's configuration can point at a server of one's own; {port} is the server's.
MODES: dict[str, dict[str, Any]] = {
    "domain": {"Domain": "127.0.0.1:{port}"},
    "domain with bucket": {"Domain": f"127.0.0.1:{{port}}/{BUCKET}"},
    "ip": {"IP": "127.0.0.1", "Port": "{port}"},
    "ip with endpoint": {"IP": "127.0.0.1", "Port": "{port}", "Endpoint": f"ci.{REGION}.myqcloud.com"},
    "ip with domain": {"IP": "127.0.0.1", "Port": "{port}", "Domain": f"{BUCKET}.ci.{REGION}.myqcloud.com"},
    "proxy": {"Proxies": {"http": "http://127.0.0.1:{port}"}},
}


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    """The HTTP edge over a store in memory, for the tests of one module; some modules have one of their own."""
    with running_edge(EdgeConfig(region=REGION, default_bucket=BUCKET)) as running:
        yield running


@dataclass(frozen=True)
class Server:
    """A server that listens on 127.0.0.1; its default bucket is BUCKET."""

    port: int
    root: Path

    def config(self, mode: str, **more: Any) -> Any:
        """Give the SDK's configuration for one of MODES."""
        qcloud_cos = pytest.importorskip("qcloud_cos")
        filled = {
            name: {key: text.format(port=self.port) for key, text in value.items()}
            if isinstance(value, dict)
            else value.format(port=self.port)
            for name, value in MODES[mode].items()
        }
        known = {"Region": REGION, "SecretId": SECRET_ID, "SecretKey": SECRET_KEY, "Scheme": "http", "Timeout": 20}
        return qcloud_cos.CosConfig(**{**known, **filled, **more})


def start_server(dsn: str, root: Path) -> tuple[Server, Callable[[], None]]:
    """Serve from a thread with its own event loop; gives the server and what stops it."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = EdgeConfig(region=REGION, default_bucket=BUCKET)
    started = threading.Event()
    servers: list[uvicorn.Server] = []
    failures: list[BaseException] = []

    async def serve() -> None:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=8) as pool:
            store = LocalStore(root, pool, reserve_bytes=0)
            await store.create_bucket(BUCKET, REGION)
            ledger = await Ledger.connect(dsn, pool_size=4)
            await ledger.default_queue(BUCKET)
            application = create_app(
                ledger=ledger, store=store, keys=Keys(), config=config, check_callback=refuse_blocked
            )
            server = uvicorn.Server(
                uvicorn.Config(
                    application,
                    http=edge_protocol(config),
                    ws="none",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    timeout_graceful_shutdown=1,
                )
            )
            servers.append(server)
            task = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started and not task.done():
                await asyncio.sleep(0.01)
            started.set()
            await task
            await ledger.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(30), "the server did not start"
    if failures:
        raise failures[0]

    def stop() -> None:
        servers[0].should_exit = True
        thread.join(20)
        listener.close()
        if failures:
            raise failures[0]

    return Server(listener.getsockname()[1], root), stop


@pytest.fixture(scope="module")
def server(object_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a module; a test uses keys or buckets of its own."""
    running, stop = start_server(object_dsn, tmp_path_factory.mktemp("objects"))
    yield running
    stop()


@pytest.fixture(params=list(MODES))
def mode(request: pytest.FixtureRequest) -> str:
    """Each way of pointing the SDK at the server."""
    name: str = request.param
    return name


def close(client: Any) -> None:
    """End the connections that the SDK's client keeps open."""
    client._session.close()

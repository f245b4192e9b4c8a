"""`smartcover api`, `worker` and `dispatcher`: one role each, on a database and a store that all of them share."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from smartcover.app.credentials import KeyPair
from smartcover.app.http import Address
from smartcover.app.logs import configure_logs, log_strange_variables
from smartcover.app.serve import Role
from smartcover.app.serve import serve as run_roles
from smartcover.settings import read_settings


def api(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 = every interface.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 = any free one.")] = 8460,
) -> None:
    """
    Answer requests only; workers and dispatchers run elsewhere on the same database and store.

    Needs SMARTCOVER_DATABASE_URL, SMARTCOVER_STORAGE and the key pair in SMARTCOVER_SECRET_ID and _KEY.
    """
    _run(Role.API, Address(host, port))


_MetricsHost = Annotated[str | None, typer.Option(help="Address of /metrics and /readyz (SMARTCOVER_METRICS_HOST).")]
_MetricsPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port of /metrics and /readyz; 0 = any free one (SMARTCOVER_METRICS_PORT)."),
]


def worker(metrics_host: _MetricsHost = None, metrics_port: _MetricsPort = None) -> None:
    """
    Make covers only; any number of workers share the jobs.

    Needs SMARTCOVER_DATABASE_URL and SMARTCOVER_STORAGE.
    """
    _run(Role.WORKER, Address("", 0), metrics_host, metrics_port)


def dispatcher(metrics_host: _MetricsHost = None, metrics_port: _MetricsPort = None) -> None:
    """
    Deliver callbacks only; any number of dispatchers share the deliveries.

    Needs SMARTCOVER_DATABASE_URL and SMARTCOVER_STORAGE.
    """
    _run(Role.DISPATCHER, Address("", 0), metrics_host, metrics_port)


def _run(role: Role, address: Address, metrics_host: str | None = None, metrics_port: int | None = None) -> None:
    settings = read_settings(metrics_host=metrics_host, metrics_port=metrics_port)
    configure_logs(settings)
    log_strange_variables()

    def announce(url: str | None, keys: KeyPair | None, key_file: Path | None, probes: str | None) -> None:
        shown = f"; its pages are at {probes}" if probes else ""
        said = f"answers at {url}" if url else f"is ready{shown}"
        print(f"smartcover {role.value} {said}", flush=True)

    asyncio.run(run_roles(settings, None, {role}, address, on_ready=announce))

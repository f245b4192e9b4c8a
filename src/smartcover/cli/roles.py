"""`smartcover api`, `worker` and `dispatcher`: one role each, on a database and a store that all of them share."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from smartcover.app import Address, KeyPair, Role, configure_logs
from smartcover.app import serve as run_roles
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


def worker() -> None:
    """
    Make covers only; any number of workers share the jobs.

    Needs SMARTCOVER_DATABASE_URL and SMARTCOVER_STORAGE.
    """
    _run(Role.WORKER, Address("", 0))


def dispatcher() -> None:
    """
    Deliver callbacks only; any number of dispatchers share the deliveries.

    Needs SMARTCOVER_DATABASE_URL and SMARTCOVER_STORAGE.
    """
    _run(Role.DISPATCHER, Address("", 0))


def _run(role: Role, address: Address) -> None:
    settings = read_settings()
    configure_logs(settings)

    def announce(url: str | None, keys: KeyPair | None, key_file: Path | None) -> None:
        print(f"smartcover {role.value} answers at {url}" if url else f"smartcover {role.value} is ready", flush=True)

    asyncio.run(run_roles(settings, None, {role}, address, on_ready=announce))

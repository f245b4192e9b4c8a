"""`smartcover serve`: the whole service in one process tree."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from smartcover.app.credentials import KeyPair
from smartcover.app.http import Address
from smartcover.app.logs import configure_logs, log_strange_variables
from smartcover.app.serve import Role
from smartcover.app.serve import serve as serve_all
from smartcover.settings import read_settings


def serve(
    data: Annotated[Path, typer.Option(help="Folder for all state: database, objects, keys.")] = Path(
        "smartcover-data"
    ),
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 = every interface.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 = any free one.")] = 8460,
    bucket: Annotated[list[str] | None, typer.Option(help="Bucket to make at start; may be repeated.")] = None,
) -> None:
    """
    Run the whole service: API, worker and callbacks, with its database.

    Everything lives under --data; nothing needs to be installed or started first.
    Stop it with Ctrl-C; a kill at any moment loses nothing that was accepted.
    """
    settings = read_settings(buckets=tuple(bucket) if bucket else None)
    configure_logs(settings)
    log_strange_variables()

    def announce(url: str | None, keys: KeyPair | None, key_file: Path | None, _probes: str | None) -> None:
        assert keys is not None
        console = Console(highlight=False)
        console.print(f"smartcover answers at {url}", soft_wrap=True)
        console.print(f"  SecretId   {keys.secret_id}", soft_wrap=True)
        console.print(
            f"  SecretKey  {f'in {key_file}' if key_file else 'as set in SMARTCOVER_SECRET_KEY'}", soft_wrap=True
        )
        console.print(f"  data       {data.resolve()}", soft_wrap=True)

    asyncio.run(serve_all(settings, data, tuple(Role), Address(host, port), on_ready=announce))

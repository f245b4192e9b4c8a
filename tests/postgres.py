"""
Databases for tests: one PostgreSQL for the whole run, a database of the newest schema for whoever asks.

The embedded PostgreSQL serves, or with SMARTCOVER_TEST_DATABASE_URL the server there, on which each run makes
databases of its own and drops them at the end. Suites that hold the SQL itself to its promises run on every one of
`SERVERS`: on the embedded one, and on the named one too.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from smartcover.ledger import EmbeddedPostgres, upgrade

T = TypeVar("T")

_OUTSIDE_URL = os.environ.get("SMARTCOVER_TEST_DATABASE_URL")
SERVERS = ("embedded", "outside") if _OUTSIDE_URL else ("embedded",)


class Cluster:
    """One PostgreSQL of the run, reached through an event loop in a thread of its own."""

    def __init__(self, server: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._folder = Path(tempfile.mkdtemp(prefix="smartcover-tests-"))
        self._made: list[str] = []
        self.embedded: EmbeddedPostgres | None = None
        if server == "outside":
            assert _OUTSIDE_URL is not None
            self._dsn = _OUTSIDE_URL
        else:
            self.embedded = EmbeddedPostgres(self._folder / "postgres")
            self._dsn = self.run(self.embedded.start())
        self._template = self._make(None)
        self.run(upgrade(self.dsn_of(self._template)))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the cluster's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(150)

    def dsn_of(self, name: str) -> str:
        """Name a database of this cluster."""
        return urlsplit(self._dsn)._replace(path=f"/{name}").geturl()

    def make_database(self) -> str:
        """Make a database of the newest schema and give its DSN."""
        return self.dsn_of(self._make(self._template))

    def make_empty_database(self) -> str:
        """Make a database without a schema and give its DSN."""
        return self.dsn_of(self._make(None))

    def stop(self) -> None:
        """Remove what was made."""
        if self.embedded is not None:
            self.run(self.embedded.stop())
        else:
            for name in reversed(self._made):
                self.run(self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make(self, template: str | None) -> str:
        name = f"smartcover_test_{uuid4().hex}"
        self.run(self._execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else "")))
        self._made.append(name)
        return name

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def cluster(server: str = SERVERS[-1]) -> Cluster:
    """Give one of the run's servers, started at the first call: the outside one if there is one, or as asked."""
    return _started(server)


@functools.cache
def _started(server: str) -> Cluster:
    started = Cluster(server)
    atexit.register(started.stop)
    return started

"""A database with the objects' tables for each module that imports `object_dsn` or `object_pool` into its conftest."""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import asyncpg
import pytest

from smartcover.ledger import EmbeddedPostgres, upgrade

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
T = TypeVar("T")


class Cluster:
    """One PostgreSQL for the whole run, kept by an event loop in a thread of its own."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="smartcover-objects-"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._postgres = EmbeddedPostgres(self._folder / "postgres")
        self.run(self._postgres.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the cluster's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    def make_database(self) -> str:
        """Make a database of the newest schema and give its DSN."""
        name = f"objects_{uuid4().hex}"
        path, _, query = self._postgres.dsn.rpartition("/")[2].partition("?")
        dsn = self._postgres.dsn.replace(f"/{path}?{query}", f"/{name}?{query}")

        async def make() -> None:
            connection = await asyncpg.connect(self._postgres.dsn)
            try:
                await connection.execute(f'CREATE DATABASE "{name}"')
            finally:
                await connection.close()
            await upgrade(dsn)

        self.run(make())
        return dsn

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self.run(self._postgres.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def cluster() -> Cluster:
    """Give the run's cluster, started at the first call."""
    started = Cluster()
    atexit.register(started.stop)
    return started


@pytest.fixture(scope="module")
def object_dsn() -> Iterator[str]:
    """Name a database of the module's own."""
    yield cluster().make_database()


@pytest.fixture
async def object_pool(object_dsn: str) -> AsyncIterator[Pool]:
    """Lend connections to the module's database, emptied for this test."""
    async with asyncpg.create_pool(object_dsn, min_size=1, max_size=6) as pool:
        await pool.execute("TRUNCATE buckets, objects, uploads, upload_parts, garbage")
        yield pool

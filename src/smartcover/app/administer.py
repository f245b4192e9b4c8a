"""The durable state for commands of the operator, whether the server runs or not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from smartcover.app.folders import objects_folder
from smartcover.errors import SettingsError
from smartcover.ledger import EmbeddedPostgres, Ledger, Pool, check_schema, open_pool
from smartcover.settings import Settings

_POOL_SIZE = 4


@contextlib.asynccontextmanager
async def open_ledger(settings: Settings, data: Path) -> AsyncIterator[Ledger]:
    """
    Open the ledger of `SMARTCOVER_DATABASE_URL`, or else that of a data folder.

    A running server's database is used beside it; without one the database runs for as long as the block lasts.

    Raises:
        SettingsError: If the folder holds no database, or its schema is of another version.
        LedgerUnavailable: If the database does not answer.
    """
    async with _database(settings, data) as dsn:
        ledger = await Ledger.connect(dsn, pool_size=_POOL_SIZE)
        try:
            yield ledger
        finally:
            await ledger.close()


@contextlib.asynccontextmanager
async def open_objects(settings: Settings, data: Path) -> AsyncIterator[tuple[Path, Pool]]:
    """
    Give the folder of local objects and connections to its database, found as `open_ledger` finds it.

    Raises:
        SettingsError: If objects lie in an S3 store, or as `open_ledger` raises it.
        LedgerUnavailable: If the database does not answer.
    """
    if settings.storage.startswith("s3:"):
        raise SettingsError("objects lie in an S3 store under their own keys; there is no folder to compare")
    root = objects_folder(settings, data)
    async with _database(settings, data) as dsn:
        pool = await open_pool(dsn, pool_size=_POOL_SIZE)
        try:
            yield root, pool
        finally:
            pool.terminate()


@contextlib.asynccontextmanager
async def _database(settings: Settings, data: Path) -> AsyncIterator[str]:
    async with contextlib.AsyncExitStack() as stack:
        if settings.database_url is not None:
            dsn = settings.database_url.get_secret_value()
        else:
            dsn = await _dsn_of(data, stack)
        await check_schema(dsn)
        yield dsn


async def _dsn_of(data: Path, stack: contextlib.AsyncExitStack) -> str:
    folder = data / "postgres"
    if not (folder / "cluster").is_dir():
        raise SettingsError(f"{data} is not the data folder of a server; give it with --data")
    running = EmbeddedPostgres.dsn_in_use(folder)
    if running is not None:
        return running
    embedded = EmbeddedPostgres(folder)
    dsn = await embedded.start()
    stack.push_async_callback(embedded.stop)
    return dsn

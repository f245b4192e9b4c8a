"""Running the migrations: Alembic on a connection of asyncpg, by one process at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import PendingRollbackError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from smartcover.ledger.connections import connect
from smartcover.ledger.revisions import refuse_unknown

#: Any number; one process at a time changes the schema of a database.
_LOCK: Final = 0x534D4152


async def migrate(dsn: str) -> None:
    """
    Run what is missing; waits for another process that is doing so. asyncpg's exceptions go through.

    Raises:
        SettingsError: If a newer version changed the schema meanwhile.
    """

    async def open_one() -> Any:
        return await connect(dsn, command_timeout=None)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=open_one, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run)
    except SQLAlchemyError as error:
        met: BaseException = error
        while isinstance(met, PendingRollbackError) and met.__context__ is not None:
            met = met.__context__  # what it says comes of a connection that was lost before
        cause = met.__cause__ or met
        raise (cause.__cause__ or cause) from error
    finally:
        await asyncio.shield(engine.dispose())


def _run(connection: Connection) -> None:
    # Asked for again and again: whoever waits inside a statement would be waited for by the building of an index.
    while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar():
        connection.commit()
        connection.execute(text("SELECT pg_sleep(0.2)"))
    connection.commit()
    try:
        refuse_unknown(MigrationContext.configure(connection).get_current_revision())  # another's, while we waited
        connection.rollback()
        command.upgrade(_config(connection), "head")
        connection.commit()
    finally:
        connection.rollback()
        if not connection.invalidated:  # else the lock went with the connection
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config

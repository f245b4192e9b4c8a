"""Bringing a database to the schema that this version knows, and refusing one that it does not."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import PendingRollbackError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from smartcover.errors import LedgerError, LedgerUnavailable, SettingsError
from smartcover.ledger.connections import connect
from smartcover.ledger.failures import ledger_failures

T = TypeVar("T")

#: Any number; one process at a time changes the schema of a database.
_LOCK: Final = 0x534D4152

#: Longest time of a statement that only looks.
_READ_SECONDS: Final = 10.0

#: What waiting does not mend: the address, the name, the password, the certificate or the rights are wrong.
_REFUSALS: Final = (
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
    ssl.SSLCertVerificationError,
)

#: What comes of prepared statements when a client's statements reach one session after another.
_OF_A_POOLER: Final = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)


async def upgrade(dsn: str) -> None:
    """
    Bring the database to this version's schema; waits for another process that is doing so.

    Raises:
        SettingsError: If the schema is newer than this version, the database does not let us in, or a pooler shares
            sessions.
        LedgerUnavailable: If the database does not answer.
    """

    def work(connection: Connection) -> None:
        # Asked for again and again: whoever waits inside a statement would be waited for by the building of an index.
        while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar():
            connection.commit()
            connection.execute(text("SELECT pg_sleep(0.2)"))
        connection.commit()
        try:
            _refuse_unknown(connection)
            command.upgrade(_config(connection), "head")
            connection.commit()
        finally:
            connection.rollback()
            if not connection.invalidated:  # else the lock went with the connection
                connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                connection.commit()

    await _with_connection(dsn, work, "change the schema", statement_seconds=None)


async def check_schema(dsn: str) -> None:
    """
    Refuse a database whose schema is not this version's.

    Raises:
        SettingsError: If the schema is older or newer, the database does not let us in, or a pooler shares sessions;
            the text says what to do.
        LedgerUnavailable: If the database does not answer.
    """

    def work(connection: Connection) -> None:
        _refuse_unknown(connection)
        found = MigrationContext.configure(connection).get_current_revision()
        if found != expected_revision():
            raise SettingsError(
                f"the database's schema is at {found or 'nothing'} and this version needs {expected_revision()}; "
                "run smartcover db upgrade"
            )

    await _with_connection(dsn, work, "read the schema", statement_seconds=_READ_SECONDS)


async def _shares_sessions(dsn: str) -> bool:
    """
    Tell whether what one client sets is there for another that is connected at the same time.

    A pooler of transactions does that. What a session asks for, prepared statements and LISTEN go astray behind it.
    """
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for _ in range(2):
            clients.append(await connect(dsn, command_timeout=_READ_SECONDS))
            stack.callback(clients[-1].terminate)
        mark = secrets.token_hex(8)
        await clients[0].execute(f"SET smartcover.mark = '{mark}'")
        try:
            return bool(await clients[1].fetchval("SELECT current_setting('smartcover.mark', true)") == mark)
        except _OF_A_POOLER:
            return True


def _pools_transactions(dsn: str) -> SettingsError:
    return SettingsError(
        f"a pooler at {_place(dsn)} gives one session to several clients; let it pool sessions (in PgBouncer "
        "pool_mode = session), or set SMARTCOVER_DATABASE_URL to the server itself"
    )


@functools.cache
def expected_revision() -> str:
    """Name the newest migration of this version."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


@functools.cache
def known_revisions() -> frozenset[str]:
    """Name all migrations of this version."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


def _refuse_unknown(connection: Connection) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    if found is not None and found not in known_revisions():
        raise SettingsError(
            f"the database's schema is at {found}, which this version does not know (its newest is "
            f"{expected_revision()}); run the version of smartcover that made it, or a newer one"
        )


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


async def _with_connection(
    dsn: str, work: Callable[[Connection], T], doing: str, *, statement_seconds: float | None
) -> T:
    async def open_one() -> Any:
        return await connect(dsn, command_timeout=statement_seconds)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=open_one, poolclass=NullPool)
    try:
        with ledger_failures(doing):
            if await _shares_sessions(dsn):
                raise _pools_transactions(dsn)
            try:
                async with engine.connect() as connection:
                    return await connection.run_sync(work)
            except SQLAlchemyError as error:
                met: BaseException = error
                while isinstance(met, PendingRollbackError) and met.__context__ is not None:
                    met = met.__context__  # what it says comes of a connection that was lost before
                cause = met.__cause__ or met
                raise (cause.__cause__ or cause) from error
    except LedgerError as error:
        why = error.__cause__
        if _refuses(why):
            raise SettingsError(
                f"the database at {_place(dsn)} refuses: {why}; correct SMARTCOVER_DATABASE_URL, or the server's own "
                "users and rights",
                detail=error.detail,
            ) from error
        if isinstance(error, LedgerUnavailable):
            what = (
                "takes no writes: it is a standby, or was made read-only"
                if isinstance(why, asyncpg.TargetServerAttributeNotMatched)
                else f"does not answer ({type(why).__name__}: {why})"
            )
            raise LedgerUnavailable(f"the database at {_place(dsn)} {what}", detail=error.detail) from error
        raise
    finally:
        await asyncio.shield(engine.dispose())


def _refuses(error: BaseException | None) -> bool:
    # asyncpg has no class of its own for a server without TLS where TLS is demanded.
    return isinstance(error, _REFUSALS) or (isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error))


def _place(dsn: str) -> str:
    """Name a database without its user and password."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", ["the default host"]))
    return f"{host}{parts.path}"

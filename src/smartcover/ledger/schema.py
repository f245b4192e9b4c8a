"""Bringing a database to the schema that this version knows, and refusing one that it does not."""

from __future__ import annotations

import contextlib
import secrets
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qs, urlsplit

import asyncpg

from smartcover.errors import LedgerError, LedgerUnavailable, SettingsError
from smartcover.ledger.connections import ACQUIRE_SECONDS, connect
from smartcover.ledger.failures import ledger_failures
from smartcover.ledger.revisions import expected_revision, refuse_unknown

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
    with _refusals(dsn, "change the schema"):
        if await _revision(dsn) == expected_revision():
            return
        # Only here: Alembic and SQLAlchemy take half a second and 30 MB, and most processes never change a schema.
        from smartcover.ledger.migrating import migrate

        await migrate(dsn)


async def check_schema(dsn: str) -> None:
    """
    Refuse a database whose schema is not this version's.

    Raises:
        SettingsError: If the schema is older or newer, the database does not let us in, or a pooler shares sessions;
            the text says what to do.
        LedgerUnavailable: If the database does not answer.
    """
    with _refusals(dsn, "read the schema"):
        found = await _revision(dsn)
    if found != expected_revision():
        raise SettingsError(
            f"the database's schema is at {found or 'nothing'} and this version needs {expected_revision()}; "
            "run smartcover db upgrade"
        )


async def _revision(dsn: str) -> str | None:
    """Read which step the database is at, None for an empty one; refuse one that this version does not know."""
    if await _shares_sessions(dsn):
        raise _pools_transactions(dsn)
    connection = await connect(dsn, command_timeout=_READ_SECONDS)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    finally:
        connection.terminate()
    refuse_unknown(found)
    return found


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


@contextlib.contextmanager
def _refusals(dsn: str, doing: str) -> Iterator[None]:
    """Say of which database it is that it does not answer, and what to correct where it does not let us in."""
    try:
        with ledger_failures(doing):
            yield
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
                else f"does not answer within {ACQUIRE_SECONDS:g} s"
                if isinstance(why, TimeoutError)  # which says nothing itself: of a name server, too
                else f"does not answer ({type(why).__name__}: {why})"
            )
            raise LedgerUnavailable(f"the database at {_place(dsn)} {what}", detail=error.detail) from error
        raise


def _refuses(error: BaseException | None) -> bool:
    # asyncpg has no class of its own for a server without TLS where TLS is demanded.
    return isinstance(error, _REFUSALS) or (isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error))


def _place(dsn: str) -> str:
    """Name a database without its user and password."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", ["the default host"]))
    return f"{host}{parts.path}"

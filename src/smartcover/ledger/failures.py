"""The one place where the database's failures become our errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from smartcover.errors import LedgerError, LedgerUnavailable

#: What says "not now": the server stopping, starting, losing a race or out of a resource.
_PASSING = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

_DISK_FULL = "The disk of the database is full; free some space and try again."


@contextmanager
def ledger_failures(doing: str) -> Iterator[None]:
    """
    Turn what asyncpg and the operating system raise inside into a `LedgerError`.

    Raises:
        LedgerUnavailable: When the same call may succeed later.
        LedgerError: For any other answer of the database, which is a fault of ours.
    """
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise LedgerUnavailable(_DISK_FULL, detail=f"{doing}: {type(error).__name__}: {error}") from error
    except _PASSING as error:
        raise LedgerUnavailable(detail=f"{doing}: {type(error).__name__}: {error}") from error
    except asyncpg.PostgresError as error:
        raise LedgerError(detail=f"{doing}: {type(error).__name__}: {error}") from error

"""The one place where the failures of PostgreSQL and of the disk become our errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from smartcover.errors import StorageError, StorageUnavailable

DISK_FULL = "The disk of the object store is full. Nothing was changed; free some space and try again."
_DATABASE_FULL = "The disk of the database is full. Nothing was changed; free some space and try again."

_FULL = {errno.ENOSPC, errno.EDQUOT}

#: What says "not now" rather than "never": the server stopping, starting, losing a race or out of a resource.
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
    TimeoutError,
)


@contextmanager
def storage_failures(
    doing: str, public: str | None = None, *, kind: type[StorageUnavailable] = StorageUnavailable
) -> Iterator[None]:
    """
    Turn what asyncpg and the operating system raise inside into a `StorageError`.

    `doing` goes to the log with the original text, never to a client, who is told `public` of what may pass. Wrap our
    own calls only: a failure of a request's body or of the reader's own code is not the store's.

    Args:
        kind: What to raise of what may pass: `RegisterUnavailable` around calls of the database alone.

    Raises:
        StorageUnavailable: When the same call may succeed later: connection, disk, lock, timeout.
        StorageError: For any other answer of the database, which is a fault of ours.
    """
    try:
        yield
    except asyncpg.DiskFullError as error:
        raise kind(_DATABASE_FULL, detail=f"{doing}: {error}") from error
    except _PASSING as error:
        raise kind(public, detail=f"{doing}: {type(error).__name__}: {error}") from error
    except OSError as error:
        public = DISK_FULL if error.errno in _FULL else public
        raise kind(public, detail=f"{doing}: {type(error).__name__}: {error}") from error
    except asyncpg.PostgresError as error:
        raise StorageError(detail=f"{doing}: {type(error).__name__}: {error}") from error

"""Foreign failures become ours at one place, and say nothing private."""

from __future__ import annotations

import errno

import asyncpg
import pytest

from smartcover.errors import BucketMissing, RegisterUnavailable, StorageError, StorageUnavailable
from smartcover.storage.failures import storage_failures


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "refused at 10.1.2.3"),
        OSError(errno.EIO, "I/O error", "/srv/private/blobs"),
        TimeoutError("no connection"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.ConnectionDoesNotExistError("closed in the middle"),
        asyncpg.TooManyConnectionsError("too many"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.SerializationError("serialize"),
        asyncpg.QueryCanceledError("statement timeout"),
        asyncpg.ReadOnlySQLTransactionError("standby"),
        asyncpg.InvalidPasswordError("for user secret"),
        asyncpg.InterfaceError("pool is closing"),
        asyncpg.InternalClientError("protocol"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_unavailable(error: Exception) -> None:
    with pytest.raises(StorageUnavailable) as caught, storage_failures("put"):
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.public == "The object store cannot be reached; try again."
    assert caught.value.detail is not None
    assert caught.value.detail.startswith(f"put: {type(error).__name__}")


def test_a_database_that_is_away_is_not_said_to_be_the_store() -> None:
    with pytest.raises(RegisterUnavailable) as caught, storage_failures("find", kind=RegisterUnavailable):
        raise asyncpg.CannotConnectNowError("starting up at 10.1.2.3")
    assert caught.value.public.startswith("The database")
    assert "10.1.2.3" not in caught.value.public


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "full", "/srv/blobs"), OSError(errno.EDQUOT, "quota"), asyncpg.DiskFullError("disk")],
)
def test_a_full_disk_is_said_to_be_full(error: Exception) -> None:
    with pytest.raises(StorageUnavailable, match="full") as caught, storage_failures("put"):
        raise error
    assert "/srv" not in caught.value.public


def test_a_fault_of_ours_is_not_called_passing() -> None:
    with pytest.raises(StorageError) as caught, storage_failures("put"):
        raise asyncpg.UndefinedTableError("objects")
    assert not caught.value.retryable
    assert caught.value.code == "InternalError"


def test_our_own_errors_and_faults_of_the_program_pass_through() -> None:
    with pytest.raises(BucketMissing), storage_failures("put"):
        raise BucketMissing
    with pytest.raises(ZeroDivisionError), storage_failures("put"):
        raise ZeroDivisionError


def test_every_error_of_the_database_becomes_one_of_ours() -> None:
    classes = {
        value
        for value in vars(asyncpg).values()
        if isinstance(value, type) and issubclass(value, asyncpg.PostgresError | asyncpg.InterfaceError)
    }
    assert len(classes) > 200
    for error_class in classes:
        with pytest.raises(StorageError), storage_failures("put"):
            raise error_class("told")

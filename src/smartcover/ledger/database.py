"""Connections to PostgreSQL, lent one call at a time; what every part of the ledger is made on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from smartcover.ledger.connections import Pool, PoolUsage, open_pool
from smartcover.ledger.failures import ledger_failures
from smartcover.ledger.wakeups import CHANNEL, Wakeups


class Database:
    """
    A pool of connections to a database whose schema is up to date. Make it with `connect`.

    Inside `connection` and `transaction`, failures of the database become `LedgerError`s; code that does anything
    else inside them keeps its own errors to itself.
    """

    def __init__(self, dsn: str, pool: Pool) -> None:
        self._dsn = dsn
        self._pool = pool
        self._waiting = 0

    @classmethod
    async def connect(cls, dsn: str, *, pool_size: int) -> Database:
        """
        Open a pool of up to `pool_size` connections.

        Raises:
            LedgerUnavailable: If the DSN cannot be used.
        """
        with ledger_failures("connect"):
            pool = await open_pool(dsn, pool_size=pool_size)
        return cls(dsn, pool)

    def close(self) -> None:
        """Close the connections; calls under way are cut off."""
        self._pool.terminate()

    def listen(self) -> Wakeups:
        """Hear what `notify` says, inside `async with`."""
        return Wakeups(self._dsn)

    def usage(self) -> PoolUsage:
        """Tell how the pool is used now."""
        return replace(self._pool.usage(), waiting=self._waiting)

    @asynccontextmanager
    async def connection(self, doing: str) -> AsyncIterator[Any]:
        """Lend a connection; `doing` goes to the log with a failure, never to a client."""
        with ledger_failures(doing):
            async with AsyncExitStack() as stack:
                self._waiting += 1
                try:
                    connection = await stack.enter_async_context(self._pool.acquire())
                finally:
                    self._waiting -= 1
                yield connection

    @asynccontextmanager
    async def transaction(self, doing: str) -> AsyncIterator[Any]:
        """Lend a connection with a transaction that commits at the end."""
        async with self.connection(doing) as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def listing(self, doing: str) -> AsyncIterator[Any]:
        """
        Lend a connection with a transaction whose statements are planned anew for their values.

        A list has many filters that may be absent, and a plan for any values could use none of the indexes.
        """
        async with self.transaction(doing) as connection:
            await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
            yield connection


async def notify(connection: Any, payload: str) -> None:
    """Tell all processes, when this transaction commits."""
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)

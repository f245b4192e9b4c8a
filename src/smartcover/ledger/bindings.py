"""Which buckets take part in media processing. A bucket does from its making on, until it is unbound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiosql

from smartcover.ledger.database import Database

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("bindings.sql"), "asyncpg", mandatory_parameters=False)


class Bindings:
    """The bindings of all buckets. Every method raises `LedgerUnavailable` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def bind(self, bucket: str) -> None:
        """Let the bucket take part; one that does already stays as it is."""
        async with self._database.connection("bind bucket") as connection:
            await QUERIES.bind(connection, bucket=bucket)

    async def unbind(self, bucket: str) -> None:
        """Let the bucket take no part any more."""
        async with self._database.connection("unbind bucket") as connection:
            await QUERIES.unbind(connection, bucket=bucket)

    async def is_bound(self, bucket: str) -> bool:
        """Tell whether the bucket takes part."""
        async with self._database.connection("binding") as connection:
            return not await QUERIES.is_unbound(connection, bucket=bucket)

    async def unbound(self) -> frozenset[str]:
        """Give the buckets that take no part."""
        async with self._database.connection("unbound buckets") as connection:
            return frozenset([row["bucket"] async for row in QUERIES.unbound(connection)])

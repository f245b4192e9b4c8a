"""A database with the objects' tables for each module that imports `object_dsn` or `object_pool` into its conftest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TypeAlias

import asyncpg
import pytest

from tests.postgres import cluster

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


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

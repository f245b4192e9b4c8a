"""A peer that vanished without a word is noticed in seconds: what our connections ask of both kernels."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from smartcover.ledger import open_pool
from smartcover.ledger.connections import connect
from tests.postgres import cluster
from tests.server_postgres import ServerPostgres

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has TCP_USER_TIMEOUT")


@pytest.fixture(scope="module")
def server() -> Iterator[ServerPostgres]:
    made = ServerPostgres()
    yield made
    made.close()


@pytest.fixture
async def connection(server: ServerPostgres) -> AsyncIterator[Any]:
    pool = await open_pool(server.dsn(), pool_size=1)
    async with pool.acquire(timeout=10) as lent:
        yield lent
    pool.terminate()


async def test_our_side_gives_up_a_silent_server_within_seconds(connection: Any) -> None:
    ours: socket.socket = connection._transport.get_extra_info("socket")
    assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert 1_000 <= ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 30_000
    asked = [
        ours.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    ]
    assert asked[0] + asked[1] * asked[2] <= 30


async def test_the_server_gives_up_a_silent_process_and_its_locks_within_seconds(connection: Any) -> None:
    async def told(name: str) -> int:
        return int(await connection.fetchval("SELECT setting FROM pg_settings WHERE name = $1", name))

    assert 1_000 <= await told("tcp_user_timeout") <= 30_000
    idle, interval, count = [await told(f"tcp_keepalives_{part}") for part in ("idle", "interval", "count")]
    assert idle + interval * count <= 30
    assert 1_000 <= await told("idle_in_transaction_session_timeout") <= 30_000


async def test_a_unix_socket_needs_none_of_it_and_works() -> None:
    connection = await connect(cluster("embedded").make_database())
    try:
        assert await connection.fetchval("SELECT 1") == 1
    finally:
        await connection.close()


async def test_when_the_server_has_no_connection_left_a_call_waits_for_one_of_ours(server: ServerPostgres) -> None:
    owner = await connect(server.dsn())
    await owner.execute("CREATE ROLE crowded LOGIN PASSWORD 'crowded' CONNECTION LIMIT 1")
    await owner.close()
    crowded = urlsplit(server.dsn())
    pool = await open_pool(f"postgresql://crowded:crowded@{crowded.netloc.rpartition('@')[2]}/smartcover", pool_size=4)
    taken = asyncio.Event()

    async def first() -> None:
        async with pool.acquire(timeout=5):
            taken.set()
            await asyncio.sleep(0.3)

    holding = asyncio.create_task(first())
    await taken.wait()
    try:
        async with pool.acquire(timeout=5) as lent:
            assert await lent.fetchval("SELECT 1") == 1
        async with pool.acquire(timeout=5):
            with pytest.raises(asyncpg.TooManyConnectionsError):
                async with pool.acquire(timeout=0.3):
                    pass
    finally:
        await holding
        pool.terminate()

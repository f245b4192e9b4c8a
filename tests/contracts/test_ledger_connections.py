"""A peer that vanished without a word is noticed in seconds: what our connections ask of both kernels."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import certifi
import pytest

from smartcover.errors import LedgerUnavailable, SettingsError
from smartcover.ledger import check_schema, open_pool
from smartcover.ledger.connections import Pool, connect
from smartcover.ledger.failures import ledger_failures
from tests.certificates import self_signed
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


@pytest.mark.parametrize(("set_up", "used"), [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")])
async def test_a_commit_is_on_the_disk_when_it_is_answered_however_the_server_is_set_up(
    server: ServerPostgres, set_up: str, used: str
) -> None:
    owner = await connect(server.dsn())
    await owner.execute(f"ALTER DATABASE smartcover SET synchronous_commit = {set_up}")
    try:
        made = await connect(server.dsn())
        assert await made.fetchval("SHOW synchronous_commit") == used
        await made.close()
    finally:
        await owner.execute("ALTER DATABASE smartcover RESET synchronous_commit")
        await owner.close()


async def test_a_statement_sees_what_was_committed_before_it_however_the_server_is_set_up(
    server: ServerPostgres,
) -> None:
    """Under a stricter level limits were passed and repeated submits made jobs again: looks came before waits."""
    owner = await connect(server.dsn())
    await owner.execute("ALTER DATABASE smartcover SET default_transaction_isolation = 'repeatable read'")
    try:
        made = await connect(server.dsn())
        assert await made.fetchval("SHOW transaction_isolation") == "read committed"
        await made.close()
    finally:
        await owner.execute("ALTER DATABASE smartcover RESET default_transaction_isolation")
        await owner.close()


async def test_a_server_that_takes_no_writes_is_as_good_as_none(server: ServerPostgres) -> None:
    owner = await connect(server.dsn())
    pool = await open_pool(server.dsn(), pool_size=1)
    await owner.execute("ALTER DATABASE smartcover SET default_transaction_read_only = on")
    try:
        with pytest.raises(LedgerUnavailable, match=r"takes no writes: it is a standby, or was made read-only$"):
            await check_schema(server.dsn())
        with pytest.raises(LedgerUnavailable), ledger_failures("look"):
            async with pool.acquire(timeout=5):
                pass
    finally:
        await owner.execute("ALTER DATABASE smartcover RESET default_transaction_read_only")
        await owner.close()
    async with pool.acquire(timeout=5) as lent:
        assert await lent.fetchval("SELECT 1") == 1
    pool.terminate()


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
                async with pool.acquire(timeout=2):
                    pass
    finally:
        await holding
        pool.terminate()


async def test_a_try_that_the_time_cuts_off_tells_what_the_server_said_to_the_one_before() -> None:
    class Crowded:
        tries = 0

        async def acquire(self, *, timeout: float) -> None:
            self.tries += 1
            if self.tries == 1:
                raise asyncpg.TooManyConnectionsError("too many connections")
            await asyncio.sleep(timeout)
            raise TimeoutError

    crowded = Crowded()
    with pytest.raises(asyncpg.TooManyConnectionsError):
        async with Pool(crowded).acquire(timeout=1):
            pass
    assert crowded.tries == 2


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_a_server_without_the_tls_that_is_demanded_is_a_wrong_setting_and_not_away(
    server: ServerPostgres, mode: str
) -> None:
    """Waiting would not mend it. The certificate's own faults are refused by the same list."""
    demanding = server.dsn().replace("sslmode=disable", f"sslmode={mode}&sslrootcert={certifi.where()}")
    with pytest.raises(SettingsError, match="rejected SSL upgrade"):
        await check_schema(demanding)


async def test_a_certificate_that_nobody_vouches_for_is_a_wrong_setting_and_not_away(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # PostgreSQL's request for TLS
        writer.write(b"S")
        with contextlib.suppress(OSError):
            await writer.start_tls(context)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        dsn = f"postgresql://u:hidden@127.0.0.1:{port}/x?sslmode=verify-full&sslrootcert={certifi.where()}"
        with pytest.raises(SettingsError, match="CERTIFICATE_VERIFY_FAILED") as refused:
            await check_schema(dsn)
    assert "hidden" not in str(refused.value)

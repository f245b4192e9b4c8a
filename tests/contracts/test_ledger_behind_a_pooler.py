"""Behind a PgBouncer that pools sessions all works as without one; one that pools transactions is refused in words."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from smartcover.errors import SettingsError
from smartcover.ledger import Ledger, check_schema, upgrade
from smartcover.ledger.connections import connect
from tests.server_postgres import ServerPostgres, free_port

pytestmark = [
    pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="PgBouncer is not installed"),
    pytest.mark.timeout(120),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerPostgres]:
    made = ServerPostgres()
    yield made
    made.close()


@contextlib.contextmanager
def pooler(server: ServerPostgres, mode: str) -> Iterator[str]:
    """Run a PgBouncer as it is after its installation, but for its mode, and give the DSN through it."""
    port = free_port()
    folder = Path(server.folder)
    folder.chmod(0o755)  # it refuses root, and goes on as another user
    users, settings = folder / "users.txt", folder / f"{mode}.ini"
    users.write_text(f'"smartcover" "{urlsplit(server.dsn()).password}"\n')
    settings.write_text(
        f"[databases]\nsmartcover = host=127.0.0.1 port={server.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\npool_mode = {mode}\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\nunix_socket_dir =\n"
    )
    running = subprocess.Popen(["pgbouncer", "-q", "-u", "nobody", str(settings)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield server.dsn(port=port)
    finally:
        running.kill()
        running.wait()


async def test_sessions_may_be_pooled(server: ServerPostgres) -> None:
    with pooler(server, "session") as dsn:
        await upgrade(dsn)
        await check_schema(dsn)
        connection = await connect(dsn)
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "15s"
        await connection.close()
        ledger = await Ledger.connect(dsn, pool_size=4)
        async with ledger.listen() as wakeups:
            await wakeups.wait("jobs", 5)  # it listens now
            woken = asyncio.create_task(wakeups.wait("jobs", 20))
            await asyncio.sleep(0)
            teller = await connect(dsn)
            before = time.monotonic()
            await teller.execute("SELECT pg_notify('smartcover', 'jobs')")
            await woken
            assert time.monotonic() - before < 15, "nobody was woken"
            await teller.close()
        await ledger.close()


async def test_a_pooler_of_transactions_is_refused_with_the_way_out(server: ServerPostgres) -> None:
    with pooler(server, "transaction") as dsn:
        for use in (check_schema, upgrade, check_schema):
            with pytest.raises(SettingsError, match=r"pool_mode = session") as refused:
                await use(dsn)
            assert str(urlsplit(dsn).password) not in str(refused.value)


async def test_the_server_itself_is_not_taken_for_one(server: ServerPostgres) -> None:
    await check_schema(server.dsn())

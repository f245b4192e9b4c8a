"""
How connections to PostgreSQL are made, so that a peer that vanished without a word is noticed within seconds.

Left to itself, TCP repeats unanswered data for a quarter of an hour and never asks a silent peer. Both ends are told
to be quicker: a process that lost its network must get back to work soon after it returns, and a server whose client
is gone must not keep that client's locks.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

import asyncpg
from asyncpg.connect_utils import SessionAttribute

#: Longest wait for a connection to be made, and for a free one of a pool: a dead database is an answer, not a hang.
ACQUIRE_SECONDS: Final = 10.0
#: Longest time of one statement; the slowest, a claim over many queues, takes milliseconds.
_STATEMENT_SECONDS: Final = 30.0
#: How often, about, a server that has no connection left is asked again.
_FULL_SERVER_SECONDS: Final = 0.05
#: How long sent data may stay unacknowledged, and how long a silent peer is believed to be there.
_DEAD_AFTER_SECONDS: Final = 12
#: Silence after which the peer is asked, and between the askings that follow.
_ASK_AFTER_SECONDS: Final = 6
_ASK_AGAIN_SECONDS: Final = 2
_ASKINGS: Final = (_DEAD_AFTER_SECONDS - _ASK_AFTER_SECONDS) // _ASK_AGAIN_SECONDS

#: What each session asks of the server. On a Unix socket the TCP ones mean nothing and are ignored.
_SESSION: Final = {
    # A process that freezes inside a transaction must not hold its rows for ever, whoever runs the server.
    "idle_in_transaction_session_timeout": "15s",
    "tcp_user_timeout": f"{_DEAD_AFTER_SECONDS}s",
    "tcp_keepalives_idle": str(_ASK_AFTER_SECONDS),
    "tcp_keepalives_interval": str(_ASK_AGAIN_SECONDS),
    "tcp_keepalives_count": str(_ASKINGS),
    # The promises rest on it, however the server is set up: a statement that has waited for a lock reads what was
    # committed meanwhile.
    "default_transaction_isolation": "read committed",
}

#: A commit that is answered before it is on the disk is asked to wait; one that waits for more stays as it is.
_COMMIT: Final = """
    SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
"""


class PooledConnection(asyncpg.Connection):
    """
    A connection that goes back to its pool without a round trip.

    asyncpg's own would first undo what a session may hold: locks, cursors, settings, LISTENs. Users of our pools hold
    none of these beyond their transaction, and what a transaction left open is rolled back all the same.
    """

    def get_reset_query(self) -> str:
        """Give the statement that is sent when the connection goes back: none."""
        return ""


async def connect(
    dsn: str, *, timeout: float = ACQUIRE_SECONDS, command_timeout: float | None = _STATEMENT_SECONDS, **options: Any
) -> Any:
    """
    Make one connection, to a server that takes writes; asyncpg's exceptions go through.

    Of several hosts the one that takes writes is chosen. A standby is as good as none: everything here writes.

    Args:
        timeout: Seconds to make the connection in.
        command_timeout: Seconds for each statement; None waits for as long as it takes.
        options: More of what `asyncpg.connect` takes.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=timeout,
        command_timeout=command_timeout,
        server_settings={"application_name": "smartcover"},
        target_session_attrs=SessionAttribute.read_write,
        **options,
    )
    _watch(connection)
    try:
        await connection.execute(_asking(), timeout=timeout)
    except BaseException:
        connection.terminate()
        raise
    return connection


def _asking() -> str:
    """
    Say what a session asks for.

    Not while the connection is made: a pooler in between refuses parameters that it does not know.
    """
    return "; ".join([*(f"SET {name} = '{value}'" for name, value in _SESSION.items()), _COMMIT])


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Connections of a pool: how many there may be, are lent, lie idle; and calls that wait for one, if known."""

    most: int
    busy: int
    idle: int
    waiting: int | None = None


class Pool:
    """
    Connections for one process, made when they are first needed. Users keep nothing in a session beyond a transaction.

    When the server has no connection left, a call waits for one of this pool's own, instead of failing while others
    would soon be done.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @asynccontextmanager
    async def acquire(self, *, timeout: float = ACQUIRE_SECONDS) -> AsyncIterator[Any]:
        """
        Lend a connection within so many seconds; asyncpg's exceptions go through.

        When the time ends during a further try, the error is what the server said to the one before.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        refused: asyncpg.TooManyConnectionsError | None = None
        while True:
            try:
                connection = await self._pool.acquire(timeout=max(0.0, until - loop.time()))
                break
            except TimeoutError:
                if refused is not None:
                    raise refused from None
                raise
            except asyncpg.TooManyConnectionsError as error:
                refused = error
                pause = _FULL_SERVER_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311 - apart from each other, no secret
                if loop.time() + pause > until:
                    raise
                await asyncio.sleep(pause)
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    def terminate(self) -> None:
        """Close the connections; calls under way are cut off."""
        self._pool.terminate()

    def usage(self) -> PoolUsage:
        """Tell how the pool is used now."""
        idle = self._pool.get_idle_size()
        return PoolUsage(most=self._pool.get_max_size(), busy=self._pool.get_size() - idle, idle=idle)


async def open_pool(dsn: str, *, pool_size: int) -> Pool:
    """
    Open a pool of up to `pool_size` connections, each made when it is first needed.

    Whoever acquires gives `ACQUIRE_SECONDS` or less as the timeout; asyncpg's exceptions go through.
    """
    pool = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=pool_size,
        connection_class=PooledConnection,
        connect=cast(Any, connect),  # its type in asyncpg's stubs is narrower than what asyncpg calls
        command_timeout=_STATEMENT_SECONDS,
        timeout=ACQUIRE_SECONDS,
    )
    return Pool(pool)


def _watch(connection: Any) -> None:
    """Let the kernel end the connection when the other side has been gone for `_DEAD_AFTER_SECONDS`."""
    # asyncpg has no option for this and hands out no socket; tests/contracts/test_ledger_connections.py holds it.
    of_connection: socket.socket = connection._transport.get_extra_info("socket")
    if of_connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    of_connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        of_connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _ASK_AFTER_SECONDS)
        of_connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _ASK_AGAIN_SECONDS)
        of_connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _ASKINGS)
        of_connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_SECONDS * 1000)

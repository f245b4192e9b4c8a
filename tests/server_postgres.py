"""
A PostgreSQL that stands for an operator's own server: listens on TCP, is started, stopped and killed by a test.

The programs are those that come with smartcover; the embedded cluster of a folder is made first and then run with a
TCP address, outside the supervision of the product.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

from smartcover.ledger import EmbeddedPostgres, upgrade

#: What may use the server without TLS; every one needs the password.
_NETWORKS = ("127.0.0.0/8", "10.0.0.0/8")


def free_port() -> int:
    """Give a port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class ServerPostgres:
    """
    One server with a database of the newest schema.

    Args:
        host: Where it listens, or a comma list.
        before: Put before its command, such as `ip netns exec NAME`.
    """

    def __init__(self, host: str = "127.0.0.1", *, port: int | None = None, before: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="smartcover-server-"))
        self.host, self.port, self._before = host, port or free_port(), list(before)
        self._embedded = EmbeddedPostgres(self.folder / "postgres")
        self._process: subprocess.Popen[bytes] | None = None
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="server")
        asyncio.run(self._make())
        with (self.folder / "postgres" / "cluster" / "pg_hba.conf").open("a") as rules:
            rules.writelines(f"host all all {network} scram-sha-256\n" for network in _NETWORKS)
        self._password = (self.folder / "postgres" / "password").read_text()
        self.start()

    async def _make(self) -> None:
        try:
            await upgrade(await self._embedded.start())
        finally:
            await self._embedded.stop()

    def dsn(self, host: str | None = None, port: int | None = None) -> str:
        """Name the database as seen from a place: directly, or through a proxy."""
        place = f"{host or self.host.split(',')[0]}:{port or self.port}"
        return f"postgresql://smartcover:{self._password}@{place}/smartcover?sslmode=disable"

    def start(self, *, wait: bool = True) -> None:
        """Start the server and wait until it answers; it recovers by itself from whatever ended it before."""
        options = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "32MB",
            "timezone": "UTC",
            "lc_messages": "C",
        }
        cluster = self.folder / "postgres" / "cluster"
        arguments = [f"-D{cluster}", *(f"-c{name}={value}" for name, value in options.items())]
        with (self.folder / "server.log").open("ab") as log:
            # The launcher lets the kernel end the server together with the thread that started it.
            self._process = self._starter.submit(
                subprocess.Popen,
                [*self._before, *self._embedded._command("postgres", arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", "HOME": "/"},
            ).result()
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the server answers."""
        asyncio.run(self._answers())

    async def _answers(self) -> None:
        async with asyncio.timeout(60):
            while True:
                assert self._process is not None
                assert self._process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
                try:
                    connection = await asyncpg.connect(self.dsn(), timeout=5)
                except (OSError, asyncpg.PostgresError):
                    await asyncio.sleep(0.1)
                else:
                    await connection.close()
                    return

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT cuts its clients off and writes everything down, SIGQUIT is as good as a crash."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def crash(self) -> None:
        """Kill the server and all its processes at once, as a loss of power would, and see them gone."""
        assert self._process is not None
        family = [self._process.pid, *descendants(self._process.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in family[1:]) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._process = None

    def close(self) -> None:
        """Stop the server and remove all of it."""
        self.stop(signal.SIGQUIT)
        self._starter.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)


def descendants(pid: int) -> list[int]:
    """List the processes below one, however deep: the server may run under a launcher."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found

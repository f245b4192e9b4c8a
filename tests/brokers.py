"""Message brokers to test with: named by the environment, reached directly or through a proxy that can fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

KINDS = ("amqp", "nats", "redis", "mqtt", "kafka")


def broker_url(kind: str) -> str | None:
    """Give the URL of a broker for tests, None when the environment names none."""
    return os.environ.get(f"SMARTCOVER_TEST_{kind.upper()}_URL")


@dataclass
class Proxy:
    """
    Forwards TCP to a broker until it is told to fail.

    `blocked` swallows what the client sends, so that no acknowledgement ever comes; `late_seconds` holds back what the
    broker answers; `cut` breaks every connection and refuses new ones.
    """

    host: str
    port: int
    listening: int = 0
    blocked: bool = False
    late_seconds: float = 0.0
    _down: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def url(self, broker: str) -> str:
        """Give the broker's URL with the proxy's place in it."""
        parts = urlsplit(broker)
        login = parts.netloc.rpartition("@")[0]
        place = f"{login}@127.0.0.1:{self.listening}" if login else f"127.0.0.1:{self.listening}"
        return parts._replace(netloc=place).geturl()

    def cut(self) -> None:
        """Break every connection, and refuse new ones until `mend`."""
        self._down = True
        for writer in list(self._writers):
            writer.transport.abort()

    def mend(self) -> None:
        """Forward again."""
        self._down = self.blocked = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        if self._down:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self.host, self.port)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back, True), self._pump(there, writer, False))
        finally:
            self._writers -= {writer, back}
            for one in (writer, back):
                one.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, from_client: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await asyncio.sleep(0.0 if from_client else self.late_seconds)
                if not (self.blocked and from_client):
                    sink.write(data)
                    await sink.drain()
            sink.close()


@contextlib.asynccontextmanager
async def proxy_to(broker: str) -> AsyncIterator[Proxy]:
    """Run a proxy to a broker until the block ends."""
    parts = urlsplit(broker)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 0)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await task

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    proxy.listening = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.cut()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

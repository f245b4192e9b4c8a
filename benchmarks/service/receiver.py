"""A receiver of callbacks in a process of its own: it parses each with smartcover.receiver and answers 200."""

from __future__ import annotations

import asyncio
import contextlib
import time

from smartcover.receiver import parse


class Received:
    """What came: when the first callback of each job came, and how many came again."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self.again = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one callback, or tell whoever asks with GET."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            fields = dict(line.split(":", 1) for line in head.split("\r\n")[1:] if ":" in line)
            if head.startswith("get"):
                said = f"{len(self.first)} {self.again} {max(self.first.values(), default=0.0)}".encode()
            else:
                body = await reader.readexactly(int(fields["content-length"]))
                job_id = parse(body, fields["content-type"].strip()).jobs_detail.job_id
                self.again += job_id in self.first
                self.first.setdefault(job_id, time.time())
                said = b""
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(said), said))
            await writer.drain()
        writer.close()


async def main() -> None:
    """Listen on a free port, print it, and go on until killed."""
    server = await asyncio.start_server(Received().answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

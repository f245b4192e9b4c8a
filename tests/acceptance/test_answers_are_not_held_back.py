"""Small answers leave at once: no connection of the server waits to fill its packets."""

from __future__ import annotations

import asyncio
import socket

from smartcover.app.http import Address, listen


async def test_a_connection_of_the_server_sends_small_answers_at_once() -> None:
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            end: socket.socket = transport.get_extra_info("socket")
            accepted.set_result(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    listener = listen(Address("127.0.0.1", 0))
    server = await asyncio.get_running_loop().create_server(Accepting, sock=listener)
    async with server, asyncio.timeout(10):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await accepted, "Nagle's delay is on: an answer written in two parts waits for an acknowledgement"
        writer.close()
        await writer.wait_closed()

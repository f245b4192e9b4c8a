"""A server that is not ready, or that hangs up on who connects, is one that is away: said so, and no fault of ours."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from smartcover.errors import LedgerUnavailable
from smartcover.ledger import check_schema, upgrade


def _error(code: str, text: str) -> bytes:
    fields = b"".join(kind + word.encode() + b"\0" for kind, word in ((b"S", "FATAL"), (b"C", code), (b"M", text)))
    return b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0"


@pytest.fixture(params=[_error("57P03", "the database system is starting up"), b""], ids=["starting", "hanging up"])
async def dsn(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(request.param)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"postgresql://u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/d?sslmode=disable"
    server.close()
    await server.wait_closed()


async def test_the_schema_of_a_server_that_is_not_ready_cannot_be_had_yet(dsn: str) -> None:
    for call in (check_schema, upgrade):
        with pytest.raises(LedgerUnavailable) as failure:
            await call(dsn)
        assert failure.value.retryable

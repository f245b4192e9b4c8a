"""
Reading request bodies within budgets: bytes, silence, and the least average rate.

A body is read only by the handler that wants it, so a request that is refused before costs nothing. What is left
unread then is swallowed for a moment after the answer: a connection that is closed with bytes in its receive buffer
is reset, and the client would lose the answer with it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import AsyncIterator
from typing import Final

from starlette.types import Receive

from smartcover.errors import BadParameter, BodyTooLarge, DigestMismatch, IncompleteBody, InvalidDigest, RequestTimedOut

_LINGER_SECONDS: Final = 15.0
_LINGER_IDLE_SECONDS: Final = 1.0


class RequestBody:
    """
    The body of one request.

    `size_bytes` is the Content-Length, None when there is none; `chunked` tells of a body without a known length.
    With `client_waits` the client sends nothing before reading begins (`Expect: 100-continue`).
    """

    def __init__(
        self,
        receive: Receive,
        *,
        size_bytes: int | None,
        chunked: bool,
        idle_timeout_seconds: float,
        min_bytes_per_second: int,
        client_waits: bool = False,
    ) -> None:
        self._receive = receive
        self._client_waits = client_waits
        self._idle_timeout_seconds = idle_timeout_seconds
        self._min_bytes_per_second = min_bytes_per_second
        self.size_bytes = size_bytes
        self.chunked = chunked
        self._finished = not chunked and not size_bytes
        self._started = False
        self._gone = False

    @property
    def unread(self) -> bool:
        """Whether bytes of the body may still be on their way."""
        return not self._finished and not self._gone

    async def chunks(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """
        Give the body piece by piece.

        Raises:
            BodyTooLarge: Before the first byte if the Content-Length exceeds the limit, else at the byte too many.
            RequestTimedOut: If the client falls silent, or is slower than the least rate.
            IncompleteBody: If the client leaves before the end.
        """
        if self.size_bytes is not None and self.size_bytes > limit_bytes:
            raise BodyTooLarge(f"The body is {self.size_bytes} bytes long; the limit is {limit_bytes}")
        received = 0
        waited_seconds = 0.0
        loop = asyncio.get_running_loop()
        while not self._finished:
            began = loop.time()
            piece = await self._next(self._idle_timeout_seconds)
            waited_seconds += loop.time() - began
            received += len(piece)
            if received > limit_bytes:
                raise BodyTooLarge(f"The body is longer than {limit_bytes} bytes, which is the limit")
            allowed_seconds = self._idle_timeout_seconds + received / self._min_bytes_per_second
            if waited_seconds > allowed_seconds:
                raise RequestTimedOut(
                    f"The body came in at less than {self._min_bytes_per_second} bytes a second; send it faster"
                )
            if piece:
                yield piece

    async def whole(self, limit_bytes: int) -> bytes:
        """Give the whole body; raises what `chunks` raises."""
        pieces = [piece async for piece in self.chunks(limit_bytes)]
        return b"".join(pieces)

    async def swallow(self) -> None:
        """Read and forget what still arrives, for a moment, so that the answer reaches the client."""
        if self._client_waits and not self._started:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + _LINGER_SECONDS
        while self.unread and loop.time() < end:
            try:
                await self._next(_LINGER_IDLE_SECONDS)
            except (RequestTimedOut, IncompleteBody):
                return

    async def _next(self, timeout_seconds: float) -> bytes:
        self._started = True
        try:
            async with asyncio.timeout(timeout_seconds):
                message = await self._receive()
        except TimeoutError as error:
            raise RequestTimedOut(
                f"Nothing of the body came for {timeout_seconds:g} seconds; send the request again"
            ) from error
        if message["type"] != "http.request":
            self._gone = True
            raise IncompleteBody
        self._finished = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        return piece


def frame_of(content_length: str | None, transfer_encoding: str | None) -> tuple[int | None, bool]:
    """
    Read how a body is framed, as (Content-Length or None, whether it is chunked).

    Raises:
        BadParameter: If both are given, which is how requests are smuggled past proxies, or the length is no number.
    """
    chunked = transfer_encoding is not None
    if content_length is None:
        return None, chunked
    if chunked:
        raise BadParameter("The request has both Content-Length and Transfer-Encoding; send one of them")
    if not (content_length.isascii() and content_length.isdecimal() and len(content_length) <= 18):
        raise BadParameter(f"Content-Length is {content_length[:40]!r}; give a whole number of bytes")
    return int(content_length), False


def read_md5(header: str | None) -> bytes | None:
    """
    Read a Content-MD5 header into 16 bytes.

    Raises:
        InvalidDigest: If it is not the base64 of an MD5.
    """
    if header is None or not header.strip():
        return None
    try:
        digest = base64.b64decode(header.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidDigest(f"Content-MD5 is {header[:80]!r}; give the base64 of the body's MD5") from error
    if len(digest) != 16:
        raise InvalidDigest(f"Content-MD5 holds {len(digest)} bytes; an MD5 has 16")
    return digest


def check_md5(body: bytes, digest: bytes | None) -> None:
    """
    Compare a body with its Content-MD5, if one was sent.

    Raises:
        DigestMismatch: If they differ.
    """
    if digest is not None and hashlib.md5(body, usedforsecurity=False).digest() != digest:
        raise DigestMismatch

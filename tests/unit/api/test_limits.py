"""Bodies within budgets, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from smartcover.api.limits import RequestBody, check_md5, frame_of, read_md5
from smartcover.errors import (
    BadParameter,
    BodyTooLarge,
    DigestMismatch,
    IncompleteBody,
    InvalidDigest,
    RequestTimedOut,
)


def body_of(
    pieces: Sequence[bytes | None], *, size_bytes: int | None = None, idle_timeout_seconds: float = 5.0
) -> RequestBody:
    """A body whose client sends the pieces; None is the client leaving, and the end is silence."""
    messages: list[dict[str, Any]] = [
        {"type": "http.disconnect"}
        if piece is None
        else {"type": "http.request", "body": piece, "more_body": number < len(pieces) - 1}
        for number, piece in enumerate(pieces)
    ]

    async def receive() -> Any:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return RequestBody(
        receive,
        size_bytes=size_bytes,
        chunked=size_bytes is None,
        idle_timeout_seconds=idle_timeout_seconds,
        min_bytes_per_second=1,
    )


async def test_a_body_comes_whole() -> None:
    body = body_of([b"ab", b"", b"c"])
    assert body.unread
    assert await body.whole(3) == b"abc"
    assert not body.unread


async def test_a_body_of_no_bytes_is_never_waited_for() -> None:
    body = body_of([], size_bytes=0)
    assert not body.unread
    assert await body.whole(0) == b""


async def test_an_announced_size_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    body = body_of([b"abcd"], size_bytes=4)
    with pytest.raises(BodyTooLarge, match="4 bytes"):
        await body.whole(3)
    assert body.unread


async def test_a_byte_too_many_is_refused() -> None:
    with pytest.raises(BodyTooLarge):
        await body_of([b"ab", b"cd"]).whole(3)


async def test_a_client_that_leaves_ends_the_body() -> None:
    body = body_of([b"ab", None])
    with pytest.raises(IncompleteBody):
        await body.whole(100)
    assert not body.unread


async def test_a_silent_client_ends_the_body() -> None:
    body = body_of([], size_bytes=5, idle_timeout_seconds=0.01)
    with pytest.raises(RequestTimedOut):
        await body.whole(100)


async def test_swallowing_ends_with_the_body() -> None:
    body = body_of([b"a" * 1000, b"b"], size_bytes=1001)
    await body.swallow()
    assert not body.unread


def test_a_body_has_one_framing() -> None:
    assert frame_of("12", None) == (12, False)
    assert frame_of(None, "chunked") == (None, True)
    assert frame_of(None, None) == (None, False)
    for length in ("-1", "1.0", "", "٣", "9" * 19):
        with pytest.raises(BadParameter):
            frame_of(length, None)
    with pytest.raises(BadParameter):
        frame_of("1", "chunked")


def test_a_digest_is_checked() -> None:
    digest = read_md5("kAFQmDzST7DWlj99KOF/cg==")
    check_md5(b"abc", digest)
    check_md5(b"abc", None)
    assert read_md5(None) is None
    with pytest.raises(DigestMismatch):
        check_md5(b"abd", digest)
    for text in ("x", "kAFQ", "=", "é"):
        with pytest.raises(InvalidDigest):
            read_md5(text)

"""Pages of keys from an S3-compatible store, folded at any delimiter, in binary order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import obstore
from obstore.exceptions import InvalidPathError

from smartcover.errors import BadKey
from smartcover.storage.rules import after_delimiter, first_key_after
from smartcover.storage.s3_failures import s3_failures
from smartcover.storage.s3_objects import ANSWER_TIMEOUT_SECONDS
from smartcover.storage.s3_place import RESERVED, S3Place, check_reachable
from smartcover.storage.s3_raw_listing import entries_of

_HIGHEST = chr(0x10FFFF)


async def page(
    place: S3Place, bucket: str, *, prefix: str, delimiter: str, marker: str, limit: int
) -> tuple[list[tuple[str, Any]], bool]:
    """
    Give up to `limit` entries after `marker`, each a key with what the store says of it, or a folded prefix with
    None; and whether there are more.
    """
    if delimiter:
        after_delimiter(delimiter)
    entries: list[tuple[str, Any]] = []
    lower = first_key_after(marker, prefix, delimiter)
    while True:
        resume: str | None = None
        async for chunk in _chunks(place, bucket, prefix, lower):
            folded = ""
            for key, meta in chunk:
                folded = ""
                if key < lower or not key.startswith(prefix):
                    if key > prefix and not key.startswith(prefix):
                        return entries, False
                    continue
                if key.startswith(f"{RESERVED}/"):
                    folded, resume = f"{RESERVED}/", f"{RESERVED}0"
                    continue
                if len(entries) >= limit:
                    return entries, limit > 0
                at = key.find(delimiter, len(prefix)) if delimiter else -1
                if at < 0:
                    entries.append((key, meta))
                    continue
                folded = key[: at + len(delimiter)]
                lower = key[:at] + after_delimiter(delimiter)
                resume = lower
                entries.append((folded, None))
            if folded:
                break  # the chunk ends inside a folded prefix, which may hold any number of keys: jump over it
        else:
            return entries, False
        assert resume is not None
        lower = max(lower, resume)


async def _chunks(place: S3Place, bucket: str, prefix: str, lower: str) -> AsyncIterator[list[tuple[str, Any]]]:
    """Give what the store lists from `lower` on, or from somewhere before it."""
    root = place.root(bucket)
    folder = root + prefix[: prefix.rfind("/") + 1]
    before = _just_before(lower)
    try:
        if before:
            check_reachable(before)
        offset = root + before if before else None
    except BadKey:
        offset = None
    with s3_failures("list objects"):
        stream = obstore.list(
            place.store(bucket), prefix=folder.rstrip("/") or None, offset=offset, chunk_size=1000
        ).__aiter__()
    while True:
        with s3_failures("list objects"):
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except InvalidPathError:
                break  # a key that others wrote and that the client cannot name: go on without the client
        offset = chunk[-1]["path"] if chunk else offset
        yield [(meta["path"][len(root) :], meta) for meta in chunk]
    async for entries in entries_of(place, bucket, prefix=folder, after=offset or ""):
        named = ((path[len(root) :], meta) for path, meta in entries)
        yield [(key, meta) for key, meta in named if _is_shown(key)]


def _is_shown(key: str) -> bool:
    if key.startswith(f"{RESERVED}/"):
        return True
    try:
        check_reachable(key)
    except BadKey:
        return False
    return True


def _just_before(key: str) -> str:
    """Give a text below `key` with nothing likely between them; the store begins after it."""
    if not key:
        return ""
    last = ord(key[-1])
    if last <= 1:
        return key[:-1]
    return key[:-1] + chr(0xD7FF if last == 0xE000 else last - 1) + _HIGHEST

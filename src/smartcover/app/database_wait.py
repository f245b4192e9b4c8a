"""Waiting, while a process starts, for a database that is away: PostgreSQL may start later than we do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from typing import Final, TypeVar

import structlog

from smartcover.errors import LedgerUnavailable, RegisterUnavailable, SmartCoverError

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS: Final = 0.5
_MOST_PAUSE_SECONDS: Final = 5.0


class StoppedWhileWaiting(Exception):
    """The process was told to stop before it had begun."""


class DatabaseWait:
    """
    Repeats what needs the database until it answers, for a time.

    Only absence is waited for, however often it comes. Wrong credentials, a wrong address or a wrong schema are
    `SettingsError`s and pass, as does the word of a store that is no database.

    Args:
        seconds: Longest wait of one step; 0 tries once.
        stop: Ends the wait at once when it is set.
        meanwhile: What goes on while there is something to wait for, such as pages that say so.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        *,
        stop: asyncio.Event | None = None,
        meanwhile: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> None:
        self._seconds = seconds
        self._stop = stop or asyncio.Event()
        self._meanwhile = meanwhile

    async def through(self, step: Callable[[], Awaitable[T]]) -> T:
        """
        Give what the step gives; it must be one that can be repeated.

        Raises:
            LedgerUnavailable: If the database stayed away for the whole time.
            StoppedWhileWaiting: If the stop came first.
        """
        began: float | None = None
        pause = _FIRST_PAUSE_SECONDS
        async with AsyncExitStack() as stack:
            while True:
                try:
                    found = await self._unless_stopped(step())
                except (LedgerUnavailable, RegisterUnavailable) as error:
                    now = time.monotonic()
                    if began is None:
                        began = now
                        if self._seconds:
                            await stack.enter_async_context(self._meanwhile())
                    left = began + self._seconds - now
                    if left <= 0:
                        raise self._given_up(error) from error
                    pause = min(pause, left)
                    _log.warning(
                        "waiting for the database",
                        error=error.public,
                        again_in_seconds=round(pause, 1),
                        ends_in_seconds=round(left, 1),
                    )
                    await self._unless_stopped(asyncio.sleep(pause))
                    pause = min(2 * pause, _MOST_PAUSE_SECONDS)
                else:
                    if began is not None:
                        _log.info("the database is there", waited_seconds=round(time.monotonic() - began, 1))
                    return found

    def _given_up(self, error: LedgerUnavailable | RegisterUnavailable) -> SmartCoverError:
        if not self._seconds:
            return error
        met = error.public.removesuffix(".")
        return LedgerUnavailable(
            f"{met}; waited for {self._seconds:g} s (SMARTCOVER_DATABASE_WAIT_SECONDS)", detail=error.detail
        )

    async def _unless_stopped(self, work: Awaitable[T]) -> T:
        doing, stopping = asyncio.ensure_future(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise StoppedWhileWaiting
            return doing.result()
        finally:
            stopping.cancel()
            if not doing.done():
                doing.cancel()
                await asyncio.gather(doing, return_exceptions=True)

"""Hearing of changes at once: one LISTEN connection that comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

import structlog

from smartcover.ledger.connections import connect

_log = structlog.get_logger(__name__)

CHANNEL: Final = "smartcover"
#: Payloads: the kind of work, or `cancel:` and a job id.
CANCEL: Final = "cancel:"

_RECONNECT_SECONDS: Final = 0.5
_CONNECT_SECONDS: Final = 5.0
#: A connection that died without a word is found out within this time.
_PROBE_SECONDS: Final = 10.0
#: Cancelled jobs kept for a reader. Not every process reads them; a worker that misses one loses the lease anyway.
_MOST_CANCELLED: Final = 1000

Kind = Literal["jobs", "deliveries", "uploads", "batches", "keys"]


class Wakeups:
    """
    Tells when there is work, with no promise of completeness: callers also look by themselves from time to time.

    After a lost connection every kind is woken once, because what was said meanwhile is lost.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._events: dict[str, asyncio.Event] = {kind: asyncio.Event() for kind in get_args(Kind)}
        self._task: asyncio.Task[None] | None = None
        self._away = False
        #: Ids of jobs that were cancelled, the latest of them.
        self.cancelled: asyncio.Queue[str] = asyncio.Queue(_MOST_CANCELLED)

    async def wait(self, kind: Kind, timeout_seconds: float) -> None:
        """Return when work of the kind was announced since the last call, or after the time."""
        event = self._events[kind]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), timeout_seconds)
        event.clear()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen_for_ever(), name="ledger wakeups")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would listen again
                if not self._away:  # once an outage: two lines a second would bury what else goes on
                    _log.info("the connection for wake-ups is away; trying again", error=str(error) or repr(error))
                self._away = True
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await connect(self._dsn, timeout=_CONNECT_SECONDS, command_timeout=_CONNECT_SECONDS)
        try:
            ended = asyncio.Event()
            connection.add_termination_listener(lambda _: ended.set())
            await connection.add_listener(CHANNEL, self._heard)
            self._away = False
            for event in self._events.values():
                event.set()
            while not ended.is_set():
                # Not wait_for: before Python 3.12 it loses a stop that comes just when the connection ends, and whoever
                # stops waits for ever.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PROBE_SECONDS):
                        await ended.wait()
                if not ended.is_set():
                    await connection.execute("SELECT 1")
        finally:
            connection.terminate()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        text = str(payload)
        if text.startswith(CANCEL):
            if self.cancelled.full():
                self.cancelled.get_nowait()
            self.cancelled.put_nowait(text.removeprefix(CANCEL))
        elif text in self._events:
            self._events[text].set()

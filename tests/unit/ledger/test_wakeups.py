"""Wake-ups that nobody reads take no room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from smartcover.ledger import Wakeups
from smartcover.ledger.wakeups import CANCEL


def test_of_many_cancelled_jobs_the_latest_are_kept() -> None:
    wakeups = Wakeups("postgresql://nowhere")
    for number in range(2500):
        wakeups._heard(None, 1, "smartcover", f"{CANCEL}j{number}")
    kept = [wakeups.cancelled.get_nowait() for _ in range(wakeups.cancelled.qsize())]
    assert kept == [f"j{number}" for number in range(1500, 2500)]


async def test_words_that_are_not_known_wake_nobody() -> None:
    wakeups = Wakeups("postgresql://nowhere")
    wakeups._heard(None, 1, "smartcover", "a word of a later version")
    assert not any(event.is_set() for event in wakeups._events.values())
    wakeups._heard(None, 1, "smartcover", "jobs")
    await wakeups.wait("jobs", 0.0)
    assert not wakeups._events["jobs"].is_set()


async def test_an_outage_of_the_database_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartcover.ledger.wakeups._RECONNECT_SECONDS", 0.01)
    with structlog.testing.capture_logs() as told:
        async with Wakeups("postgresql://nobody@127.0.0.1:1/none"):
            await asyncio.sleep(0.3)
    assert [line["event"] for line in told] == ["the connection for wake-ups is away; trying again"]


async def test_a_fault_that_nobody_thought_of_does_not_end_the_listening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartcover.ledger.wakeups._RECONNECT_SECONDS", 0.01)
    tries = 0

    async def listen(_self: Wakeups) -> None:
        nonlocal tries
        tries += 1
        raise RuntimeError

    monkeypatch.setattr(Wakeups, "_listen", listen)
    with structlog.testing.capture_logs() as told:
        async with Wakeups("postgresql://nowhere"):
            await asyncio.sleep(0.2)
    assert tries > 1
    assert [line["error"] for line in told] == ["RuntimeError()"]


@pytest.mark.parametrize("steps", range(5))
async def test_a_stop_that_comes_just_when_the_connection_ends_is_heard(
    monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """`steps` is how often the loop went round between the two."""
    endings: list[Callable[[Any], None]] = []
    listening = asyncio.Event()

    class Connection:
        def add_termination_listener(self, heard: Callable[[Any], None]) -> None:
            endings.append(heard)

        async def add_listener(self, *_: Any) -> None:
            listening.set()

        def terminate(self) -> None:
            """Have nothing to end."""

    async def connect(*_: Any, **__: Any) -> Connection:
        return Connection()

    monkeypatch.setattr("smartcover.ledger.wakeups.connect", connect)
    async with asyncio.timeout(10):
        async with Wakeups("postgresql://nowhere"):
            await listening.wait()
            await asyncio.sleep(0)
            endings[0](None)
            for _ in range(steps):
                await asyncio.sleep(0)

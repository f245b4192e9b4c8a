"""What goes wrong around the processes of a run: connections that are cut, a disk that fills, a store that fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Protocol

from tests.store_proxy import Asked, Fault, Proxy


class CuttingProxy:
    """Passes TCP connections on to a port of this machine; may cut them all, or hold back what they say."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving = 0
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        """Reset all connections that there are; new ones are let through."""
        self._loop.call_soon_threadsafe(self._cut)

    def stall(self, seconds: float) -> None:
        """Say nothing for a while in either direction, and then all at once."""
        self._loop.call_soon_threadsafe(self._flows.clear)
        time.sleep(seconds)
        self._loop.call_soon_threadsafe(self._flows.set)

    def close(self) -> None:
        """End all connections and take no more."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        self._cut()
        while self._serving:
            await asyncio.sleep(0.01)

    def _cut(self) -> None:
        self._flows.set()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving += 1
        try:
            await self._join(reader, writer)
        finally:
            self._serving -= 1

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        ways = [
            asyncio.create_task(self._pass_on(reader, far_writer)),
            asyncio.create_task(self._pass_on(far_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self._writers -= ends
        for end in ends:
            end.transport.abort() if end.is_closing() else end.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(1 << 16):
                await self._flows.wait()
                writer.write(piece)
                await writer.drain()


class Disk(Protocol):
    """The disk of the objects."""

    def full(self) -> contextlib.AbstractContextManager[None]:
        """Leave no room meanwhile."""


class FlaggedDisk:
    """Workers of `tests.chaos.worker` find the disk full while the flag is there; needs no root."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room."""
        self.flag.touch()
        try:
            yield
        finally:
            self.flag.unlink()


class SmallDisk:
    """A disk of its own for the objects, which can be filled to the last byte; needs root."""

    def __init__(self, folder: Path, *, size_mebibytes: int) -> None:
        self.folder = folder
        folder.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_mebibytes}m", "smartcover-chaos", str(folder)], check=True
        )

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room."""
        filler = self.folder / "filler"
        block = b"\0" * (1 << 20)
        try:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(block) == len(block):
                    pass
            yield
        finally:
            filler.unlink(missing_ok=True)

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=False)


def can_mount() -> bool:
    """Tell whether this process may make a `SmallDisk`."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0
    )


class ShakyStore:
    """
    Makes the store behind a proxy fail: now and then all the time, and in spells as a run asks for them.

    Args:
        failing: The share of requests that fail outside of spells.
    """

    def __init__(self, proxy: Proxy, dice: Random, *, failing: float) -> None:
        self._dice, self._failing = dice, failing
        self._spell: Callable[[Asked], Fault | None] | None = None
        self.failed = 0
        proxy.fault_of = self._fault_of

    def errors(self) -> None:
        """Answer 500 and 503 to all, for longer than a request is tried again."""
        self._for(self._dice.uniform(2, 6), lambda asked: Fault(status=self._dice.choice((500, 503))))

    def cuts(self) -> None:
        """Break off most answers in the middle of their body, or before it."""
        self._for(
            self._dice.uniform(1, 3), lambda asked: Fault(cut_after=self._dice.randrange(20)) if self._half() else None
        )

    def slow(self) -> None:
        """Let all answers wait, and go silent in the middle of what is read."""
        self._for(self._dice.uniform(2, 5), lambda asked: Fault(delay_seconds=self._dice.random(), pause_seconds=1.0))

    def _half(self) -> bool:
        return self._dice.random() < 0.5

    def _for(self, seconds: float, spell: Callable[[Asked], Fault | None]) -> None:
        self._spell = spell
        time.sleep(seconds)
        self._spell = None

    def _fault_of(self, number: int, asked: Asked) -> Fault | None:
        spell = self._spell
        if spell is not None:
            fault = spell(asked)
        elif self._dice.random() < self._failing:
            faults = (Fault(status=503), Fault(status=500), Fault(cut_after=0), Fault(delay_seconds=0.5))
            fault = self._dice.choice(faults)
        else:
            fault = None
        self.failed += fault is not None
        return fault

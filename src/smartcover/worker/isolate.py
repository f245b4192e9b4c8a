"""
The engine in a child process with limits on time and memory.

A child costs about 20 ms over a call in this process, because it is forked from a server that holds the loaded
libraries; for that, no video can crash, hang or bloat the worker.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO

from smartcover import errors
from smartcover.engine import CoverOptions, Limits
from smartcover.errors import (
    DecodeTimedOut,
    EngineCrashed,
    EngineKilled,
    NotAVideo,
    ObjectMissing,
    SizeOutOfRange,
    SmartCoverError,
    StorageUnavailable,
    StoreBucketMissing,
    VideoError,
)
from smartcover.storage import FileReader, VideoSource
from smartcover.worker import answers, child, frames
from smartcover.worker.answers import ImageFormat

_LARGEST_IMAGE_BYTES = 256 << 20  # one encoded cover; a 8192 x 8192 PNG stays below
_LARGEST_WORDS_BYTES = 1 << 20
_MOST_MESSAGES = 10_000
#: How long the fork server may take to tell how a child ended: without memory left, a machine is slow.
_TOLD_WITHIN_SECONDS = 10.0
#: What a child may say went wrong: the video, a size asked of it, or the store that it is read from.
_KINDS = (VideoError, SizeOutOfRange, ObjectMissing, StoreBucketMissing, StorageUnavailable)
#: Deaths of a child that no video brings about: somebody else sent these signals, such as the kernel without memory
#: left. 255 stands for a child whose fork server died too and told nothing: the signal went to the whole group.
_ENDED_BY_OTHERS = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP, 255)


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one video may take: wall time, memory and the size of a frame."""

    seconds: float = 300.0
    memory_bytes: int = 2 << 30
    max_pixels: int = 8192 * 8192


@dataclass(frozen=True, slots=True)
class PickedCover:
    """A cover that came back from the child: the encoded image and why it was chosen."""

    image: bytes
    format: ImageFormat
    width_px: int
    height_px: int
    seconds: float
    score: float
    signals: Mapping[str, float]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PickedCovers:
    """
    What the engine found, best first.

    `bytes_read` is what came from the store for it, `unseen` what part of the video was not looked at.
    """

    covers: tuple[PickedCover, ...]
    fallback: str | None
    duration_seconds: float | None
    timings: Mapping[str, float]
    bytes_read: int = 0
    unseen: str | None = None


@dataclass(frozen=True, slots=True)
class _NoVideo:
    """What a probe gives to the child: no store is asked for it."""

    def open(self) -> FileReader:
        return FileReader(BytesIO(b"no video, on purpose"))


class EngineRunner:
    """Runs up to `concurrency` engine children at once."""

    def __init__(self, *, limits: EngineLimits, concurrency: int) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(max(1, concurrency), thread_name_prefix="engine")
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["smartcover.worker.preload", "smartcover.worker.child"])

    async def pick(
        self,
        source: VideoSource,
        options: CoverOptions,
        *,
        on_progress: Callable[[str, float], None] = lambda step, share: None,
        on_bytes_read: Callable[[int], None] = lambda bytes_read: None,
    ) -> PickedCovers:
        """
        Pick covers of a video; cancelling this call kills the child at once.

        Args:
            on_progress: Called in another thread with the step's name and the share done, 0 to 1.
            on_bytes_read: Called in another thread with the bytes that were read of the video so far; what a video
                cost is known that way also when it fails.

        Raises:
            VideoError, SizeOutOfRange: As the engine raises it; `DecodeTimedOut` past the time limit; `EngineCrashed`
                when the child died, asked for more memory than it may have, or met a fault of ours (with its
                traceback as `detail`); `EngineKilled` when somebody else ended it, whatever the video.
        """
        abandoned = threading.Event()
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, self._drive, source, options, on_progress, on_bytes_read, abandoned)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            abandoned.set()
            await asyncio.gather(work, return_exceptions=True)
            raise

    async def probe(self) -> None:
        """
        Return if a child starts, answers and keeps its limits; it is not one of the `concurrency`.

        Raises:
            VideoError: If it does not.
        """
        ignore, abandoned = (lambda *_: None), threading.Event()
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(None, self._drive, _NoVideo(), CoverOptions(), ignore, ignore, abandoned)
        try:
            await asyncio.shield(work)
        except NotAVideo:
            return
        except asyncio.CancelledError:
            abandoned.set()
            await asyncio.gather(work, return_exceptions=True)
            raise
        raise EngineCrashed("the engine took noise for a video")

    def close(self) -> None:
        """Let go of the threads; children of calls under way are killed by cancelling those calls first."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _drive(
        self,
        source: VideoSource,
        options: CoverOptions,
        on_progress: Callable[[str, float], None],
        on_bytes_read: Callable[[int], None],
        abandoned: threading.Event,
    ) -> PickedCovers:
        limits = Limits(seconds=self._limits.seconds, max_pixels=self._limits.max_pixels)
        receive, send = self._context.Pipe(duplex=False)
        with receive, send:
            process = self._context.Process(
                target=child.run, args=(send, source, options, limits, self._limits.memory_bytes), daemon=True
            )
            try:
                process.start()
            except (OSError, EOFError) as error:  # no processes or files left, or the fork server was killed just now
                raise EngineKilled("The decoder's process could not be started.", detail=repr(error)) from error
            send.close()  # else the pipe never shows the child's end
            # The engine watches the same limit and answers in words; this one is for when it cannot.
            deadline = time.monotonic() + self._limits.seconds + 5.0

            def go_on() -> None:
                if abandoned.is_set():
                    raise EngineCrashed("the work was given up")
                if time.monotonic() > deadline:
                    raise DecodeTimedOut(f"the video took longer than {self._limits.seconds:g} seconds")

            try:
                return _converse(receive.fileno(), options.count, on_progress, on_bytes_read, go_on)
            except EOFError as error:
                process.join(_TOLD_WITHIN_SECONDS)
                kind = EngineKilled if process.exitcode in _ENDED_BY_OTHERS else EngineCrashed
                raise kind(detail=f"the engine's process ended with code {process.exitcode}") from error
            except (OSError, ValueError) as error:
                raise EngineCrashed(detail=f"the engine's answer cannot be read: {error!r}") from error
            finally:
                process.kill()
                process.join()
                process.close()


def _converse(
    pipe: int,
    most_covers: int,
    on_progress: Callable[[str, float], None],
    on_bytes_read: Callable[[int], None],
    go_on: Callable[[], None],
) -> PickedCovers:
    for _ in range(_MOST_MESSAGES):
        message = answers.read(frames.receive(pipe, most_bytes=_LARGEST_WORDS_BYTES, go_on=go_on))
        on_bytes_read(message.bytes_read)
        if isinstance(message, answers.Progress):
            on_progress(message.step, message.share)
        elif isinstance(message, answers.Failure):
            raise _error(message)
        else:
            if len(message.covers) > most_covers:
                raise EngineCrashed(detail=f"{len(message.covers)} covers came for {most_covers} asked for")
            images = [frames.receive(pipe, most_bytes=_LARGEST_IMAGE_BYTES, go_on=go_on) for _ in message.covers]
            return _picked(message, images)
    raise EngineCrashed(detail=f"the engine sent {_MOST_MESSAGES} messages without an end")


def _error(failure: answers.Failure) -> SmartCoverError:
    kind = getattr(errors, failure.error, EngineCrashed)
    public = failure.public[:1000]
    if not (isinstance(kind, type) and issubclass(kind, _KINDS)):
        kind = EngineCrashed
    return kind(public, detail=failure.detail)


def _picked(picks: answers.Picks, images: list[bytes]) -> PickedCovers:
    return PickedCovers(
        covers=tuple(
            PickedCover(
                image=image,
                format=cover.format,
                width_px=cover.width_px,
                height_px=cover.height_px,
                seconds=cover.seconds,
                score=cover.score,
                signals=cover.signals,
                reasons=cover.reasons,
            )
            for cover, image in zip(picks.covers, images, strict=True)
        ),
        fallback=picks.fallback,
        duration_seconds=picks.duration_seconds,
        timings=picks.timings,
        bytes_read=picks.bytes_read,
        unseen=picks.unseen,
    )

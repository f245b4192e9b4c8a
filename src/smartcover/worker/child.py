"""
What runs in the decoder's child process: one video, one answer.

The child is forked from a server that has the decoder's libraries loaded already. It answers in length-framed
messages, JSON and raw bytes, never in pickles: a decoder that a hostile video has taken over must not be able to
run code in its parent.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from smartcover import engine
from smartcover.engine import CoverOptions, Limits, Picks
from smartcover.errors import SmartCoverError
from smartcover.storage import VideoReader, VideoSource
from smartcover.worker import frames

_LONGEST_TRACE = 10_000


def run(answers: Connection, source: VideoSource, options: CoverOptions, limits: Limits, memory_bytes: int) -> None:
    """
    Pick covers of `source` under the resource limits and send the answer; the child's main function.

    Messages: any number of `{"step", "share"}`, then `{"error", "public"}`, with `"detail"` for the log where there is
    any (of a fault of ours the traceback), or `{"picks"}` with one raw message for each cover's image. Each but the
    images also says `"bytes_read"`: what came from the store so far.
    """
    _confine(memory_bytes)
    video: VideoReader | None = None

    def bytes_read() -> int:
        return 0 if video is None else video.bytes_read

    def report(step: str, share: float) -> None:
        _say(answers, {"step": step, "share": share, "bytes_read": bytes_read()})

    try:
        video = source.open()
        picks = engine.pick_covers(video, options, limits=limits, on_progress=report)
    except SmartCoverError as error:
        known = {"error": type(error).__name__, "public": error.public, "bytes_read": bytes_read()}
        _say(answers, {**known, "detail": error.detail[:_LONGEST_TRACE]} if error.detail else known)
    except MemoryError:
        public = f"the video needs more than {memory_bytes >> 20} MiB of memory"
        _say(answers, {"error": "EngineCrashed", "public": public, "bytes_read": bytes_read()})
    except Exception as error:  # noqa: BLE001 - if it only ended the process, it would pass for a crash
        _say(answers, {**_fault(error), "bytes_read": bytes_read()})
    else:
        _say(answers, {"picks": _describe(picks, bytes_read())})
        for cover in picks.covers:
            frames.send(answers.fileno(), cover.image)
    answers.close()


def _say(answers: Connection, message: Mapping[str, Any]) -> None:
    frames.send(answers.fileno(), json.dumps(message).encode())


def _fault(error: Exception) -> Mapping[str, Any]:
    """Say that the program is at fault, to the client by the kind alone: the words may hold paths and addresses."""
    public = (
        f"smartcover failed on the video by a fault of its own ({type(error).__name__}); the worker's log says where"
    )
    trace = "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]
    detail = trace.encode(errors="backslashreplace").decode()
    return {"error": "EngineCrashed", "public": public, "detail": detail}


def _describe(picks: Picks, bytes_read: int) -> Mapping[str, Any]:
    return {
        "bytes_read": bytes_read,
        "duration_seconds": picks.video.duration_seconds,
        "fallback": picks.fallback,
        "unseen": picks.unseen,
        "timings": dict(picks.timings),
        "covers": [
            {
                "format": cover.format,
                "width_px": cover.width_px,
                "height_px": cover.height_px,
                "seconds": cover.seconds,
                "score": cover.score,
                "signals": dict(cover.signals),
                "reasons": list(cover.reasons),
            }
            for cover in picks.covers
        ],
    }


def _die_with_the_worker() -> None:
    """
    Let the kernel end this process when the worker dies, however it dies and whatever runs here then.

    The worker holds the other end of the sentinel's pipe. Its closing raises SIGIO here, whose default is to end the
    process. (The parent by fork is the fork server, which lives as long as its children: its death says nothing.)
    """
    worker = multiprocessing.parent_process()
    if worker is None:  # called without a worker, in a test
        return
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(worker.sentinel, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(worker.sentinel, fcntl.F_GETFL)
    fcntl.fcntl(worker.sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)
    if multiprocessing.connection.wait([worker.sentinel], 0):
        os._exit(1)  # it died before we listened


def _confine(memory_bytes: int) -> None:
    """Bind this process to its limits and to its parent's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it stops us by SIGKILL
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        _die_with_the_worker()
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # a decoder writes no files
    with contextlib.suppress(OSError):  # a container may forbid it; a lower priority is only a courtesy
        os.nice(5)

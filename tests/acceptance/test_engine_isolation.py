"""No video takes the worker down: the engine's child is bounded in time and memory and dies with its parent."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smartcover.engine import CoverOptions
from smartcover.errors import BadParameter, DecodeTimedOut, EngineCrashed, EngineKilled, NotAVideo, VideoError
from smartcover.storage import LocalVideo, VideoSource
from smartcover.worker import EngineLimits, EngineRunner
from tests.clips import small_clip
from tests.hostile_sources import (
    Devours,
    Dies,
    Hangs,
    IsKilled,
    IsKilledOnABusyMachine,
    IsKilledWithItsServer,
    Segfaults,
    ShowsItsLimits,
    Stumbles,
    TakesOver,
    Writes,
)

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="limits and parents' deaths are Linux's here"),
]


@pytest.fixture
def runner() -> Iterator[EngineRunner]:
    made = EngineRunner(limits=EngineLimits(seconds=20, memory_bytes=512 << 20), concurrency=2)
    yield made
    made.close()


def child_of(note: Path) -> int | None:
    """Find the process id that a `Hangs` left in the name of its note."""
    for path in note.parent.glob(f"{note.stem}.*"):
        number = path.suffix[1:]
        if number.isdigit():
            return int(number)
    return None


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not condition():
        await asyncio.sleep(0.02)
    return condition()


async def test_a_good_video_gives_covers_and_progress(runner: EngineRunner, tmp_path: Path) -> None:
    clip = small_clip(tmp_path / "clip.mp4")
    steps: list[tuple[str, float]] = []
    picked = await runner.pick(
        LocalVideo(clip), CoverOptions(count=2), on_progress=lambda step, share: steps.append((step, share))
    )
    assert len(picked.covers) == 2
    assert all(cover.image.startswith(b"\xff\xd8") and cover.format == "jpg" for cover in picked.covers)
    assert steps
    assert all(0 <= share <= 1 for _, share in steps)


async def test_what_was_read_of_a_video_is_told_also_when_it_fails(runner: EngineRunner, tmp_path: Path) -> None:
    clip = small_clip(tmp_path / "clip.mp4")
    told: list[int] = []
    picked = await runner.pick(LocalVideo(clip), CoverOptions(count=1), on_bytes_read=told.append)
    assert 0 < picked.bytes_read == told[-1]
    assert told == sorted(told)
    noise = tmp_path / "noise"
    noise.write_bytes(os.urandom(4096))
    told.clear()
    with pytest.raises(NotAVideo):
        await runner.pick(LocalVideo(noise), CoverOptions(), on_bytes_read=told.append)
    assert told
    assert told[-1] >= 4096


async def test_an_unreadable_video_fails_in_words_that_name_no_path(runner: EngineRunner, tmp_path: Path) -> None:
    path = tmp_path / "secret-place"
    path.write_bytes(os.urandom(4096))
    with pytest.raises(NotAVideo) as failure:
        await runner.pick(LocalVideo(path), CoverOptions())
    assert "secret-place" not in failure.value.public


async def test_a_size_that_the_video_cannot_have_is_the_fault_of_the_parameter(
    runner: EngineRunner, tmp_path: Path
) -> None:
    tall = small_clip(tmp_path / "tall.mp4", width_px=64, height_px=160)
    with pytest.raises(BadParameter, match="4096 px wide of this video is 10240 px high, more than 8192"):
        await runner.pick(LocalVideo(tall), CoverOptions(width_px=4096))


@pytest.mark.parametrize("source", [Dies(), Segfaults()], ids=["exit", "segfault"])
async def test_a_child_that_dies_is_a_failed_video_and_the_next_one_works(
    runner: EngineRunner, source: VideoSource, tmp_path: Path
) -> None:
    with pytest.raises(EngineCrashed) as failure:
        await runner.pick(source, CoverOptions())
    assert not isinstance(failure.value, EngineKilled), "the video did it, so no later try would differ"
    picked = await runner.pick(LocalVideo(small_clip(tmp_path / "clip.mp4")), CoverOptions(count=1))
    assert len(picked.covers) == 1


@pytest.mark.parametrize(
    "source",
    [IsKilled(signal.SIGKILL), IsKilled(signal.SIGTERM), IsKilledWithItsServer(), IsKilledOnABusyMachine()],
    ids=["kill", "term", "group", "busy"],
)
async def test_a_child_that_somebody_else_ends_is_no_fault_of_the_video(
    runner: EngineRunner, source: VideoSource, tmp_path: Path
) -> None:
    with pytest.raises(EngineKilled, match="from outside"):
        await runner.pick(source, CoverOptions())
    picked = await runner.pick(LocalVideo(small_clip(tmp_path / "clip.mp4")), CoverOptions(count=1))
    assert len(picked.covers) == 1


async def test_a_child_that_cannot_be_started_is_no_fault_of_the_video(
    runner: EngineRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_process: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "no process left")

    monkeypatch.setattr("multiprocessing.context.ForkServerProcess.start", start)
    with pytest.raises(EngineKilled, match="could not be started"):
        await runner.pick(Dies(), CoverOptions())


def framed(message: object) -> bytes:
    words = message if isinstance(message, bytes) else json.dumps(message).encode()
    return struct.pack("!Q", len(words)) + words


def picks(**changes: object) -> dict[str, dict[str, Any]]:
    cover = {
        "format": "jpg",
        "width_px": 64,
        "height_px": 36,
        "seconds": 1.0,
        "score": 0.5,
        "signals": {},
        "reasons": [],
        **changes,
    }
    return {"picks": {"duration_seconds": 1.0, "fallback": None, "unseen": None, "timings": {}, "covers": [cover]}}


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"\xff" * 4096,
        framed(b"\xff\xfe"),
        framed(b"[" * 100_000)[:60_000],
        framed(3),
        framed({"step": "look", "share": "half"}),
        framed({"picks": {"covers": "many"}}),
        framed(picks(signals=[1, 2])),
        framed(picks(width_px=1e999)),
        framed({"step": "look", "share": 0.1, "bytes_read": -1}),
        framed({"step": "look", "share": 0.1, "bytes_read": 1 << 63}),
        framed({"step": "look", "share": 0.1, "bytes_read": "many"}),
        framed(picks(score=float("nan"))) + framed(b"image"),
        framed(picks(format="../../evil")) + framed(b"image"),
        framed({"picks": {**picks()["picks"], "covers": picks()["picks"]["covers"] * 11}}),
        framed({"error": "__builtins__", "public": "x"}),
        framed({"error": "SmartCoverError", "public": "x"}),
        framed({"step": "look", "share": 0.1}) * 1200,
    ],
)
async def test_a_child_that_was_taken_over_is_not_believed(runner: EngineRunner, words: bytes) -> None:
    with pytest.raises(EngineCrashed):
        await runner.pick(TakesOver(words), CoverOptions(count=1))


async def test_a_child_that_says_everything_right_is_believed(runner: EngineRunner) -> None:
    """Without this, the refusals above would prove nothing."""
    said = picks(signals={"luma": float("nan"), "faces": 1})["picks"]
    words = framed({"step": "look", "share": 0.1}) + framed({"picks": {**said, "unseen": "the second half"}})
    picked = await runner.pick(TakesOver(words + framed(b"image")), CoverOptions(count=1))
    assert (picked.covers[0].image, picked.unseen) == (b"image", "the second half")
    assert picked.covers[0].signals == {"faces": 1.0}, "a number that JSON cannot hold is left out"


@pytest.mark.parametrize("words", [b"\0\0", struct.pack("!Q", 1000) + b"half", framed(picks())])
async def test_a_child_that_stops_in_the_middle_of_a_word_holds_nobody(words: bytes, tmp_path: Path) -> None:
    note = tmp_path / "note.said"
    note.touch()
    short = EngineRunner(limits=EngineLimits(seconds=60), concurrency=1)
    task = asyncio.create_task(short.pick(TakesOver(words, note), CoverOptions(count=1)))
    assert await eventually(lambda: child_of(note) is not None, 50)
    await asyncio.sleep(0.2)  # for the worker to read as far as there is something to read
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    short.close()


async def test_a_child_runs_under_its_limits(runner: EngineRunner) -> None:
    with pytest.raises(NotAVideo, match=f"^{512 << 20} 0 0$"):
        await runner.pick(ShowsItsLimits(), CoverOptions())


async def test_a_fault_of_the_program_is_told_as_one_with_its_words_for_the_log_alone(runner: EngineRunner) -> None:
    with pytest.raises(EngineCrashed, match=r"a fault of its own \(ValueError\)") as failure:
        await runner.pick(Stumbles(), CoverOptions())
    assert "/srv/" not in failure.value.public
    assert failure.value.detail is not None
    assert "hostile_sources.py" in failure.value.detail
    assert r"ValueError: 31 is not a valid Type of /srv/\udcff" in failure.value.detail


async def test_memory_is_bounded(runner: EngineRunner) -> None:
    with pytest.raises(EngineCrashed, match="512 MiB"):
        await runner.pick(Devours(), CoverOptions())


async def test_a_child_leaves_no_files(runner: EngineRunner, tmp_path: Path) -> None:
    with pytest.raises(VideoError):
        await runner.pick(Writes(tmp_path / "left"), CoverOptions())
    assert not (tmp_path / "left").exists() or (tmp_path / "left").stat().st_size == 0


async def test_time_is_bounded_even_when_the_engine_cannot_look_at_the_clock(tmp_path: Path) -> None:
    note = tmp_path / "note.hang"
    note.touch()
    short = EngineRunner(limits=EngineLimits(seconds=0.5), concurrency=1)
    with pytest.raises(DecodeTimedOut, match=r"0\.5 seconds"):
        await short.pick(Hangs(note), CoverOptions())
    short.close()
    pid = child_of(note)
    assert pid is not None
    assert not alive(pid)


async def test_cancelling_kills_the_child_at_once(runner: EngineRunner, tmp_path: Path) -> None:
    note = tmp_path / "note.hang"
    note.touch()
    task = asyncio.create_task(runner.pick(Hangs(note), CoverOptions()))
    assert await eventually(lambda: child_of(note) is not None)
    pid = child_of(note)
    assert pid is not None
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 5
    assert not alive(pid)


PARENT = """
import asyncio, sys
from pathlib import Path
from smartcover.engine import CoverOptions
from smartcover.worker import EngineLimits, EngineRunner
from tests.hostile_sources import Hangs

asyncio.run(EngineRunner(limits=EngineLimits(), concurrency=1).pick(Hangs(Path(sys.argv[1])), CoverOptions()))
"""


async def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "note.hang"
    note.touch()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(note)], cwd=Path(__file__).resolve().parents[2])
    try:
        assert await eventually(lambda: child_of(note) is not None, 60)
        pid = child_of(note)
        assert pid is not None
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert await eventually(lambda: not alive(pid)), "the decoder outlives its worker"
    finally:
        parent.kill()
        parent.wait()

"""
One measurement in a process of its own: `python -m benchmarks.speed.measure WHAT VIDEO` prints one JSON object.

Imports are done before the clock starts. CPU time is that of this process and its threads.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

KEYFRAMES = 60
_CHEAP_STEPS = ("open", "look", "score")


def decoder_limit(path: str) -> dict[str, float]:
    """Decode 60 keyframes with libav alone: index, pread, a decoder with one thread; no scaling, nothing looked at."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        keyframes = [entry for entry in stream.index_entries if entry.is_keyframe]
        wanted = min(KEYFRAMES, len(keyframes))
        decoder: Any = av.CodecContext.create(stream.codec_context.name, "r")
        decoder.extradata, decoder.thread_count = stream.codec_context.extradata, 1
        file = os.open(path, os.O_RDONLY)
        frames = 0
        for number in range(wanted):
            entry = keyframes[number * len(keyframes) // wanted]
            packet = av.Packet(os.pread(file, entry.size, entry.pos))
            frames += len(decoder.decode(packet)) + len(decoder.decode(None))
            decoder.flush_buffers()
        os.close(file)
    return {"frames": frames}


def whole_pick(path: str) -> dict[str, float]:
    """Choose three covers; also give the CPU time of its first steps, those without a model."""
    from smartcover.engine import pick_covers

    steps: list[tuple[str, float]] = []

    def on_progress(step: str, _share: float) -> None:
        if not steps or steps[-1][0] != step:
            steps.append((step, time.process_time()))

    started = time.process_time()
    picks = pick_covers(path, on_progress=on_progress)
    ended = time.process_time()
    after = [begin for step, begin in steps if step not in _CHEAP_STEPS]
    return {"covers": len(picks.covers), "cheap_cpu_seconds": (after[0] if after else ended) - started}


MEASUREMENTS: dict[str, Callable[[str], dict[str, float]]] = {"limit": decoder_limit, "pick": whole_pick}


def _peak_mb() -> float:
    """Give the peak of this program alone: what getrusage tells on Linux goes on from the process that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    what, path = sys.argv[1], str(Path(sys.argv[2]))
    if what == "pick":
        import numpy
        import onnxruntime
        import PIL.Image

        from smartcover.engine import pick

        assert numpy and onnxruntime and PIL.Image and pick
    wall, cpu = time.perf_counter(), time.process_time()
    result = MEASUREMENTS[what](path)
    result["cpu_seconds"] = time.process_time() - cpu
    result["wall_seconds"] = time.perf_counter() - wall
    result["peak_mb"] = _peak_mb()
    print(json.dumps(result))


if __name__ == "__main__":
    main()

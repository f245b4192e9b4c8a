"""What importing the engine costs, and what it must not do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_engine_loads_nothing_heavy() -> None:
    heavy = ("numpy", "av", "onnxruntime", "PIL")
    assert _run(f"import sys, smartcover.engine; print([name for name in {heavy} if name in sys.modules])") == "[]"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads of all kinds are counted in /proc")
def test_preloading_starts_no_thread() -> None:
    code = (
        "import os, sys, smartcover.engine; smartcover.engine.preload();"
        " print('numpy' in sys.modules, len(os.listdir('/proc/self/task')))"
    )
    assert _run(code) == "True 1"

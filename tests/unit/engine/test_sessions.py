"""Networks open late, once for each process, also in a child made by fork."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smartcover.engine import sessions
from smartcover.engine.sessions import DEFAULT_RUNTIME, Runtime, planes, providers, resized, vendored
from tests.engine_clips import texture


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_an_accelerator_is_asked_for_only_when_wanted_and_present() -> None:
    present = ["CPUExecutionProvider", "CUDAExecutionProvider"]
    assert providers(present, gpu=False) == ["CPUExecutionProvider"]
    assert providers(present, gpu=True) == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers(["CPUExecutionProvider"], gpu=True) == ["CPUExecutionProvider"]


@pytest.mark.parametrize("used", [["CUDAExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]])
def test_an_accelerator_counts_only_when_a_network_runs_on_it(used: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def get_providers(self) -> list[str]:
            return used

    monkeypatch.setattr(sessions, "vendored", lambda _name, _runtime: Session())
    assert sessions.accelerated() == (used[0] == "CUDAExecutionProvider")


def test_a_session_is_opened_once() -> None:
    assert vendored("iris.onnx") is vendored("iris.onnx", DEFAULT_RUNTIME)
    assert vendored("iris.onnx") is not vendored("iris.onnx", Runtime(threads=2))


def test_sessions_that_were_closed_open_again() -> None:
    opened = vendored("iris.onnx")
    sessions.close_all()
    assert vendored("iris.onnx") is not opened


def test_importing_the_model_modules_loads_no_runtime() -> None:
    names = ("sessions", "embedding", "landmarks", "text", "framing", "blockiness", "safety", "scorer_hook")
    imports = ", ".join(f"smartcover.engine.{name}" for name in names)
    assert _run(f"import sys, {imports}; print('onnxruntime' in sys.modules, 'PIL' in sys.modules)") == "False False"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="forking is for systems with /proc")
@pytest.mark.parametrize("used_before", [False, True])
def test_a_forked_child_can_run_networks(used_before: bool) -> None:
    code = f"""
import os, warnings
warnings.simplefilter("ignore")
import numpy as np
from smartcover.engine.embedding import see
picture = np.full((64, 64, 3), 90, dtype=np.uint8)
if {used_before}:
    see(picture)
child = os.fork()
if child == 0:
    os._exit(0 if see(picture).features.shape == (1280,) else 1)
print(os.waitpid(child, 0)[1])
"""
    assert _run(code) == "0"


def test_resizing_averages_instead_of_skipping() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    small = resized(stripes, 8, 8)
    assert small.shape == (8, 8, 3)
    assert small[2:-2, 2:-2].astype(float) == pytest.approx(100, abs=15)


def test_planes_puts_channels_first() -> None:
    picture = texture(4, 6)
    values = planes([picture], np.float32(100), np.float32(10))
    assert values.shape == (1, 3, 4, 6)
    assert values[0, 2, 1, 5] == pytest.approx((float(picture[1, 5, 2]) - 100) / 10)

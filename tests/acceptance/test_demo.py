"""`make demo`, the README's first command, from upload to callback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def running_below(folder: Path) -> list[str]:
    """List processes whose command line names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found


@pytest.mark.timeout(120)
def test_the_demo_shows_covers_and_a_callback_and_leaves_nothing_running() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tools.demo"], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "<EventName>TaskFinish</EventName>" in run.stdout
    assert "<State>Success</State>" in run.stdout
    assert "contact sheet" in run.stdout
    covers = sorted((ROOT / ".demo" / "covers").glob("*.jpg"))
    assert len(covers) == 3
    for cover in covers:
        with Image.open(cover) as picture:
            assert picture.size == (640, 272)
    assert running_below(ROOT / ".demo") == []


def test_the_demo_names_a_video_that_is_not_there() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tools.demo", "/no/such.mp4"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert "/no/such.mp4" in run.stderr
    assert "Traceback" not in run.stderr

"""A server that cannot use a setting says so in one line and is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMARTCOVER_CALLBACK_SECRET", "nonsense"),
        ("SMARTCOVER_CALLBACK_CA_FILE", "/no/such/file.pem"),
        ("SMARTCOVER_DATABASE_URL", "mysql://u:hidden@127.0.0.1/x"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_the_start_with_one_line(tmp_path: Path, name: str, value: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "smartcover", "serve", "--port", "0", "--data", str(tmp_path / "data")],
        env={**os.environ, name: value, "SMARTCOVER_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert ended.returncode == 1
    assert len(lines) == 1
    assert name in lines[0]
    assert "hidden" not in ended.stderr

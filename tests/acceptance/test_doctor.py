"""`smartcover doctor` finds nothing wrong where nothing is, and names what is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(120)


def doctor(data: Path, **settings: str) -> tuple[int, dict[str, dict[str, str]]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
    run = subprocess.run(
        [sys.executable, "-m", "smartcover", "doctor", "--data", str(data), "--json"],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert "Traceback" not in run.stderr, run.stderr
    return run.returncode, {finding["check"]: finding for finding in json.loads(run.stdout)["findings"]}


def test_a_sound_installation_passes(tmp_path: Path) -> None:
    code, findings = doctor(tmp_path)
    assert {name: finding["level"] for name, finding in findings.items() if finding["level"] == "fail"} == {}
    assert {"database", "storage", "clock", "engine in a child process", "model weights", "callbacks"} <= set(findings)
    assert code == 0


def test_what_is_wrong_is_named_with_the_way_out(tmp_path: Path) -> None:
    code, findings = doctor(
        tmp_path,
        SMARTCOVER_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        SMARTCOVER_CALLBACK_ALLOW="no-such-host.invalid",
        SMARTCOVER_CALLBACK_CA_FILE="/no/such/ca.pem",
    )
    assert code == 1
    assert findings["database"]["level"] == "fail"
    assert "/no/such/ca.pem" in findings["settings"]["seen"]
    assert findings["callbacks"]["level"] == "warn"
    assert "no-such-host.invalid" in findings["callbacks"]["seen"]

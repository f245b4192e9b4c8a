"""The systemd units agree with the settings and with each other."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from smartcover.settings import read_settings

UNITS = sorted((Path(__file__).resolve().parents[3] / "deploy/systemd").glob("*.service"))


def service_of(path: Path) -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign] # names are in mixed case
    unit.read_string(path.read_text())
    return unit["Service"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_waits_longer_than_the_process_does(path: Path) -> None:
    settings = read_settings()
    waits = settings.shutdown_grace_seconds + settings.callback_timeout_seconds
    assert float(service_of(path)["TimeoutStopSec"]) >= waits + 10


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_what_is_written_to_may_be_written_to(path: Path) -> None:
    service = service_of(path)
    assert service["ProtectSystem"] == "strict"
    assert service["PrivateTmp"] == "true"


def test_all_units_fit_on_one_machine() -> None:
    single = {"smartcover"}
    roles = [service_of(path)["ExecStart"] for path in UNITS if path.stem not in single]
    ports = [port for command in roles for port in re.findall(r"--(?:metrics-)?port (\d+)", command)]
    assert len(ports) == len(roles) == len(set(ports))

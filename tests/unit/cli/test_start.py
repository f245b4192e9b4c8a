"""How the command line begins."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from smartcover import __main__ as start
from smartcover import cli


def test_an_interrupt_while_the_command_line_is_loaded_ends_it_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "_load", interrupted)
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "")


def test_nothing_is_loaded_before_the_command_hears_interrupts() -> None:
    loaded = "import sys, smartcover.__main__; print(*sorted(name for name in sys.modules if 'smartcover' in name))"
    ran = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["smartcover", "smartcover.__main__"]


def test_the_names_of_the_library_are_there_when_they_are_asked_for() -> None:
    ask = "import smartcover as s; print(s.errors.NotAVideo.__name__, s.pick_covers.__module__); s.no"
    ran = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["NotAVideo", "smartcover.engine"]
    assert ran.stderr.endswith("AttributeError: module 'smartcover' has no attribute 'no'\n")


@pytest.mark.parametrize("words", [["serve"], ["serve", "--bucket", "videos"], ["db", "upgrade"], ["keys", "add", "a"]])
def test_a_command_whose_extra_is_missing_names_it_whatever_it_is_given(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _without_the_server(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["smartcover", *words])
    with pytest.raises(SystemExit) as ended:
        cli.run()
    told = capsys.readouterr().err
    assert (ended.value.code, told) == (
        1,
        f'smartcover: {words[0]} needs aiosql, which is not installed: pip install "smartcover[server]"\n',
    )


def test_the_help_of_a_command_whose_extra_is_missing_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _without_the_server(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["smartcover", "serve", "--help"])
    with pytest.raises(SystemExit) as ended:
        cli.run()
    told = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert 'Needs aiosql, which is not installed: pip install "smartcover[server]"' in told


def _without_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def missing(name: str, package: str | None = None) -> ModuleType:
        if name.startswith("smartcover.cli."):
            raise ModuleNotFoundError("No module named 'aiosql'", name="aiosql")
        return found(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)

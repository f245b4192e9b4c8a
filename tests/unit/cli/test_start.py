"""How the command line begins."""

from __future__ import annotations

import importlib
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

"""A tool that cannot run here is left out with a line, and never stops a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality.peers import installed_recipes


def test_a_tool_without_a_command_is_left_out_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installed_recipes(None) == {}
    printed = capsys.readouterr().out
    for name in ("ffmpeg thumbnail", "sharp-frames", "vcsi", "PySceneDetect", "hecate", "Katna"):
        assert f"not installed, left out: {name}\n" in printed


def test_a_tool_is_looked_up_beside_the_folder_given_and_a_failing_one_makes_no_cover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, work = tmp_path / "tools", tmp_path / "work"
    tools.mkdir()
    work.mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    command = tools / "sharp-frames"
    command.write_text("#!/bin/sh\nexit 3\n")
    command.chmod(0o755)
    recipes = installed_recipes(tools)
    assert list(recipes) == ["sharp-frames"]
    assert recipes["sharp-frames"](tmp_path / "clip.mp4", work) is None

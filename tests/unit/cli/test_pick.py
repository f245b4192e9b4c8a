"""`smartcover pick` where the engine is at fault, a person watches, or the machine lacks what was asked for."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smartcover.cli import application
from smartcover.cli import pick as command
from smartcover.engine import Picks, pick_covers, sessions, source
from tests.clips import small_clip


def _run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        application(["pick", *map(str, arguments)])
    return int(ended.value.code or 0)


def _failing_at(name: str, fault: BaseException) -> Callable[..., Picks]:
    def pick(video: str | os.PathLike[str], *others: Any, **named: Any) -> Picks:
        if Path(video).name == name:
            raise fault
        return pick_covers(video, *others, **named)

    return pick


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    return [small_clip(tmp_path / name) for name in ("one.mp4", "odd.mp4", "two.mp4")]


def test_a_fault_of_the_program_at_one_video_is_told_as_one_and_costs_no_other_its_covers(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "pick_covers", _failing_at("odd.mp4", ValueError("31 is not\na valid Type")))
    assert _run(*clips, "-n", "1", "--json", "-o", tmp_path / "out") == 1
    output, errors = capsys.readouterr()
    one, odd, two = json.loads(output)["videos"]
    assert [len(video["covers"]) for video in (one, odd, two)] == [1, 0, 1]
    assert odd["error"] == {"kind": "ValueError", "message": "31 is not\na valid Type"}
    line, *trace = errors.splitlines()
    assert line == (
        f"smartcover: {clips[1]}: ValueError: 31 is not?a valid Type; "
        "this is a fault of smartcover, please report it with these lines:"
    )
    assert trace[0] == "Traceback (most recent call last):"


def test_an_interrupt_ends_the_run(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "pick_covers", _failing_at("odd.mp4", KeyboardInterrupt()))
    assert _run(*clips, "-n", "1", "-o", tmp_path / "out") == 130
    assert "two" not in capsys.readouterr().out


def test_covers_are_the_same_and_in_the_same_order_however_many_videos_are_picked_from_at_once(
    clips: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video")
    documents = []
    for concurrency in ("1", "3"):
        assert _run(*clips, tmp_path / "no.mp4", "-j", concurrency, "--json", "-o", tmp_path / "out") == 1
        document = json.loads(capsys.readouterr().out)
        for entry in document["videos"]:
            entry.pop("timings", None)
        written = [(path.name, path.read_bytes()) for path in sorted((tmp_path / "out").iterdir())]
        documents.append((document, written))
    assert documents[0] == documents[1]


def test_an_interrupt_ends_a_run_of_several_videos_at_once(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one that is under way ends with it, however long it would have taken."""
    under_way, ended = threading.Event(), threading.Event()

    def pick(video: str, *_others: Any, on_progress: Callable[[str, float], None], **_named: Any) -> Picks:
        if Path(video).name == "one.mp4":
            assert under_way.wait(30)
            raise KeyboardInterrupt
        try:
            while True:
                on_progress("look", 0.5)
                under_way.set()
        finally:
            ended.set()

    monkeypatch.setattr(command, "pick_covers", pick)
    assert _run(*clips, "-j", "2", "-o", tmp_path / "out") == 130
    assert ended.is_set()
    assert capsys.readouterr() == ("", "")


def test_a_person_sees_how_far_a_run_has_come_though_its_document_goes_elsewhere(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert _run(*clips, "-n", "1", "--json", "-o", tmp_path / "out") == 0
    output, errors = capsys.readouterr()
    assert len(json.loads(output)["videos"]) == 3
    assert [f"{number} of 3: {clip.name}" in errors for number, clip in enumerate(clips, start=1)] == [True] * 3


@pytest.mark.parametrize(
    ("decodes", "runs", "said"),
    [
        (False, False, "smartcover: no accelerator can be used here for decoding and the networks"),
        (True, False, "smartcover: no accelerator can be used here for the networks"),
        (True, True, ""),
    ],
)
def test_what_is_not_done_on_an_accelerator_although_asked_for_is_told(
    clips: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    decodes: bool,
    runs: bool,
    said: str,
) -> None:
    monkeypatch.setattr(source, "accelerator", lambda: object() if decodes else None)
    monkeypatch.setattr(sessions, "accelerated", lambda: runs)
    monkeypatch.setattr(command, "pick_covers", lambda video, options, **named: pick_covers(video))
    assert _run(clips[0], "--gpu", "--json", "-o", tmp_path / "out") == 0
    assert capsys.readouterr().err.partition(";")[0] == said


def test_what_was_not_looked_at_is_said_beside_the_covers(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left_out = "nothing from 3 s to 9 s was looked at"
    monkeypatch.setattr(
        command, "pick_covers", lambda *given, **named: replace(pick_covers(*given, **named), unseen=left_out)
    )
    assert _run(clips[0], "-o", tmp_path / "out") == 0
    assert left_out in capsys.readouterr().out
    assert _run(clips[0], "--json", "-o", tmp_path / "out") == 0
    assert json.loads(capsys.readouterr().out)["videos"][0]["unseen"] == left_out


def test_the_path_of_a_contact_sheet_stays_on_one_line_however_long(
    clips: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / ("long name of a folder " * 6).strip()
    assert _run(clips[0], "-n", "1", "--sheet", "-o", folder) == 0
    assert f"contact sheet: {folder / clips[0].stem}-sheet.jpg\n" in capsys.readouterr().out


def test_a_cover_that_cannot_be_written_leaves_the_earlier_one_whole(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert _run(clips[0], "-n", "1", "-o", folder) == 0
    earlier = (folder / "one-0.jpg").read_bytes()

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    capsys.readouterr()
    assert _run(clips[0], "-n", "1", "-o", folder, "--quality", "50") == 1
    _output, errors = capsys.readouterr()
    assert "one-0.jpg cannot be written: No space left on device; give another -o" in errors
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"one-0.jpg": earlier}


def test_a_folder_that_cannot_be_gone_through_is_told_as_that(
    clips: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(_path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert _run(tmp_path, clips[0], "-n", "1", "-o", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"smartcover: {tmp_path} cannot be read: Permission denied\n"
    assert (tmp_path / "out" / "one-0.jpg").exists()


def test_a_link_in_a_covers_place_stays_and_what_it_points_to_is_written(clips: list[Path], tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "one-0.jpg").symlink_to(elsewhere / "cover.jpg")
    assert _run(clips[0], "-n", "1", "-o", folder) == 0
    assert (folder / "one-0.jpg").is_symlink()
    assert (elsewhere / "cover.jpg").read_bytes().startswith(b"\xff\xd8")

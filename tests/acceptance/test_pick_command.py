"""`smartcover pick` as a user meets it: a real process, files on disk, two streams and an exit code."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from smartcover.engine.types import MAX_SIDE_PX
from tests.engine_clips import plain, shift, texture, write_clip


def _pick(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "smartcover", "pick", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    frames = [shift(texture(seed=1 + number // 6), number * 2) for number in range(24)]
    return write_clip(tmp_path / "my clip's 视频.mp4", frames)


def test_covers_lie_where_the_table_says(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "covers"
    result = _pick(clip, "-n", "2", "-o", folder)
    assert (result.returncode, result.stderr) == (0, "")
    names = [f"{clip.stem}-0.jpg", f"{clip.stem}-1.jpg"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert "score" in result.stdout
    assert _size(folder / names[0]) == (160, 96)


def test_json_is_one_document_and_nothing_else(clip: Path, tmp_path: Path) -> None:
    result = _pick(clip, "--json", "-o", tmp_path / "out", "--format", "webp", "--width", "64", "--height", "64")
    assert (result.returncode, result.stderr) == (0, "")
    (video,) = json.loads(result.stdout)["videos"]
    facts = {"container", "codec", "width_px", "height_px", "duration_seconds", "frame_rate", "rotation_degrees"}
    facts |= {"mirrored", "hdr", "interlaced", "size_bytes"}
    assert set(video) == {"path", "error", "covers", "rejections", "fallback", "unseen", "timings"} | facts
    assert (video["path"], video["error"]) == (str(clip), None)
    assert (video["codec"], video["width_px"], video["height_px"], video["rotation_degrees"]) == ("h264", 160, 96, 0)
    assert video["duration_seconds"] == pytest.approx(2.4, abs=0.05)
    assert video["fallback"] is None
    assert video["timings"]["total"] > 0
    assert len(video["covers"]) == 3
    for cover in video["covers"]:
        assert set(cover) == {"path", "format", "width_px", "height_px", "seconds", "score", "signals", "reasons"}
        assert (cover["format"], cover["width_px"], cover["height_px"]) == ("webp", 64, 64)
        image = Image.open(io.BytesIO(Path(cover["path"]).read_bytes()))
        assert (image.format, image.size) == ("WEBP", (64, 64))
    assert len(video["rejections"]) == 24 - 3
    for rejection in video["rejections"]:
        assert set(rejection) == {"seconds", "kind", "reason"}


def test_the_help_names_the_extra_that_an_option_needs_and_the_limits_of_numbers() -> None:
    said = _pick("--help").stdout
    for words in ("[safety]", f"1 to {MAX_SIDE_PX}"):
        assert words in said
    assert [line.split()[1] for line in said.splitlines() if "<bool>" in line] == ["--help"], "others take no value"
    assert said.count("1 to 100") == 2, "for --count and --quality"


def test_words_of_options_may_be_in_capitals(clip: Path, tmp_path: Path) -> None:
    assert _pick(clip, "-n", "1", "--format", "JPG", "--fit", "Pad", "-o", tmp_path / "out").returncode == 0
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".jpg"]


def test_a_bad_file_is_one_line_and_the_others_still_get_their_covers(clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    fault = (
        f"{broken} is not a video that can be read: it is text, such as an error page in the video's place; "
        "give a video, such as MP4, MOV, MKV, WebM, AVI or MPEG-TS"
    )
    result = _pick(broken, tmp_path / "absent.mp4", clip, "--json", "-o", tmp_path / "out")
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert lines == [
        f"smartcover: {fault}",
        f"smartcover: {tmp_path / 'absent.mp4'} does not exist",
    ]
    *failed, good = json.loads(result.stdout)["videos"]
    absent = tmp_path / "absent.mp4"
    assert [video["path"] for video in failed] == [str(broken), str(absent)]
    assert [video["error"] for video in failed] == [
        {"kind": "NotAVideo", "message": fault},
        {"kind": "NotAVideo", "message": f"{absent} does not exist"},
    ]
    assert all(video["covers"] == video["rejections"] == [] for video in failed)
    assert (good["path"], len(good["covers"])) == (str(clip), 3)


def test_what_is_no_file_is_refused_with_the_way_out(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my videos"
    folder.mkdir()
    result = _pick("", folder, "http://127.0.0.1:9/x.mp4", clip, "-o", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "smartcover: the name of a video is empty; give its path",
        f"smartcover: {folder} is a folder and no name in it ends as those of videos do, as in .mp4; "
        "give another folder, or each file",
        "smartcover: http://127.0.0.1:9/x.mp4 is an address, and only files are read; download it and give its path",
    ]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_folder_stands_for_the_videos_in_it(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my videos"
    (folder / "below.mp4").mkdir(parents=True)
    for name in ("b.MKV", "a 1.mp4", "C.mp4", "d\ne.m2t", ".hidden.mp4", "below.mp4/d.mp4"):
        shutil.copy(clip, folder / name)
    (folder / "a 1-0.jpg").write_bytes(b"an earlier cover")
    result = _pick(folder, clip, "-n", "1", "--json", "-o", tmp_path / "out")
    assert (result.returncode, result.stderr) == (0, "")
    paths = [video["path"] for video in json.loads(result.stdout)["videos"]]
    names = ("a 1.mp4", "b.MKV", "C.mp4", "d\ne.m2t")
    assert paths == [*(str(folder / name) for name in names), str(clip)]


def test_what_is_left_out_of_a_folder_is_told(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my videos"
    folder.mkdir()
    shutil.copy(clip, folder / "a.mp4")
    for name in ("b.ogg", "c.TXT", "d"):
        (folder / name).write_bytes(b"")
    result = _pick(folder, "-n", "1", "-o", tmp_path / "out")
    assert result.returncode == 0
    assert result.stderr == (
        f"smartcover: {folder}: 3 files are left out for the end of the name (.ogg, .txt, no ending); "
        "name each that is a video\n"
    )


def test_videos_of_one_name_do_not_overwrite_each_other(clip: Path, tmp_path: Path) -> None:
    twin = tmp_path / "other" / clip.name
    twin.parent.mkdir()
    write_clip(twin, [texture(48, 64, seed=8)] * 3)
    result = _pick(clip, twin, "-n", "1", "--json", "-o", tmp_path / "out")
    paths = [Path(video["covers"][0]["path"]) for video in json.loads(result.stdout)["videos"]]
    assert [_size(path) for path in paths] == [(160, 96), (64, 48)]


@pytest.mark.parametrize(("name", "arguments"), [("x-0.png", ("--format", "png")), ("x-sheet.jpg", ("--sheet",))])
def test_no_video_of_a_run_is_overwritten(clip: Path, tmp_path: Path, name: str, arguments: tuple[str, ...]) -> None:
    first, second = tmp_path / "x.mp4", tmp_path / name
    clip.rename(first)
    write_clip(tmp_path / "other.mp4", [texture(48, 64, seed=8)] * 3).rename(second)
    content = second.read_bytes()
    result = _pick(first, second, "-n", "2", *arguments, "-o", tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        f"smartcover: a picture would be written over {second}, which is given as a video; "
        "give only videos, or another -o\n"
    )
    assert second.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([first.name, second.name])
    assert _pick(first, second, "-n", "2", *arguments, "-o", tmp_path / "out").returncode == 0


def test_covers_of_an_earlier_run_are_replaced_and_those_it_had_more_stay(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _pick(clip, "-n", "2", "-o", out).returncode == 0
    assert _pick(clip, "-n", "1", "-o", out, "--width", "80").returncode == 0
    assert [_size(out / f"{clip.stem}-{number}.jpg") for number in (0, 1)] == [(80, 48), (160, 96)]


def test_names_as_long_as_can_be_are_cut_and_stay_apart(clip: Path, tmp_path: Path) -> None:
    one, other = tmp_path / f"{'影' * 83}a.mp4", tmp_path / f"{'影' * 83}b.mp4"
    clip.rename(one)
    write_clip(tmp_path / "other.mp4", [texture(48, 64, seed=8)] * 3).rename(other)
    result = _pick(one, other, "-n", "1", "--sheet", "--json", "-o", tmp_path / "out")
    assert (result.returncode, result.stderr) == (0, "")
    paths = [Path(video["covers"][0]["path"]) for video in json.loads(result.stdout)["videos"]]
    assert [path.name for path in paths] == [f"{'影' * 80}-0.jpg", f"{'影' * 80}~2-0.jpg"]
    assert [_size(path) for path in paths] == [(160, 96), (64, 48)]


def test_the_sheet_shows_the_covers(clip: Path, tmp_path: Path) -> None:
    result = _pick(clip, "--sheet", "--json", "-o", tmp_path / "out")
    (video,) = json.loads(result.stdout)["videos"]
    sheet = Image.open(io.BytesIO(Path(video["sheet"]).read_bytes()))
    assert sheet.width == 1280
    colours = sheet.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 1000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_valid_text_will_do(clip: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    clip.rename(odd)
    for arguments in (("--json",), ("--sheet",)):
        result = _pick(odd, "-n", "1", "-o", tmp_path / "out", *arguments)
        assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "out" / os.fsdecode(b"caf\xe9-0.jpg")).is_file()


def test_a_video_gets_the_time_that_is_given(clip: Path, tmp_path: Path) -> None:
    result = _pick(clip, "-o", tmp_path, "--time-limit", "0.001")
    assert (result.returncode, result.stdout) == (1, "")
    assert "not done within 0.001 seconds; raise the time limit" in result.stderr
    assert _pick(clip, "-o", tmp_path, "--time-limit", "600").returncode == 0


def test_unique_leaves_the_same_picture_out(tmp_path: Path) -> None:
    still = write_clip(tmp_path / "still.mp4", [texture()] * 10)
    result = _pick(still, "--unique", "--json", "-o", tmp_path / "out")
    (video,) = json.loads(result.stdout)["videos"]
    assert len(video["covers"]) == 1


def test_a_relaxed_rule_is_told(tmp_path: Path) -> None:
    black = write_clip(tmp_path / "black.mp4", [plain(0)] * 10)
    result = _pick(black, "-n", "1", "-o", tmp_path / "out")
    assert result.returncode == 0
    assert "no clean frame was found" in result.stdout.replace("\n", " ")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_an_output_that_takes_no_more_is_one_line(clip: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "smartcover", "pick", str(clip), "-o", str(tmp_path / "out"), *arguments]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert result.stderr == "smartcover: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-n", "0"), "count is 0"),
        (("--width", "0"), "width is 0"),
        (("--time-limit", "0"), "--time-limit is 0; give more"),
        (("--time-limit", "nan"), "--time-limit is nan; give more"),
        (("-j", "0"), "--concurrency is 0; give 1 to 64"),
    ],
)
def test_a_wrong_option_is_one_line(clip: Path, tmp_path: Path, arguments: tuple[str, str], words: str) -> None:
    result = _pick(clip, *arguments, "-o", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.startswith(f"smartcover: {words}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_folder_that_takes_no_file_is_refused_before_the_first_video(clip: Path) -> None:
    result = _pick(clip, clip, "-o", "/proc")
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch("smartcover: /proc cannot be written to: [^;]+; give another -o\n", result.stderr)


def test_an_error_is_one_line_whatever_it_names(clip: Path) -> None:
    result = _pick(clip, "-o", f"{clip}/\x1b[31m\nx")
    assert result.returncode == 1
    assert result.stderr == f"smartcover: {clip}/?[31m?x cannot be made: Not a directory; give another -o\n"


@pytest.mark.parametrize("concurrency", [1, 3])
def test_ctrl_c_ends_a_run_of_many_videos_soon_and_without_a_word(clip: Path, tmp_path: Path, concurrency: int) -> None:
    command = [sys.executable, "-m", "smartcover", "pick", *[str(clip)] * 400, "-j", str(concurrency)]
    process = subprocess.Popen(
        [*command, "-o", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert "my clip" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, "")

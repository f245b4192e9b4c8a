"""What is freed stays with the process, and the memory that a pick takes is bounded, also for large frames."""

from __future__ import annotations

import io
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from smartcover.engine import CoverOptions, Limits, pick_covers
from smartcover.engine.budget import Budget
from smartcover.engine.gathering import Gatherer
from smartcover.engine.looking import Looker
from smartcover.engine.source import Source
from tests.engine_clips import numbered, planes_frame, read_number, write_clip

# Six blocks of a megabyte at once, ten times: the pages that the system is asked for on the way.
_PAGES = """
import resource
import numpy as np
from smartcover.engine.memory import keep_freed_memory
{call}
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _round in range(10):
        blocks = [np.ones(2**17) for _block in range(6)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep or return memory as they please")
def test_arrays_of_one_picture_are_made_of_the_memory_of_the_last() -> None:
    asked, kept = (
        int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
        for script in (_PAGES.format(call=""), _PAGES.format(call="keep_freed_memory()"))
    )
    assert kept < asked / 10


_STATUS = Path("/proc/self/status")
_READ_STATUS = """
import sys
from pathlib import Path
def megabytes(what):
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith(what + ":")).split()[1]) / 1024
"""
_PEAK = (
    _READ_STATUS
    + """
from smartcover.engine import CoverOptions, Limits, pick_covers
assert len(pick_covers(sys.argv[1], CoverOptions(count=2), limits=Limits(seconds=600)).covers) == 2
print(megabytes("VmHWM"))
"""
)
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=4:b-adapt=0:ref=4"}


@pytest.mark.skipif(not _STATUS.exists() or "VmHWM:" not in _STATUS.read_text(), reason="the system tells no peak")
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "options", "display_matrix", "most_mb"),
    [
        ("libx265", "yuv420p10le", _X265, None, 350),
        ("libx265", "yuv422p10le", _X265, (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30), 430),
        ("libx264", "yuv420p", {"preset": "ultrafast", "x264-params": "ref=16:level=6:bframes=3"}, None, 350),
    ],
    ids=["hevc", "hevc-422-turned", "h264-of-16-references"],
)
def test_a_pick_from_4k_takes_less_than_350_mb_or_430_with_twice_the_chroma(
    tmp_path: Path,
    codec: str,
    pix_fmt: str,
    options: dict[str, str],
    display_matrix: Sequence[int] | None,
    most_mb: float,
) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this libav has no {codec}")
    clip = write_clip(
        tmp_path / "clip.mp4",
        (_large_frame(number, pix_fmt) for number in range(20)),
        codec=codec,
        rate=24,
        pix_fmt=pix_fmt,
        options=options,
        keyframe_every=20,
        tags=(9, 1, 16, 9) if pix_fmt.endswith("10le") else None,
        display_matrix=display_matrix,
    )
    child = subprocess.run([sys.executable, "-c", _PEAK, str(clip)], check=True, capture_output=True, text=True)
    assert float(child.stdout) < most_mb


def _large_frame(number: int, pix_fmt: str) -> av.VideoFrame:
    """Tiles of grey and colour, as codes of ten bits, and one that moves over them."""
    rows, columns = np.mgrid[0:9, 0:16]
    tiles = [300 + 300 * ((rows + columns) % 2), 400 + 14 * rows, 400 + 14 * columns]
    luma, *chroma = (plane.astype(np.uint16) for plane in tiles)
    luma = luma.repeat(240, axis=0).repeat(240, axis=1)
    luma[600:1200, 512 + 64 * number :][:, :600] = 700
    across, down = 120, 240 if "422" in pix_fmt else 120
    planes = [luma, *(plane.repeat(down, axis=0).repeat(across, axis=1) for plane in chroma)]
    if not pix_fmt.endswith("10le"):
        planes = [(plane >> 2).astype(np.uint8) for plane in planes]
    return planes_frame(*planes, pix_fmt=pix_fmt)


_REST = (
    _READ_STATUS
    + """
from smartcover.engine import Limits
from smartcover.engine.budget import Budget
from smartcover.engine.decode import RunDecoder
from smartcover.engine.runs import Run, RunReader
from smartcover.engine.source import Source
with Source(sys.argv[1], Budget(Limits()), strict=True) as source:
    reader = RunReader(source)
    decoder = RunDecoder(source, reader)
    run = Run.of(tuple(reader.packets()))
    decoder.rest()
    before = megabytes("VmRSS")
    for finely in (False, True):
        for decoded in decoder.decode(run, finely=finely):
            del decoded
    decoding = megabytes("VmRSS")
    decoder.rest()
    print(before, decoding, megabytes("VmRSS"))
"""
)


@pytest.mark.skipif(not _STATUS.exists(), reason="the system does not tell what a process holds")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators give back what they please")
def test_a_decoder_of_4k_holds_no_frames_while_it_rests(tmp_path: Path) -> None:
    frames = (_large_frame(number, "yuv420p") for number in range(8))
    options = {"preset": "ultrafast", "x264-params": "ref=4:bframes=0"}
    clip = write_clip(tmp_path / "clip.mp4", frames, options=options)
    child = subprocess.run([sys.executable, "-c", _REST, str(clip)], check=True, capture_output=True, text=True)
    before, decoding, resting = (float(number) for number in child.stdout.split())
    assert decoding - before > 50, "this clip shows nothing"
    assert resting - before < (decoding - before) / 4


@pytest.mark.parametrize(
    ("codec", "suffix", "options"),
    [("mjpeg", ".mov", {"qmax": "2"}), ("libx264", ".mp4", {"preset": "ultrafast", "crf": "1"})],
)
def test_keyframes_that_are_too_large_to_be_held_are_read_again(
    tmp_path: Path, codec: str, suffix: str, options: dict[str, str]
) -> None:
    clip = write_clip(
        tmp_path / f"clip{suffix}",
        [numbered(number) for number in range(120)],
        codec=codec,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        options=options,
        keyframe_every=2,
    )
    limits = Limits(candidates=30, held_bytes=clip.stat().st_size // 8, between_pixels=160 * 96 * 4)
    picks = pick_covers(clip, CoverOptions(count=3, format="png"), limits=limits)

    assert picks.unseen is None
    assert len(picks.covers) + len(picks.rejections) >= 30
    for cover in picks.covers:
        picture = np.asarray(Image.open(io.BytesIO(cover.image)))
        assert read_number(picture) == round(cover.seconds * 10)


def test_what_is_held_is_bounded_where_there_is_no_index(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "clip.ts",
        [numbered(number) for number in range(60)],
        options={"preset": "ultrafast", "crf": "1"},
        keyframe_every=1,
    )
    limits = Limits(held_bytes=clip.stat().st_size // 4)
    with Source(clip, Budget(limits), strict=True) as source:
        looker = Looker(source, lambda _size: None)
        looks = Gatherer(source, looker, 30, 30, lambda _share: None).gather_reading_on()

    assert len(looks) > 3
    # What was read by then is looked at in any case, and the last packet may reach beyond.
    most = limits.held_bytes * 3 / 2 + clip.stat().st_size / 60
    assert sum(run.size_bytes for run in {look.run for look in looks}) <= most

"""What is freed stays with the process, and the memory that a pick takes is bounded, also for large frames."""

from __future__ import annotations

import io
import platform
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from smartcover.engine import CoverOptions, Limits, pick_covers
from smartcover.engine.budget import Budget
from smartcover.engine.candidates import Gatherer
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


_PEAK = """
import sys
from pathlib import Path
from smartcover.engine import CoverOptions, pick_covers
assert len(pick_covers(sys.argv[1], CoverOptions(count=2)).covers) == 2
status = Path("/proc/self/status").read_text().splitlines()
print(int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) / 1024)
"""
_STATUS = Path("/proc/self/status")


@pytest.mark.skipif(not _STATUS.exists() or "VmHWM:" not in _STATUS.read_text(), reason="the system tells no peak")
@pytest.mark.skipif("libx265" not in av.codecs_available, reason="this libav cannot make HEVC")
def test_a_pick_from_4k_of_ten_bits_and_high_range_takes_less_than_400_mb(tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=4:b-adapt=0:ref=4"}
    clip = write_clip(
        tmp_path / "clip.mp4",
        (_large_frame(number) for number in range(12)),
        codec="libx265",
        rate=24,
        pix_fmt="yuv420p10le",
        options=options,
        keyframe_every=24,
        tags=(9, 1, 16, 9),
    )
    child = subprocess.run([sys.executable, "-c", _PEAK, str(clip)], check=True, capture_output=True, text=True)
    assert float(child.stdout) < 400


def _large_frame(number: int) -> av.VideoFrame:
    """Tiles of grey and colour, as codes of ten bits, and one that moves over them."""
    rows, columns = np.mgrid[0:9, 0:16]
    tiles = [300 + 300 * ((rows + columns) % 2), 400 + 14 * rows, 400 + 14 * columns]
    luma, *chroma = (plane.astype(np.uint16) for plane in tiles)
    luma = luma.repeat(240, axis=0).repeat(240, axis=1)
    luma[600:1200, 512 + 64 * number :][:, :600] = 700
    return planes_frame(
        luma, *(plane.repeat(120, axis=0).repeat(120, axis=1) for plane in chroma), pix_fmt="yuv420p10le"
    )


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
        looks = Gatherer(source, looker, 30, lambda _share: None).gather_reading_on()

    assert len(looks) > 3
    # What was read by then is looked at in any case, and the last packet may reach beyond.
    most = limits.held_bytes * 3 / 2 + clip.stat().st_size / 60
    assert sum(run.size_bytes for run in {look.run for look in looks}) <= most

"""The contact sheet can be drawn of any answer, and writes times as people do."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageFont

from smartcover.engine import CoverOptions, pick_covers
from smartcover.engine.sheet import _KIND_COLOURS, _drawable, clock, draw_sheet
from smartcover.engine.types import Rejection, RejectionKind
from tests.engine_clips import plain, texture, write_clip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 s"),
        (7.4, "7.40 s"),
        (59.994, "59.99 s"),
        (59.996, "1:00.0"),
        (67.44, "1:07.4"),
        (119.97, "2:00.0"),
        (3599.96, "1:00:00"),
        (3723.0, "1:02:03"),
    ],
)
def test_times_read_as_people_write_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_sheet_holds_each_cover(tmp_path: Path, count: int) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [texture(seed=number) for number in range(count)])
    sheet = Image.open(io.BytesIO(draw_sheet(pick_covers(clip, CoverOptions(count=count)), "clip.mp4")))
    assert sheet.width == 1280
    assert sheet.height > 300 + 200 * ((count - 1) // 3)


def test_a_sheet_of_a_tiny_and_hopeless_video_can_be_drawn(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mkv", [plain(0, 2, 2)], codec="ffv1", pix_fmt="yuv444p")
    assert draw_sheet(pick_covers(clip), "clip.mkv" * 60).startswith(b"\xff\xd8")


def test_every_kind_of_rejection_is_drawn_and_named_within_the_sheet(tmp_path: Path) -> None:
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [texture()]))
    kinds = [Rejection(number / 100, kind, "") for number, kind in enumerate(get_args(RejectionKind))]
    bare, full = (
        np.asarray(Image.open(io.BytesIO(draw_sheet(replace(picks, rejections=some), "clip.mp4"))).convert("L"))
        for some in ((), tuple(kinds))
    )
    changed = np.flatnonzero((np.abs(bare.astype(int) - full) > 40).any(axis=0))
    assert changed.max() < full.shape[1] - 20, "the legend runs over the edge"


def test_the_best_of_covers_at_nearly_one_moment_is_marked_on_top(tmp_path: Path) -> None:
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [texture()]))
    (cover,) = picks.covers
    alone, before_another = (
        np.asarray(Image.open(io.BytesIO(draw_sheet(replace(picks, covers=covers), "clip.mp4"))).convert("L"))
        for covers in (
            (cover, replace(cover, seconds=9.0)),
            (cover, replace(cover, seconds=0.0), replace(cover, seconds=9.0)),
        )
    )
    marks = [sheet[-140:-80, :60].astype(int) for sheet in (alone, before_another)]
    assert np.abs(marks[0] - marks[1]).max() < 40


def test_a_part_that_nothing_was_looked_at_of_is_named(tmp_path: Path) -> None:
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [texture()]))
    left_out = replace(picks, unseen="nothing from 3 s to 9 s was looked at")
    assert draw_sheet(left_out, "clip.mp4") != draw_sheet(picks, "clip.mp4")


def test_a_sheet_of_many_covers_says_how_many_it_leaves_out(tmp_path: Path) -> None:
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [texture()]))
    few, many, more = (
        np.asarray(Image.open(io.BytesIO(draw_sheet(replace(picks, covers=picks.covers * count), "clip.mp4"))))
        for count in (18, 100, 99)
    )
    facts = slice(50, 80)
    assert few.shape == many.shape, "six rows of three"
    assert (few[facts] != many[facts]).any()
    assert (many[facts] != more[facts]).any(), "the number itself is there"


def test_a_rank_of_two_digits_stands_clear_of_the_time_beside_it(tmp_path: Path) -> None:
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [texture()]))
    sheet = draw_sheet(replace(picks, covers=picks.covers * 18), "clip.mp4")
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB")).astype(int)[:-160]
    last_line = np.flatnonzero((pixels[:, 50:300].max(axis=2) < 60).any(axis=1))[-1]
    line = pixels[last_line - 10 : last_line, 20:120].min(axis=2) < 160
    gaps = np.diff(np.flatnonzero(line.any(axis=0)))
    assert gaps.max() > 10, "16 and 'at' run into each other"


def test_no_two_kinds_of_rejection_have_nearly_the_same_colour() -> None:
    colours = np.array(list(_KIND_COLOURS.values()))
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=2) + 1000 * np.eye(len(colours))
    assert apart.min() > 40


def test_a_title_in_chinese_is_drawn_where_the_system_has_a_font_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picks = pick_covers(write_clip(tmp_path / "clip.mp4", [texture()]))
    monkeypatch.setattr("smartcover.engine.sheet._WIDE_FONTS", ("no such font.ttf",))
    assert draw_sheet(picks, "名.mp4") == draw_sheet(picks, "_.mp4")
    font = tmp_path / "wide.ttf"
    font.write_bytes(_font_of("名_.mp4"))
    monkeypatch.setattr("smartcover.engine.sheet._WIDE_FONTS", ("no such font.ttf", str(font)))
    assert draw_sheet(picks, "名.mp4") != draw_sheet(picks, "_.mp4")
    assert draw_sheet(picks, "名🎬.mp4") == draw_sheet(picks, "名_.mp4")


def _font_of(characters: str) -> bytes:
    """Make a font that has glyphs for a few characters alone: Pillow's own with another table of characters."""
    default = ImageFont.load_default(26)
    assert isinstance(default, ImageFont.FreeTypeFont)
    data = bytearray(default.font_bytes)
    # One table for Unicode (platform 3, encoding 10) of format 12 (OpenType, cmap); glyph 40 and on are letters.
    groups = [struct.pack(">3I", ord(one), ord(one), 40 + number) for number, one in enumerate(sorted(characters))]
    table = struct.pack(">HHIII", 12, 0, 16 + 12 * len(groups), 0, len(groups)) + b"".join(groups)
    cmap = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + table
    entry = data.index(b"cmap")
    data[entry + 8 : entry + 16] = struct.pack(">II", len(data), len(cmap))
    return bytes(data + cmap)


def test_characters_that_the_font_lacks_are_not_drawn_as_boxes() -> None:
    assert _drawable("名a 1", ImageFont.load_default(26)) == "_a 1"

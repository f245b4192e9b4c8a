"""A long video with few keyframes is looked at over its length, once and within limits, and says what it left out."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from smartcover.engine import CoverOptions, Limits, Picks, pick_covers
from tests.engine_clips import Picture, numbered, plain, read_number, shift, texture, write_clip

_ONE_KEYFRAME = {"preset": "ultrafast", "crf": "12", "sc_threshold": "0"}
_LEAST_PIXELS = 320 * 180
_FEW = Limits(between_pixels=160 * 96 * 40)
ONE = 1 << 16
QUARTER_TURN = (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30)


def _clip(path: Path, frames: list[Picture]) -> Path:
    return write_clip(path, frames, keyframe_every=10_000, options=_ONE_KEYFRAME)


def _black_then_bright() -> list[Picture]:
    return [plain(0)] * 300 + [shift(texture(seed=3), number * 2) for number in range(100)]


def _open(image: bytes) -> Picture:
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))


def _moments(picks: Picks) -> list[float]:
    return sorted([cover.seconds for cover in picks.covers] + [moment.seconds for moment in picks.rejections])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".flv"])
def test_a_clip_far_behind_the_only_keyframe_is_found_and_shown(tmp_path: Path, suffix: str) -> None:
    picks = pick_covers(_clip(tmp_path / f"clip{suffix}", _black_then_bright()), limits=_FEW)
    assert all(cover.seconds >= 30 for cover in picks.covers)
    assert (picks.fallback, picks.unseen) == (None, None)


def test_the_moments_are_spread_over_all_of_it(tmp_path: Path) -> None:
    frames = [shift(texture(seed=number // 20), number) for number in range(400)]
    moments = _moments(pick_covers(_clip(tmp_path / "clip.mp4", frames), limits=replace(_FEW, candidates=20)))
    assert len(moments) == 20
    assert max(later - earlier for earlier, later in zip(moments, [*moments[1:], 40], strict=True)) < 3


def test_each_cover_is_the_frame_of_its_time(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip.mp4", [numbered(number) for number in range(200)])
    for cover in pick_covers(clip, CoverOptions(count=8, format="png"), limits=_FEW).covers:
        assert read_number(_open(cover.image)) == round(cover.seconds * 10)


def test_a_large_turned_video_comes_out_upright(tmp_path: Path) -> None:
    frames = []
    for number in range(40):
        frame = texture(720, 1280, seed=5)
        frame[100:196, 200:360] = numbered(number)
        frames.append(frame)
    clip = write_clip(
        tmp_path / "clip.mp4", frames, keyframe_every=10_000, options=_ONE_KEYFRAME, display_matrix=QUARTER_TURN
    )
    limits = Limits(between_pixels=1280 * 720 * 4)
    covers = pick_covers(clip, CoverOptions(count=3, format="png"), limits=limits).covers
    assert max(cover.seconds for cover in covers) > 1
    for cover in covers:
        assert (cover.width_px, cover.height_px) == (720, 1280)
        upright = np.rot90(_open(cover.image), 1)
        assert read_number(upright[100:196, 200:360]) == round(cover.seconds * 10)


def test_what_a_limit_kept_from_being_looked_at_is_said(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip.mp4", _black_then_bright())
    picks = pick_covers(clip, limits=replace(_FEW, long_way_pixels=_LEAST_PIXELS * 200))
    assert 19 < max(_moments(picks)) <= 20
    assert picks.unseen == "nothing from 20.5 s to 40 s was looked at"
    assert picks.fallback == "in what was looked at, no clean frame was found; dark or bright frames were allowed"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_pause_in_which_there_are_no_frames_was_not_left_out(tmp_path: Path, suffix: str) -> None:
    frames = [shift(texture(seed=3 + number // 40), number) for number in range(200)]
    clip = write_clip(tmp_path / "whole.mp4", frames, keyframe_every=20)
    paused = tmp_path / f"paused{suffix}"
    with av.open(str(clip)) as source, av.open(str(paused), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.pts is None or packet.dts is None or packet.time_base is None:
                continue
            pause = int(60 / packet.time_base) if number >= 180 else 0
            packet.pts, packet.dts, packet.stream = packet.pts + pause, packet.dts + pause, stream
            target.mux(packet)
    picks = pick_covers(paused, limits=_FEW)
    assert picks.unseen is None
    assert max(_moments(picks)) > 17


def test_a_damaged_keyframe_does_not_use_up_the_memory_before_what_follows_it_is_taken(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip.mp4", [shift(texture(seed=3 + number // 40), number) for number in range(400)])
    with av.open(str(clip)) as container:
        keyframe = next(container.demux(video=0))
    assert keyframe.pos is not None
    data = bytearray(clip.read_bytes())
    place = keyframe.pos + keyframe.size * 3 // 4
    data[place : place + 20] = bytes(byte ^ 0x5A for byte in data[place : place + 20])
    clip.write_bytes(data)
    picks = pick_covers(clip, limits=replace(_FEW, held_bytes=160 * 96 * 3 // 2 * 30))
    assert len(picks.covers) == 3
    assert max(_moments(picks)) > 35
    assert {moment.kind for moment in picks.rejections} == {"broken"}


def test_frames_are_held_within_the_limit_of_memory(tmp_path: Path) -> None:
    clip = _clip(tmp_path / "clip.mp4", _black_then_bright())
    picks = pick_covers(clip, limits=replace(_FEW, held_bytes=160 * 96 * 3 // 2 * 12))
    moments = _moments(picks)
    assert 5 <= len(moments) <= 10
    assert max(moments) > 35


def test_keyframes_in_every_part_leave_nothing_for_a_long_way(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [numbered(number) for number in range(200)], keyframe_every=60)
    limits = Limits(between_pixels=160 * 96 * 10)
    with_it, without = (pick_covers(clip, limits=given) for given in (limits, replace(limits, long_way_pixels=1)))
    assert with_it.covers == without.covers
    assert _moments(with_it) == _moments(without)
    assert with_it.unseen is None


@pytest.mark.parametrize("suffix", [".mkv", ".flv"])
def test_a_file_with_one_keyframe_is_read_a_few_times_at_most(tmp_path: Path, suffix: str) -> None:
    clip = _clip(tmp_path / f"clip{suffix}", [texture(seed=number) for number in range(150)])
    limits = Limits(between_pixels=160 * 96 * 20, bytes=clip.stat().st_size * 6)
    picks = pick_covers(clip, limits=limits)
    assert max(_moments(picks)) > 13
    assert picks.unseen is None

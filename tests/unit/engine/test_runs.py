"""Runs of packets that are decoded again."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from smartcover.engine import Limits
from smartcover.engine.budget import Budget
from smartcover.engine.decode import RunDecoder
from smartcover.engine.facts import orientation_of
from smartcover.engine.runs import Run, RunReader, packet_time
from smartcover.engine.source import Source
from tests.engine_clips import numbered, read_number, texture, write_clip


def test_a_frame_is_the_same_without_the_packets_stored_after_its_own(tmp_path: Path) -> None:
    options = {"bf": "3", "b-pyramid": "normal"}
    clip = write_clip(tmp_path / "clip.mp4", (numbered(number) for number in range(12)), options=options)
    with Source(clip, Budget(Limits()), strict=True) as source:
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        run = Run.of(tuple(reader.packets()))
        whole = {decoded.pts: decoded.frame.to_ndarray() for decoded in decoder.decode(run)}
        assert len(whole) == 12
        assert len(run.up_to(run.start).packets) == 1
        for pts, picture in whole.items():
            short = [decoded for decoded in decoder.decode(run.up_to(pts)) if decoded.pts == pts]
            assert len(short) == 1
            assert np.array_equal(short[0].frame.to_ndarray(), picture)


def test_a_wanted_frame_is_given_and_the_same_where_frames_that_none_builds_on_are_left_out(tmp_path: Path) -> None:
    options = {"bf": "3", "b-pyramid": "normal"}
    clip = write_clip(tmp_path / "clip.mp4", (numbered(number) for number in range(12)), options=options)
    with Source(clip, Budget(Limits()), strict=True) as source:
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        run = Run.of(tuple(reader.packets()))
        whole = {decoded.pts: decoded.frame.to_ndarray() for decoded in decoder.decode(run)}
        kept = {decoded.pts for decoded in decoder.decode(run, sparsely=True)}
        assert kept < whole.keys()
        for pts, picture in whole.items():
            given = {one.pts: one.frame.to_ndarray() for one in decoder.decode(run, sparsely=True, wanted=pts)}
            assert given.keys() == kept | {pts}
            assert np.array_equal(given[pts], picture)


def test_damage_stays_with_all_that_is_predicted_from_it(tmp_path: Path) -> None:
    frames = [texture(seed=number) for number in range(8)]
    clip = write_clip(tmp_path / "clip.avi", frames, codec="mpeg4", options={"qscale": "4"})
    with Source(clip, Budget(Limits()), strict=False) as source:
        stored = list(RunReader(source).packets())
    # Half of a packet is lost: the decoder conceals what it cannot read, and decodes on.
    size_bytes = stored[3].size // 2
    clip.write_bytes(clip.read_bytes().replace(bytes(stored[3])[size_bytes:], bytes(stored[3].size - size_bytes)))
    with Source(clip, Budget(Limits()), strict=False) as source:
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        decoded = list(decoder.decode(Run.of(tuple(reader.packets()))))
    assert [one.frame.is_corrupt for one in decoded] == [number == 3 for number in range(8)]
    assert [one.damage for one in decoded] == [0, 0, 0, 1, 1, 1, 1, 1]


def test_a_group_that_is_open_before_its_keyframe_is_not_taken_for_damaged(tmp_path: Path) -> None:
    params = "open-gop=1:bframes=3:b-adapt=0:scenecut=0:keyint=16:min-keyint=16"
    options = {"preset": "veryfast", "crf": "12", "x264-params": params}
    clip = write_clip(tmp_path / "clip.mp4", (numbered(number) for number in range(80)), options=options)
    with Source(clip, Budget(Limits()), strict=True) as source:
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        packets = list(reader.packets())
        keys = [place for place, packet in enumerate(packets) if packet.is_keyframe]
        runs = [Run.of(packets[begin:end]) for begin, end in pairwise([*keys, len(packets)])]
        assert any((packet_time(packet) or 0) < run.start for run in runs for packet in run.packets), "no group is open"
        for run in runs:
            shown = list(decoder.decode(run))
            assert all(decoded.pts >= run.start for decoded in shown)
            assert not any(decoded.damage for decoded in shown)
            for decoded in shown:
                picture = decoded.frame.to_ndarray(format="rgb24")
                assert read_number(picture.astype(np.uint8)) == pytest.approx(float(decoded.pts) * 10, abs=0.01)


def test_the_decoder_of_covers_learns_from_the_first_keyframe_which_encoder_made_faults(tmp_path: Path) -> None:
    lossless = {"preset": "superfast", "qp": "0", "x264-params": "8x8dct=1:keyint=1"}
    pictures = (texture(720, 1280, seed=number) for number in range(2))
    clip = write_clip(tmp_path / "clip.mp4", pictures, pix_fmt="yuv444p", options=lossless)
    # Only the first packet names the encoder. In lossless 4:4:4 old ones had a fault that decoders know by that name.
    clip.write_bytes(re.sub(rb"x264 - core \d{3}", b"x264 - core 120", clip.read_bytes()))
    with Source(clip, Budget(Limits()), strict=False) as source:
        assert source.looks_unfiltered, "covers of small videos need no decoder of their own"
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        first, last = (Run.of((packet,)) for packet in reader.packets())
        _first, known = (next(decoder.decode(run)) for run in (first, last))
        (cover,) = decoder.decode(last, finely=True)
        unaware = source.new_decoder(finely=True)
        guessed = (unaware.decode(last.packets[0]) or unaware.decode(None))[0]
        assert np.array_equal(cover.frame.to_ndarray(), known.frame.to_ndarray())
        assert not np.array_equal(guessed.to_ndarray(), known.frame.to_ndarray()), "this clip shows nothing"


def test_after_a_rest_a_decoder_still_knows_which_encoder_made_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Source, "has_large_frames", True)
    lossless = {"preset": "superfast", "qp": "0", "x264-params": "8x8dct=1:keyint=1"}
    pictures = (texture(seed=number) for number in range(2))
    clip = write_clip(tmp_path / "clip.mp4", pictures, pix_fmt="yuv444p", options=lossless)
    clip.write_bytes(re.sub(rb"x264 - core \d{3}", b"x264 - core 120", clip.read_bytes()))
    with Source(clip, Budget(Limits()), strict=False) as source:
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        first, last = (Run.of((packet,)) for packet in reader.packets())
        _first, known = (next(decoder.decode(run)) for run in (first, last))
        decoder.rest()
        (again,) = decoder.decode(last)
        assert np.array_equal(again.frame.to_ndarray(), known.frame.to_ndarray())


@pytest.mark.skipif("libsvtav1" not in av.codecs_available, reason="this libav cannot make AV1")
def test_after_a_rest_the_same_frames_are_left_out_and_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "has_large_frames", True)
    frames = (numbered(number) for number in range(20))
    clip = write_clip(tmp_path / "clip.mp4", frames, codec="libsvtav1", options={"preset": "10"}, keyframe_every=20)
    with Source(clip, Budget(Limits()), strict=True) as source:
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        run = Run.of(tuple(reader.packets()))
        whole = [decoded.pts for decoded in decoder.decode(run)]
        assert len(whole) == 20
        decoder.rest()
        # Dav1d leaves out what it was opened to leave out: a decoder that was opened sparsely would never give them.
        for pts in whole:
            assert pts in {decoded.pts for decoded in decoder.decode(run, sparsely=True, wanted=pts)}
            decoder.rest()


def test_frames_for_covers_have_the_display_matrix_of_their_container(tmp_path: Path) -> None:
    pictures = (texture(720, 1280, seed=number) for number in range(2))
    clip = write_clip(tmp_path / "clip.mp4", pictures, display_matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    with Source(clip, Budget(Limits()), strict=True) as source:
        assert source.looks_unfiltered, "covers of small videos need no decoder of their own"
        reader = RunReader(source)
        decoder = RunDecoder(source, reader)
        run = Run.of(tuple(reader.packets()))
        for finely in (False, True):
            assert {
                orientation_of(decoded.frame).rotation_degrees for decoded in decoder.decode(run, finely=finely)
            } == {90}

"""A video in a far store is read in few requests: the table of its index, the chosen packets, and little else."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smartcover.engine import CoverOptions, Limits, pick_covers
from smartcover.engine.readers import FarReader, merge_ranges
from smartcover.engine.runs import Run, RunReader
from tests.engine_clips import numbered, read_number, write_clip


class _Store(io.BytesIO):
    """A store whose every read is a request."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.requests: list[tuple[int, int]] = []

    def read(self, size: int | None = -1, /) -> bytes:
        position = self.tell()
        data = super().read(size)
        self.requests.append((position, len(data)))
        return data


class _PrefetchingStore(_Store):
    """One that fetches what it is told of, and answers from that without a request."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.fetched: list[tuple[int, int]] = []

    def prefetch(self, ranges: list[tuple[int, int]], /) -> None:
        self.fetched.extend(ranges)

    def read(self, size: int | None = -1, /) -> bytes:
        position = self.tell()
        if any(offset <= position and position + (size or 0) <= offset + length for offset, length in self.fetched):
            return io.BytesIO.read(self, size)
        return super().read(size)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    # Noise does not compress, so that the file is much larger than what is read at a time.
    random = np.random.default_rng(1)
    pictures = [numbered(number) for number in range(400)]
    for picture in pictures:
        picture[24:72] = random.integers(0, 256, (48, 160, 3), dtype=np.uint8)
    folder = tmp_path_factory.mktemp("clips")
    options = {"preset": "ultrafast", "crf": "1"}
    return {
        suffix: write_clip(folder / f"clip{suffix}", pictures, options=options).read_bytes()
        for suffix in (".mp4", ".mkv", ".ts")
    }


LIMITS = Limits(candidates=5, between_pixels=160 * 96 * 10)


@pytest.mark.parametrize(("suffix", "share", "requests"), [(".mp4", 0.35, 20), (".mkv", 0.45, 34), (".ts", 0.7, 60)])
def test_only_the_chosen_parts_of_a_far_video_are_read(
    noisy: dict[str, bytes], suffix: str, share: float, requests: int
) -> None:
    store = _Store(noisy[suffix])
    picks = pick_covers(store, CoverOptions(count=1, format="png"), limits=LIMITS)
    assert len(picks.covers) == 1
    assert sum(size for _position, size in store.requests) < share * len(noisy[suffix])
    assert len(store.requests) <= requests


def _looked_at(content: bytes, keyframes: int) -> list[float]:
    """Pick with room for twenty moments, and give those that were looked at."""
    limits = Limits(candidates=20, keyframes=keyframes, between_pixels=160 * 96 * 10)
    picks = pick_covers(_Store(content), CoverOptions(count=1), limits=limits)
    covers, rejections = picks.covers, picks.rejections
    return sorted([*(cover.seconds for cover in covers), *(rejection.seconds for rejection in rejections)])


@pytest.mark.parametrize("keyframes", [8, 20])
def test_a_far_stream_without_an_index_is_entered_no_more_often_than_it_is_looked_at(
    noisy: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, keyframes: int
) -> None:
    entered = []
    keyframe_near = RunReader.keyframe_near

    def counted(
        reader: RunReader, pts: Fraction, start: Fraction, end: Fraction
    ) -> tuple[Run, tuple[Fraction, Fraction]] | None:
        entered.append(pts)
        return keyframe_near(reader, pts, start, end)

    monkeypatch.setattr(RunReader, "keyframe_near", counted)
    seen = _looked_at(noisy[".ts"], keyframes)
    assert len(entered) == len(seen) == keyframes
    assert max(later - earlier for earlier, later in pairwise([0, *seen, 40])) < 2 * 40 / keyframes


def test_all_keyframes_of_a_far_stream_without_an_index_are_found_where_they_are_sparse(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    pictures = [numbered(number) for number in range(400)]
    for picture in pictures:
        picture[24:72] = random.integers(0, 256, (48, 160, 3), dtype=np.uint8)
    options = {"preset": "ultrafast", "crf": "1"}
    content = write_clip(tmp_path / "clip.ts", pictures, options=options, keyframe_every=45).read_bytes()
    seen = _looked_at(content, keyframes=6)
    assert seen == _looked_at(content, keyframes=20)
    assert {round(second * 10) for second in seen} >= {45 * number for number in range(1, 8)}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_store_that_can_is_told_all_keyframes_at_once(noisy: dict[str, bytes], suffix: str) -> None:
    content = noisy[suffix]
    store = _PrefetchingStore(content)
    far = pick_covers(store, CoverOptions(count=2), limits=LIMITS)
    assert len(store.fetched) >= 5
    assert all(0 <= offset < offset + size <= len(content) for offset, size in store.fetched)
    assert sum(size for _offset, size in store.requests) < 0.1 * len(content)
    plain = pick_covers(_Store(content), CoverOptions(count=2), limits=LIMITS)
    assert [cover.image for cover in far.covers] == [cover.image for cover in plain.covers]


def test_far_and_near_give_the_same_covers(noisy: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(noisy[".mp4"])
    near = pick_covers(path, CoverOptions(count=3), limits=LIMITS)
    far = pick_covers(_Store(noisy[".mp4"]), CoverOptions(count=3), limits=LIMITS)
    assert [cover.image for cover in near.covers] == [cover.image for cover in far.covers]


def test_the_fragments_of_a_far_video_are_not_visited_one_by_one(tmp_path: Path) -> None:
    pictures = [numbered(number) for number in range(600)]
    path = tmp_path / "clip.mp4"
    whole = write_clip(tmp_path / "whole.mp4", pictures)
    _fragment(whole, path)
    store = _Store(path.read_bytes())
    picks = pick_covers(store, CoverOptions(count=3, format="png"), limits=LIMITS)
    assert picks.video.duration_seconds == pytest.approx(59.0)
    assert max(cover.seconds for cover in picks.covers) > 20
    assert len(store.requests) < 30
    for cover in picks.covers:
        number = read_number(np.asarray(Image.open(io.BytesIO(cover.image)).convert("RGB")))
        assert number == round(cover.seconds * 10)


def _fragment(source: Path, target: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(source)) as container, av.open(str(target), "w", options=options) as output:
        template = container.streams.video[0]
        stream = output.add_stream_from_template(template)
        for packet in container.demux(template):
            if packet.size:
                packet.stream = stream
                output.mux(packet)


def test_ranges_that_nearly_touch_become_one() -> None:
    assert merge_ranges([(200_000, 10), (0, 100), (50, 100), (10_000, 5)], 200_004) == [(0, 10_005), (200_000, 4)]


@given(ranges=st.lists(st.tuples(st.integers(-10, 2**40), st.integers(-10, 2**34)), max_size=20))
def test_merged_ranges_are_in_order_apart_and_within_the_file(ranges: list[tuple[int, int]]) -> None:
    size_bytes = 2**38
    merged = merge_ranges(ranges, size_bytes)
    assert all(0 <= offset < offset + size <= size_bytes for offset, size in merged)
    assert all(one[0] + one[1] <= other[0] for one, other in pairwise(merged))


@given(
    content=st.binary(min_size=1, max_size=4000),
    announced=st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 500)), max_size=5),
    reads=st.lists(st.tuples(st.integers(0, 4100), st.integers(0, 700)), max_size=30),
)
def test_what_is_read_is_what_is_there(
    content: bytes, announced: list[tuple[int, int]], reads: list[tuple[int, int]]
) -> None:
    reader = FarReader(_Store(content), None, len(content))
    reader.announce(announced)
    for position, size in reads:
        assert reader.seek(position) == position
        data = reader.read(size)
        assert content[position : position + size].startswith(data)
        assert bool(data) == (size > 0 and position < len(content))
        assert reader.tell() == position + len(data)


class _Shrinking(_Store):
    """A store that claims more bytes than it gives."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 7)) if self.tell() < 10 else b""


def test_a_store_that_gives_less_than_it_claims_just_ends() -> None:
    reader = FarReader(_Shrinking(b"x" * 100), None, 100)
    parts = []
    while part := reader.read(50):
        parts.append(part)
    assert b"".join(parts) == b"x" * 14

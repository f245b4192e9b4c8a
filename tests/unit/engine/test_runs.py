"""Runs of packets that are decoded again."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from smartcover.engine import Limits
from smartcover.engine.budget import Budget
from smartcover.engine.decode import Run, RunReader
from smartcover.engine.source import Source
from tests.engine_clips import numbered, texture, write_clip


def test_a_frame_is_the_same_without_the_packets_stored_after_its_own(tmp_path: Path) -> None:
    options = {"bf": "3", "b-pyramid": "normal"}
    clip = write_clip(tmp_path / "clip.mp4", (numbered(number) for number in range(12)), options=options)
    with Source(clip, Budget(Limits()), strict=True) as source:
        reader = RunReader(source)
        run = Run(tuple(reader.packets()))
        whole = {decoded.pts: decoded.frame.to_ndarray() for decoded in reader.decode(run)}
        assert len(whole) == 12
        assert len(run.up_to(run.start).packets) == 1
        for pts, picture in whole.items():
            short = [decoded for decoded in reader.decode(run.up_to(pts)) if decoded.pts == pts]
            assert len(short) == 1
            assert np.array_equal(short[0].frame.to_ndarray(), picture)


class _Told:
    """A decoder that notes what it is given."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self.packets: list[float] = []

    def decode(self, packet: Any) -> Any:
        if packet is not None:
            self.packets.append(float(packet.pts * packet.time_base))
        return self._decoder.decode(packet)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)


def test_the_decoder_of_covers_sees_the_first_keyframe_which_alone_may_name_an_encoder_and_its_faults(
    tmp_path: Path,
) -> None:
    pictures = (np.roll(texture(720, 1280), 9 * number, axis=1) for number in range(12))
    clip = write_clip(tmp_path / "clip.mp4", pictures, keyframe_every=4)
    with Source(clip, Budget(Limits()), strict=True) as source:
        assert source.looks_unfiltered, "covers of small videos need no decoder of their own"
        told = _Told(source.fine_decoder())
        source.fine_decoder = lambda: told  # type: ignore[method-assign]
        reader = RunReader(source)
        first, last = (reader.keyframe_at(Fraction(number, 10)) for number in (0, 8))
        assert first is not None and last is not None
        assert len(list(reader.decode(first))) == 1
        assert len(list(reader.decode(last, finely=True))) == 1
        assert told.packets == [0.0, 0.8]

"""Runs of packets that are decoded again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smartcover.engine import Limits
from smartcover.engine.budget import Budget
from smartcover.engine.decode import Run, RunReader
from smartcover.engine.source import Source
from tests.engine_clips import numbered, write_clip


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

"""Of several video streams the one that players show gives the covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from av.stream import Disposition

from smartcover.engine import pick_covers
from tests.engine_clips import texture, write_clip

SMALL, LARGE = (96, 160), (192, 320)


def _write_streams(path: Path, streams: list[tuple[tuple[int, int], Disposition]]) -> Path:
    with av.open(str(path), "w") as container:
        opened: list[tuple[Any, av.VideoFrame]] = []
        for (height_px, width_px), disposition in streams:
            stream = container.add_stream("mjpeg", rate=10)
            stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuvj420p"
            stream.disposition = disposition
            opened.append((stream, av.VideoFrame.from_ndarray(texture(height_px, width_px), "rgb24")))
        for number in range(3):
            for stream, frame in opened:
                frame.pts = number
                container.mux(stream.encode(frame))
        for stream, _frame in opened:
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("small", "large", "shown"),
    [
        (Disposition.default, Disposition(0), SMALL),
        (Disposition(0), Disposition.default, LARGE),
        (Disposition.default, Disposition.default, LARGE),
        (Disposition(0), Disposition(0), LARGE),
    ],
)
def test_the_only_default_stream_comes_before_the_largest(
    tmp_path: Path, small: Disposition, large: Disposition, shown: tuple[int, int]
) -> None:
    clip = _write_streams(tmp_path / "clip.nut", [(SMALL, small), (LARGE, large)])
    video = pick_covers(clip).video
    assert (video.height_px, video.width_px) == shown


@pytest.mark.parametrize(
    ("encoder", "suffix", "name"), [("libsvtav1", "mp4", "av1"), ("libvpx-vp9", "webm", "vp9"), ("flv", "flv", "flv1")]
)
def test_a_codec_is_called_by_its_own_name_and_not_by_its_decoders(
    tmp_path: Path, encoder: str, suffix: str, name: str
) -> None:
    clip = write_clip(tmp_path / f"clip.{suffix}", [texture(96, 160)] * 3, codec=encoder)
    assert pick_covers(clip).video.codec == name

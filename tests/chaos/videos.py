"""Tiny videos for thousands of jobs: stand-ins, good ones, broken ones, and one that breaks the decoder's process."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from tests.chaos.worker import STAND_IN
from tests.clips import small_clip

#: More memory than a decoder may have, in megapixels of one frame: 8000 x 8000 in three bytes each.
_HUGE = 8000


def write_videos(folder: Path, *, huge: bool = True) -> dict[str, bytes]:
    """Make the videos and give them by name; those that start with `stand-in` or `good` have covers."""
    videos = {f"stand-in{number}.mp4": STAND_IN + b"%d" % number for number in range(3)}
    for number, (width, height) in enumerate([(64, 48), (48, 64), (96, 54), (80, 80)]):
        path = small_clip(folder / f"good{number}.mp4", seconds=0.5, rate=10, width_px=width, height_px=height)
        videos[path.name] = path.read_bytes()
    videos["bad-noise.mp4"] = b"not a video at all" * 50
    videos["bad-cut.mp4"] = videos["good0.mp4"][:400]
    if not huge:
        return videos
    with av.open(str(folder / "bad-huge.mov"), "w") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = _HUGE, _HUGE, "rgb24"
        frame = av.VideoFrame.from_ndarray(np.full((_HUGE, _HUGE, 3), 90, np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    videos["bad-huge.mov"] = (folder / "bad-huge.mov").read_bytes()
    return videos

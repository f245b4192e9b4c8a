"""Small clips that tests make for themselves, with content that is known."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np


def small_clip(path: Path, *, seconds: float = 2.0, rate: int = 15, width_px: int = 160, height_px: int = 96) -> Path:
    """Write an H.264 clip of moving colour gradients with a keyframe every half second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=rate, options={"g": str(max(1, rate // 2)), "preset": "ultrafast"}
        )
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        y, x = np.mgrid[0:height_px, 0:width_px]
        for number in range(int(seconds * rate)):
            picture = np.stack(
                [(x * 2 + number * 9) % 256, (y * 2 + number * 5) % 256, ((x // 8 + y // 8 + number // 4) % 2) * 180],
                axis=-1,
            ).astype(np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path

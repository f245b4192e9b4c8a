"""Transparency of VP8 and VP9, which a WebM keeps as a second video in the packets of the first."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_BESIDE: Final = "matroska_block_additional"
_ID_BYTES = 8
"""What stands before the data: a number that says what they are, of which 1 is in use."""


class DecoderWithAlpha:
    """
    A stream's decoder whose frames have their transparency.

    libav's own decoders leave it out; those of libvpx read it, but take pictures of any size.
    """

    def __init__(self, colours: Any, alpha: Any) -> None:
        """
        Args:
            colours, alpha: Two decoders of the stream's codec that give each frame with its packet.
        """
        self._colours, self._alpha = colours, alpha

    @property
    def is_open(self) -> bool:
        return bool(self._colours.is_open)

    @property
    def sample_aspect_ratio(self) -> Fraction | None:
        aspect: Fraction | None = self._colours.sample_aspect_ratio
        return aspect

    @property
    def skip_frame(self) -> str:
        return str(self._colours.skip_frame)

    @skip_frame.setter
    def skip_frame(self, which: str) -> None:
        self._colours.skip_frame = which

    def open(self, *, strict: bool) -> None:
        for decoder in (self._colours, self._alpha):
            decoder.open(strict=strict)

    def flush_buffers(self) -> None:
        for decoder in (self._colours, self._alpha):
            if decoder.is_open:
                decoder.flush_buffers()

    def decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        frames: list[VideoFrame] = self._colours.decode(packet)
        if packet is None or not packet.has_sidedata(_BESIDE):
            return frames
        masks = self._alpha.decode(Packet(bytes(packet.get_sidedata(_BESIDE))[_ID_BYTES:]))
        if len(masks) != len(frames):
            return frames
        return [_joined(frame, mask) for frame, mask in zip(frames, masks, strict=True)]


def _joined(frame: VideoFrame, mask: VideoFrame) -> VideoFrame:
    """Put the brightness of `mask` into a frame as its transparency; the frame itself where they do not fit."""
    if frame.format.name != "yuv420p" or (mask.width, mask.height) != (frame.width, frame.height):
        return frame
    joined = frame.reformat(format="yuva420p")
    source, target = mask.planes[0], joined.planes[3]
    rows = np.zeros((target.height, target.line_size), dtype=np.uint8)
    pixels = np.frombuffer(bytes(source), np.uint8).reshape(source.height, source.line_size)
    rows[:, : source.width] = pixels[:, : source.width]
    target.update(rows.tobytes())
    return joined

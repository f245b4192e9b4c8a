"""What is known of a video as a whole: by its container, by its first decoded frame, and by what was read of it."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Any, Literal

import av
import av.sidedata.sidedata
from av.video.frame import VideoFrame

from smartcover.engine.colour import hdr_kind
from smartcover.engine.decode import FALLBACK_FRAME_RATE, Decoded
from smartcover.engine.geometry import Orientation, square_pixel_size
from smartcover.engine.source import Source
from smartcover.engine.types import VideoInfo


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read how a frame is to be turned; upright when it does not say."""
    kind = av.sidedata.sidedata.Type.DISPLAYMATRIX
    # Not frame.side_data: frame and mapping would hold each other until the next collection, and 60 frames fill memory.
    # PyAV types neither the argument nor that it iterates over entries.
    side_data: Any = av.sidedata.sidedata.SideDataContainer
    entries: Any = side_data.__new__(side_data)
    # PyAV raises for kinds that it has no name for (EXIF, views of MV-HEVC); it holds those before then. Decoders add
    # the matrix before those kinds, also the one that they make of EXIF.
    with suppress(ValueError):
        entries.__init__(frame)
    with suppress(ValueError):
        for entry in entries:
            if entry.type == kind:
                return Orientation.from_display_matrix(bytes(entry))
    return Orientation()


class VideoFacts:
    """
    The facts of one open source; the last word on a cover is that of the frame that is rendered.

    Attributes:
        last_keyframe: Its time, set where only that tells how long the video is.
        orientation, hdr, interlaced, size, pixel_aspect: As the first decoded frame has them; `size` is (width,
            height).
    """

    def __init__(self, source: Source) -> None:
        self._source, self._stream = source, source.stream
        self.pixel_aspect: Fraction | None = None
        self.last_keyframe: Fraction | None = None
        self._read: tuple[Fraction, Fraction] | None = None
        self._frame_seen = False
        self.orientation = Orientation()
        self.hdr: Literal["pq", "hlg"] | None = None
        self.interlaced = False
        self.size = (0, 0)

    @property
    def frame_rate(self) -> float:
        rate = self._source.frame_rate or self._stream.guessed_rate
        return float(rate) if rate and 0 < rate < 1000 else float(FALLBACK_FRAME_RATE)

    @property
    def duration_seconds(self) -> float | None:
        """Length by the stream's header, else the container's, else by what was read on to; None when none says."""
        if self.last_keyframe is not None:
            return float(self.last_keyframe - self.start)
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        duration = self._source.container.duration
        if duration and duration > 0:
            return duration / av.time_base - self._counted_too_early(duration)
        return float(self._read[1] - self._read[0]) + 1 / self.frame_rate if self._read is not None else None

    def _counted_too_early(self, duration: int) -> float:
        """
        Seconds before the start that the container counts as part of the video.

        FFmpeg gives Matroska the time of the end as duration: of a recording that is cut into files, all that was
        before each file. Others (mkvmerge, GStreamer) give the length.
        """
        container = self._source.container
        tags = {key.lower(): value for key, value in container.metadata.items()}
        gives_end = container.format.name.startswith("matroska") and tags.get("encoder", "").startswith("Lavf")
        return float(self.start) if gives_end and 0 < self.start * av.time_base < duration else 0.0

    @property
    def start(self) -> Fraction:
        """Time stamp that players show as 0."""
        stamp = self._source.container.start_time
        if stamp is not None and abs(stamp) < 2**62:
            return Fraction(stamp, av.time_base)
        return self._read[0] if self._read is not None else Fraction(0)

    @property
    def reached(self) -> Fraction:
        """Latest time stamp that was read on to."""
        return self._read[1] if self._read is not None else self.start

    @property
    def pixels(self) -> int:
        """Pixels of a frame, by the stream's header; at least 1."""
        return max(1, self._stream.codec_context.width * self._stream.codec_context.height)

    @property
    def all_are_keyframes(self) -> bool:
        """Whether by its codec each frame decodes alone."""
        return self._stream.codec_context.codec.intra_only

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) upright and with square pixels."""
        return self.orientation.swap(square_pixel_size(*self.size, self.pixel_aspect))

    def learn_reach(self, time: Fraction | None) -> None:
        """Note the time of the first packet that was read on to, and the latest."""
        if time is not None:
            first, last = self._read or (time, time)
            self._read = min(first, time), max(last, time)

    def learn_frame(self, decoded: Decoded) -> bool:
        """Note what the first frame says; False for all others."""
        if self._frame_seen:
            return False
        self._frame_seen = True
        frame = decoded.frame
        self.pixel_aspect = decoded.pixel_aspect
        self.orientation = orientation_of(frame)
        self.hdr = hdr_kind(frame)
        self.interlaced = self.is_interlaced(frame)
        self.size = (frame.width, frame.height)
        return True

    def is_interlaced(self, frame: VideoFrame) -> bool:
        """Tell by the frame, and where its codec cannot say so by the container."""
        return bool(frame.interlaced_frame) or self._source.has_silent_fields

    def orientation_of(self, frame: VideoFrame) -> Orientation:
        """
        Tell how a frame is to be turned: by its own matrix, else by that of the first frame.

        H.264 and HEVC may tell it in one frame for all that follow, and a decoder that seeks does not meet that one.
        """
        own = orientation_of(frame)
        return own if own != Orientation() else self.orientation

    def info(self) -> VideoInfo:
        width_px, height_px = self.display_size
        return VideoInfo(
            container=self._source.container.format.name,
            codec=self._stream.codec_context.codec.canonical_name,
            width_px=width_px,
            height_px=height_px,
            duration_seconds=self.duration_seconds,
            frame_rate=float(self._source.frame_rate) if self._source.frame_rate else None,
            rotation_degrees=self.orientation.rotation_degrees,
            mirrored=self.orientation.mirrored,
            hdr=self.hdr,
            interlaced=self.interlaced,
            size_bytes=self._source.size_bytes,
        )

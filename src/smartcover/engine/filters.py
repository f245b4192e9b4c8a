"""One frame through one of libav's filters."""

from __future__ import annotations

from fractions import Fraction

import av.filter
from av.video.frame import VideoFrame

from smartcover.engine.source import DAMAGE


def filtered(frame: VideoFrame, name: str, options: str) -> VideoFrame | None:
    """Give what a filter makes of a frame, with the frame's own colour tags; None where the filter cannot take it."""
    graph = av.filter.Graph()
    try:
        # Most filters take few formats; others are converted for them, and the range must be known for that.
        told = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:range={int(frame.color_range)}"
        buffer = graph.add("buffer", f"{told}:time_base={frame.time_base or Fraction(1, 25)}")
        chosen = graph.add(name, options)
        sink = graph.add("buffersink")
        buffer.link_to(chosen)
        chosen.link_to(sink)
        graph.configure()
        graph.push(frame)
        graph.push(None)
        result = graph.pull()
    except (*DAMAGE, NotImplementedError):
        return None
    if not isinstance(result, VideoFrame):
        return None
    # The filter graph is not told the colour tags and would drop them.
    result.colorspace, result.color_range = frame.colorspace, frame.color_range
    result.color_trc, result.color_primaries = frame.color_trc, frame.color_primaries
    return result


def deinterlace(frame: VideoFrame) -> VideoFrame:
    """
    Make a progressive frame of an interlaced one with the yadif filter; the frame itself when that fails.

    One frame has no neighbours in time, so yadif predicts each missing line within the frame.
    """
    return filtered(frame, "yadif", "mode=send_frame:parity=auto:deint=all") or frame


def rows_of(frame: VideoFrame, first: int, rows: int) -> VideoFrame | None:
    """Give some rows of a frame without copying them; None for a format that cannot be cut so."""
    return filtered(frame, "crop", f"w={frame.width}:h={rows}:x=0:y={first}:exact=1")

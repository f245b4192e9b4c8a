"""Opening a video safely: our own reader between the decoder and the bytes, and a list of the formats it may try."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import av.container
import av.error
import av.stream
import av.video.stream
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from smartcover.engine.alpha import DecoderWithAlpha
from smartcover.engine.budget import Budget, BytesSpent
from smartcover.engine.readers import BoundedReader, FarReader, open_file
from smartcover.engine.types import PrefetchingReader, SeekableReader
from smartcover.engine.unreadable import HEAD_BYTES, why_unreadable
from smartcover.errors import NotAVideo, NoVideoStream, VideoTooLarge

# Formats that only ever read the bytes they are given. Absent on purpose, as each can open other files or the
# network: concat, hls, dash, sdp, rtsp, imf, image sequences, the device and script formats.
_ALLOWED_FORMATS = (
    "mov", "mp4", "matroska", "webm", "avi", "asf", "flv", "live_flv", "kux", "mpeg", "mpegts", "mpegvideo", "ogg",
    "gif", "apng", "m4v", "h264", "hevc", "vvc", "av1", "obu", "ivf", "evc", "rm", "dv", "mxf", "nut", "wtv",
    "yuv4mpegpipe", "mjpeg", "vc1", "vc1test", "amv", "gxf", "nsv", "nuv", "pva", "swf", "bink", "smk", "roq",
    "film_cpk", "dhav", "h263", "h261", "cavsvideo", "dirac", "fli", "flic", "mlv", "r3d", "viv", "vivo", "4xm",
)  # fmt: skip

_BUFFER_SIZE_BYTES = 64 * 1024
"""What the container asks of a reader at once."""

_CODECS_WITH_LOOP_FILTER = ("h264", "hevc")
_UNFILTERED_PIXELS, _UNFILTERED_FRAME_BYTES = 1280 * 720, 16 * 2**20
"""
What is looked at without the loop filter: frames of these codecs, of at least so many pixels and at most so many bytes.
Larger ones, as of 4K with ten bits, are decoded by one decoder for all: each holds several of them.
"""

_LARGE_FRAME_BYTES = 8 * 2**20
"""Frames that take more than this are large: see `Source.has_large_frames`."""

_CODECS_WITHOUT_FIELDS = ("mjpeg", "huffyuv", "ffvhuff", "jpeg2000", "png")
"""Codecs whose frames cannot say that they are interlaced."""
_FIELD_ORDER_PROGRESSIVE = 1

_NO_TIMESTAMPS = 0x80
"""FFmpeg's AVFMT_NOTIMESTAMPS."""

_CODECS_WITH_ALPHA_BESIDE = ("vp8", "vp9")
_CODECS_OF_ANY_MATRIX = ("vp8",)
"""Codecs whose streams cannot name a matrix; the decoder's word is always the same."""
_UNSPECIFIED = 2
"""Code point of H.273 for a matrix, a transfer or primaries that are not told."""
_DISPOSITIONS_OF_STILLS = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails

_ACCELERATORS = ("cuda", "videotoolbox", "vaapi", "d3d11va")
"""Kinds of devices that give frames back to the CPU, in the order in which they are tried."""

DAMAGE = (av.error.FFmpegError, ValueError, IndexError, AttributeError, MemoryError, OverflowError, BytesSpent)
"""What the decoder was seen to raise on damaged input; callers turn it into a missing frame or a VideoError."""


def frame_bytes(pixels: int, form: VideoFormat | None) -> int:
    """Tell how much memory a frame of so many pixels takes, about; as for the commonest formats where none is known."""
    return max(1, pixels * (form.padded_bits_per_pixel if form is not None else 12) // 8)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is known of a stream before it is decoded here; `container_aspect` if its container has one of its own."""

    colorspace: int
    color_range: int
    color_trc: int
    color_primaries: int
    pixel_aspect: Fraction | None
    container_aspect: bool


class Source:
    """An open container and its one video stream. A context manager; closing it closes a file opened here."""

    def __init__(
        self,
        video: str | os.PathLike[str] | SeekableReader,
        budget: Budget,
        *,
        strict: bool,
        gpu: bool = False,
        undecoded: bool = False,
    ) -> None:
        """
        Args:
            strict: Treat damage as an error, so that a smeared frame does not pass for a clean one.
            gpu: Decode on an accelerator where there is one that knows the codec, else as always.
            undecoded: Open without a decoder: the container's word then stands for sizes that no decoder would take.

        Raises:
            NotAVideo, NoVideoStream, VideoTooLarge, DecodeTimedOut
        """
        self.budget = budget
        self.size_bytes: int | None = None
        self._file: BinaryIO | None = None
        if isinstance(video, str | os.PathLike):
            self._file = open_file(video)
            raw: SeekableReader = self._file
            name = str(video)
        else:
            raw, name = video, "the file"
            raw.seek(0)
        self._far: FarReader | None = None
        try:
            raw.seek(0, io.SEEK_END)
            self.size_bytes = raw.tell()
            raw.seek(0)
            if self.size_bytes == 0:
                raise NotAVideo(f"{name} is empty (0 bytes)")
            reader = BoundedReader(raw, budget, self.size_bytes)
            if self._file is None:
                self._far = FarReader(reader, raw if isinstance(raw, PrefetchingReader) else None, self.size_bytes)
            device = accelerator() if gpu else None
            self.container = _open_container(self._far or reader, name, budget, device, undecoded=undecoded)
        except BaseException:
            self._close_file()
            raise
        try:
            self.stream = _choose_stream(self.container, name)
            self._configure(strict)
        except BaseException:
            self.close()
            raise

    def _configure(self, strict: bool) -> None:
        for other in self.container.streams:
            if other.index != self.stream.index:
                other.discard = av.stream.Discard.all
        context = self.stream.codec_context
        if context.width * context.height > self.budget.limits.max_pixels:
            raise VideoTooLarge(
                f"The picture is {context.width}x{context.height}, more than the "
                f"{self.budget.limits.max_pixels} pixels allowed; raise max_pixels or scale the video down"
            )
        options = {
            "max_pixels": str(self.budget.limits.max_pixels),
            # Else rows that would begin at an odd place in memory keep what the stream cuts off at the left.
            "flags": "+unaligned",
            # Where a stream does not tell: chroma lies there in nearly all video, and the scaler would take the centre.
            "chroma_sample_location": "left",
        }
        self.is_strict = strict
        if strict:
            options["err_detect"] = "explode"
        self._options = options
        # Pictures that are looked at far smaller than they are do not show what the filter smooths: a tenth less work.
        pixels = context.width * context.height
        self.looks_unfiltered = (
            context.name in _CODECS_WITH_LOOP_FILTER
            and pixels >= _UNFILTERED_PIXELS
            and frame_bytes(pixels, context.format) <= _UNFILTERED_FRAME_BYTES
        )
        self._opened = _Opened(
            colorspace=context.colorspace,
            color_range=context.color_range,
            color_trc=context.color_trc,
            color_primaries=context.color_primaries,
            pixel_aspect=self.stream.sample_aspect_ratio,
            container_aspect=self.stream.sample_aspect_ratio != context.sample_aspect_ratio,
        )
        self._has_alpha = context.name in _CODECS_WITH_ALPHA_BESIDE and self.stream.metadata.get("alpha_mode") == "1"

    def new_decoder(self, *, finely: bool) -> Any:
        """
        Make a decoder of the stream, which frees its frames when it is let go: of 4K they take 200 MB and more.

        Where an accelerator decodes, it is the container's own, of which there is one; what it holds is not ours.

        Args:
            finely: Decode for covers, with every filter.
        """
        decoder = self._decoder_of_container(finely=finely)
        # A frame whose transparency is damaged is lost: when all are, an opaque cover is better than none.
        if self._has_alpha and self.is_strict:
            return DecoderWithAlpha(decoder, self._like_the_container(finely=True))
        return decoder

    def _decoder_of_container(self, *, finely: bool) -> Any:
        context: Any = self.stream.codec_context
        if not context.is_hwaccel or (finely and self.looks_unfiltered):
            return self._like_the_container(finely=finely)
        if not context.is_open:
            self._configure_decoder(context, finely=finely)
        return context

    def _like_the_container(self, *, finely: bool) -> Any:
        """Make a decoder that knows all that the container says of the stream, its display matrix too."""
        known = self.stream.codec_context
        # PyAV fills a decoder from a stream only for a container: here one to be written to, which nothing is.
        with av.open(io.BytesIO(), "w", format="null") as nowhere:
            decoder: Any = nowhere.add_stream_from_template(self.stream, opaque=True).codec_context
        decoder.codec_tag = known.codec_tag
        self._configure_decoder(decoder, finely=finely)
        return decoder

    def _configure_decoder(self, decoder: Any, *, finely: bool) -> None:
        unfiltered = {"skip_loop_filter": "all"} if self.looks_unfiltered and not finely else {}
        decoder.options = self._options | unfiltered
        decoder.thread_count = 1

    def complete(self, frame: VideoFrame) -> None:
        """
        Tag a decoded frame with what was known of its colours on opening, where the stream itself is silent.

        Many decoders set what their streams leave open to "unspecified", over what the container says.
        """
        opened, silent_of_matrix = self._opened, self.stream.codec_context.name in _CODECS_OF_ANY_MATRIX
        if frame.colorspace == _UNSPECIFIED or (silent_of_matrix and opened.colorspace != _UNSPECIFIED):
            frame.colorspace = opened.colorspace
        if frame.color_range == ColorRange.UNSPECIFIED:
            frame.color_range = opened.color_range
        if frame.color_trc == _UNSPECIFIED:
            frame.color_trc = opened.color_trc
        if frame.color_primaries == _UNSPECIFIED:
            frame.color_primaries = opened.color_primaries

    def pixel_aspect(self, decoder: Any) -> Fraction | None:
        """Give the shape of the pixels that a decoder gives: by the container, where it differs from the stream."""
        own: Fraction | None = decoder.sample_aspect_ratio
        return own if own and not self._opened.container_aspect else self._opened.pixel_aspect

    @property
    def has_large_frames(self) -> bool:
        """Whether a few frames, as decoders hold them, take so much memory that none is kept without need: 4K."""
        context = self.stream.codec_context
        return frame_bytes(context.width * context.height, context.format) > _LARGE_FRAME_BYTES

    @property
    def is_raw(self) -> bool:
        """Whether the stream is in no container: what the encoder gave, without times."""
        return bool(self.container.format.flags & _NO_TIMESTAMPS)

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second by the container; of a raw stream by its codec, as FFmpeg takes 25 for its mean."""
        return self.stream.guessed_rate if self.is_raw else self.stream.average_rate

    @property
    def has_silent_fields(self) -> bool:
        """Whether the container alone says that the frames are interlaced, as their codec cannot."""
        context = self.stream.codec_context
        return context.name in _CODECS_WITHOUT_FIELDS and context.field_order > _FIELD_ORDER_PROGRESSIVE

    @property
    def is_far(self) -> bool:
        """Whether reading costs round trips, so that it pays to announce what will be read."""
        return self._far is not None

    def announce(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Say which (offset, size) ranges of the bytes will be read next; nothing to do for a file at hand."""
        if self._far is not None:
            self._far.announce(ranges)

    def close(self) -> None:
        self.container.close()
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@functools.cache
def accelerator() -> HWAccel | None:
    """Find the first kind of device that can be opened here; once a process, because trying takes time."""
    built_for = hwdevices_available()
    for kind in (kind for kind in _ACCELERATORS if kind in built_for):
        found = HWAccel(kind, allow_software_fallback=True)
        try:
            found.create(av.Codec("h264", "r"))
        except (av.error.FFmpegError, NotImplementedError, RuntimeError, OSError):
            continue
        return found
    return None


def _open_container(
    reader: BoundedReader | FarReader, name: str, budget: Budget, accelerator: HWAccel | None, *, undecoded: bool
) -> av.container.InputContainer:
    # A fragmented file from afar: its table of fragments at the end spares a jump to every one of them.
    afar = {"use_mfra_for": "pts"} if isinstance(reader, FarReader) else {}
    options = afar | {
        "format_whitelist": ",".join(_ALLOWED_FORMATS),
        "protocol_whitelist": "none",
        "max_pixels": str(budget.limits.max_pixels),
    }
    if undecoded:
        options["codec_whitelist"] = "none"
    try:
        return av.open(
            reader,
            mode="r",
            options=options,
            buffer_size=_BUFFER_SIZE_BYTES,
            metadata_errors="replace",
            hwaccel=accelerator,
        )
    except DAMAGE as error:
        if isinstance(error, BytesSpent):
            raise VideoTooLarge(f"{name} cannot be opened within what may be read: {error}") from error
        why = why_unreadable(_head(reader))
        raise NotAVideo(f"{name} is not a video that can be read: {why}", detail=str(error)) from error


def _head(reader: BoundedReader | FarReader) -> bytes:
    try:
        reader.seek(0)
        return reader.read(HEAD_BYTES)
    except BytesSpent:
        return b""


def _choose_stream(container: av.container.InputContainer, name: str) -> av.video.stream.VideoStream:
    moving = [stream for stream in container.streams.video if not stream.disposition & _DISPOSITIONS_OF_STILLS]
    if not moving:
        kinds = {"audio": "sound", "video": "a still picture", "subtitle": "subtitles"}
        found = {kinds[stream.type]: None for stream in container.streams if stream.type in kinds}
        raise NoVideoStream(f"{name} holds no video stream, only {' and '.join(found) or 'data'}; give a video")
    decodable = [stream for stream in moving if stream.codec_context is not None]
    if not decodable:
        raise NoVideoStream(f"{name} holds no video stream of a codec that is supported here")
    flagged = [stream for stream in decodable if stream.disposition & av.stream.Disposition.default]
    # Many writers flag every stream: then the flag tells nothing, and the largest picture is taken.
    choice = flagged if len(flagged) == 1 else decodable
    return max(choice, key=lambda stream: stream.codec_context.width * stream.codec_context.height)

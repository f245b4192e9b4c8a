"""Packets to frames: runs decoded by themselves, small and fast to be looked at, finely for covers."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, islice, takewhile
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from smartcover.engine.memory import give_back_freed_memory
from smartcover.engine.runs import Run, RunReader, packet_time, shown_at
from smartcover.engine.source import DAMAGE, Source

FALLBACK_FRAME_RATE = Fraction(25)
"""Frames a second where nothing tells it."""

_CODECS_THAT_REMEMBER = ("h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3")
"""Codecs whose keyframes may need what stood in the first packet alone; those of the others stand by themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """
    A frame with its exact time stamp and the shape of its pixels (width by height; None where nothing tells it).

    `damage` counts the errors met in it and in what it was predicted from.
    """

    frame: VideoFrame
    pts: Fraction
    damage: int
    pixel_aspect: Fraction | None


class RunDecoder:
    """Decodes runs of a source, each by itself. The owner of the stream's decoders."""

    def __init__(self, source: Source, reader: RunReader) -> None:
        self._source, self._stream, self._reader = source, source.stream, reader
        self._decoders: dict[bool, Any] = {}
        self._first: Packet[VideoStream] | None = None
        self._first_skipped = "DEFAULT"

    def decode(
        self, run: Run, *, sparsely: bool = False, finely: bool = False, wanted: Fraction | None = None
    ) -> Iterator[Decoded]:
        """
        Decode a run by itself and yield its frames in order of display.

        The decoder is drained and emptied around each run: fed back to back, keyframes of open groups lose frames.

        Args:
            sparsely: Leave out the frames that no other builds on, about half of them; those given are the same.
            finely: Decode for a cover, with every filter.
            wanted: Time stamp of a frame that is given in any case.
        """
        packets = run.packets or self._reader.read_again(run.start)
        yield from self._decode(packets, run.start, sparsely=sparsely, finely=finely, wanted=wanted)

    def decode_until(self, start: Fraction, end: Fraction, most_packets: int | None = None) -> Iterator[Decoded]:
        """
        Seek to the keyframe at `start` and decode for covers while reading on to `end`; no packet is kept.

        Frames that no other builds on are left out.
        """
        stored = self._reader.packets_until(start, end)
        packets = takewhile(lambda _: not self._source.budget.sampling_is_over, stored)
        yield from self._decode(islice(packets, most_packets), start, sparsely=True, finely=True, wanted=None)

    def _decode(
        self,
        packets: Iterable[Packet[VideoStream]],
        start: Fraction,
        *,
        sparsely: bool,
        finely: bool,
        wanted: Fraction | None,
    ) -> Iterator[Decoded]:
        damage, begun, open_group = 0, 0, False
        rate = self._source.frame_rate or FALLBACK_FRAME_RATE
        times = (start + number / rate for number in count())
        context = self._decoder(finely=finely)
        _empty(context)
        try:
            for packet in packets:
                self._source.budget.check_time()
                if begun and self._leads(packet, start):
                    open_group = True
                    continue
                begun += 1
                skipped = "NONREF" if sparsely and packet_time(packet) != wanted else "DEFAULT"
                context.skip_frame = skipped
                if self._first is None:
                    self._first, self._first_skipped = packet, skipped
                self._reader.headers.bring(packet, packet_time(packet))
                damage += packet.is_corrupt
                try:
                    frames = context.decode(packet)
                except DAMAGE:
                    # The picture after such a keyframe has others forgotten that were stored before it. They are not
                    # there, which is an error to the decoder, and the picture is whole.
                    damage += not (open_group and begun == 2)
                    continue
                damage = yield from self._stamped(context, frames, times, damage)
            try:
                frames = context.decode(None)
            except DAMAGE:
                frames = []
            yield from self._stamped(context, frames, times, damage)
        finally:
            _empty(context)

    def _leads(self, packet: Packet[VideoStream], start: Fraction) -> bool:
        """
        Tell whether a picture is shown before the keyframe that it is stored after, and builds on the run before.

        The decoders of other codecs pass over these; that of H.264 takes them for damage.
        """
        time = shown_at(packet)
        return self._stream.codec_context.name == "h264" and time is not None and time < start

    def rest(self) -> None:
        """
        Where frames are large, give back to the system what is not needed now.

        The decoders go with their frames, of which each holds as many as its codec may build on, and one more.
        """
        if self._source.has_large_frames:
            self._decoders.clear()
            give_back_freed_memory()

    def _decoder(self, *, finely: bool) -> Any:
        """Give the decoder to use, made when first needed. Of large frames there is one at a time."""
        finely = finely and self._source.looks_unfiltered
        if finely not in self._decoders:
            self.rest()
            self._decoders[finely] = self._source.new_decoder(finely=finely)
            self._introduce(self._decoders[finely])
        return self._decoders[finely]

    def _introduce(self, decoder: Any) -> None:
        """
        Show a decoder the first packet that was seen, for what only that may tell, without decoding its picture.

        Old encoders made faults that a decoder works around when it knows them by name, and their name is in the first
        packet: lossless H.264 by an old x264 comes out green without it. So may be the headers of the whole stream.
        """
        if self._first is None:
            return
        try:
            # What dav1d leaves out is settled when it is opened.
            decoder.skip_frame = self._first_skipped
            decoder.open(strict=False)
            if self._stream.codec_context.name in _CODECS_THAT_REMEMBER:
                decoder.skip_frame = "ALL"
                decoder.decode(self._first)
                decoder.decode(None)
        except DAMAGE:
            pass
        finally:
            _empty(decoder)

    def _stamped(
        self, context: Any, frames: list[VideoFrame], times: Iterator[Fraction], damage: int
    ) -> Generator[Decoded, None, int]:
        """
        Give frames their times: their own, else the next of `times`, which are as far apart as frames are.

        They are taken out of the list, so that none is held here while the next is decoded. Returns the damage so far.
        """
        pixel_aspect = self._source.pixel_aspect(context)
        while frames:
            frame = frames.pop(0)
            base, counted_time = frame.time_base or self._stream.time_base, next(times)
            pts = frame.pts * base if frame.pts is not None and base is not None else counted_time
            damage += frame.is_corrupt
            if frame.width > 0 and frame.height > 0:
                self._source.complete(frame)
                yield Decoded(frame, pts, damage, pixel_aspect)
        return damage


def _empty(context: Any) -> None:
    if context.is_open:
        context.flush_buffers()

"""Packets to frames: runs of compressed packets that start at a keyframe, decoded alone and, for the winners, again."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count, islice, takewhile
from typing import Any

import av.error
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from smartcover.engine.clock import CLOCKLESS_CODECS, counted
from smartcover.engine.headers import ChangingHeaders
from smartcover.engine.memory import give_back_freed_memory
from smartcover.engine.source import DAMAGE, Source

FALLBACK_FRAME_RATE = Fraction(25)
"""Frames a second where nothing tells it."""

_MAX_BAD_READS = 64
"""Read errors in a row after which the rest of a container is given up."""

_STREAMS_OF_PACKETS = ("mpegts", "mpeg")
"""Formats without any index, in which the decoder can start at every byte."""

_FORMATS_WITH_HEADERS_AMONG_PACKETS = ("flv", "live_flv", "kux")
_FORMATS_WITH_HEADERS_OF_PARTS = ("mov,mp4,m4a,3gp,3g2,mj2",)
"""Formats whose headers may change, told once on the way or by each part (see headers.py)."""

_BEYOND_EVERY_END_SECONDS = 1_000_000
"""Eleven days: where to seek for the last keyframe of a video whose length is not known."""

_CODECS_THAT_REMEMBER = ("h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "vc1", "wmv3")
"""Codecs whose keyframes may need what stood in the first packet alone; those of the others stand by themselves."""

_MAX_PACKETS_TO_KEYFRAME = 2000
"""Packets that are skipped after a seek in search of a keyframe."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """
    Compressed packets in decoding order, from a keyframe on.

    `start` is the time stamp of the first. Of a lone keyframe that was let go only that is left, and it is read again.
    """

    packets: tuple[Packet[VideoStream], ...]
    start: Fraction

    @classmethod
    def of(cls, packets: Sequence[Packet[VideoStream]]) -> Run:
        """Make a run of packets, at least one."""
        return cls(tuple(packets), packet_time(packets[0]) or Fraction(0))

    def let_go(self) -> Run:
        """Keep of a lone keyframe only where it is."""
        return replace(self, packets=())

    def end(self, frame_rate: float) -> Fraction:
        """Time stamp at which the last frame ends, all frames taken to be equally long."""
        times = [time for packet in self.packets if (time := packet_time(packet)) is not None]
        if len(times) < 2:
            return self.start + Fraction(1 / frame_rate).limit_denominator(1000)
        return max(times) + (max(times) - min(times)) / (len(times) - 1)

    def up_to(self, pts: Fraction) -> Run:
        """Leave out what is stored after the packet of a time stamp: its frame builds on nothing of that."""
        for number, packet in enumerate(self.packets, start=1):
            if shown_at(packet) == pts:
                return replace(self, packets=self.packets[:number])
        return self

    @property
    def size_bytes(self) -> int:
        return sum(packet.size for packet in self.packets)


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


def packet_time(packet: Packet[VideoStream]) -> Fraction | None:
    """Give when a packet is shown, or failing that decoded."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    if stamp is None or packet.time_base is None:
        return None
    return stamp * packet.time_base


def shown_at(packet: Packet[VideoStream]) -> Fraction | None:
    """Give when a packet is shown; None when only its time of decoding is known, or none."""
    return packet_time(packet) if packet.pts is not None else None


class RunReader:
    """Reads runs out of a container and decodes them. The owner of the stream's decoders."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream = source.stream
        self._decoders: dict[bool, Any] = {}
        form = source.container.format.name
        has_parts = form in _FORMATS_WITH_HEADERS_OF_PARTS
        self._may_change_headers = has_parts or form in _FORMATS_WITH_HEADERS_AMONG_PACKETS
        self._headers = ChangingHeaders(source.stream, told_after_seeks=has_parts)
        self._places: dict[Fraction, int] = {}
        self._first: Packet[VideoStream] | None = None
        self._first_skipped = "DEFAULT"
        self._latest: Run | None = None

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the stream's packets from the container's present position, across what damage it can."""
        rate = self._source.frame_rate
        if self._is_clockless and rate:
            # There is no seeking without time stamps, so this is the stream's start.
            return counted(self._stored_packets(), self._stream, rate)
        return self._stored_packets()

    def _stored_packets(self) -> Iterator[Packet[VideoStream]]:
        bad_reads = 0
        while bad_reads < _MAX_BAD_READS:
            try:
                for packet in self._source.container.demux(self._stream):
                    self._source.budget.count_packet()
                    if packet.size == 0:
                        continue
                    bad_reads = 0
                    if self._may_change_headers:
                        self._headers.note(packet, packet_time)
                    yield packet
                return
            except av.error.EOFError:
                return
            except DAMAGE:
                bad_reads += 1

    @property
    def _is_clockless(self) -> bool:
        return self._source.is_raw and self._stream.codec_context.name in CLOCKLESS_CODECS

    def seek(self, pts: Fraction) -> bool:
        """Go to the keyframe at or before a time stamp; False when the container cannot."""
        if self._is_clockless:
            return False
        assert self._stream.time_base is not None
        if pts in self._places:
            return self._seek_to_byte(self._places[pts])
        try:
            # Floor: a stamp rounded up past the keyframe's own would still find it, rounded down may not.
            self._source.container.seek(-int(-pts / self._stream.time_base // 1), stream=self._stream)
        except DAMAGE:
            return False
        return True

    def _seek_to_byte(self, position: int) -> bool:
        try:
            self._source.container.seek(position, unsupported_byte_offset=True, stream=self._stream)
        except DAMAGE:
            return False
        return True

    def keyframe_at(self, pts: Fraction) -> Run | None:
        """Seek and read the one keyframe packet found there."""
        # Where it is the only one, each seek in Matroska reads the whole file in search of another.
        if self._latest is None or self._latest.start != pts:
            self._latest = self._next_keyframe() if self.seek(pts) else None
        return self._latest

    def keyframe_near(self, pts: Fraction, share: float) -> Run | None:
        """
        Read a keyframe about a time stamp that lies at a share (0..1) of the whole.

        A transport stream has no index: going by time means a search that reads far more than what it finds. There
        the bytes at that share will do, and the keyframe that comes next.
        """
        if not self._is_stream_of_packets or not self._source.size_bytes:
            return self.keyframe_at(pts)
        run = self._next_keyframe() if self._seek_to_byte(round(self._source.size_bytes * share)) else None
        if run is not None:
            self.remember(run)
        return run

    def remember(self, run: Run) -> None:
        """Note where a run lies, to seek there by its bytes where going by time may end behind it."""
        position = run.packets[0].pos
        if self._is_stream_of_packets and position is not None and position >= 0:
            self._places[run.start] = position

    @property
    def _is_stream_of_packets(self) -> bool:
        return self._source.container.format.name.startswith(_STREAMS_OF_PACKETS)

    def last_keyframe_time(self) -> Fraction | None:
        """Give the time of the last keyframe, found by seeking beyond every end."""
        run = self.keyframe_at(Fraction(_BEYOND_EVERY_END_SECONDS))
        return run.start if run is not None else None

    def _next_keyframe(self) -> Run | None:
        for number, packet in enumerate(self.packets()):
            if packet.is_keyframe:
                return Run.of((packet,))
            if number > _MAX_PACKETS_TO_KEYFRAME:
                break
        return None

    def run_until(self, start: Fraction, end: Fraction, most_packets: int) -> Run | None:
        """
        Seek to the keyframe at `start` and read on until every frame shown up to `end` has its packets.

        It ends early after `most_packets`, or when they are as much as may still be held.
        """
        held: list[Packet[VideoStream]] = []
        room_bytes = self._source.budget.room_bytes
        for packet in islice(self._packets_until(start, end), most_packets):
            held.append(packet)
            room_bytes -= packet.size
            if room_bytes <= 0:
                break
        return Run.of(held) if held else None

    def _packets_until(self, start: Fraction, end: Fraction) -> Iterator[Packet[VideoStream]]:
        if not self.seek(start):
            return
        begun, beyond = False, 0
        for number, packet in enumerate(self.packets()):
            begun = begun or packet.is_keyframe
            if begun:
                yield packet
            elif number > _MAX_PACKETS_TO_KEYFRAME:
                return
            time = packet_time(packet)
            beyond = beyond + 1 if begun and time is not None and time > end else 0
            # Frames are stored out of order: a few packets beyond the end make sure that nothing before it is left out.
            if beyond > 4:
                return

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
        packets = run.packets or self._read_again(run.start)
        yield from self._decode(packets, run.start, sparsely=sparsely, finely=finely, wanted=wanted)

    def _read_again(self, start: Fraction) -> tuple[Packet[VideoStream], ...]:
        run = self.keyframe_at(start)
        return run.packets if run is not None and run.start == start else ()

    def decode_until(self, start: Fraction, end: Fraction, most_packets: int | None = None) -> Iterator[Decoded]:
        """
        Seek to the keyframe at `start` and decode for covers while reading on to `end`; no packet is kept.

        Frames that no other builds on are left out.
        """
        packets = takewhile(lambda _: not self._source.budget.sampling_is_over, self._packets_until(start, end))
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
                self._headers.bring(packet, packet_time(packet))
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

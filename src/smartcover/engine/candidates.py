"""Gathering candidates: decode few moments, small and upright, and keep the packets that would show them again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import av.sidedata.sidedata
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from smartcover.engine.colour import ColourConverter, hdr_kind
from smartcover.engine.decode import FALLBACK_FRAME_RATE, Decoded, Run, RunReader, packet_time, shown_at
from smartcover.engine.geometry import Orientation, fit_within, square_pixel_size
from smartcover.engine.index import ContainerIndex
from smartcover.engine.looks import Look, frame_bytes, neighbours_of
from smartcover.engine.sampling import (
    WIDE,
    Visit,
    even_moments,
    is_near,
    part,
    plan_long_visits,
    plan_visits,
    wide_stretches,
    widest_gap,
)
from smartcover.engine.sessions import Picture
from smartcover.engine.source import Source
from smartcover.engine.types import VideoInfo

_LOOK_LONGEST_PX = 480
"""Longer side of the pictures that are looked at: enough for a face of a tenth of the height, cheap to score."""

_GLANCE_SIZE = (48, 27)
"""Size of the pictures that are only compared with their neighbours in time."""

_NEIGHBOURHOOD = Fraction(1, 2)
"""Frames further than this from every moment are decoded only because others build on them."""

_CLOSER_OFFSETS = (Fraction(1, 10), Fraction(1, 5))
_CLOSER_PACKETS = 13
"""What is looked at around a moment that may win: a fifth of a second, where a blink or a blur may be over."""

_CLOSER_SHARE = 4
"""Looking around moments between keyframes may cost this part of what sampling may, all moments together."""

_FEW_KEYFRAMES = 3
"""Fewer than these for more bytes than the file has: seeking then reads it all in search of each."""

_LEAST_PIXELS = 320 * 180
"""What a frame counts for at least on a long way: a smaller one hardly costs less."""

_KEPT_SHARE = 0.8
"""Share of the memory for compressed data that whole frames may take instead."""

_UNSEEN_AFTER_LONG_VISITS = Fraction(1, 10)
"""Share of a video that may be left at its end without saying so: half a step between moments is."""


@dataclass(slots=True)
class FrameFacts:
    """What only a decoded frame tells about the stream; the last word is the frame's that is rendered."""

    orientation: Orientation = field(default_factory=Orientation)
    pixel_aspect: Fraction | None = None
    hdr: Literal["pq", "hlg"] | None = None
    interlaced: bool = False
    size: tuple[int, int] = (0, 0)

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) upright and with square pixels."""
        return self.orientation.swap(square_pixel_size(*self.size, self.pixel_aspect))


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


class Gatherer:
    """
    Looks at moments of one open source.

    `unseen` is the longest part (from and to, in seconds) that a limit kept from being looked at, if that is much.
    """

    def __init__(
        self,
        source: Source,
        wanted: int,
        on_look: Callable[[float], None],
        on_size: Callable[[tuple[int, int]], None],
    ) -> None:
        """
        Args:
            wanted: How many moments to look at.
            on_look: Called with the share of the planned moments that was looked at.
            on_size: Called with the display size as soon as the first frame tells it; may raise to end the work.
        """
        self.reader = RunReader(source)
        self._index = ContainerIndex(source, self.reader)
        self._last_keyframe: Fraction | None = None
        self._read: tuple[Fraction, Fraction] | None = None
        self.facts = FrameFacts(pixel_aspect=source.stream.sample_aspect_ratio)
        self.unseen: tuple[float, float] | None = None
        self._passed: dict[Fraction, Fraction] = {}
        self._source = source
        self._wanted = wanted
        self._stream = source.stream
        self._budget = source.budget
        self._converter = ColourConverter()
        self._on_look = on_look
        self._on_size = on_size
        self._facts_known = False
        self._spent_closer = 0

    # What the container says.

    @property
    def frame_rate(self) -> float:
        rate = self._source.frame_rate or self._stream.guessed_rate
        return float(rate) if rate and 0 < rate < 1000 else float(FALLBACK_FRAME_RATE)

    @property
    def duration_seconds(self) -> float | None:
        """Length by the stream's header, else the container's, else by what was read on to; None when none says."""
        if self._last_keyframe is not None:
            return float(self._last_keyframe - self.start)
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        duration = self._source.container.duration
        if duration and duration > 0:
            return duration / av.time_base
        return float(self._read[1] - self._read[0]) + 1 / self.frame_rate if self._read is not None else None

    @property
    def start(self) -> Fraction:
        """Time stamp that players show as 0."""
        stamp = self._source.container.start_time
        if stamp is not None and abs(stamp) < 2**62:
            return Fraction(stamp, av.time_base)
        return self._read[0] if self._read is not None else Fraction(0)

    def info(self) -> VideoInfo:
        width_px, height_px = self.facts.display_size
        return VideoInfo(
            container=self._source.container.format.name,
            codec=self._stream.codec_context.codec.canonical_name,
            width_px=width_px,
            height_px=height_px,
            duration_seconds=self.duration_seconds,
            frame_rate=float(self._source.frame_rate) if self._source.frame_rate else None,
            rotation_degrees=self.facts.orientation.rotation_degrees,
            mirrored=self.facts.orientation.mirrored,
            hdr=self.facts.hdr,
            interlaced=self.facts.interlaced,
            size_bytes=self._source.size_bytes,
        )

    # Strategies.

    def gather(self) -> list[Look]:
        """
        Look at the whole of the video at bounded cost; empty when its container's index or seeking misleads.

        A clip whose frames all fit into the budget is decoded from end to end; of anything longer the keyframes are
        found (in the index, by seeking, or by reading on) and a plan is made from them.
        """
        if self._index.is_partial:
            self._last_keyframe = self.reader.last_keyframe_time()
        duration, budget_frames = self.duration_seconds, self._frame_budget()
        counted = self._stream.frames if self._last_keyframe is None else 0
        frames = counted or (duration * self.frame_rate if duration else 0)
        if not duration or frames <= budget_frames:
            return self.gather_reading_on()
        middle = self.start + Fraction(duration).limit_denominator(1000) / 2
        keyframes = self._index.keyframes(middle, duration) if self._last_keyframe is None else []
        held: dict[Fraction, Run] = {}
        if not keyframes:
            held = self._seek_for_keyframes(duration)
            keyframes = sorted(held)
        if not keyframes:
            return []
        end = keyframes[0] + Fraction(duration).limit_denominator(1_000_000)
        return self._look_over(keyframes, end, held)

    def _look_over(self, keyframes: list[Fraction], end: Fraction, held: dict[Fraction, Run]) -> list[Look]:
        """Look at a video of which the keyframes are known, and note what limits kept from being looked at."""
        visits = plan_visits(keyframes, end, self._wanted, self.frame_rate, self._frame_budget())
        wide = wide_stretches(visits, end)
        if wide:
            limits, pixels = self._budget.limits, self._pixels()
            room = round(limits.held_bytes * _KEPT_SHARE)
            most_kept = max(1, room // frame_bytes(pixels, self._stream.codec_context.format))
            frames = max(limits.long_way_pixels // max(pixels, _LEAST_PIXELS), self._frame_budget())
            visits = plan_long_visits(visits, wide, self._wanted, most_kept, self.frame_rate, frames)
        looks = self._visit_all(visits, held)
        seen = [(look.run.start, max(look.pts, look.run.end(self.frame_rate))) for look in looks]
        last, following = widest_gap([*seen, *self._passed.items()], end)
        much = max(Fraction(0), end - keyframes[0]) * (_UNSEEN_AFTER_LONG_VISITS if wide else WIDE)
        if following - last > much:
            self.unseen = float(last - self.start), float(following - self.start)
        return looks

    def _frame_budget(self) -> int:
        return max(4, min(3000, self._budget.limits.between_pixels // self._pixels()))

    def _pixels(self) -> int:
        return max(1, self._stream.codec_context.width * self._stream.codec_context.height)

    def _seek_for_keyframes(self, duration: float) -> dict[Fraction, Run]:
        """Find keyframes one by one; none where every seek reads on so far that reading it all once costs less."""
        found: dict[Fraction, Run] = {}
        read_before = self._budget.bytes_read
        end = self.start + Fraction(duration).limit_denominator(1_000_000)
        for moment in even_moments(self.start, end, self._wanted):
            if self._budget.sampling_is_over:
                break
            if len(found) < _FEW_KEYFRAMES and self._budget.bytes_read - read_before > (self._source.size_bytes or 0):
                return {}
            run = self.reader.keyframe_near(moment, float(moment - self.start) / duration)
            if run is not None and run.start not in found:
                found[run.start] = run
                self._budget.hold(run.size_bytes)
        return found

    def _visit_all(self, visits: list[Visit], held: dict[Fraction, Run]) -> list[Look]:
        self._index.announce_keyframes({visit.start for visit in visits if not visit.moments} - held.keys())
        looks: list[Look] = []
        seen: set[Fraction] = set()
        for number, visit in enumerate(visits):
            if self._budget.sampling_is_over:
                break
            if visit.is_long and self._source.is_strict and all(look.damage for look in looks):
                # What builds on damage is damaged, and such looks are not taken: the long way is left to a later try.
                break
            visited = self._visit_long(visit, number, len(visits)) if visit.is_long else self._visit(visit, held)
            for look in visited:
                if look.pts not in seen:
                    seen.add(look.pts)
                    looks.append(look)
            self._on_look((number + 1) / len(visits))
        return looks

    def _visit(self, visit: Visit, held: dict[Fraction, Run]) -> list[Look]:
        keyframe = held.get(visit.start)
        if visit.moments:
            most = round(float(visit.moments[-1] - visit.start) * self.frame_rate * 2) + 16
            self._index.announce_run(visit.start, visit.moments[-1] + Fraction(1, 4))
            run = self.reader.run_until(visit.start, visit.moments[-1] + Fraction(1, 4), most) or keyframe
        else:
            run = keyframe or self.reader.keyframe_at(visit.start)
        if run is None:
            return []
        self._budget.hold(run.size_bytes)
        return self._look_at(run, [run.start, *visit.moments], sparsely=len(run.packets) > 1)

    def _visit_long(self, visit: Visit, number: int, visits: int) -> list[Look]:
        """Decode on once, as for covers: what is looked at is kept, and nothing is decoded again."""
        keyframe = self.reader.keyframe_at(visit.start)
        if keyframe is None:
            return []
        return self._look_at(keyframe, visit.moments, kept_frames=self._on_the_way(visit, number, visits))

    def _on_the_way(self, visit: Visit, number: int, visits: int) -> Iterator[Decoded]:
        left = self._budget.limits.long_way_pixels
        passed = 0
        for decoded in self.reader.decode_until(visit.start, visit.moments[-1] + Fraction(1, 4)):
            left -= decoded.frame.width * decoded.frame.height
            if left < 0 or self._budget.sampling_is_over:
                return
            if passed < (passed := bisect_right(visit.moments, decoded.pts)):
                self._on_look((number + passed / len(visit.moments)) / visits)
            self._passed[visit.start] = decoded.pts
            yield decoded

    def gather_reading_on(self) -> list[Look]:
        """
        Read a newly opened source from its start to its end; needs neither an index nor seeking.

        A video that turns out long is thinned to its keyframes while it is read.
        """
        budget_frames = self._frame_budget()
        runs: list[list[Packet[VideoStream]]] = []
        packets, held_bytes, thinned = 0, 0, False
        for packet in self.reader.packets():
            self._learn_reach(packet_time(packet))
            if packet.is_keyframe or not runs:
                runs.append([packet])
            elif not thinned:
                runs[-1].append(packet)
            else:
                continue
            packets += 1
            held_bytes += packet.size
            if packets > budget_frames or held_bytes > self._budget.limits.held_bytes // 2:
                if not thinned:
                    runs = [run[:1] for run in runs]
                thinned = True
                if len(runs) > self._wanted * 4:
                    runs = runs[::2]
                held_bytes = sum(run[0].size for run in runs)
            if self._budget.sampling_is_over:
                break
        held = [Run(tuple(run)) for run in runs]
        if thinned:
            by_start = {run.start: run for run in held}
            end = self._read[1] if self._read is not None else self.start
            return self._look_over(sorted(by_start), end, by_start)
        return self._look_at_runs(held)

    def _learn_reach(self, time: Fraction | None) -> None:
        """Note the time of the first packet that was read on to, and the latest."""
        if time is not None:
            first, last = self._read or (time, time)
            self._read = min(first, time), max(last, time)

    def _look_at_runs(self, runs: list[Run]) -> list[Look]:
        looks: list[Look] = []
        for number, (run, moments) in enumerate(zip(runs, self._share_moments(runs), strict=True)):
            if moments:
                looks.extend(self._look_at(run, moments))
                self._on_look((number + 1) / len(runs))
            if self._budget.elapsed_seconds() > self._budget.limits.seconds / 2:
                break
        return looks or self._look_at_packets(runs)

    def _look_at_packets(self, runs: list[Run]) -> list[Look]:
        """Look where packets say that frames are: evenly spread moments may all lie in a gap of hours."""
        share = self._wanted / max(1, sum(len(run.packets) for run in runs))
        looks: list[Look] = []
        for run in runs:
            if self._budget.elapsed_seconds() > self._budget.limits.seconds / 2:
                break
            times = sorted(time for packet in run.packets if (time := packet_time(packet)) is not None)
            looks.extend(self._look_at(run, times[:: max(1, round(1 / share))] or [run.start]))
        return looks

    def _share_moments(self, runs: list[Run]) -> list[list[Fraction]]:
        """Spread the moments over the time of all runs; over each run by itself where time starts anew in between."""
        starts = [run.start for run in runs]
        packets = sum(len(run.packets) for run in runs)
        if any(later <= earlier for earlier, later in pairwise(starts)):
            return [
                even_moments(run.start, run.end(self.frame_rate), max(1, self._wanted * len(run.packets) // packets))
                for run in runs
            ]
        if not runs:
            return []
        end = max(run.end(self.frame_rate) for run in runs)
        borders = [*starts, end + 1]
        moments = even_moments(starts[0], end, min(self._wanted, packets))
        return [[moment for moment in moments if begin <= moment < finish] for begin, finish in pairwise(borders)]

    # Looking.

    def _look_at(
        self,
        run: Run,
        moments: Sequence[Fraction],
        *,
        sparsely: bool = False,
        kept_frames: Iterator[Decoded] | None = None,
    ) -> list[Look]:
        """
        Decode a run and keep the frames nearest to the moments (in order), each with its neighbours in time.

        Args:
            kept_frames: What the decoder gives from the run's start on, finely; frames that are looked at are kept.
        """
        alone = len(run.packets) == 1 and kept_frames is None
        trail: list[tuple[float, Picture]] = []
        settled: dict[int, Look] = {}
        left = moments
        latest: Decoded | None = None
        damaged_from: Fraction | None = None
        for decoded in self.reader.decode(run, sparsely=sparsely) if kept_frames is None else kept_frames:
            self._learn(decoded.frame)
            if decoded.damage and damaged_from is None:
                damaged_from = decoded.pts
            if not alone and not is_near(decoded.pts, moments, _NEIGHBOURHOOD):
                continue
            if latest is not None:
                passed, left = part(left, latest.pts, decoded.pts)
                if passed:
                    settled[len(trail) - 1] = self._settled(latest, run, trail[-1][1], keep=kept_frames is not None)
            trail.append((float(decoded.pts), self._glance(decoded.frame)))
            latest = decoded
        if latest is not None and left:
            settled[len(trail) - 1] = self._settled(latest, run, trail[-1][1], keep=kept_frames is not None)
        return [
            replace(
                look,
                suspect=damaged_from is not None and damaged_from - look.pts < _NEIGHBOURHOOD,
                neighbours=() if alone else tuple(neighbours_of(trail, place)),
            )
            for place, look in sorted(settled.items())
        ]

    def _settled(self, decoded: Decoded, run: Run, glance: Picture, *, keep: bool) -> Look:
        """Convert a moment's frame and let it go unless told otherwise: sixty of them at 4K would fill the memory."""
        frame = decoded.frame
        if keep:
            self._budget.hold(frame_bytes(frame.width * frame.height, frame.format))
        orientation = self.orientation_of_cover(frame) if keep else orientation_of(frame)
        return Look(
            pts=decoded.pts,
            seconds=max(0.0, float(decoded.pts - self.start)),
            picture=self._look_picture(frame, orientation),
            glance=glance,
            damage=decoded.damage,
            suspect=False,
            run=run,
            frame=frame if keep else None,
        )

    def look_closer(self, look: Look) -> list[Look]:
        """
        Look at a moment and at instants a fraction of a second from it; empty where that would cost too much.

        From a keyframe that was looked at alone it is decoded on; a moment between keyframes is decoded to again.
        """
        if look.frame is not None:
            return []
        return self._look_around(look) if look.neighbours else self._look_on(look)

    def _look_around(self, look: Look) -> list[Look]:
        last = look.pts + _CLOSER_OFFSETS[-1]
        needed = 0
        for number, packet in enumerate(look.run.packets, start=1):
            time = shown_at(packet)
            if time is None or time <= last:
                needed = number
        pixels = needed * self.facts.size[0] * self.facts.size[1]
        if self._spent_closer + pixels > self._budget.limits.between_pixels // _CLOSER_SHARE:
            return []
        self._spent_closer += pixels
        offsets = (*(-offset for offset in reversed(_CLOSER_OFFSETS)), Fraction(0), *_CLOSER_OFFSETS)
        moments = [moment for offset in offsets if (moment := look.pts + offset) >= look.run.start]
        # The run stays whole: what is shown in it is decoded from it again for the cover.
        looks = self._look_at(Run(look.run.packets[:needed]), moments)
        return [replace(entry, run=look.run) for entry in looks]

    def _look_on(self, look: Look) -> list[Look]:
        moments = [look.pts, *(look.pts + offset for offset in _CLOSER_OFFSETS)]
        end = look.run.start + Fraction(_CLOSER_PACKETS / self.frame_rate).limit_denominator(1000)
        self._index.announce_run(look.run.start, end)
        run = self.reader.run_until(look.run.start, moments[-1] + Fraction(1, 4), _CLOSER_PACKETS)
        if run is None:
            return []
        self._budget.hold(run.size_bytes)
        return self._look_at(run, moments, sparsely=True)

    def _learn(self, frame: VideoFrame) -> None:
        if self._facts_known:
            return
        self._facts_known = True
        self.facts.orientation = orientation_of(frame)
        self.facts.hdr = hdr_kind(frame)
        self.facts.interlaced = self.is_interlaced(frame)
        self.facts.size = (frame.width, frame.height)
        self._on_size(self.facts.display_size)

    def is_interlaced(self, frame: VideoFrame) -> bool:
        """Tell by the frame, and where its codec cannot say so by the container."""
        return bool(frame.interlaced_frame) or self._source.has_silent_fields

    def orientation_of_cover(self, frame: VideoFrame) -> Orientation:
        """Tell how a finely decoded frame is to be turned: by its own matrix, else by that of the frames looked at."""
        own = orientation_of(frame)
        return own if own != Orientation() else self.facts.orientation

    def _glance(self, frame: VideoFrame) -> Picture:
        return self._converter.glance(frame, _GLANCE_SIZE)

    def _look_picture(self, frame: VideoFrame, orientation: Orientation) -> Picture:
        square = square_pixel_size(frame.width, frame.height, self.facts.pixel_aspect)
        return orientation.apply(self._converter.small(frame, fit_within(square, _LOOK_LONGEST_PX)))

"""Looking: decode few frames, small and upright, and keep the packets that would show them again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from av.video.frame import VideoFrame

from smartcover.engine.arrays import Picture
from smartcover.engine.colour import ColourConverter
from smartcover.engine.decode import Decoded, RunDecoder
from smartcover.engine.facts import VideoFacts
from smartcover.engine.geometry import fit_within, square_pixel_size
from smartcover.engine.index import ContainerIndex
from smartcover.engine.looks import Look, neighbours_of
from smartcover.engine.runs import Run, RunReader, shown_at
from smartcover.engine.sampling import Waiting, is_near
from smartcover.engine.source import Source, frame_bytes

LOOK_LONGEST_PX = 480
"""Longer side of the pictures that are looked at: enough for a face of a tenth of the height, cheap to score."""

GLANCE_SIZE = (48, 27)
"""Size of the pictures that are only compared with their neighbours in time."""

_NEIGHBOURHOOD = Fraction(1, 2)
"""Frames further than this from every moment, with others between, are decoded only because others build on them."""

_CLOSER_OFFSETS = (Fraction(1, 10), Fraction(1, 5))
_CLOSER_PACKETS = 13
"""What is looked at around a moment that may win: a fifth of a second, where a blink or a blur may be over."""

_CLOSER_SHARE = 4
"""Looking around moments between keyframes may cost this part of what sampling may, all moments together."""


class Looker:
    """
    Looks at moments of one open source, wherever it is told to.

    Attributes:
        reader, index: The ways to the packets.
        decoder: The way from them to frames.
        facts: What is known of the video so far.
        has_large_frames: Whether decoders take so much memory that none is kept without need.
    """

    def __init__(self, source: Source, on_size: Callable[[tuple[int, int]], None]) -> None:
        """`on_size` is called with the display size as soon as a frame tells it; it may raise to end the work."""
        self.reader = RunReader(source)
        self.decoder = RunDecoder(source, self.reader)
        self.index = ContainerIndex(source, self.reader)
        self.facts = VideoFacts(source)
        self.has_large_frames = source.has_large_frames
        self._budget = source.budget
        self._converter = ColourConverter()
        self._on_size = on_size
        self._spent_closer = 0

    def look_at(
        self,
        run: Run,
        moments: Sequence[Fraction],
        *,
        sparsely: bool = False,
        frames: Iterator[Decoded] | None = None,
        keep: bool = False,
    ) -> list[Look]:
        """
        Decode a run and take the frames nearest to the moments (in order), each with its neighbours in time.

        Args:
            frames: What the decoder gives from the run's start on, where more is decoded than the run holds.
            keep: Hold the frames that are taken, which were decoded finely.
        """
        alone = len(run.packets) == 1 and frames is None
        frames = self.decoder.decode(run, sparsely=sparsely) if frames is None else frames
        trail: list[tuple[float, Picture]] = []
        settled: dict[int, Look] = {}
        waiting = Waiting(moments, _NEIGHBOURHOOD)
        latest: Decoded | None = None
        latest_shown = Fraction(0)
        damaged_from: Fraction | None = None

        def noted() -> Iterator[Decoded]:
            nonlocal damaged_from
            for decoded in frames:
                if self.facts.learn_frame(decoded):
                    self._on_size(self.facts.display_size)
                if decoded.damage and damaged_from is None:
                    damaged_from = decoded.pts
                yield decoded
                del decoded

        for decoded, shown in _around(moments, noted(), everything=alone):
            if latest is not None and waiting.taken_by(latest_shown, shown):
                settled[len(trail) - 1] = self._settled(latest, run, trail[-1][1], keep=keep)
            trail.append((float(shown), self._glance(decoded.frame)))
            latest, latest_shown = decoded, shown
        if latest is not None and waiting.left:
            settled[len(trail) - 1] = self._settled(latest, run, trail[-1][1], keep=keep)
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
        return Look(
            pts=decoded.pts,
            seconds=max(0.0, float(decoded.pts - self.facts.start)),
            picture=self._look_picture(decoded),
            glance=glance,
            damage=decoded.damage,
            suspect=False,
            run=run,
            frame=frame if keep else None,
            pixel_aspect=decoded.pixel_aspect,
        )

    def _glance(self, frame: VideoFrame) -> Picture:
        return self._converter.glance(frame, GLANCE_SIZE)

    def _look_picture(self, decoded: Decoded) -> Picture:
        frame = decoded.frame
        square = square_pixel_size(frame.width, frame.height, decoded.pixel_aspect)
        stored = self._converter.small(frame, fit_within(square, LOOK_LONGEST_PX))
        return self.facts.orientation_of(frame).apply(stored)

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
        looks = self.look_at(replace(look.run, packets=look.run.packets[:needed]), moments)
        return [replace(entry, run=look.run) for entry in looks]

    def _look_on(self, look: Look) -> list[Look]:
        moments = [look.pts, *(look.pts + offset for offset in _CLOSER_OFFSETS)]
        start, last = look.run.start, moments[-1] + Fraction(1, 4)
        end = start + Fraction(_CLOSER_PACKETS / self.facts.frame_rate).limit_denominator(1000)
        self.index.announce_run(start, end)
        if not look.run.packets and look.pts == start and self.facts.all_are_keyframes:
            # A dozen such keyframes may be 100 MB: as each is decoded alone, none is held, and one is read again.
            looks = self.look_at(look.run, moments, frames=self.decoder.decode_until(start, last, _CLOSER_PACKETS))
            return [replace(entry, run=Run((), entry.pts)) for entry in looks]
        run = self.reader.run_until(start, last, _CLOSER_PACKETS)
        if run is None:
            return []
        self._budget.hold(run.size_bytes)
        return self.look_at(run, moments, sparsely=True)


def _around(
    moments: Sequence[Fraction], frames: Iterator[Decoded], *, everything: bool
) -> Iterator[tuple[Decoded, Fraction]]:
    """
    Give the frames near to moments, and those on both sides of each moment however far, with times that do not go back.

    Some writers stamp frames in the order of decoding: a small step back is no new beginning of time.
    """
    before: Decoded | None = None
    before_shown, given = Fraction(0), True
    for decoded in frames:
        shown = decoded.pts
        if before is not None and 0 < before_shown - shown < _NEIGHBOURHOOD:
            shown = before_shown
        between = before is not None and bisect_right(moments, before_shown) < bisect_right(moments, shown)
        if before is not None and between and not given:
            yield before, before_shown
        given = everything or between or is_near(shown, moments, _NEIGHBOURHOOD)
        if given:
            yield decoded, shown
        before, before_shown = decoded, shown
    if before is not None and not given and moments and before_shown < moments[-1]:
        yield before, before_shown

"""Gathering candidates: which moments of a video are looked at, for a price that does not depend on its length."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from av.packet import Packet
from av.video.stream import VideoStream

from smartcover.engine.decode import Decoded
from smartcover.engine.looking import Looker
from smartcover.engine.looks import Look
from smartcover.engine.runs import Run, packet_time
from smartcover.engine.sampling import (
    WIDE,
    Stretch,
    Visit,
    even_moments,
    plan_between,
    plan_long_visits,
    plan_visits,
    wide_stretches,
    widest_gap,
)
from smartcover.engine.source import Source, frame_bytes

_FEW_KEYFRAMES = 3
"""Fewer than these for more bytes than the file has: seeking then reads it all in search of each."""

_LEAST_PIXELS = 320 * 180
"""What a frame counts for at least on a long way: a smaller one hardly costs less."""

_KEPT_SHARE = 0.8
"""Share of the memory for compressed data that whole frames may take instead."""

_SHARE_OF_KEYFRAMES = 4
"""All keyframes that are looked at take at most this part of the memory for compressed data."""

_MUCH = Fraction(1, 10)
"""Share of a video that may be left without saying so where all was to be looked at: half a step is at its end."""


class Gatherer:
    """
    Chooses the moments of one open source and has them looked at.

    `unseen` is the longest part (from and to, in seconds) of which nothing could be looked at, if that is much.
    """

    def __init__(
        self, source: Source, looker: Looker, wanted: int, enough: int, on_look: Callable[[float], None]
    ) -> None:
        """
        Args:
            wanted: How many moments to look at.
            enough: How many to look at where all that are wanted would be keyframes.
            on_look: Called with the share of the planned moments that was looked at.
        """
        self.unseen: tuple[float, float] | None = None
        self._passed: dict[Fraction, Fraction] = {}
        self._seen: set[Fraction] = set()
        self._keyframes: list[Fraction] = []
        self._end = Fraction(0)
        self._source, self._stream, self._budget = source, source.stream, source.budget
        self._looker, self._reader, self._index, self._facts = looker, looker.reader, looker.index, looker.facts
        self._wanted, self._enough = wanted, enough
        self._on_look = on_look

    def gather(self) -> list[Look]:
        """
        Look at the whole of the video at bounded cost; empty when its container's index or seeking misleads.

        A clip whose frames all fit into the budget is decoded from end to end; of anything longer the keyframes are
        found (in the index, by seeking, or by reading on) and a plan is made from them.
        """
        if self._index.is_partial:
            self._facts.last_keyframe = self._reader.last_keyframe_time()
        duration, budget_frames = self._facts.duration_seconds, self._frame_budget()
        counted = self._stream.frames if self._facts.last_keyframe is None else 0
        frames = counted or (duration * self._facts.frame_rate if duration else 0)
        fits = frames <= budget_frames and (self._source.size_bytes or 0) <= self._most_read_on()
        if not duration or fits:
            return self.gather_reading_on()
        middle = self._facts.start + Fraction(duration).limit_denominator(1000) / 2
        keyframes = self._index.keyframes(middle, duration) if self._facts.last_keyframe is None else []
        held: dict[Fraction, Run] = {}
        are_enough = False
        if not keyframes:
            held, are_enough = self._seek_for_keyframes(duration)
            keyframes = sorted(held)
        if not keyframes:
            return []
        end = max(keyframes[0] + Fraction(duration).limit_denominator(1_000_000), keyframes[-1])
        return self._look_over(keyframes, end, held, are_enough=are_enough)

    def _look_over(
        self, keyframes: list[Fraction], end: Fraction, held: dict[Fraction, Run], *, are_enough: bool = False
    ) -> list[Look]:
        """
        Look at a video of which keyframes are known, and note what limits kept from being looked at.

        Args:
            are_enough: Look at those keyframes alone.
        """
        self._keyframes, self._end = keyframes, end
        if are_enough:
            visits = [Visit(keyframe, ()) for keyframe in keyframes]
        else:
            rate, frames = self._facts.frame_rate, self._frame_budget()
            visits = plan_visits(keyframes, end, self._wanted, self._enough, rate, frames)
        wide = wide_stretches(visits, end)
        if wide:
            limits, pixels = self._budget.limits, self._facts.pixels
            room = round(limits.held_bytes * _KEPT_SHARE)
            most_kept = max(1, room // frame_bytes(pixels, self._stream.codec_context.format))
            frames = max(limits.long_way_pixels // max(pixels, _LEAST_PIXELS), self._frame_budget())
            visits = plan_long_visits(visits, wide, self._wanted, most_kept, self._facts.frame_rate, frames)
        looks = self._visit_all(visits, held)
        seen = [(look.run.start, max(look.pts, look.run.end(self._facts.frame_rate))) for look in looks]
        self._note_unseen([*seen, *self._passed.items()], keyframes[0], end, _MUCH if wide else WIDE)
        return looks

    def _note_unseen(self, seen: Sequence[Stretch], start: Fraction, end: Fraction, much: Fraction) -> None:
        """Note the longest part that was not seen, if it is more than a share of the whole and a second."""
        last, following = widest_gap(seen, start, end)
        if following - last > max(Fraction(1), (end - start) * much):
            self.unseen = float(last - self._facts.start), float(following - self._facts.start)

    def look_between(self, spoilt: Collection[Fraction]) -> list[Look]:
        """Look behind keyframes that are spoilt, given by their times, at no more than sampling may cost."""
        rate, frames = self._facts.frame_rate, self._frame_budget()
        looks: list[Look] = []
        for visit in plan_between(self._keyframes, spoilt, self._end, self._wanted, rate, frames):
            if self._budget.sampling_is_over:
                break
            looks.extend(self._new(self._visit(visit, {})))
        return looks

    def _most_read_on(self) -> int:
        """Tell how many bytes of packets may be kept while reading on."""
        return self._budget.limits.held_bytes // 2

    def _frame_budget(self) -> int:
        return max(4, min(3000, self._budget.limits.between_pixels // self._facts.pixels))

    def _seek_for_keyframes(self, duration: float) -> tuple[dict[Fraction, Run], bool]:
        """
        Find keyframes one by one; none where every seek reads on so far that reading it all once costs less.

        Returns:
            The keyframes, and whether they are enough: found at as many moments as that takes, each so near that all
            moments that are wanted would have had one of their own. Where they are not, those moments were sought too
            that could have another.
        """
        start = self._facts.start
        end = start + Fraction(duration).limit_denominator(1_000_000)
        found: dict[Fraction, Run] = {}
        reaches = self._seek(even_moments(start, end, self._enough), start, end, found)
        slot = (end - start) / self._wanted
        if self._enough < self._wanted and reaches is not None:
            if len(found) == self._enough and all(until - since <= slot for since, until in reaches):
                return found, True
            moments = even_moments(start, end, self._wanted)
            left = [moment for moment in moments if not any(since <= moment <= until for since, until in reaches)]
            reaches = self._seek(left, start, end, found)
        return ({} if reaches is None else found), False

    def _seek(
        self, moments: Sequence[Fraction], start: Fraction, end: Fraction, found: dict[Fraction, Run]
    ) -> list[Stretch] | None:
        """
        Add the keyframes about some moments to those that were found.

        Returns:
            From when to when each would be found; None where seeking reads more than the whole file has.
        """
        reaches: list[Stretch] = []
        read_before = self._budget.bytes_read
        for moment in moments:
            if self._budget.sampling_is_over:
                break
            if len(found) < _FEW_KEYFRAMES and self._budget.bytes_read - read_before > (self._source.size_bytes or 0):
                return None
            near = self._reader.keyframe_near(moment, start, end)
            if near is None:
                continue
            run, reach = near
            reaches.append(reach)
            if run.start not in found:
                found[run.start] = run
                self._budget.hold(run.size_bytes)
        return reaches

    def _visit_all(self, visits: list[Visit], held: dict[Fraction, Run]) -> list[Look]:
        self._index.announce_keyframes({visit.start for visit in visits if not visit.moments} - held.keys())
        looks: list[Look] = []
        is_time = self._budget.time_to_look()
        for number, visit in enumerate(visits):
            if not is_time():
                break
            if self._budget.sampling_is_over and (visit.is_long or visit.start not in held):
                continue
            if visit.is_long and self._source.is_strict and all(look.damage for look in looks):
                # What builds on damage is damaged, and such looks are not taken: the long way is left to a later try.
                break
            visited = self._visit_long(visit, number, len(visits)) if visit.is_long else self._visit(visit, held)
            looks.extend(self._new(visited))
            self._on_look((number + 1) / len(visits))
        return looks

    def _new(self, looks: list[Look]) -> Iterator[Look]:
        """Leave out what was looked at before: the frame nearest to a moment may be a keyframe."""
        for look in looks:
            if look.pts not in self._seen:
                self._seen.add(look.pts)
                yield look

    def _visit(self, visit: Visit, held: dict[Fraction, Run]) -> list[Look]:
        keyframe = held.get(visit.start)
        if self._budget.sampling_is_over:
            run = keyframe  # what was read is looked at, and nothing more is read
        elif visit.moments:
            most = round(float(visit.moments[-1] - visit.start) * self._facts.frame_rate * 2) + 16
            self._index.announce_run(visit.start, visit.moments[-1] + Fraction(1, 4))
            run = self._reader.run_until(visit.start, visit.moments[-1] + Fraction(1, 4), most)
            if run is None or run.start > visit.start:  # a seek that misleads
                run = keyframe or run
        else:
            run = keyframe or self._reader.keyframe_at(visit.start)
        if run is None:
            return []
        looks = self._looker.look_at(run, [run.start, *visit.moments], sparsely=len(run.packets) > 1)
        if keyframe is None and len(run.packets) == 1 and run.size_bytes > self._most_for_keyframe():
            return [replace(look, run=run.let_go()) for look in looks]
        self._budget.hold(run.size_bytes)
        return looks

    def _most_for_keyframe(self) -> int:
        """Tell how large a keyframe may be that is kept for its cover; few are needed, so others are read again."""
        return self._budget.limits.held_bytes // self._wanted // _SHARE_OF_KEYFRAMES

    def _visit_long(self, visit: Visit, number: int, visits: int) -> list[Look]:
        """Decode on once, as for covers: what is looked at is kept, and nothing is decoded again."""
        keyframe = self._reader.keyframe_at(visit.start)
        if keyframe is None:
            return []
        frames = self._on_the_way(visit, number, visits)
        return self._looker.look_at(keyframe, visit.moments, frames=frames, keep=True)

    def _on_the_way(self, visit: Visit, number: int, visits: int) -> Iterator[Decoded]:
        left = self._budget.limits.long_way_pixels
        passed = 0
        for decoded in self._looker.decoder.decode_until(visit.start, visit.moments[-1] + Fraction(1, 4)):
            left -= decoded.frame.width * decoded.frame.height
            if left < 0 or self._budget.sampling_is_over:
                return
            if passed < (passed := bisect_right(visit.moments, decoded.pts)):
                self._on_look((number + passed / len(visit.moments)) / visits)
            self._passed[visit.start] = decoded.pts
            yield decoded
            del decoded

    def gather_reading_on(self) -> list[Look]:
        """
        Read a newly opened source from its start to its end; needs neither an index nor seeking.

        A video that turns out long is thinned to its keyframes while it is read.
        """
        runs, thinned = self._read_on()
        end = self._facts.reached
        if self._budget.sampling_is_over:  # so it may lie further on
            end = max(end, self._facts.start + Fraction(self._facts.duration_seconds or 0).limit_denominator(1000))
        if not thinned:
            return self._look_at_runs(runs, end)
        for run in runs:
            self._reader.remember(run)
        by_start = {run.start: run for run in runs}
        return self._look_over(sorted(by_start), end, by_start)

    def _read_on(self) -> tuple[list[Run], bool]:
        """Read the runs there are; with too much to decode all of it, only keyframes, and every other of too many."""
        budget_frames = self._frame_budget()
        runs: list[list[Packet[VideoStream]]] = []
        packets, held_bytes, thinned = 0, 0, False
        for packet in self._reader.packets():
            self._facts.learn_reach(packet_time(packet))
            if packet.is_keyframe or not runs:
                runs.append([packet])
            elif not thinned:
                runs[-1].append(packet)
            else:
                continue
            packets += 1
            held_bytes += packet.size
            if packets > budget_frames or held_bytes > self._most_read_on():
                if not thinned:
                    runs = [run[:1] for run in runs]
                thinned = True
                held_bytes = sum(run[0].size for run in runs)
                if len(runs) > self._wanted * 4 or (held_bytes > self._most_read_on() and len(runs) > 1):
                    runs = runs[::2]
                    held_bytes = sum(run[0].size for run in runs)
            if self._budget.sampling_is_over:
                break
        return [Run.of(run) for run in runs], thinned

    def _look_at_runs(self, runs: list[Run], end: Fraction) -> list[Look]:
        looks: list[Look] = []
        is_time = self._budget.time_to_look()
        for number, (run, moments) in enumerate(zip(runs, self._share_moments(runs), strict=True)):
            if moments:
                looks.extend(self._looker.look_at(run, moments))
                self._on_look((number + 1) / len(runs))
            if not is_time():
                break
        if not looks:
            return self._look_at_packets(runs)
        looked_to = {look.run: look.pts for look in looks}
        seen: list[Stretch] = []
        for run, following in zip(runs, [*(run.start for run in runs[1:]), self._facts.reached], strict=True):
            if run in looked_to:
                last = max(packet_time(packet) or run.start for packet in run.packets)
                # What is shown last stays until the next begins.
                seen += [(run.start, looked_to[run]), (last, following)]
        self._note_unseen(seen, runs[0].start, end, _MUCH)
        return looks

    def _look_at_packets(self, runs: list[Run]) -> list[Look]:
        """Look where packets say that frames are: evenly spread moments may all lie in a gap of hours."""
        share = self._wanted / max(1, sum(len(run.packets) for run in runs))
        looks: list[Look] = []
        is_time = self._budget.time_to_look()
        for run in runs:
            if not is_time():
                break
            times = sorted(time for packet in run.packets if (time := packet_time(packet)) is not None)
            looks.extend(self._looker.look_at(run, times[:: max(1, round(1 / share))] or [run.start]))
        return looks

    def _share_moments(self, runs: list[Run]) -> list[list[Fraction]]:
        """Spread the moments over the time of all runs; over each run by itself where time starts anew in between."""
        starts = [run.start for run in runs]
        packets = sum(len(run.packets) for run in runs)
        if any(later <= earlier for earlier, later in pairwise(starts)):
            return [
                even_moments(
                    run.start, run.end(self._facts.frame_rate), max(1, self._wanted * len(run.packets) // packets)
                )
                for run in runs
            ]
        if not runs:
            return []
        end = max(run.end(self._facts.frame_rate) for run in runs)
        borders = [*starts, end + 1]
        moments = even_moments(starts[0], end, min(self._wanted, packets))
        return [[moment for moment in moments if begin <= moment < finish] for begin, finish in pairwise(borders)]

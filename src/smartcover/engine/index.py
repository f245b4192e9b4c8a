"""What a container's own index tells: where keyframes are in time, and which bytes hold them."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

from smartcover.engine.runs import RunReader
from smartcover.engine.source import Source

_LOADED_BY_SEEKING = ("matroska", "avi", "asf", "flv")
"""Formats whose index is at their end and is read by the first seek."""

_SEARCHED_TO_THE_END = "matroska"
"""Format in which a seek that knows of no later keyframe has read all that follows in search of one."""

_REACH_SHARE = 0.5
"""An index that covers less of the time, or of the bytes, describes only the first of many fragments."""

_KEYFRAME_SECONDS = 0.4
"""A keyframe weighs about as much as this much of the average stream: guessed where the index gives no sizes."""
_SMALLEST_GUESS_BYTES, _LARGEST_GUESS_BYTES = 32 * 1024, 1024 * 1024
_EARLY_SECONDS, _EARLY_SHARE = Fraction(1), 10
"""How long before the start of a video its first keyframe may be decoded: a second, or a tenth of the length."""

_EXTRA_PACKETS = 6
"""Read beyond the wanted end: frames are stored out of order."""


class ContainerIndex:
    """
    The index of one open source.

    Index entries carry decoding times, but seeking goes by times of display: the difference is learnt from the first
    keyframe, as otherwise every seek would land one keyframe early.
    """

    def __init__(self, source: Source, reader: RunReader) -> None:
        assert source.stream.time_base is not None
        self._source, self._reader = source, reader
        self._stream, self._base = source.stream, source.stream.time_base
        self._delay = 0
        self._places: dict[Fraction, tuple[int, int]] = {}
        self._bytes_per_second = 0.0

    @property
    def is_partial(self) -> bool:
        """Whether the index ends long before the file does, so that the header's duration cannot be trusted either."""
        entries = self._stream.index_entries
        if not self._source.container.format.name.startswith("mov") or not len(entries) or not self._source.size_bytes:
            return False
        last = entries[len(entries) - 1]
        return last.pos + last.size < self._source.size_bytes * _REACH_SHARE

    def keyframes(self, middle: Fraction, duration_seconds: float) -> list[Fraction]:
        """
        List the times of display of all keyframes, in order; empty when the index does not reach over the video.

        Args:
            middle: A time within the video, to seek to where that loads the index.
        """
        entries = self._stream.index_entries
        was_sought = False
        if len(entries) < 2 and self._source.container.format.name.startswith(_LOADED_BY_SEEKING):
            was_sought = self._reader.seek(middle)
            entries = self._stream.index_entries
            # Without an index in the file, the search has ended at the first keyframe it wanted: let it go on.
            reached = entries[len(entries) - 1].timestamp * self._base if len(entries) else None
            quarter = Fraction(duration_seconds).limit_denominator(1000) / 4
            if was_sought and reached is not None and middle <= reached < middle + quarter:
                self._reader.seek(middle + 2 * quarter)
                entries = self._stream.index_entries
        # FLV has an entry for the headers, which are stamped with 0, also of a recording that begins later.
        length = Fraction(duration_seconds).limit_denominator(1000)
        begin = middle - length / 2 - max(_EARLY_SECONDS, length / _EARLY_SHARE)
        first = next((entry for entry in entries if entry.timestamp * self._base >= begin), None)
        if first is None:
            return []
        last = entries[len(entries) - 1]
        was_read_to_end = (
            was_sought
            and self._source.container.format.name.startswith(_SEARCHED_TO_THE_END)
            and last.timestamp * self._base < middle
        )
        reach = float((last.timestamp - first.timestamp) * self._base)
        if reach < duration_seconds * _REACH_SHARE and not was_read_to_end:
            return []
        self._bytes_per_second = (self._source.size_bytes or 0) / duration_seconds
        found = {
            entry.timestamp: (entry.pos, entry.size)
            for entry in entries
            if entry.is_keyframe and not entry.is_discard and entry.timestamp >= first.timestamp
        }
        if not found:
            return []
        self._delay = self._learn_delay(min(found))
        self._places = {(stamp + self._delay) * self._base: place for stamp, place in sorted(found.items())}
        return list(self._places)

    def _learn_delay(self, first_stamp: int) -> int:
        run = self._reader.keyframe_at(first_stamp * self._base)
        if run is None:
            return 0
        packet = run.packets[0]
        if packet.pts is None or packet.dts != first_stamp:
            return 0
        return max(0, packet.pts - first_stamp)

    def announce_keyframes(self, times: Collection[Fraction]) -> None:
        """Tell a far source which keyframes will be read."""
        if self._source.is_far:
            self._source.announce(self._range(self._places[time]) for time in times if time in self._places)

    def announce_run(self, start: Fraction, end: Fraction) -> None:
        """Tell a far source that what is shown from a keyframe on to `end` will be read."""
        if not self._source.is_far or start not in self._places:
            return
        position, size = self._range(self._places[start])
        entries = self._stream.index_entries
        if not self._places[start][1]:
            self._source.announce([(position, size + round(float(end - start) * self._bytes_per_second * 1.5))])
            return
        stamp = round(start / self._base) - self._delay
        first = entries.search_timestamp(stamp)
        last = entries.search_timestamp(round(end / self._base) - self._delay, any_frame=True)
        if 0 <= first <= last:
            run = entries[first : min(last + _EXTRA_PACKETS, len(entries))]
            self._source.announce((entry.pos, entry.size) for entry in run)

    def _range(self, place: tuple[int, int]) -> tuple[int, int]:
        position, size = place
        guess = round(self._bytes_per_second * _KEYFRAME_SECONDS)
        return position, size or min(max(guess, _SMALLEST_GUESS_BYTES), _LARGEST_GUESS_BYTES)

"""What one video may cost in time, bytes and packets; checked between steps and inside every loop over its data."""

from __future__ import annotations

import time
from collections.abc import Callable

from smartcover.engine.types import Limits
from smartcover.errors import DecodeTimedOut

_SAMPLING_SHARE, _LATE_SHARE = 0.5, 0.75
"""
Share of the time after which sampling stops: ranking and rendering what was found need the rest. Where reading alone
took that long, what was read is looked at until the second. After the second only covers themselves are shown to the
networks.
"""


class BytesSpent(OSError):
    """The byte budget is used up; an OSError because it passes through the decoder's read callback."""


class Budget:
    """
    A running account against `Limits`.

    The wall clock is the hard limit and raises; the packet, byte and sampling limits only end sampling, because
    covers from what was already seen are better than none.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.bytes_read = 0
        self.bytes_are_spent = False
        self.packets_read = 0
        self.held_bytes = 0
        self._clock = clock
        self._started = clock()

    def elapsed_seconds(self) -> float:
        return self._clock() - self._started

    def check_time(self) -> None:
        """
        Raises:
            DecodeTimedOut: When the time is over.
        """
        if self.elapsed_seconds() > self.limits.seconds:
            raise DecodeTimedOut(
                f"The video was not done within {self.limits.seconds:g} seconds; raise the time limit or shorten it"
            )

    def time_to_look(self) -> Callable[[], bool]:
        """Give what tells whether there is still time to look at what was read until now."""
        share = _LATE_SHARE if self._is_past(_SAMPLING_SHARE) else _SAMPLING_SHARE
        return lambda: not self._is_past(share)

    @property
    def is_late(self) -> bool:
        """Whether to show no more to the networks, so that covers can still be made of what they saw."""
        return self._is_past(_LATE_SHARE)

    def _is_past(self, share: float) -> bool:
        return self.elapsed_seconds() > self.limits.seconds * share

    def count_bytes(self, size_bytes: int) -> None:
        """
        Raises:
            BytesSpent: When more was read than allowed.
        """
        self.bytes_read += size_bytes
        if self.bytes_read > self.limits.bytes:
            raise BytesSpent(f"more than {self.limits.bytes} bytes were read")

    def spend_all(self, why: str) -> BytesSpent:
        """Let no more bytes be read, and give the error that says so."""
        self.bytes_are_spent = True
        return BytesSpent(why)

    def count_packet(self) -> None:
        self.packets_read += 1
        self.check_time()

    def hold(self, size_bytes: int) -> None:
        self.held_bytes += size_bytes

    @property
    def room_bytes(self) -> int:
        """How much more compressed data may be held."""
        return max(0, self.limits.held_bytes - self.held_bytes)

    @property
    def sampling_is_over(self) -> bool:
        """Whether to stop looking for more candidates and choose among those at hand."""
        return (
            self.packets_read >= self.limits.packets
            or self.bytes_read >= self.limits.bytes
            or self.bytes_are_spent
            or self.held_bytes >= self.limits.held_bytes
            or self._is_past(_SAMPLING_SHARE)
        )

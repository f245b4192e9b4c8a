"""
Who may be called now: a circuit breaker and a rate for each destination.

Pure but for its own memory; the time is passed in as monotonic seconds. A closed gate costs a delivery no try: what
was claimed is given back, and what waits is not claimed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: Answers that speak about the receiver as a whole and not about one callback.
_OVERLOADED: Final = frozenset({429, 502, 503, 504})
_UNREACHABLE: Final = frozenset({"timed_out", "dns", "connection", "tls"})

#: Destinations remembered although nothing is wrong with them.
_MOST_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class GateConfig:
    """
    When a destination is left alone.

    Args:
        open_after: Deliveries that must fail in a row, each a different one: a single delivery follows its own
            schedule, whatever happens to it.
        pause_seconds: First pause; each probe that fails doubles it up to `longest_pause_seconds`.
        rate_per_second: Most tries begun per second to one destination, 0 for any number.
    """

    open_after: int = 5
    pause_seconds: float = 5.0
    longest_pause_seconds: float = 30.0
    rate_per_second: float = 0.0


@dataclass(slots=True)
class _State:
    failed: set[str] = field(default_factory=set)
    pause_seconds: float = 0.0
    opens_at: float = 0.0
    probe: str | None = None
    tokens: float = 0.0
    filled_at: float = 0.0

    @property
    def broken(self) -> bool:
        return self.pause_seconds > 0


class Gates:
    """The gates of all destinations that one dispatcher serves."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._states: dict[str, _State] = {}

    def admit(self, destination: str, delivery_id: str, now: float) -> float:
        """
        Ask to begin a try.

        Returns:
            0 when the try may begin, and then `report` or `withdraw` must follow; else the seconds to wait. While a
            destination is broken, one delivery at a time is let through as a probe, once each pause has passed.
        """
        state = self._states.setdefault(destination, self._fresh(now))
        if state.broken:
            if now < state.opens_at:
                return state.opens_at - now
            if state.probe is not None:
                return min(1.0, state.pause_seconds)
        wait = self._take_token(state, now)
        if wait == 0 and state.broken:
            state.probe = delivery_id
        return wait

    def report(self, destination: str, delivery_id: str, outcome: str, http_status: int | None, now: float) -> bool:
        """
        Tell how a try ended.

        Returns:
            Whether the destination changed from working to broken or back.
        """
        state = self._states.setdefault(destination, self._fresh(now))
        was_broken = state.broken
        probing = state.probe == delivery_id
        if probing:
            state.probe = None
        if outcome not in _UNREACHABLE and http_status not in _OVERLOADED:
            state.failed.clear()
            state.pause_seconds = 0.0
            self._forget_if_many(destination)
            return was_broken
        state.failed.add(delivery_id)
        if not was_broken and len(state.failed) >= self._config.open_after:
            state.pause_seconds = self._config.pause_seconds
            state.opens_at = now + state.pause_seconds
        elif probing:  # others may end late from before the break; they do not lengthen the pause
            state.pause_seconds = min(2 * state.pause_seconds, self._config.longest_pause_seconds)
            state.opens_at = now + state.pause_seconds
        if len(state.failed) > 2 * self._config.open_after:
            state.failed.pop()
        return state.broken != was_broken

    def withdraw(self, destination: str, delivery_id: str) -> None:
        """Take back a try that was let through and then not made."""
        state = self._states.get(destination)
        if state is not None and state.probe == delivery_id:
            state.probe = None

    def shut(self, now: float) -> Mapping[str, float]:
        """Give the destinations that admit nobody now, each with the seconds until it may."""
        shut: dict[str, float] = {}
        for destination, state in self._states.items():
            if state.broken and (now < state.opens_at or state.probe is not None):
                shut[destination] = max(state.opens_at - now, 0.0) or 1.0
            elif self._config.rate_per_second > 0:
                missing = 1.0 - self._level(state, now)
                if missing > 0:
                    shut[destination] = missing / self._config.rate_per_second
        return shut

    def broken(self) -> tuple[str, ...]:
        """Name the destinations whose breaker is open, for metrics and the operator."""
        return tuple(name for name, state in self._states.items() if state.broken)

    def _fresh(self, now: float) -> _State:
        return _State(tokens=max(1.0, self._config.rate_per_second), filled_at=now)

    def _level(self, state: _State, now: float) -> float:
        rate = self._config.rate_per_second
        return min(max(1.0, rate), state.tokens + (now - state.filled_at) * rate)

    def _take_token(self, state: _State, now: float) -> float:
        if self._config.rate_per_second <= 0:
            return 0.0
        level = self._level(state, now)
        if level < 1.0:
            return (1.0 - level) / self._config.rate_per_second
        state.tokens, state.filled_at = level - 1.0, now
        return 0.0

    def _forget_if_many(self, destination: str) -> None:
        if len(self._states) > _MOST_REMEMBERED:
            del self._states[destination]

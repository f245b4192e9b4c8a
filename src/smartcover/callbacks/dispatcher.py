"""
The loop that delivers: claim what is due, try it, record what came of it.

A delivery is safe at every line of this file: until its try is recorded, its claim runs out by itself and it is tried
again. One receiver cannot hold up the others: the ledger gives out a few deliveries per destination, a gate closes on
a destination that fails, and a try that is slow stops counting as one of the tries that run at once.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal, Protocol

import structlog

from smartcover.callbacks.gate import GateConfig, Gates
from smartcover.callbacks.schedule import Schedule, Verdict, next_attempt
from smartcover.callbacks.sender import Sender
from smartcover.errors import LedgerError
from smartcover.ledger import AttemptReport, Delivery, DeliveryState

_log = structlog.get_logger(__name__)

#: Longest rest although nobody woke the loop.
_IDLE_LOOK_SECONDS: Final = 5.0
#: Rest while something is due that may not be claimed; another process may free it without a word.
_BLOCKED_LOOK_SECONDS: Final = 0.5
_SHORTEST_REST_SECONDS: Final = 0.01
_PAUSE_AFTER_FAILURE_SECONDS: Final = 1.0
_RECORD_AGAIN_SECONDS: Final = 0.3
#: Retries due within this are remembered, to be made on time whatever else is due and blocked.
_SOON_SECONDS: Final = 60.0
_EXPIRE_EVERY_SECONDS: Final = 600.0


class DeliveryWakeups(Protocol):
    """Words from other processes that something changed."""

    async def wait(self, kind: Literal["jobs", "deliveries"], timeout_seconds: float) -> object:
        """Return when a delivery became due somewhere, or after the time."""


class DeliveryLedger(Protocol):
    """What the dispatcher needs of the ledger."""

    async def claim_deliveries(
        self, *, limit: int, lease_seconds: float, per_destination: int, avoid: Collection[str] = ()
    ) -> list[Delivery]:
        """Take due deliveries; each counts a try."""

    async def release_delivery(self, delivery_id: str, *, delay_seconds: float) -> None:
        """Give one back that was not tried; its try is not counted."""

    async def record_attempt(
        self,
        delivery_id: str,
        report: AttemptReport,
        *,
        state: DeliveryState,
        retry_in_seconds: float | None,
        reason: str,
    ) -> None:
        """Write down a try and what it leads to, together."""

    async def expire_deliveries(self, *, older_than_seconds: float, reason: str) -> list[Delivery]:
        """Give up deliveries that have waited for too long."""

    async def next_due_seconds(self) -> float | None:
        """Tell when the next pending delivery is due."""

    def listen(self) -> AbstractAsyncContextManager[DeliveryWakeups]:
        """Hear of changes."""


class DispatchObserver(Protocol):
    """Whoever counts: metrics, tests."""

    def tried(self, report: AttemptReport) -> None:
        """A try ended."""

    def ended(self, state: DeliveryState) -> None:
        """A delivery came to its end."""

    def destination_broken(self, destination: str, broken: bool) -> None:
        """The circuit breaker of a destination opened or closed."""


class Unobserved:
    """Counts nothing."""

    def tried(self, report: AttemptReport) -> None:
        """Let it pass."""

    def ended(self, state: DeliveryState) -> None:
        """Let it pass."""

    def destination_broken(self, destination: str, broken: bool) -> None:
        """Let it pass."""


@dataclass(frozen=True, slots=True)
class DispatchConfig:
    """
    How one dispatcher works.

    Args:
        concurrency: Tries that run at once, those aside that have lasted over `slow_after_seconds`.
        per_destination: Tries in flight to one destination, of all processes together and slow ones too.
        most_sockets: Tries in flight in all.
        lease_seconds: How long a claim holds; longer than a sender's whole try, with time to record it.
        grace_seconds: How long a stop waits for tries in flight.
        expire_after_seconds: How long a dispatcher has run before it first gives up deliveries that are too old:
            after an outage of the whole service each gets its chance first.
    """

    schedule: Schedule
    concurrency: int = 64
    per_destination: int = 4
    most_sockets: int = 512
    slow_after_seconds: float = 1.0
    lease_seconds: float = 25.0
    grace_seconds: float = 16.0
    expire_after_seconds: float = 3600.0
    gate: GateConfig = field(default_factory=GateConfig)


class Dispatcher:
    """
    Delivers until told to stop.

    Args:
        senders: By the kind of target they serve (`Url`, `TDMQ`); a delivery of another kind is refused.
        random: Where jitter comes from.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        ledger: DeliveryLedger,
        senders: Mapping[str, Sender],
        *,
        config: DispatchConfig,
        random: Random,
        observer: DispatchObserver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._senders = dict(senders)
        self._config = config
        self._random = random
        self._observer = observer or Unobserved()
        self._clock = clock
        self._gates = Gates(config.gate)
        self._tries: dict[asyncio.Task[None], Delivery] = {}
        self._quick: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._retries: list[float] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; then let tries in flight end within the grace time and give back the others."""
        async with AsyncExitStack() as stack:
            for sender in self._senders.values():
                await stack.enter_async_context(sender)
            wakeups = await stack.enter_async_context(self._ledger.listen())
            expiring = asyncio.create_task(self._expire_for_ever(), name="expiry of callbacks")
            grace_seconds = self._config.grace_seconds
            try:
                while not stop.is_set():
                    if expiring.done():  # a fault of ours: better no dispatcher than one that gives nothing up
                        expiring.result()
                    rest = await self._claim_once()
                    if rest > 0:
                        await self._rest(wakeups, stop, rest)
            except asyncio.CancelledError:  # the second signal: what is in flight is cut off and given back
                grace_seconds = 0.0
                raise
            finally:
                expiring.cancel()
                await self._finish(grace_seconds)

    async def _claim_once(self) -> float:
        """Claim what may be tried now and begin it; tell how long to rest when nobody calls."""
        self._changed.clear()
        free = min(self._config.concurrency - len(self._quick), self._config.most_sockets - len(self._tries))
        if free <= 0:
            return _IDLE_LOOK_SECONDS
        try:
            claimed = await self._ledger.claim_deliveries(
                limit=free,
                lease_seconds=self._config.lease_seconds,
                per_destination=self._config.per_destination,
                avoid=tuple(self._gates.shut(self._clock())),
            )
            for delivery in claimed:
                await self._begin(delivery)
            if len(claimed) >= free:
                return 0.0
            due = await self._ledger.next_due_seconds()
        except LedgerError as error:
            _log.warning("deliveries cannot be claimed", error=error.public, detail=error.detail)
            return _PAUSE_AFTER_FAILURE_SECONDS
        return self._rest_seconds(due)

    def _rest_seconds(self, due: float | None) -> float:
        now = self._clock()
        while self._retries and self._retries[0] <= now:
            heapq.heappop(self._retries)
        rests = [_IDLE_LOOK_SECONDS, *self._gates.shut(now).values()]
        if due is not None:
            rests.append(due if due > 0 else _BLOCKED_LOOK_SECONDS)
        if self._retries:  # something due and blocked hides from `due` what comes next
            rests.append(self._retries[0] - now)
        return max(min(rests), _SHORTEST_REST_SECONDS)

    async def _rest(self, wakeups: DeliveryWakeups, stop: asyncio.Event, seconds: float) -> None:
        waits = [
            asyncio.ensure_future(wakeups.wait("deliveries", seconds)),
            asyncio.ensure_future(self._changed.wait()),
            asyncio.ensure_future(stop.wait()),
        ]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _begin(self, delivery: Delivery) -> None:
        wait = self._gates.admit(delivery.destination, delivery.delivery_id, self._clock())
        if wait > 0:
            await self._release(delivery, wait + self._random.uniform(0, min(wait, 1.0)))
            return
        task = asyncio.create_task(self._try(delivery), name=f"callback {delivery.delivery_id}")
        self._tries[task] = delivery
        self._quick.add(task)
        task.add_done_callback(self._forget)
        asyncio.get_running_loop().call_later(self._config.slow_after_seconds, self._give_slot_back, task)

    def _give_slot_back(self, task: asyncio.Task[None]) -> None:
        if task in self._quick:
            self._quick.discard(task)
            self._changed.set()

    def _forget(self, task: asyncio.Task[None]) -> None:
        delivery = self._tries.pop(task)
        self._quick.discard(task)
        self._changed.set()
        if not task.cancelled() and task.exception() is not None:
            fault = task.exception()
            _log.error(
                "a try of a callback broke; its claim runs out and it is tried again",
                **_names(delivery),
                exc_info=fault,
            )

    async def _try(self, delivery: Delivery) -> None:
        # For every line in the course of this try, whoever writes it; the task is the try's own.
        structlog.contextvars.bind_contextvars(**_names(delivery))
        record_until = self._clock() + self._config.lease_seconds
        if delivery.tries > self._config.schedule.most_claims and not delivery.redelivery:
            report = AttemptReport("refused", 0.0, error=f"claimed {delivery.tries} times, and its process died often")
            verdict = Verdict(DeliveryState.EXHAUSTED, report.error or "")
            self._gates.withdraw(delivery.destination, delivery.delivery_id)
        else:
            report = await self._send(delivery)
            jitter = self._random.uniform(-1, 1)
            verdict = next_attempt(
                delivery.tries, report, self._config.schedule, jitter=jitter, redelivery=delivery.redelivery
            )
            self._heed(delivery, report)
        if await self._record(delivery, report, verdict, record_until):
            self._tell(delivery, report, verdict)

    async def _send(self, delivery: Delivery) -> AttemptReport:
        sender = self._senders.get(delivery.target.kind)
        if sender is None:
            text = (
                f"callbacks of type {delivery.target.kind} need a message broker, and none is configured here; set "
                "SMARTCOVER_BROKER_URL for this process and redeliver"
            )
            return AttemptReport("refused", 0.0, error=text)
        started = self._clock()
        try:
            return await sender.send(delivery)
        except Exception as error:  # noqa: BLE001 - the last line of defence of other receivers' deliveries
            # A fault of ours in one delivery is one failed try of it: it follows its schedule and ends, and the
            # deliveries of others go on.
            _log.exception("sending a callback broke")
            return AttemptReport("connection", self._clock() - started, error=f"internal fault: {type(error).__name__}")

    def _heed(self, delivery: Delivery, report: AttemptReport) -> None:
        destination = delivery.destination
        before = destination in self._gates.broken()
        changed = self._gates.report(
            destination, delivery.delivery_id, report.outcome, report.http_status, self._clock()
        )
        if not changed:
            return
        self._observer.destination_broken(destination, not before)
        if before:
            _log.info("a receiver of callbacks answers again", destination=destination)
        else:
            _log.warning("a receiver of callbacks fails; it is left alone between probes", destination=destination)

    async def _record(self, delivery: Delivery, report: AttemptReport, verdict: Verdict, until: float) -> bool:
        """Write the try down; a database that is away for a moment is no reason to deliver twice."""
        while True:
            try:
                await self._ledger.record_attempt(
                    delivery.delivery_id,
                    report,
                    state=verdict.state,
                    retry_in_seconds=verdict.retry_in_seconds,
                    reason=verdict.reason,
                )
            except LedgerError as error:
                if not error.retryable or self._clock() >= until:
                    _log.error(
                        "a try of a callback cannot be recorded; it will be tried again",
                        outcome=report.outcome,
                        error=error.public,
                        detail=error.detail,
                    )
                    return False
                await asyncio.sleep(_RECORD_AGAIN_SECONDS)
            else:
                return True

    def _tell(self, delivery: Delivery, report: AttemptReport, verdict: Verdict) -> None:
        self._observer.tried(report)
        facts = _facts(delivery) | {"reason": verdict.reason}
        if verdict.state is DeliveryState.PENDING:
            if verdict.retry_in_seconds is not None and verdict.retry_in_seconds < _SOON_SECONDS:
                heapq.heappush(self._retries, self._clock() + verdict.retry_in_seconds)
            _log.info("callback not delivered yet", retry_in_seconds=verdict.retry_in_seconds, **facts)
            return
        self._observer.ended(verdict.state)
        if verdict.state is DeliveryState.DELIVERED:
            _log.info("callback delivered", seconds=round(report.duration_seconds, 3), **facts)
        else:
            # For the operator: nobody will hear of this job unless somebody acts.
            _log.error(f"callback {verdict.state.value}", **facts)

    async def _release(self, delivery: Delivery, delay_seconds: float) -> None:
        try:
            await self._ledger.release_delivery(delivery.delivery_id, delay_seconds=delay_seconds)
        except LedgerError as error:
            _log.warning(
                "a callback cannot be given back; its claim runs out",
                **_names(delivery),
                error=error.public,
            )

    async def _expire_for_ever(self) -> None:
        patience = self._config.schedule.patience_seconds
        reason = f"not delivered within {patience / 86400:.1f} days; its receiver was failing all the time"
        await asyncio.sleep(self._config.expire_after_seconds)
        while True:
            expired: list[Delivery] = []
            try:
                expired = await self._ledger.expire_deliveries(older_than_seconds=patience, reason=reason)
            except LedgerError as error:
                _log.warning("old callbacks cannot be given up now", error=error.public, detail=error.detail)
            for delivery in expired:
                self._observer.ended(delivery.state)
                _log.error("callback exhausted", **_facts(delivery), reason=reason)
            await asyncio.sleep(0 if expired else min(self._config.expire_after_seconds, _EXPIRE_EVERY_SECONDS))

    async def _finish(self, grace_seconds: float) -> None:
        """Wait for the tries in flight, cut off what outlasts the grace time, and give that back untried."""
        if self._tries:
            await asyncio.wait(list(self._tries), timeout=grace_seconds)
        cut = dict(self._tries)
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)
        for task, delivery in cut.items():
            if task.cancelled():
                await self._release(delivery, 0.0)


def _names(delivery: Delivery) -> dict[str, Any]:
    return {"delivery_id": delivery.delivery_id, "job_id": delivery.job_id}


def _facts(delivery: Delivery) -> dict[str, Any]:
    return {**_names(delivery), "destination": delivery.destination, "tries": delivery.tries}

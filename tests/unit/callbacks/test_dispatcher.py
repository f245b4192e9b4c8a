"""The delivery loop, with the ledger in memory and receivers on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any

import pytest

from smartcover.callbacks import (
    DispatchConfig,
    Dispatcher,
    EgressPolicy,
    GateConfig,
    HttpConfig,
    HttpSender,
    Schedule,
    Sender,
)
from smartcover.callbacks.schedule import CRASH_ALLOWANCE
from smartcover.ledger import AttemptReport, CallbackTarget, Delivery, DeliveryState
from tests.deliveries import MemoryLedger, a_delivery, answer, hang, in_turn, receiving, reset

QUICK = Schedule((0.02,) * 8, jitter=0.0)
NEVER_SHUT = GateConfig(open_after=10_000)


class Witness:
    """Remembers what the dispatcher told."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.ends: list[DeliveryState] = []
        self.breaks: list[tuple[str, bool]] = []

    def tried(self, report: AttemptReport) -> None:
        self.outcomes.append(report.outcome)

    def ended(self, state: DeliveryState) -> None:
        self.ends.append(state)

    def destination_broken(self, destination: str, broken: bool) -> None:
        self.breaks.append((destination, broken))


class Scripted:
    """A sender without a network: says what it is told to say."""

    def __init__(self, *outcomes: str, seconds: float = 0.0) -> None:
        self.outcomes = list(outcomes)
        self.seconds = seconds
        self.sent: list[Delivery] = []

    async def __aenter__(self) -> None:
        """Hold nothing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hold nothing."""

    async def send(self, delivery: Delivery) -> AttemptReport:
        self.sent.append(delivery)
        await asyncio.sleep(self.seconds)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if outcome == "bug":
            raise RuntimeError("a fault of ours")
        return AttemptReport(outcome, 0.001, http_status=200 if outcome == "ok" else None)


def over_http(timeout_seconds: float = 10.0) -> HttpSender:
    config = HttpConfig(
        policy=EgressPolicy(allow=("127.0.0.1",)),
        user_agent="smartcover/test",
        connect_timeout_seconds=timeout_seconds,
        timeout_seconds=timeout_seconds,
    )
    return HttpSender(config, now=lambda: datetime.now(UTC))


@contextlib.asynccontextmanager
async def dispatching(
    ledger: MemoryLedger, sender: Sender | None = None, witness: Witness | None = None, **changes: Any
) -> AsyncIterator[asyncio.Event]:
    """Run a dispatcher for as long as the block lasts, and see that it stops."""
    config = DispatchConfig(**{"schedule": QUICK, "gate": NEVER_SHUT, "grace_seconds": 2.0, **changes})
    dispatcher = Dispatcher(ledger, {"Url": sender or over_http()}, config=config, random=Random(1), observer=witness)
    stop = asyncio.Event()
    running = asyncio.create_task(dispatcher.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(running, 5)


async def test_a_delivery_owed_while_the_loop_rests_goes_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartcover.callbacks.dispatcher._IDLE_LOOK_SECONDS", 3600.0)  # it does not look by itself
    ledger, witness = MemoryLedger(), Witness()
    async with receiving(answer(200)) as receiver, dispatching(ledger, witness=witness):
        await ledger.until(lambda: ledger.claims == 1)
        ledger.owe(a_delivery(receiver.url, body=b"<A/>"))
        await ledger.until_ended()
    assert [request.body for request in receiver.received] == [b"<A/>"]
    assert witness.ends == [DeliveryState.DELIVERED]


async def test_a_receiver_that_answers_500_seven_times_gets_the_same_bytes_and_id_each_time() -> None:
    ledger = MemoryLedger()
    async with receiving(in_turn(*[answer(500)] * 7, answer(200))) as receiver, dispatching(ledger):
        delivery = a_delivery(receiver.url, body=b"<Response>1</Response>")
        ledger.owe(delivery)
        await ledger.until_ended()
    assert ledger.state(delivery.delivery_id) is DeliveryState.DELIVERED
    assert len(receiver.received) == 8
    assert {request.body for request in receiver.received} == {b"<Response>1</Response>"}
    assert receiver.ids() == {delivery.delivery_id}
    assert [r.http_status for r in ledger.reports[delivery.delivery_id]] == [500] * 7 + [200]


async def test_a_receiver_that_never_takes_it_exhausts_the_schedule_and_no_more() -> None:
    ledger, witness = MemoryLedger(), Witness()
    async with receiving(answer(500)) as receiver, dispatching(ledger, witness=witness):
        delivery = a_delivery(receiver.url)
        ledger.owe(delivery)
        await ledger.until_ended()
        await asyncio.sleep(0.1)
    assert len(receiver.received) == 9
    assert ledger.state(delivery.delivery_id) is DeliveryState.EXHAUSTED
    assert ledger.rows[delivery.delivery_id].delivery.reason == "gave up after 9 tries; the last: HTTP 500"
    assert witness.ends == [DeliveryState.EXHAUSTED]


async def test_a_fault_in_giving_up_what_is_old_ends_the_dispatcher_and_is_not_kept_quiet() -> None:
    class Broken(MemoryLedger):
        async def expire_deliveries(self, *, older_than_seconds: float, reason: str) -> list[Delivery]:
            raise RuntimeError("a fault of ours")

    ledger = Broken()
    config = DispatchConfig(schedule=QUICK, gate=NEVER_SHUT, expire_after_seconds=0.05)
    running = asyncio.create_task(
        Dispatcher(ledger, {"Url": Scripted("ok")}, config=config, random=Random(1)).run(asyncio.Event())
    )
    await asyncio.sleep(0.2)
    ledger.owe(a_delivery("http://receiver.example/"))  # the loop looks up
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await asyncio.wait_for(running, 5)


async def test_410_ends_a_delivery_at_the_first_try() -> None:
    ledger = MemoryLedger()
    async with receiving(answer(410)) as receiver, dispatching(ledger):
        delivery = a_delivery(receiver.url)
        ledger.owe(delivery)
        await ledger.until_ended()
    assert len(receiver.received) == 1
    assert ledger.state(delivery.delivery_id) is DeliveryState.EXHAUSTED


async def test_a_refused_target_ends_its_delivery_with_the_reason() -> None:
    ledger = MemoryLedger()
    async with dispatching(ledger):
        delivery = a_delivery("http://10.0.0.7/")
        ledger.owe(delivery)
        await ledger.until_ended()
    assert ledger.state(delivery.delivery_id) is DeliveryState.REFUSED
    assert "SMARTCOVER_CALLBACK_ALLOW=10.0.0.7" in ledger.rows[delivery.delivery_id].delivery.reason


async def test_a_kind_that_nobody_serves_is_refused_with_the_reason() -> None:
    ledger = MemoryLedger()
    async with dispatching(ledger, Scripted("ok")):
        delivery = a_delivery("http://x/", target=CallbackTarget(kind="TDMQ", mq_mode="Queue", mq_name="q"))
        ledger.owe(delivery)
        await ledger.until_ended()
    assert ledger.state(delivery.delivery_id) is DeliveryState.REFUSED
    assert "TDMQ" in ledger.rows[delivery.delivery_id].delivery.reason


async def test_hangs_resets_and_redirects_are_tried_again() -> None:
    ledger = MemoryLedger()
    behaviour = in_turn(hang, reset, answer(302, "Location: http://127.0.0.1/"), answer(200))
    async with receiving(behaviour) as receiver, dispatching(ledger, over_http(0.2)):
        delivery = a_delivery(receiver.url)
        ledger.owe(delivery)
        await ledger.until_ended()
    assert [r.outcome for r in ledger.reports[delivery.delivery_id]] == ["timed_out", "connection", "http", "ok"]


async def test_retry_after_stretches_the_wait_to_twice_the_step_and_no_more() -> None:
    ledger = MemoryLedger()
    behaviour = in_turn(answer(429, "Retry-After: 3600"), answer(200))
    async with receiving(behaviour) as receiver, dispatching(ledger, schedule=Schedule((0.2,), jitter=0.0)):
        delivery = a_delivery(receiver.url)
        ledger.owe(delivery)
        await ledger.until_ended()
    assert [r.http_status for r in ledger.reports[delivery.delivery_id]] == [429, 200]
    assert ledger.waits[delivery.delivery_id] == [pytest.approx(0.4), None]


async def test_no_more_than_the_limit_are_in_flight_to_one_destination() -> None:
    ledger = MemoryLedger()
    async with (
        receiving(hang) as receiver,
        dispatching(ledger, over_http(0.1), per_destination=3, schedule=Schedule(())),
    ):
        ledger.owe(*(a_delivery(receiver.url) for _ in range(20)))
        await ledger.until_ended()
    assert receiver.most_open == 3


async def test_hanging_receivers_cost_sockets_and_no_slots_of_others() -> None:
    """More hanging receivers than slots: the healthy one is served all the same."""
    ledger = MemoryLedger()
    async with contextlib.AsyncExitStack() as stack:
        hanging = [await stack.enter_async_context(receiving(hang)) for _ in range(12)]
        healthy = await stack.enter_async_context(receiving(answer(200)))
        ledger.owe(*(a_delivery(receiver.url) for receiver in hanging for _ in range(5)))
        good = [a_delivery(healthy.url) for _ in range(60)]
        ledger.owe(*good)
        stop = await stack.enter_async_context(
            dispatching(ledger, over_http(30), concurrency=4, slow_after_seconds=0.05, grace_seconds=0.1)
        )
        await ledger.until(lambda: len(healthy.ids()) == 60, seconds=5)
        stop.set()
    assert all(ledger.state(delivery.delivery_id) is DeliveryState.DELIVERED for delivery in good)


async def test_sockets_are_bounded_however_many_receivers_hang() -> None:
    ledger = MemoryLedger()
    sender = Scripted("timed_out", seconds=3600)
    ledger.owe(*(a_delivery(f"http://h{n}.example/") for n in range(40)))
    async with dispatching(ledger, sender, concurrency=4, most_sockets=10, slow_after_seconds=0.01, grace_seconds=0.0):
        await ledger.until(lambda: len(sender.sent) == 10)
        await asyncio.sleep(0.1)
        assert len(sender.sent) == 10


async def test_a_dead_receiver_breaks_its_gate_and_keeps_its_deliveries_attempts() -> None:
    ledger, witness = MemoryLedger(), Witness()
    gate = GateConfig(open_after=5, pause_seconds=0.1, longest_pause_seconds=0.1)
    async with receiving(reset) as receiver:
        place = f"http://127.0.0.1:{receiver.port}"
        ledger.owe(*(a_delivery(receiver.url) for _ in range(200)))
        async with dispatching(ledger, witness=witness, gate=gate, schedule=Schedule((60.0,))):
            await ledger.until(lambda: bool(witness.breaks))
            await asyncio.sleep(0.35)
            wasted = sum(row.delivery.tries for row in ledger.rows.values())
            assert wasted <= 5 + 4 + 5  # to open, in flight meanwhile, probes
            assert ledger.count(DeliveryState.PENDING) == 200
            receiver.behaviour = answer(200)
            await ledger.until(lambda: ledger.count(DeliveryState.DELIVERED) >= 180)
    assert witness.breaks == [(place, True), (place, False)]


async def test_two_hundred_to_a_healthy_receiver_arrive_behind_a_thousand_to_a_dead_one() -> None:
    ledger = MemoryLedger()
    async with receiving(hang) as dead, receiving(answer(200)) as healthy:
        ledger.owe(*(a_delivery(dead.url) for _ in range(1000)))
        good = [a_delivery(healthy.url) for _ in range(200)]
        ledger.owe(*good)
        started = time.monotonic()
        async with dispatching(
            ledger, over_http(5.0), gate=GateConfig(), schedule=Schedule((60.0,)), grace_seconds=0.1
        ):
            await ledger.until(lambda: len(healthy.ids()) == 200, seconds=15)
            spent = time.monotonic() - started
            await ledger.until(lambda: ledger.count(DeliveryState.DELIVERED) == 200)
    assert spent < 8
    assert dead.most_open <= 4
    assert len(healthy.received) == 200


async def test_a_rate_spreads_the_tries_to_a_destination() -> None:
    ledger = MemoryLedger()
    gate = GateConfig(open_after=10_000, rate_per_second=20.0)
    async with receiving(answer(200)) as receiver, dispatching(ledger, gate=gate):
        ledger.owe(*(a_delivery(receiver.url) for _ in range(30)))
        started = time.monotonic()
        await ledger.until_ended()
        spent = time.monotonic() - started
    assert 0.4 < spent < 4  # 20 at once from the full bucket, 10 more at 20 per second
    assert all(row.delivery.tries == 1 for row in ledger.rows.values())


async def test_the_loop_outlives_a_database_that_is_away_and_delivers_once() -> None:
    ledger = MemoryLedger()
    sender = Scripted("ok", seconds=0.1)
    async with dispatching(ledger, sender):
        delivery = a_delivery("http://receiver.example/")
        ledger.owe(delivery)
        await ledger.until(lambda: bool(sender.sent))
        ledger.away = True
        await asyncio.sleep(0.3)
        ledger.away = False
        await ledger.until_ended()
        ledger.away = True
        later = a_delivery("http://receiver.example/")
        ledger.owe(later)
        await asyncio.sleep(0.1)
        ledger.away = False
        await ledger.until_ended()
    assert [sent.delivery_id for sent in sender.sent] == [delivery.delivery_id, later.delivery_id]


async def test_a_claim_whose_process_died_is_tried_again_when_it_runs_out() -> None:
    ledger = MemoryLedger()
    arrived: list[float] = []

    async def noted(*arguments: Any) -> None:
        arrived.append(time.monotonic())
        await answer(200)(*arguments)

    async with receiving(noted) as receiver:
        delivery = a_delivery(receiver.url)
        ledger.owe(delivery)
        await ledger.claim_deliveries(limit=1, lease_seconds=0.3, per_destination=1)  # and then its process died
        runs_out = ledger.rows[delivery.delivery_id].claimed_until
        async with dispatching(ledger):
            await ledger.until_ended()
    assert [moment >= runs_out for moment in arrived] == [True]
    assert ledger.rows[delivery.delivery_id].delivery.tries == 2


async def test_a_delivery_that_outlived_its_schedule_by_crashes_is_still_sent() -> None:
    ledger = MemoryLedger()
    async with receiving(answer(200)) as receiver, dispatching(ledger, schedule=Schedule(())):
        ledger.owe(a_delivery(receiver.url, tries=5))
        await ledger.until_ended()
    assert len(receiver.received) == 1


async def test_a_delivery_that_kills_its_process_each_time_ends_without_another_try() -> None:
    ledger = MemoryLedger()
    sender = Scripted("ok")
    async with dispatching(ledger, sender, schedule=Schedule(())):
        delivery = a_delivery("http://receiver.example/", tries=1 + CRASH_ALLOWANCE)
        ledger.owe(delivery)
        await ledger.until_ended()
    assert sender.sent == []
    assert ledger.state(delivery.delivery_id) is DeliveryState.EXHAUSTED


async def test_a_fault_of_ours_is_a_failed_try_and_not_the_end_of_the_loop() -> None:
    ledger = MemoryLedger()
    async with dispatching(ledger, Scripted("bug", "ok")):
        delivery = a_delivery("http://receiver.example/")
        ledger.owe(delivery)
        await ledger.until_ended()
    assert [r.outcome for r in ledger.reports[delivery.delivery_id]] == ["connection", "ok"]


async def test_a_stop_lets_a_try_in_flight_end() -> None:
    ledger = MemoryLedger()
    sender = Scripted("ok", seconds=0.2)
    async with dispatching(ledger, sender) as stop:
        delivery = a_delivery("http://receiver.example/")
        ledger.owe(delivery)
        await ledger.until(lambda: bool(sender.sent))
        stop.set()
    assert ledger.state(delivery.delivery_id) is DeliveryState.DELIVERED


async def test_a_stop_gives_back_what_outlasts_the_grace_time() -> None:
    ledger = MemoryLedger()
    sender = Scripted("ok", seconds=30)
    async with dispatching(ledger, sender, grace_seconds=0.05) as stop:
        delivery = a_delivery("http://receiver.example/")
        ledger.owe(delivery)
        await ledger.until(lambda: bool(sender.sent))
        stop.set()
    row = ledger.rows[delivery.delivery_id]
    assert row.delivery.state is DeliveryState.PENDING
    assert (row.delivery.tries, row.claimed_until) == (0, 0.0)


async def test_an_idle_loop_asks_the_database_seldom() -> None:
    ledger = MemoryLedger()
    ledger.owe(a_delivery("http://receiver.example/"))
    async with dispatching(ledger, Scripted("timed_out"), schedule=Schedule((3600.0,))):
        await asyncio.sleep(0.6)
    assert ledger.claims <= 4


async def test_what_waits_for_too_long_behind_a_broken_gate_is_given_up() -> None:
    ledger, witness = MemoryLedger(), Witness()
    gate = GateConfig(open_after=1, pause_seconds=60, longest_pause_seconds=60)
    old = datetime.now(UTC) - timedelta(seconds=QUICK.patience_seconds + 60)
    deliveries = [a_delivery("http://dead.example/", created_at=old) for _ in range(20)]
    young = a_delivery("http://dead.example/")
    again = a_delivery("http://dead.example/", created_at=old, redelivery=True)
    ledger.owe(*deliveries, young, again)
    async with dispatching(
        ledger, Scripted("connection"), witness, gate=gate, schedule=QUICK, per_destination=1, expire_after_seconds=0.2
    ):
        await ledger.until(lambda: ledger.count(DeliveryState.EXHAUSTED) == 20)
    assert ledger.state(young.delivery_id) is DeliveryState.PENDING
    assert ledger.state(again.delivery_id) is DeliveryState.PENDING
    assert "not delivered within" in ledger.rows[deliveries[-1].delivery_id].delivery.reason
    assert witness.ends == [DeliveryState.EXHAUSTED] * 20


async def test_a_redelivery_is_one_try_however_many_came_before() -> None:
    ledger = MemoryLedger()
    async with receiving(in_turn(answer(500), answer(200))) as receiver, dispatching(ledger):
        fails = a_delivery(receiver.url, tries=100, redelivery=True)
        ledger.owe(fails)
        await ledger.until_ended()
        arrives = a_delivery(receiver.url, tries=100, redelivery=True)
        ledger.owe(arrives)
        await ledger.until_ended()
    assert len(receiver.received) == 2
    assert ledger.state(fails.delivery_id) is DeliveryState.EXHAUSTED
    assert ledger.rows[fails.delivery_id].delivery.reason == "the try that was asked for failed: HTTP 500"
    assert ledger.state(arrives.delivery_id) is DeliveryState.DELIVERED

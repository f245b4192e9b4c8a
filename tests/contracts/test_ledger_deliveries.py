"""The ledger's promises about deliveries, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import asyncpg
import pytest

from smartcover.errors import BadParameter
from smartcover.ledger import (
    AttemptReport,
    CallbackTarget,
    CoverSpec,
    Delivery,
    DeliveryState,
    JobResult,
    JobSpec,
    Ledger,
    NewDelivery,
    NewJob,
    OutputSpec,
)
from tests.postgres import SERVERS, cluster

BUCKET = "owed-1250000000"
OK = AttemptReport("ok", 0.05, address="203.0.113.9", http_status=200, answer_head=b"\x00fine")
FAILED = AttemptReport("http", 0.1, http_status=500, error="answered 500\0")


@pytest.fixture(scope="module", params=SERVERS)
def dsn(request: pytest.FixtureRequest) -> str:
    return cluster(request.param).make_database()


@pytest.fixture
async def ledger(dsn: str) -> AsyncIterator[Ledger]:
    """A ledger without deliveries."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE jobs, queues, deliveries, delivery_attempts CASCADE")
    await connection.close()
    opened = await Ledger.connect(dsn, pool_size=12)
    yield opened
    await opened.close()


async def owe(ledger: Ledger, destinations: Sequence[str]) -> list[str]:
    """End one job that owes a delivery to each destination, in this order."""
    queue = await ledger.default_queue(BUCKET)
    spec = JobSpec(object_key="a", output=OutputSpec("r", BUCKET, "o"), covers=CoverSpec())
    await ledger.submit([NewJob(f"j{uuid4().hex}", BUCKET, "r", queue.queue_id, spec, None)])
    (taken,) = await ledger.claim_jobs("worker-1", limit=1, lease_seconds=30)
    owed = [
        NewDelivery(str(uuid4()), CallbackTarget(url=f"http://{name}/"), name, "application/xml", b"<a/>")
        for name in destinations
    ]
    async with ledger.finishing(taken) as finishing:
        await finishing.succeed(JobResult(covers=()), owed)
    return [delivery.delivery_id for delivery in owed]


async def claim(
    ledger: Ledger, limit: int = 100, *, per_destination: int = 4, lease_seconds: float = 30, avoid: Sequence[str] = ()
) -> list[Delivery]:
    return await ledger.claim_deliveries(
        limit=limit, lease_seconds=lease_seconds, per_destination=per_destination, avoid=avoid
    )


async def test_a_claim_spreads_over_destinations(ledger: Ledger) -> None:
    await owe(ledger, ["dead"] * 50 + ["healthy"] * 3 + ["other"])
    taken = await claim(ledger)
    assert Counter(d.destination for d in taken) == {"dead": 4, "healthy": 3, "other": 1}
    assert all(d.tries == 1 and d.state is DeliveryState.PENDING for d in taken)
    assert await claim(ledger) == [], "what is in flight counts against its destination"


async def test_a_destination_is_left_alone_on_request(ledger: Ledger) -> None:
    await owe(ledger, ["dead", "healthy"])
    assert [d.destination for d in await claim(ledger, avoid=["dead"])] == ["healthy"]


async def test_claimers_at_once_share_the_limit_of_a_destination(ledger: Ledger) -> None:
    await owe(ledger, ["one"] * 40)
    taken = await asyncio.gather(*(claim(ledger, 3, per_destination=5) for _ in range(8)))
    ids = [delivery.delivery_id for batch in taken for delivery in batch]
    assert len(ids) == len(set(ids)) == 5


async def test_the_oldest_due_goes_first(ledger: Ledger) -> None:
    ids = await owe(ledger, ["one"] * 6)
    assert [d.delivery_id for d in await claim(ledger, 2)] == ids[:2]


async def test_a_try_that_nobody_recorded_is_due_again_and_stays_counted(ledger: Ledger) -> None:
    (wanted,) = await owe(ledger, ["one"])
    await claim(ledger, lease_seconds=0.0)
    await asyncio.sleep(0.01)
    (again,) = await claim(ledger)
    assert (again.delivery_id, again.tries) == (wanted, 2)


async def test_a_failed_try_waits_for_its_next_moment(ledger: Ledger) -> None:
    (wanted,) = await owe(ledger, ["one"])
    assert (await ledger.next_due_seconds() or 0) <= 0
    await claim(ledger)
    assert await ledger.next_due_seconds() is None
    await ledger.record_attempt(wanted, FAILED, state=DeliveryState.PENDING, retry_in_seconds=60, reason="HTTP 500\0")
    assert await claim(ledger) == []
    assert 58 < (await ledger.next_due_seconds() or 0) <= 60
    delivery = await ledger.delivery(wanted)
    assert (delivery.state, delivery.reason) == (DeliveryState.PENDING, "HTTP 500�")
    (attempt,) = await ledger.attempts(wanted)
    assert (attempt.number, attempt.report.http_status, attempt.report.error) == (1, 500, "answered 500�")


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.EXHAUSTED, DeliveryState.REFUSED])
async def test_an_ended_delivery_stays_ended(ledger: Ledger, state: DeliveryState) -> None:
    (wanted,) = await owe(ledger, ["one"])
    await claim(ledger)
    await ledger.record_attempt(wanted, OK, state=state, retry_in_seconds=None, reason="")
    await ledger.record_attempt(wanted, FAILED, state=DeliveryState.PENDING, retry_in_seconds=0, reason="late")
    await ledger.release_delivery(wanted, delay_seconds=0)
    assert await claim(ledger) == []
    delivery = await ledger.delivery(wanted)
    assert (delivery.state, delivery.next_at, delivery.tries) == (state, None, 1)
    (attempt,) = await ledger.attempts(wanted)
    assert attempt.report.answer_head == b"\x00fine"


async def test_a_delivery_given_back_untried_costs_no_try(ledger: Ledger) -> None:
    (wanted,) = await owe(ledger, ["one"])
    await claim(ledger)
    await ledger.release_delivery(wanted, delay_seconds=0)
    (again,) = await claim(ledger)
    assert again.tries == 1


async def test_deliveries_are_listed_newest_first_by_job_and_state(ledger: Ledger) -> None:
    first = await owe(ledger, ["one"])
    second = await owe(ledger, ["one", "two"])
    assert [d.delivery_id for d in await ledger.deliveries()] == [second[1], second[0], first[0]]
    job_id = (await ledger.delivery(first[0])).job_id
    assert [d.delivery_id for d in await ledger.deliveries(job_id=job_id)] == first
    assert await ledger.deliveries(state=DeliveryState.EXHAUSTED) == []
    assert len(await ledger.deliveries(limit=1)) == 1


async def test_an_unknown_delivery_is_named(ledger: Ledger) -> None:
    with pytest.raises(BadParameter, match="d-nowhere"):
        await ledger.delivery("d-nowhere")
    assert await ledger.attempts("d-nowhere") == []

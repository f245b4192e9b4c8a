"""Callbacks through the real ledger in PostgreSQL, and through the whole service: none lost, none in another's way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from lxml import etree
from qcloud_cos import CosConfig, CosS3Client
from qcloud_cos.cos_exception import CosServiceError
from standardwebhooks import Webhook

from smartcover.callbacks import (
    DispatchConfig,
    Dispatcher,
    EgressPolicy,
    GateConfig,
    HttpConfig,
    HttpSender,
    Schedule,
    destination_of,
)
from smartcover.errors import BadParameter, LedgerUnavailable
from smartcover.ledger import (
    CallbackTarget,
    CoverSpec,
    DeliveryFilter,
    DeliveryState,
    EmbeddedPostgres,
    JobResult,
    JobSpec,
    Ledger,
    NewDelivery,
    NewJob,
    OutputSpec,
    upgrade,
)
from tests.clips import small_clip
from tests.deliveries import Received, answer, hang, in_turn, receiving, reset

BUCKET = "callback-1250000000"
REGION = "ap-chongqing"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One embedded PostgreSQL for the tests of this file, supervised by a loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(150)

    embedded = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    run(embedded.start())
    run(upgrade(embedded.dsn))
    yield embedded
    run(embedded.stop())
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
async def ledger(postgres: EmbeddedPostgres) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(postgres.dsn)
    yield opened
    for delivery in await opened.deliveries(state=DeliveryState.PENDING, limit=10_000):
        await opened.release_delivery(delivery.delivery_id, delay_seconds=100_000)  # out of the next test's way
    await opened.close()


async def owe(ledger: Ledger, *urls: str) -> list[str]:
    """End a job that owes one callback to each URL; gives the ids."""
    queue = await ledger.default_queue(BUCKET)
    output = OutputSpec(REGION, BUCKET, "out/${Number}.jpg")
    spec = JobSpec(object_key="in.mp4", output=output, covers=CoverSpec())
    await ledger.submit([NewJob(f"j{uuid4().hex}", BUCKET, REGION, queue.queue_id, spec, None)])
    (claim,) = await ledger.claim_jobs("test", limit=1, lease_seconds=60)
    owed = [
        NewDelivery(str(uuid4()), target, destination_of(target), "application/xml", f"<R>{number}</R>".encode())
        for number, target in enumerate(CallbackTarget(url=url) for url in urls)
    ]
    async with ledger.finishing(claim) as finishing:
        await finishing.succeed(JobResult(covers=()), owed)
    return [delivery.delivery_id for delivery in owed]


@contextlib.asynccontextmanager
async def dispatching(ledger: Ledger, *, timeout_seconds: float = 5.0, **changes: Any) -> AsyncIterator[None]:
    """Run a dispatcher on the ledger for as long as the block lasts."""
    sender = HttpSender(
        HttpConfig(
            policy=EgressPolicy(allow=("127.0.0.1",)),
            user_agent="smartcover/test",
            timeout_seconds=timeout_seconds,
        ),
        now=lambda: datetime.now(UTC),
    )
    given = {"schedule": Schedule((0.1,) * 50, jitter=0.0), "lease_seconds": timeout_seconds + 5, "grace_seconds": 0.5}
    dispatcher = Dispatcher(ledger, {"Url": sender}, config=DispatchConfig(**{**given, **changes}), random=Random(7))
    stop = asyncio.Event()
    running = asyncio.create_task(dispatcher.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)


async def until(condition: Callable[[], Awaitable[bool] | bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.02)


def all_in(ledger: Ledger, ids: Sequence[str], state: DeliveryState) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return all([(await ledger.delivery(delivery_id)).state is state for delivery_id in ids])

    return condition


async def test_every_try_is_kept_with_its_address_status_fault_and_answer(ledger: Ledger) -> None:
    behaviour = in_turn(answer(503, "Retry-After: 0", body=b"busy" * 1000), reset, answer(200, body=b"thanks"))
    async with receiving(behaviour) as receiver, dispatching(ledger):
        (delivery_id,) = await owe(ledger, receiver.url)
        await until(all_in(ledger, [delivery_id], DeliveryState.DELIVERED))
    first, second, third = await ledger.attempts(delivery_id)
    assert [attempt.number for attempt in (first, second, third)] == [1, 2, 3]
    assert first.report.outcome == "http"
    assert first.report.http_status == 503
    assert first.report.address == f"127.0.0.1:{receiver.port}"
    assert first.report.answer_head == (b"busy" * 1000)[:1024]
    assert (second.report.outcome, second.report.http_status) == ("connection", None)
    assert second.report.error
    assert (third.report.outcome, third.report.answer_head) == ("ok", b"thanks")
    assert first.started_at < second.started_at < third.started_at
    assert len({request.body for request in receiver.received}) == 1
    assert receiver.ids() == {delivery_id}


async def test_two_hundred_callbacks_arrive_in_time_behind_a_thousand_to_a_dead_receiver(ledger: Ledger) -> None:
    async with receiving(hang) as dead, receiving(answer(200)) as healthy:
        await owe(ledger, *[dead.url] * 1000)
        good = await owe(ledger, *[healthy.url] * 200)
        started = time.monotonic()
        async with dispatching(ledger, schedule=Schedule((3600.0,))):
            await until(lambda: len(healthy.received) >= 200)
            spent = time.monotonic() - started
            await until(all_in(ledger, good, DeliveryState.DELIVERED))
            assert dead.most_open <= 4
        assert receiver_counts(healthy.received) == dict.fromkeys(good, 1)
    assert spent < 15


async def test_a_gate_that_shuts_eats_no_tries_of_what_waits(ledger: Ledger) -> None:
    gate = GateConfig(open_after=5, pause_seconds=0.3, longest_pause_seconds=0.3)
    async with receiving(reset) as receiver:
        ids = await owe(ledger, *[receiver.url] * 60)
        async with dispatching(ledger, gate=gate, schedule=Schedule((3600.0,))):
            await until(lambda: len(receiver.received) >= 6)
            await asyncio.sleep(0.7)
            assert len(receiver.received) <= 5 + 3 + 5  # to shut it, in flight then, probes since
            receiver.behaviour = answer(200)
            failed = len(receiver.ids())

            async def all_tried() -> bool:
                return all([(await ledger.delivery(delivery_id)).tries > 0 for delivery_id in ids])

            await until(all_tried)
            await asyncio.sleep(0.2)
        found = [await ledger.delivery(delivery_id) for delivery_id in ids]
    assert {delivery.tries for delivery in found} == {1}
    assert sum(delivery.state is DeliveryState.DELIVERED for delivery in found) >= 60 - failed - 1


async def test_two_dispatchers_share_the_work_and_the_limit_of_a_destination(postgres: EmbeddedPostgres) -> None:
    first, second = await Ledger.connect(postgres.dsn), await Ledger.connect(postgres.dsn)
    slow = answer(200)

    async def behave(*arguments: Any) -> None:
        await asyncio.sleep(0.02)
        await slow(*arguments)

    async with receiving(behave) as receiver, dispatching(first), dispatching(second):
        ids = await owe(first, *[receiver.url] * 120)
        await until(all_in(first, ids, DeliveryState.DELIVERED))
        assert receiver_counts(receiver.received) == dict.fromkeys(ids, 1)
        assert receiver.most_open <= 4
    await first.close()
    await second.close()


async def test_a_database_killed_in_the_middle_loses_no_callback(ledger: Ledger, postgres: EmbeddedPostgres) -> None:
    slow = answer(200)

    async def behave(*arguments: Any) -> None:
        await asyncio.sleep(0.05)
        await slow(*arguments)

    async with receiving(behave) as receiver, dispatching(ledger):
        ids = await owe(ledger, *[receiver.url] * 100)
        await until(lambda: len(receiver.received) >= 20)
        assert postgres.pid is not None
        os.kill(postgres.pid, signal.SIGKILL)

        async def all_delivered() -> bool:
            with contextlib.suppress(LedgerUnavailable):
                return await all_in(ledger, ids, DeliveryState.DELIVERED)()
            return False

        await until(all_delivered, 60)
    counts = receiver_counts(receiver.received)
    assert set(counts) == set(ids)
    assert sum(counts.values()) <= 100 + 4  # what was in flight may come twice, nothing else


async def test_an_ended_callback_is_sent_again_with_its_id_and_its_history(ledger: Ledger) -> None:
    async with receiving(in_turn(answer(410), answer(200), answer(200), answer(500))) as receiver, dispatching(ledger):
        (delivery_id,) = await owe(ledger, receiver.url)
        await until(all_in(ledger, [delivery_id], DeliveryState.EXHAUSTED))
        for state in (DeliveryState.DELIVERED, DeliveryState.DELIVERED, DeliveryState.EXHAUSTED):
            before = len(receiver.received)
            assert await ledger.redeliver(delivery_ids=[delivery_id]) == 1
            await until(lambda count=before: len(receiver.received) > count)  # type: ignore[misc]
            await until(all_in(ledger, [delivery_id], state))
    statuses = [attempt.report.http_status for attempt in await ledger.attempts(delivery_id)]
    assert statuses == [410, 200, 200, 500]
    assert receiver.ids() == {delivery_id}
    assert len({request.body for request in receiver.received}) == 1


async def test_many_are_sent_again_by_state_destination_and_time(ledger: Ledger) -> None:
    async with receiving(answer(410)) as first, receiving(answer(410)) as second, dispatching(ledger):
        ids = await owe(ledger, *[first.url] * 700, *[second.url] * 10)
        await until(all_in(ledger, ids, DeliveryState.EXHAUSTED))
        here = f"http://127.0.0.1:{first.port}"
        first.behaviour = answer(200)
        wanted = DeliveryFilter(state=DeliveryState.EXHAUSTED, destination=here)
        assert await ledger.redeliver(wanted=replace(wanted, until=datetime(2022, 6, 30, tzinfo=UTC))) == 0
        assert await ledger.redeliver(wanted=wanted) == 700
        await until(all_in(ledger, ids[:700], DeliveryState.DELIVERED))
        assert await ledger.redeliver(wanted=wanted) == 0
        found = await ledger.deliveries(state=DeliveryState.EXHAUSTED, destination=f"http://127.0.0.1:{second.port}")
        assert {delivery.delivery_id for delivery in found} == set(ids[700:])
        with pytest.raises(BadParameter, match="at least one"):
            await ledger.redeliver()


async def test_a_waiting_callback_is_brought_forward_and_keeps_its_schedule(ledger: Ledger) -> None:
    behaviour, schedule = in_turn(answer(500), answer(500), answer(200)), Schedule((3600.0, 0.1))
    async with receiving(behaviour) as receiver, dispatching(ledger, schedule=schedule):
        (delivery_id,) = await owe(ledger, receiver.url)
        await until(lambda: len(receiver.received) == 1)
        await asyncio.sleep(0.1)
        assert await ledger.redeliver(delivery_ids=[delivery_id]) == 1
        await until(all_in(ledger, [delivery_id], DeliveryState.DELIVERED))
    assert len(receiver.received) == 3


async def test_only_old_callbacks_that_wait_are_given_up(ledger: Ledger) -> None:
    old, claimed = await owe(ledger, "http://old.example/", "http://claimed.example/")
    await ledger.claim_deliveries(limit=10, lease_seconds=60, per_destination=1, avoid=["http://old.example:80"])
    assert await ledger.expire_deliveries(older_than_seconds=3600, reason="too old") == []
    expired = await ledger.expire_deliveries(older_than_seconds=0, reason="too old", limit=10_000)
    assert old in {delivery.delivery_id for delivery in expired}
    assert claimed not in {delivery.delivery_id for delivery in expired}
    ended = await ledger.delivery(old)
    assert (ended.state, ended.reason, ended.next_at) == (DeliveryState.EXHAUSTED, "too old", None)


def receiver_counts(received: Sequence[Received]) -> dict[str, int]:
    return dict(Counter(request.headers["webhook-id"] for request in received))


class Service:
    """`smartcover serve` on a folder of its own."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.settings = {
            "SMARTCOVER_SECRET_ID": "AKIDTEST",
            "SMARTCOVER_SECRET_KEY": "SECRETTEST",
            "SMARTCOVER_BUCKETS": BUCKET,
            "SMARTCOVER_REGION": REGION,
            "SMARTCOVER_LOG_FORMAT": "json",
            **settings,
        }
        self.port = 0

    def start(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "smartcover", "serve", f"--data={self.folder / 'data'}", "--port=0"],
            env=inherited | self.settings,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if " answers at " in line:
                self.port = int(line.rsplit(":", 1)[1])
                break
        assert self.port, self.events()
        self.client = CosS3Client(
            CosConfig(
                Region=REGION,
                SecretId="AKIDTEST",
                SecretKey="SECRETTEST",
                Scheme="http",
                Domain=f"127.0.0.1:{self.port}/{BUCKET}",
            )
        )
        clip = small_clip(self.folder / "clip.mp4", seconds=1)
        self.client.put_object(Bucket=BUCKET, Key="in/clip.mp4", Body=clip.read_bytes())

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()

    def events(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def submit(self, callback: str, body_format: str = "XML") -> str:
        job = {
            "Tag": "SmartCover",
            "Input": {"Object": "in/clip.mp4"},
            "Operation": {
                "SmartCover": {"Format": "jpg", "Count": "2"},
                "Output": {"Region": REGION, "Bucket": BUCKET, "Object": "out/${Number}.jpg"},
                "UserData": "mine",
            },
            "CallBack": callback,
            "CallBackFormat": body_format,
        }
        answered = self.client.ci_create_media_jobs(Bucket=BUCKET, Jobs=job, Lst={}, ContentType="application/xml")
        detail = answered["JobsDetail"]
        return str((detail[0] if isinstance(detail, list) else detail)["JobId"])

    def state(self, job_id: str) -> str:
        detail = self.client.ci_get_media_jobs(Bucket=BUCKET, JobIDs=job_id)["JobsDetail"]
        return str((detail[0] if isinstance(detail, list) else detail)["State"])


@contextlib.asynccontextmanager
async def serving(folder: Path, **settings: str) -> AsyncIterator[Service]:
    """Run the service for as long as the block lasts, its waits outside this loop."""
    service = Service(folder, **settings)
    try:
        await asyncio.to_thread(service.start)
        yield service
    finally:
        await asyncio.to_thread(service.stop)


async def test_a_job_calls_back_signed_and_unchanged_until_its_receiver_takes_it(tmp_path: Path) -> None:
    settings = {
        "SMARTCOVER_CALLBACK_ALLOW": "127.0.0.1",
        "SMARTCOVER_CALLBACK_SCHEDULE": "0.1,0.1,0.2,0.2,0.5,0.5,0.5",
        "SMARTCOVER_CALLBACK_TIMEOUT_SECONDS": "1",
        "SMARTCOVER_CALLBACK_SECRET": SECRET,
    }
    behaviour = in_turn(answer(500), answer(302, "Location: /"), hang, reset, answer(200))
    async with receiving(behaviour) as receiver, serving(tmp_path, **settings) as service:
        job_id = await asyncio.to_thread(service.submit, receiver.url)
        await until(lambda: len(receiver.received) >= 5, 60)
        await asyncio.sleep(1.0)
    assert len(receiver.received) == 5, "it was delivered and is not sent again"
    assert len({request.body for request in receiver.received}) == 1
    assert len(receiver.ids()) == 1
    for request in receiver.received:
        Webhook(SECRET).verify(request.body, request.headers, json_parse=False)
        assert request.headers["user-agent"].startswith("smartcover/")
        assert request.headers["content-type"] == "application/xml"
    detail = etree.fromstring(receiver.received[0].body).find("JobsDetail")
    assert detail is not None
    assert (detail.findtext("JobId"), detail.findtext("State")) == (job_id, "Success")
    names = [str(node.text) for node in detail.findall("Operation/MediaResult/OutputFile/ObjectName")]
    assert names == ["out/0.jpg", "out/1.jpg"]


async def test_private_targets_are_refused_at_submit_or_end_their_delivery_and_never_the_job(tmp_path: Path) -> None:
    async with receiving(answer(200)) as receiver:
        async with serving(tmp_path) as service:
            for url in (receiver.url, f"http://localhost:{receiver.port}/", "http://169.254.169.254/latest/"):
                with pytest.raises(CosServiceError) as refused:
                    await asyncio.to_thread(service.submit, url)
                assert refused.value.get_status_code() == 400
                assert "SMARTCOVER_CALLBACK_ALLOW" in refused.value.get_error_msg()
            # A name that leads to this machine, by its own host name: private or loopback, whatever it resolves to.
            own = f"http://{socket.gethostname()}:{receiver.port}/"
            job_id = await asyncio.to_thread(service.submit, own)

            async def succeeded() -> bool:
                return await asyncio.to_thread(service.state, job_id) == "Success"

            await until(succeeded, 60)
            await until(lambda: any(word in service.events() for word in ("callback refused", "not delivered yet")), 30)
        assert receiver.most_open == 0

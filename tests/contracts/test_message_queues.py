"""One suite for every broker: a callback arrives whole and acknowledged, and a broker that fails is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from smartcover.callbacks import DispatchConfig, Dispatcher, QueueConfig, QueueSender, Schedule, read_broker
from smartcover.ledger import CallbackTarget, Delivery, DeliveryState
from smartcover.receiver import receive, testing
from tests.brokers import KINDS, broker_url, proxy_to
from tests.deliveries import MemoryLedger, a_delivery

SECRET_KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

# Some clients leave a socket to the garbage collector when a connection is cut under them; that is not ours to judge.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()  # here, where the mark holds, and not in a later test


@dataclass(frozen=True)
class Arrived:
    """A message as a reader of the broker sees it, without smartcover's help."""

    body: bytes
    content_type: str
    headers: Mapping[str, str]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str) -> str:
    found = broker_url(kind)
    if found is None:
        pytest.skip(f"SMARTCOVER_TEST_{kind.upper()}_URL names no broker")
    return found


def a_message(name: str, mode: str = "Queue", **changes: Any) -> Delivery:
    target = CallbackTarget(kind="TDMQ", mq_mode=mode, mq_name=name, mq_region="sh")
    body = testing.task_finish(user_data="快门").body
    return a_delivery("http://unused/", target=target, destination=f"TDMQ:{name}", body=body, **changes)


def sender(url: str, **changes: Any) -> QueueSender:
    config = QueueConfig(read_broker(url, prefix="smartcovertest-"), signing_keys=(SECRET_KEY,))
    return QueueSender(replace(config, **changes), now=lambda: datetime.now(UTC))


class Reader:
    """Reads what arrives at `smartcovertest-<name>`, with the broker's own client."""

    def __init__(self, kind: str, url: str, name: str, mode: str) -> None:
        self.kind, self.url, self.place, self.mode = kind, url, f"smartcovertest-{name}", mode

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[asyncio.Queue[Arrived]]:
        """Begin to read; what comes goes into the queue. The place is removed at the end."""
        arrived: asyncio.Queue[Arrived] = asyncio.Queue()
        async with getattr(self, f"_{self.kind}")(arrived):
            yield arrived

    @contextlib.asynccontextmanager
    async def _amqp(self, arrived: asyncio.Queue[Arrived]) -> AsyncIterator[None]:
        import aio_pika

        connection = await aio_pika.connect(self.url)
        channel = await connection.channel()
        name = self.place
        if self.mode == "Topic":
            exchange = await channel.declare_exchange(self.place, "topic", durable=True)
            name = f"{self.place}-reader"
        queue = await channel.declare_queue(name, durable=True)
        if self.mode == "Topic":
            await queue.bind(exchange, "#")

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process():
                assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
                headers = {key: str(value) for key, value in message.headers.items()}
                arrived.put_nowait(Arrived(message.body, message.content_type or "", headers))

        await queue.consume(take)
        yield
        await queue.delete(if_unused=False, if_empty=False)
        if self.mode == "Topic":
            await channel.exchange_delete(self.place)
        await connection.close()

    @contextlib.asynccontextmanager
    async def _nats(self, arrived: asyncio.Queue[Arrived]) -> AsyncIterator[None]:
        import nats

        connection = await nats.connect(self.url)
        jet = connection.jetstream()

        async def read() -> None:
            from nats.js.errors import NotFoundError

            while True:
                try:
                    subscription = await jet.subscribe(self.place)
                    break
                except NotFoundError:  # the sender makes the stream
                    await asyncio.sleep(0.02)
            async for message in subscription.messages:
                await message.ack()
                headers = dict(message.headers or {})
                arrived.put_nowait(Arrived(message.data, headers.pop("content-type"), headers))

        task = asyncio.create_task(read())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await jet.delete_stream(await jet.find_stream_name_by_subject(self.place))
        await connection.close()

    @contextlib.asynccontextmanager
    async def _redis(self, arrived: asyncio.Queue[Arrived]) -> AsyncIterator[None]:
        import redis.asyncio

        client = redis.asyncio.Redis.from_url(self.url)
        stop = asyncio.Event()

        async def read() -> None:
            last = "0"
            while not stop.is_set():  # not cancelled: the client may swallow that
                streams: Any = await client.xread({self.place: last}, block=50)
                for _, entries in streams:
                    for last, fields in entries:  # noqa: B007 - read on from here
                        texts = {key.decode(): value for key, value in fields.items()}
                        body, content_type = texts.pop("body"), texts.pop("content-type").decode()
                        headers = {key: value.decode() for key, value in texts.items()}
                        arrived.put_nowait(Arrived(body, content_type, headers))

        task = asyncio.create_task(read())
        yield
        stop.set()
        await task
        await client.delete(self.place)
        await client.aclose()

    @contextlib.asynccontextmanager
    async def _mqtt(self, arrived: asyncio.Queue[Arrived]) -> AsyncIterator[None]:
        import zmqtt
        from faststream.mqtt.utils import parse_mqtt_url

        place = parse_mqtt_url(self.url)
        client = zmqtt.MQTTClient(
            host=place.host, port=place.port, username=place.username, password=place.password, version="5.0"
        )
        await client.connect()
        subscription = client.subscribe(self.place, qos=zmqtt.QoS.AT_LEAST_ONCE)
        await subscription.start()

        async def read() -> None:
            while True:
                message = await subscription.get_message()
                assert message.qos == zmqtt.QoS.AT_LEAST_ONCE
                assert message.properties is not None
                headers = dict(message.properties.user_properties)
                arrived.put_nowait(Arrived(bytes(message.payload), message.properties.content_type or "", headers))

        task = asyncio.create_task(read())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await subscription.stop()
        await client.disconnect()

    @contextlib.asynccontextmanager
    async def _kafka(self, arrived: asyncio.Queue[Arrived]) -> AsyncIterator[None]:
        import aiokafka

        consumer = aiokafka.AIOKafkaConsumer(
            self.place,
            bootstrap_servers=self.url.partition("://")[2],
            auto_offset_reset="earliest",
            metadata_max_age_ms=500,
        )
        await consumer.start()

        async def read() -> None:
            async for message in consumer:
                headers = {key: value.decode() for key, value in message.headers}
                arrived.put_nowait(Arrived(message.value, headers.pop("content-type"), headers))

        task = asyncio.create_task(read())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()


@pytest.mark.parametrize("mode", ["Queue", "Topic"])
async def test_the_exact_bytes_arrive_with_type_id_and_signature(kind: str, url: str, mode: str) -> None:
    name = f"{uuid.uuid4().hex}"
    delivery = a_message(name, mode)
    async with Reader(kind, url, name, mode).open() as arrived, sender(url) as broker:
        report = await broker.send(delivery)
        assert (report.outcome, report.error) == ("ok", None)
        assert report.address is not None
        assert "guest" not in report.address
        message = await asyncio.wait_for(arrived.get(), 20)
    assert message.body == delivery.body
    assert message.content_type == "application/xml"
    assert message.headers["webhook-id"] == delivery.delivery_id
    found = receive(message.body, message.headers, secrets=SECRET)
    assert found.delivery_id == delivery.delivery_id


async def test_a_queue_that_nobody_made_is_made_and_keeps_the_message(kind: str, url: str) -> None:
    if kind == "mqtt":
        pytest.skip("MQTT keeps nothing for those who never subscribed")
    name = uuid.uuid4().hex
    delivery = a_message(name)
    async with sender(url) as broker:
        assert (await broker.send(delivery)).outcome == "ok"
        async with Reader(kind, url, name, "Queue").open() as arrived:
            assert (await asyncio.wait_for(arrived.get(), 20)).body == delivery.body


async def test_many_messages_at_once_all_arrive(kind: str, url: str) -> None:
    name = uuid.uuid4().hex
    deliveries = [a_message(name) for _ in range(50)]
    async with Reader(kind, url, name, "Queue").open() as arrived, sender(url) as broker:
        reports = await asyncio.gather(*(broker.send(delivery) for delivery in deliveries))
        assert {report.outcome for report in reports} == {"ok"}
        ids = {(await asyncio.wait_for(arrived.get(), 20)).headers["webhook-id"] for _ in deliveries}
    assert ids == {delivery.delivery_id for delivery in deliveries}


@pytest.mark.parametrize("fault", ["cut", "blocked"])
async def test_a_broker_that_fails_is_tried_again_until_it_takes_the_message(kind: str, url: str, fault: str) -> None:
    if kind == "kafka":
        pytest.skip("Kafka tells its clients its own address, past the proxy")
    name = uuid.uuid4().hex
    first, second = a_message(name), a_message(name)
    async with proxy_to(url) as proxy, Reader(kind, url, name, "Queue").open() as arrived:
        ledger = MemoryLedger()
        publish = sender(proxy.url(url), timeout_seconds=1.0, connect_timeout_seconds=0.5)
        config = DispatchConfig(Schedule((0.1,) * 40, jitter=0.0))
        dispatcher = Dispatcher(ledger, {"TDMQ": publish}, config=config, random=Random(0))
        stop = asyncio.Event()
        running = asyncio.create_task(dispatcher.run(stop))
        ledger.owe(first)
        await ledger.until_ended(20)
        if fault == "cut":
            proxy.cut()
        else:
            proxy.blocked = True
        ledger.owe(second)
        await ledger.until(lambda: second.delivery_id in ledger.reports, 20)
        assert ledger.state(second.delivery_id) is DeliveryState.PENDING
        assert ledger.reports[second.delivery_id][0].outcome in ("connection", "timed_out")
        proxy.mend()
        await ledger.until_ended(30)
        stop.set()
        await running
        assert ledger.state(second.delivery_id) is DeliveryState.DELIVERED
        got = [await asyncio.wait_for(arrived.get(), 20)]
        while got[-1].headers["webhook-id"] != second.delivery_id:
            got.append(await asyncio.wait_for(arrived.get(), 20))
    assert got[-1].body == second.body


async def test_a_broker_that_fell_silent_does_not_hold_up_the_stop(kind: str, url: str) -> None:
    if kind == "kafka":
        pytest.skip("Kafka tells its clients its own address, past the proxy")
    name = uuid.uuid4().hex
    async with proxy_to(url) as proxy, Reader(kind, url, name, "Queue").open():
        async with sender(proxy.url(url)) as broker:
            assert (await broker.send(a_message(name))).outcome == "ok"
            proxy.blocked = True
            before = time.monotonic()
        assert time.monotonic() - before < 9, "it waits for an answer"


async def test_an_acknowledgement_that_takes_its_time_is_waited_for(kind: str, url: str) -> None:
    if kind == "kafka":
        pytest.skip("Kafka tells its clients its own address, past the proxy")
    name = uuid.uuid4().hex
    async with proxy_to(url) as proxy, Reader(kind, url, name, "Queue").open(), sender(proxy.url(url)) as broker:
        assert (await broker.send(a_message(name))).outcome == "ok"
        proxy.late_seconds = 0.8
        report = await broker.send(a_message(name))
    assert (report.outcome, report.error) == ("ok", None)
    assert report.duration_seconds > 0.8


async def test_a_redis_that_was_demoted_is_left_for_the_one_that_took_over() -> None:
    """The server of the first connection has become a replica; the address leads to its successor since."""
    answers = {
        b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n",
        b"XADD": b"-READONLY You can't write against a read only replica.\r\n",
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = dict(answers)
        answers[b"XADD"] = b"$3\r\n1-0\r\n"
        while head := await reader.readline():
            words = []
            for _ in range(int(head[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2])
            writer.write(said.get(words[0].upper(), b"+OK\r\n"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with sender(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as broker:
        first, second = [await broker.send(a_message("a")) for _ in range(2)]
    server.close()
    assert first.outcome == "connection"
    assert "read only replica" in (first.error or "")
    assert (second.outcome, second.error) == ("ok", None)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_broker_that_is_not_there_is_a_failed_try(kind: str, unused_tcp_port: int) -> None:
    async with sender(f"{kind}://user:secret-word@127.0.0.1:{unused_tcp_port}", connect_timeout_seconds=3.0) as broker:
        reports = await asyncio.gather(*(broker.send(a_message("a")) for _ in range(3)))
    assert {report.outcome for report in reports} <= {"connection", "timed_out"}
    assert not any("secret-word" in f"{report.error} {report.address}" for report in reports)


async def test_a_topic_without_a_subscriber_is_not_taken_by_amqp() -> None:
    url = broker_url("amqp")
    if url is None:
        pytest.skip("SMARTCOVER_TEST_AMQP_URL names no broker")
    name = uuid.uuid4().hex
    async with sender(url) as broker:
        report = await broker.send(a_message(name, "Topic"))
        assert report.outcome == "connection"
        assert "no queue gets what is sent to the exchange" in (report.error or "")
        async with Reader("amqp", url, name, "Topic").open() as arrived:
            assert (await broker.send(a_message(name, "Topic"))).outcome == "ok"
            await asyncio.wait_for(arrived.get(), 20)


async def test_an_operators_own_queue_is_used_as_it_is_by_amqp() -> None:
    import aio_pika

    url = broker_url("amqp")
    if url is None:
        pytest.skip("SMARTCOVER_TEST_AMQP_URL names no broker")
    name = uuid.uuid4().hex
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    queue = await channel.declare_queue(f"smartcovertest-{name}", durable=True, arguments={"x-max-length": 5})
    async with sender(url) as broker:
        assert (await broker.send(a_message(name))).outcome == "ok"
    assert await queue.get(timeout=5, no_ack=True) is not None
    await queue.delete(if_empty=False)
    await connection.close()


async def test_nats_keeps_one_of_a_repeated_try_and_both_when_the_operator_asks_again() -> None:
    url = broker_url("nats")
    if url is None:
        pytest.skip("SMARTCOVER_TEST_NATS_URL names no broker")
    name = uuid.uuid4().hex
    delivery = a_message(name)
    async with Reader("nats", url, name, "Queue").open() as arrived, sender(url) as broker:
        for tried in (delivery, replace(delivery, tries=2), replace(delivery, tries=3, redelivery=True)):
            assert (await broker.send(tried)).outcome == "ok"
        for _ in range(2):
            await asyncio.wait_for(arrived.get(), 20)
        await asyncio.sleep(0.2)
        assert arrived.empty()

"""
Handing one message to a broker so that the broker answers for it, for each kind of broker that is known.

Each publisher connects once and then publishes many messages at a time. It returns when the broker has confirmed the
message and in no other case: AMQP with publisher confirms and `mandatory`, JetStream with its acknowledgement, Redis
by the id of the stream's entry, Kafka with all in-sync replicas, MQTT with QoS 1. Where nothing takes the message yet
(no queue, no stream), it is made first, durable; what the operator made beforehand is used as it is.

The clients come with faststream, of the extra `mq`; they are imported when a publisher is made.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from smartcover.callbacks.broker_url import Broker
from smartcover.errors import SettingsError

CONTENT_TYPE_HEADER: Final = "content-type"
#: Name of the field that holds the body in an entry of a Redis stream; the headers are fields beside it.
REDIS_BODY_FIELD: Final = "body"
#: How long a stream that we make for a NATS topic keeps messages that nobody deletes.
NATS_TOPIC_SECONDS: Final = 7 * 86400.0

#: Beyond the time of any try, which is what ends the wait for JetStream's acknowledgement.
_NATS_WAIT_SECONDS: Final = 3600.0

_CLIENT_NAME: Final = "smartcover"


class NotTaken(Exception):
    """The broker answered, and did not take the message; the connection is sound."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """
    A message about to be published.

    `place` is the full name of the queue, or of the topic when `topic` is set. `headers` are those of the callback
    without its content type. `message_id` is the same only for tries of which the broker should keep one.
    """

    place: str
    topic: bool
    body: bytes
    content_type: str
    headers: Mapping[str, str]
    message_id: str


class Publisher(Protocol):
    """A connection to a broker."""

    #: What the client raises when the broker or the way to it fails.
    faults: tuple[type[BaseException], ...]

    async def open(self) -> None:
        """Connect, or raise one of `faults`."""

    async def publish(self, message: Outgoing) -> None:
        """Return once the broker has the message; else raise `NotTaken` or one of `faults`."""

    async def close(self) -> None:
        """Disconnect."""


def make_publisher(broker: Broker, tls: ssl.SSLContext) -> Publisher:
    """
    Make the publisher of a broker, not connected.

    Raises:
        SettingsError: If the extra that brings its client is not installed, or the client cannot use the URL.
    """
    makers: dict[str, type[Any]] = {
        "amqp": AmqpPublisher,
        "nats": NatsPublisher,
        "redis": RedisPublisher,
        "kafka": KafkaPublisher,
        "mqtt": MqttPublisher,
    }
    try:
        publisher: Publisher = makers[broker.kind](broker, tls)
    except ImportError as error:
        raise SettingsError(
            f"SMARTCOVER_BROKER_URL needs {error.name}, which is not installed; "
            'install it with: pip install "smartcover[mq]"'
        ) from error
    except ValueError as error:
        # Not with the text of the client: it may repeat the URL and its password.
        raise SettingsError(
            f"SMARTCOVER_BROKER_URL names {broker.label}, and its client cannot read the rest of the URL"
        ) from error
    return publisher


def _security(broker: Broker, tls: ssl.SSLContext) -> Any:
    from faststream.security import BaseSecurity

    return BaseSecurity(ssl_context=tls, use_ssl=True) if broker.tls else None


class AmqpPublisher:
    """
    RabbitMQ and its kin. A queue is reached through the default exchange, a topic is a topic exchange of that name.

    A message that no queue would get is not taken: a topic needs its subscribers' queues bound before.
    """

    def __init__(self, broker: Broker, tls: ssl.SSLContext) -> None:
        import aio_pika.exceptions
        import faststream.rabbit as rabbit

        self.faults: tuple[type[BaseException], ...] = (aio_pika.exceptions.AMQPError, OSError, RuntimeError)
        self._rabbit = rabbit
        self._unroutable = aio_pika.exceptions.DeliveryError
        self._is_otherwise = aio_pika.exceptions.ChannelPreconditionFailed
        self._broker = rabbit.RabbitBroker(
            broker.url,
            security=_security(broker, tls),
            app_id=_CLIENT_NAME,
            logger=None,
            default_channel=rabbit.Channel(publisher_confirms=True, on_return_raises=True),
            on_close=[self._note_loss],
        )
        self._connection: Any = None
        self._lost = False
        self._exchanges: set[str] = set()

    def _note_loss(self, *_: object) -> None:
        self._lost = True

    async def open(self) -> None:
        self._connection = await self._broker.connect()

    async def publish(self, message: Outgoing) -> None:
        if self._lost:  # a client that repairs itself would hold the try back instead of failing it
            raise ConnectionError("the broker closed the connection")
        if message.topic:
            if message.place not in self._exchanges:
                await self._make(message)
                self._exchanges.add(message.place)
            await self._send(message)
            return
        try:
            await self._send(message)
        except NotTaken:
            await self._make(message)
            await self._send(message)

    async def _send(self, message: Outgoing) -> None:
        exchange = None
        if message.topic:
            kind = self._rabbit.ExchangeType.TOPIC
            exchange = self._rabbit.RabbitExchange(message.place, type=kind, durable=True, declare=False, robust=False)
        try:
            await self._broker.publish(
                message.body,
                routing_key=message.place,
                exchange=exchange,
                mandatory=True,
                persist=True,
                content_type=message.content_type,
                headers=dict(message.headers),
                message_id=message.headers.get("webhook-id"),
                correlation_id=message.headers.get("webhook-id"),
            )
        except self._unroutable as fault:
            kind_of_place = "exchange" if message.topic else "queue"
            raise NotTaken(f"no queue gets what is sent to the {kind_of_place} {message.place!r}") from fault

    async def _make(self, message: Outgoing) -> None:
        """Declare the queue or exchange; one that the operator declared otherwise stays as it is."""
        # On a channel of its own: a declaration that does not fit closes its channel, and tries share the other one.
        with suppress(self._is_otherwise):
            async with self._connection.channel() as channel:
                if message.topic:
                    await channel.declare_exchange(message.place, "topic", durable=True, robust=False)
                else:
                    await channel.declare_queue(message.place, durable=True, robust=False)

    async def close(self) -> None:
        await self._broker.stop()


class NatsPublisher:
    """
    NATS JetStream. Queue or topic are a subject; the stream that holds it is made when there is none.

    The stream of a queue gives each message to one consumer and forgets it then; that of a topic keeps a week.
    """

    def __init__(self, broker: Broker, tls: ssl.SSLContext) -> None:
        import faststream.nats as nats_stream
        import nats.errors
        import nats.js.api
        import nats.js.errors

        self.faults: tuple[type[BaseException], ...] = (nats.errors.Error, OSError)
        self._api = nats.js.api
        self._no_stream = nats.js.errors.NotFoundError
        self._refused = (nats.js.errors.APIError, nats.js.errors.NoStreamResponseError)
        login = "" if broker.username is None else broker.url.partition("://")[2].rpartition("@")[0] + "@"
        self._broker = nats_stream.NatsBroker(
            [f"{'tls' if broker.tls else 'nats'}://{login}{host}" for host in broker.hosts],
            security=_security(broker, tls),
            name=_CLIENT_NAME,
            allow_reconnect=False,  # a lost connection fails the try at once, and the next try makes a new one
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            logger=None,
        )
        self._client: Any = None
        self._streams: dict[str, str] = {}

    async def open(self) -> None:
        self._client = await self._broker.connect()

    async def publish(self, message: Outgoing) -> None:
        try:
            stream = self._streams.get(message.place) or await self._stream(message)
            await self._broker.publish(
                message.body,
                message.place,
                headers={
                    **message.headers,
                    CONTENT_TYPE_HEADER: message.content_type,
                    self._api.Header.MSG_ID.value: message.message_id,
                },
                correlation_id=message.headers.get("webhook-id"),
                stream=stream,
                timeout=_NATS_WAIT_SECONDS,  # faststream's own is half a second
            )
        except self._refused as fault:
            self._streams.pop(message.place, None)  # the stream may have been removed or renamed
            raise NotTaken(f"JetStream: {fault}") from fault
        self._streams[message.place] = stream

    async def _stream(self, message: Outgoing) -> str:
        jet = self._client.jetstream()
        try:
            return str(await jet.find_stream_name_by_subject(message.place))
        except self._no_stream:
            name = _stream_name(message.place)
        policies = self._api.RetentionPolicy
        await jet.add_stream(
            name=name,
            subjects=[message.place],
            storage=self._api.StorageType.FILE,
            retention=policies.LIMITS if message.topic else policies.WORK_QUEUE,
            max_age=NATS_TOPIC_SECONDS if message.topic else 0,
        )
        return name

    async def close(self) -> None:
        if self._client is not None:
            with suppress(*self.faults):
                # Before faststream drains it: what was published is acknowledged, and a drain waits for a silent
                # server for ten seconds and lets nobody cut that short.
                await self._client.close()
        with suppress(*self.faults):
            await self._broker.stop()


class RedisPublisher:
    """
    Redis streams. Queue and topic are a stream of that name; readers of a queue share one consumer group.

    An entry holds the body and each header as a field of its own, for any client to read. Nothing is trimmed.
    """

    def __init__(self, broker: Broker, tls: ssl.SSLContext) -> None:
        import faststream.redis as redis_stream
        import redis.exceptions

        self.faults: tuple[type[BaseException], ...] = (redis.exceptions.RedisError, OSError)
        self._refused = redis.exceptions.ResponseError
        self._demoted = (redis.exceptions.ReadOnlyError, redis.exceptions.MasterDownError)
        options: dict[str, Any] = {"logger": None, "client_name": _CLIENT_NAME}
        self._broker = redis_stream.RedisBroker(broker.url, security=_security(broker, tls), **options)
        self._client: Any = None

    async def open(self) -> None:
        self._client = await self._broker.connect()

    async def publish(self, message: Outgoing) -> None:
        fields = {
            REDIS_BODY_FIELD: message.body,
            CONTENT_TYPE_HEADER: message.content_type,
            **message.headers,
        }
        try:
            await self._client.xadd(message.place, fields)
        except self._demoted as fault:  # a new connection finds the server that took over, this one never would
            raise ConnectionError(f"Redis: {fault}") from fault
        except self._refused as fault:
            raise NotTaken(f"Redis: {fault}") from fault

    async def close(self) -> None:
        if self._client is not None:
            await self._client.connection_pool.disconnect()  # the broker closes its client only
        await self._broker.stop()


class KafkaPublisher:
    """Kafka. Queue and topic are a topic of that name; readers of a queue share one consumer group."""

    def __init__(self, broker: Broker, tls: ssl.SSLContext) -> None:
        import aiokafka.errors
        import faststream.kafka as kafka
        from faststream.security import SASLPlaintext

        self.faults: tuple[type[BaseException], ...] = (aiokafka.errors.KafkaError, OSError)
        self._hosts = broker.hosts
        security = _security(broker, tls)
        if broker.username is not None:
            security = SASLPlaintext(
                broker.username, broker.password or "", ssl_context=tls if broker.tls else None, use_ssl=broker.tls
            )
        self._broker = kafka.KafkaBroker(
            list(broker.hosts),
            security=security,
            client_id=_CLIENT_NAME,
            acks="all",
            enable_idempotence=True,
            logger=None,
        )

    async def open(self) -> None:
        await self._reach()
        await self._broker.connect()

    async def _reach(self) -> None:
        """See that one of the hosts listens: a client that finds none is left behind half open by faststream."""
        for last, place in enumerate(self._hosts, start=1 - len(self._hosts)):
            host, _, port = place.rpartition(":")
            try:
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            except OSError:
                if last == 0:
                    raise
            else:
                writer.close()
                return

    async def publish(self, message: Outgoing) -> None:
        await self._broker.publish(
            message.body,
            topic=message.place,
            headers={**message.headers, CONTENT_TYPE_HEADER: message.content_type},
            correlation_id=message.headers.get("webhook-id"),
        )

    async def close(self) -> None:
        await self._broker.stop()


class MqttPublisher:
    """
    MQTT 5. Queue and topic are a topic of that name; readers of a queue use a shared subscription.

    MQTT keeps nothing for who never subscribed: a reader needs a session that outlives its connection.
    """

    def __init__(self, broker: Broker, tls: ssl.SSLContext) -> None:
        import faststream.mqtt as mqtt
        import zmqtt

        self.faults: tuple[type[BaseException], ...] = (zmqtt.MQTTError, OSError)
        self._refused = (zmqtt.MQTTPublishError, zmqtt.MQTTInvalidTopicError)
        self._at_least_once = zmqtt.QoS.AT_LEAST_ONCE
        self._broker = mqtt.MQTTBroker(
            broker.url,
            security=self._login(broker, tls),
            version="5.0",
            reconnect=zmqtt.ReconnectConfig(enabled=False),
            codec=_TypedCodec(),
            logger=None,
        )

    @staticmethod
    def _login(broker: Broker, tls: ssl.SSLContext) -> Any:
        from faststream.security import SASLPlaintext

        if broker.username is None or not broker.tls:
            return _security(broker, tls)  # the URL carries the rest
        return SASLPlaintext(broker.username, broker.password or "", ssl_context=tls, use_ssl=True)

    async def open(self) -> None:
        await self._broker.connect()

    async def publish(self, message: Outgoing) -> None:
        body = _TypedBody(message.body)
        body.content_type = message.content_type
        try:
            await self._broker.publish(
                body,
                message.place,
                qos=self._at_least_once,
                headers=dict(message.headers),
                correlation_id=message.headers.get("webhook-id"),
            )
        except self._refused as fault:
            raise NotTaken(f"MQTT: {fault}") from fault

    async def close(self) -> None:
        await self._broker.stop()


class _TypedBody(bytes):
    """A body that knows its content type: faststream takes one for AMQP and derives it for MQTT."""

    content_type: str | None = None


class _TypedCodec:
    """Writes bodies as they are, with the content type they know."""

    async def encode(self, msg: Any, serializer: object = None) -> tuple[bytes, str | None]:
        """Give the bytes and their type."""
        return bytes(msg), getattr(msg, "content_type", None)

    async def decode(self, msg: Any) -> bytes:
        """Give the bytes."""
        return bytes(msg.body)


def _stream_name(subject: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", subject)
    if plain == subject:
        return subject
    return f"{plain}_{hashlib.sha256(subject.encode()).hexdigest()[:8]}"

"""Which brokers and names can be used, told at start and at submit and without secrets."""

from __future__ import annotations

import pytest

from smartcover.callbacks import EgressPolicy, QueueConfig, QueueSender, check_target, read_broker
from smartcover.callbacks.broker_url import place_of
from smartcover.errors import BadParameter, SettingsError
from smartcover.ledger import CallbackTarget

POLICY = EgressPolicy()


def a_queue(name: str) -> CallbackTarget:
    return CallbackTarget(kind="TDMQ", mq_mode="Queue", mq_name=name, mq_region="sh")


@pytest.mark.parametrize(
    ("url", "kind", "tls", "label"),
    [
        ("amqp://user:pass@mq/vhost", "amqp", False, "amqp://mq:5672"),
        ("amqps://mq", "amqp", True, "amqp://mq:5671"),
        ("nats://a,b:4333", "nats", False, "nats://a:4222,b:4333"),
        ("nats+tls://u:p@a", "nats", True, "nats://a:4222"),
        ("redis://:secret@[::1]:7000/2", "redis", False, "redis://[::1]:7000"),
        ("rediss://cache", "redis", True, "redis://cache:6379"),
        ("kafka://k1:9092,k2", "kafka", False, "kafka://k1:9092,k2:9092"),
        ("kafka+tls://u:p@k1", "kafka", True, "kafka://k1:9093"),
        ("mqtt://broker", "mqtt", False, "mqtt://broker:1883"),
        ("MQTTS://broker", "mqtt", True, "mqtt://broker:8883"),
    ],
)
def test_a_broker_is_read_from_its_url(url: str, kind: str, tls: bool, label: str) -> None:
    broker = read_broker(url)
    assert (broker.kind, broker.tls, broker.label) == (kind, tls, label)
    assert "pass" not in repr(broker)
    assert "secret" not in repr(broker)


def test_user_and_password_are_unquoted() -> None:
    broker = read_broker("kafka://a%40b:p%3Aq@k1")
    assert (broker.username, broker.password) == ("a@b", "p:q")


@pytest.mark.parametrize(
    "url", ["", "localhost:5672", "http://x:secretword@mq", "amqp://", "amqp://a,b", "redis://h:99999", "nats://[::1"]
)
def test_an_unusable_url_is_told_with_the_setting_and_without_secrets(url: str) -> None:
    with pytest.raises(SettingsError, match="SMARTCOVER_BROKER_URL") as caught:
        read_broker(url)
    assert "secretword" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "good", "bad"),
    [
        ("amqp://mq", ["covers", "a b", "封面"], ["amq.covers", "x" * 256, ""]),
        ("nats://mq", ["covers", "a.b"], ["a b", "a.*", ">", "$JS.API", "a..b", ".a", ""]),
        ("redis://mq", ["covers", "a:b c"], ["", "x" * 256]),
        ("kafka://mq", ["covers", "a.b_c-9"], ["a b", "封面", ".", "..", "x" * 250, ""]),
        ("mqtt://mq", ["covers", "a/b"], ["a/#", "+", "$SYS/x", "", "x" * 256]),
    ],
)
def test_a_name_that_the_broker_cannot_have_is_refused_at_submit(url: str, good: list[str], bad: list[str]) -> None:
    broker = read_broker(url)
    for name in good:
        check_target(a_queue(name), POLICY, broker)
    for name in bad:
        with pytest.raises(BadParameter, match="MqName"):
            check_target(a_queue(name), POLICY, broker)


def test_the_prefix_stands_before_each_name_and_is_checked_too() -> None:
    assert place_of(read_broker("amqp://mq", prefix="covers."), "done") == "covers.done"
    with pytest.raises(SettingsError, match="SMARTCOVER_BROKER_PREFIX"):
        read_broker("kafka://mq", prefix="a b")


def test_without_a_broker_the_refusal_names_the_setting() -> None:
    with pytest.raises(BadParameter, match="SMARTCOVER_BROKER_URL"):
        check_target(a_queue("covers"), POLICY, None)


def test_a_url_is_still_held_against_the_policy() -> None:
    check_target(CallbackTarget(url="https://example.com/cb"), POLICY, None)
    with pytest.raises(BadParameter, match="SMARTCOVER_CALLBACK_ALLOW"):
        check_target(CallbackTarget(url="http://10.0.0.1/"), POLICY, None)


def test_a_missing_client_is_told_when_the_server_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "faststream.rabbit", None)
    with pytest.raises(SettingsError, match=r'pip install "smartcover\[mq\]"'):
        QueueSender(QueueConfig(read_broker("amqp://mq")), now=lambda: pytest.fail("not asked"))

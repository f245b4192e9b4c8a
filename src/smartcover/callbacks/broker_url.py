"""
The address of a message broker, and which names it can give a queue or a topic.

Pure, and free of any broker's client: the API judges a name at submit without being able to publish.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, urlsplit

from smartcover.errors import BadParameter, SettingsError

_SETTING: Final = "SMARTCOVER_BROKER_URL"

#: Scheme to (kind of broker, whether it is TLS, port when none is given).
_SCHEMES: Final[Mapping[str, tuple[str, bool, int]]] = MappingProxyType(
    {
        "amqp": ("amqp", False, 5672),
        "amqps": ("amqp", True, 5671),
        "nats": ("nats", False, 4222),
        "nats+tls": ("nats", True, 4222),
        "redis": ("redis", False, 6379),
        "rediss": ("redis", True, 6379),
        "kafka": ("kafka", False, 9092),
        "kafka+tls": ("kafka", True, 9093),
        "mqtt": ("mqtt", False, 1883),
        "mqtts": ("mqtt", True, 8883),
    }
)

_KAFKA_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_NATS_NAME: Final = re.compile(r"[^\s.*>$]+(?:\.[^\s.*>]+)*")
_MQTT_NAME: Final = re.compile(r"[^+#$\x00]+")
_LONGEST_NAME_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class Broker:
    """
    A message broker of the operator.

    Args:
        kind: amqp, nats, redis, kafka or mqtt.
        url: As its client takes it, with user and password; never shown.
        hosts: Each `host:port`; more than one for kafka and nats.
        prefix: Stands before every name of a queue or topic.
    """

    kind: str
    tls: bool
    url: str = field(repr=False)
    hosts: tuple[str, ...]
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    prefix: str = ""

    @property
    def label(self) -> str:
        """The address without its secrets, for reports."""
        return f"{self.kind}://{','.join(self.hosts)}"


def read_broker(url: str, *, prefix: str = "") -> Broker:
    """
    Read the setting that names the broker.

    Raises:
        SettingsError: If it is no URL of a broker that is known; the text shows no user and no password.
    """
    scheme, separator, rest = url.strip().partition("://")
    known = _SCHEMES.get(scheme.lower())
    if not separator or known is None:
        shown = scheme[:20] if separator else "no scheme"
        raise SettingsError(f"{_SETTING} begins with {shown!r}; give one of {', '.join(f'{s}://' for s in _SCHEMES)}")
    kind, tls, port = known
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, at, places = authority.rpartition("@")
    hosts = tuple(_host(place.strip(), port) for place in places.split(","))
    if len(hosts) > 1 and kind not in ("kafka", "nats"):
        raise SettingsError(f"{_SETTING} names {len(hosts)} hosts; {kind} takes one")
    username, colon, password = login.partition(":")
    broker = Broker(
        kind=kind,
        tls=tls,
        url=f"{'tls' if kind == 'nats' and tls else scheme.lower()}://{rest}",
        hosts=hosts,
        username=unquote(username) if at else None,
        password=unquote(password) if colon else None,
        prefix=prefix,
    )
    try:
        place_of(broker, "name")
    except BadParameter as error:
        raise SettingsError(f"SMARTCOVER_BROKER_PREFIX: {error.public}") from error
    return broker


def place_of(broker: Broker, name: str) -> str:
    """
    Give the full name of a queue or topic at the broker: the prefix and the name.

    Raises:
        BadParameter: If the broker cannot have such a name.
    """
    place = broker.prefix + name
    fits, rule = _RULES[broker.kind]
    if not name or len(place.encode("utf-8", "replace")) > _LONGEST_NAME_BYTES or not fits(place):
        raise BadParameter(f"MqName gives the name {place[:80]!r}, which {broker.kind} cannot have; give {rule}")
    return place


#: Kind to (whether a full name fits, how to choose one that does).
_RULES: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = MappingProxyType(
    {
        "amqp": (lambda place: not place.startswith("amq."), "at most 255 bytes that do not begin with amq."),
        "nats": (
            lambda place: _NATS_NAME.fullmatch(place) is not None,
            "at most 255 bytes without blanks, * and >, with no $ in the first word and no empty word between dots",
        ),
        "redis": (bool, "at most 255 bytes"),
        "kafka": (
            lambda place: _KAFKA_NAME.fullmatch(place) is not None and place not in (".", ".."),
            "1 to 249 letters, digits, dots, underscores and hyphens",
        ),
        "mqtt": (lambda place: _MQTT_NAME.fullmatch(place) is not None, "at most 255 bytes without +, # and $"),
    }
)


def _host(place: str, port: int) -> str:
    try:
        parts = urlsplit(f"//{place}")
        host, number = parts.hostname, parts.port or port
    except ValueError as error:
        raise SettingsError(f"{_SETTING} names {place[:80]!r}, which is not host or host:port") from error
    if not host:
        raise SettingsError(f"{_SETTING} names no host; give for example amqp://user:password@host:5672/")
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"

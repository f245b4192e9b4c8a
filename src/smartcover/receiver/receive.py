"""A callback as it came in, made ready for use in one step: verified, parsed, with the id that tells repetitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from smartcover.errors import BadSignature, MalformedCallback, ReceiverError, StaleCallback
from smartcover.receiver.models import TaskFinish, WorkflowFinish
from smartcover.receiver.parse import MAX_CALLBACK_BYTES, parse
from smartcover.receiver.verify import DEFAULT_TOLERANCE_SECONDS, ID_HEADER, header_of, verify


@dataclass(frozen=True, slots=True)
class Received:
    """
    A callback and its delivery.

    `delivery_id` is the same on every try; None when the sender gives none, as Tencent Cloud does. `verified` tells
    whether a signature was checked.
    """

    callback: TaskFinish | WorkflowFinish
    delivery_id: str | None
    verified: bool


def receive(
    body: bytes,
    headers: Mapping[str, str],
    *,
    secrets: str | Iterable[str] = (),
    tolerance_seconds: float = DEFAULT_TOLERANCE_SECONDS,
    max_bytes: int = MAX_CALLBACK_BYTES,
    now: datetime | None = None,
) -> Received:
    """
    Verify and read a callback. Without secrets nothing is verified.

    Raises:
        BadSignature, StaleCallback: If it is not from who knows a secret, or too old.
        MalformedCallback: If it is not a callback.
    """
    keys = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    if len(body) > max_bytes:  # before any work on it
        raise MalformedCallback(f"the body is {len(body)} bytes long; the limit is {max_bytes}")
    if keys:
        verify(body, headers, keys, tolerance_seconds=tolerance_seconds, now=now)
    callback = parse(body, header_of(headers, "content-type"), max_bytes=max_bytes)
    return Received(callback, header_of(headers, ID_HEADER), bool(keys))


def status_of(error: ReceiverError) -> int:
    """Give the HTTP status that refuses a callback: 401 when it is not proven, 400 when it cannot be read."""
    return 401 if isinstance(error, BadSignature | StaleCallback) else 400

"""
Telling a callback of one's own smartcover from a forged, changed or replayed one: Standard Webhooks 1.0.

The sender signs `webhook-id`, `webhook-timestamp` and the body with a shared secret (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from smartcover.errors import BadSignature, StaleCallback

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

DEFAULT_TOLERANCE_SECONDS: Final = 300.0

_PREFIX: Final = "whsec_"
_VERSION: Final = "v1,"
#: Signatures looked at in one header; a sender rotates two secrets, seldom three.
_MOST_SIGNATURES: Final = 20


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Iterable[str],
    *,
    tolerance_seconds: float = DEFAULT_TOLERANCE_SECONDS,
    now: datetime | None = None,
) -> str:
    """
    Make sure that a body was sent by who knows the secret, unchanged and not long ago.

    Args:
        body: The bytes as they arrived, before any framework has parsed them.
        headers: In any case of letters.
        secrets: `whsec_…`, one or several: while a secret is rotated any of them may fit.
        tolerance_seconds: How far the sender's clock may be off, in either direction.
        now: The moment to judge by, aware; the system's clock when not given.

    Returns:
        The delivery's id, the same on every try: what repeated deliveries are recognised by.

    Raises:
        BadSignature: If a header is missing or no signature fits.
        StaleCallback: If the signature fits and is too old, or from the future.
        ValueError: If a secret is not of the form `whsec_` and base64: a mistake of the receiver, not of the sender.
    """
    keys = [key_of(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise ValueError("there is no secret to verify with; give the value of SMARTCOVER_CALLBACK_SECRET")
    delivery_id, stamp, signatures = (
        _header(headers, name) for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)
    )
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise BadSignature(f"{TIMESTAMP_HEADER} is {stamp[:40]!r}; it must be seconds since 1970")
    seconds = int(stamp)
    expected = [sign(body, delivery_id, seconds, key).encode() for key in keys]
    given = [word.encode("utf-8", "replace") for word in signatures.split()[:_MOST_SIGNATURES]]
    if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in given):
        raise BadSignature(_why(signatures))
    age = (now or datetime.now(UTC)).timestamp() - seconds
    if abs(age) > tolerance_seconds:
        side = "old" if age > 0 else "ahead of this clock"
        raise StaleCallback(
            f"the callback is {abs(age):.0f} s {side}; the tolerance is {tolerance_seconds:.0f} s. "
            "It is a replay, or one of the two clocks is wrong"
        )
    return delivery_id


def sign(body: bytes, delivery_id: str, seconds: int, key: bytes) -> str:
    """Give one signature, `v1,` and base64, as it stands in `webhook-signature`."""
    signed = b".".join((delivery_id.encode("utf-8", "replace"), str(seconds).encode(), body))
    return _VERSION + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def header_of(headers: Mapping[str, str], name: str) -> str | None:
    """Give a header's value whatever the case of its name, None when it is absent or empty."""
    value = headers.get(name)
    if value is None:
        value = next((value for key, value in headers.items() if key.lower() == name), None)
    return value or None


def _header(headers: Mapping[str, str], name: str) -> str:
    value = header_of(headers, name)
    if value is None:
        raise BadSignature(
            f"the header {name} is missing: the sender signs only when SMARTCOVER_CALLBACK_SECRET is set there, or a "
            "proxy on the way took the header out"
        )
    return value


def _why(signatures: str) -> str:
    if _VERSION not in signatures:
        return f"webhook-signature holds no signature of version v1: {signatures[:60]!r}"
    return (
        "no signature fits the body. Either the secret is another one than the sender's, or the body was re-serialised "
        "or changed on its way here: verify the raw bytes, before any JSON or XML parser"
    )


def key_of(secret: str) -> bytes:
    """
    Give the key that a secret, `whsec_` and base64, holds.

    Raises:
        ValueError: If it is not of that form.
    """
    text = secret.strip().removeprefix(_PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a secret is not whsec_ followed by base64") from error

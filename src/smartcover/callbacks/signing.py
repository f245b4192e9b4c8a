"""
The signature headers of Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body.

Pure. With several secrets each signs, and the receiver takes any that fits: a secret is rotated by signing with the
old and the new one until every receiver knows the new one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from smartcover.errors import SettingsError
from smartcover.receiver import sign

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

_PREFIX: Final = "whsec_"
_MIN_KEY_BYTES: Final = 16


def read_secrets(text: str | None) -> tuple[bytes, ...]:
    """
    Read signing keys from a setting: `whsec_` and base64, several separated by commas or blanks, newest first.

    Raises:
        SettingsError: If one is not of that form; the text never repeats the secret.
    """
    words = (text or "").replace(",", " ").split()
    return tuple(_key(word, number) for number, word in enumerate(words, start=1))


def signature_headers(body: bytes, *, delivery_id: str, now: datetime, keys: Sequence[bytes]) -> dict[str, str]:
    """
    Give the headers of one try: `webhook-id` always, the time and the signatures only when there are keys.

    Args:
        now: The time of this try; receivers refuse what is minutes old, so each try is signed anew.
    """
    headers = {ID_HEADER: delivery_id}
    if keys:
        seconds = int(now.timestamp())
        headers[TIMESTAMP_HEADER] = str(seconds)
        headers[SIGNATURE_HEADER] = " ".join(sign(body, delivery_id, seconds, key) for key in keys)
    return headers


def _key(word: str, number: int) -> bytes:
    text = word.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise SettingsError(
            f"SMARTCOVER_CALLBACK_SECRET: secret {number} is not whsec_ followed by base64; make one with: "
            "python3 -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
        ) from error
    if len(key) < _MIN_KEY_BYTES:
        raise SettingsError(
            f"SMARTCOVER_CALLBACK_SECRET: secret {number} holds {len(key)} bytes; give at least {_MIN_KEY_BYTES}"
        )
    return key

"""The first key pair: from the settings, or made at the first start and kept under the data folder."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from smartcover.errors import SettingsError
from smartcover.ledger import keep_private, unusable
from smartcover.settings import Settings

_FILE = "credentials.json"
_SECRET_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """What signs requests; the secret never shows in a repr."""

    secret_id: str
    secret_key: str

    def __repr__(self) -> str:
        return f"KeyPair(secret_id={self.secret_id!r})"


def first_key_pair(settings: Settings, data: Path | None) -> tuple[KeyPair, Path | None]:
    """
    Give the key pair and the file that holds it, None when it came from the settings.

    Raises:
        SettingsError: If only one half is set, or none and there is no folder, or the file cannot be read or made.
    """
    if settings.secret_id is not None and settings.secret_key is not None:
        if not _SECRET_ID.match(settings.secret_id):
            raise SettingsError(
                f"SMARTCOVER_SECRET_ID is {settings.secret_id!r}; use 1 to 128 letters, digits, '-' and '_'"
            )
        return KeyPair(settings.secret_id, settings.secret_key.get_secret_value()), None
    if settings.secret_id is not None or settings.secret_key is not None:
        raise SettingsError("SMARTCOVER_SECRET_ID and SMARTCOVER_SECRET_KEY go together; set both or neither")
    if data is None:
        raise SettingsError("set SMARTCOVER_SECRET_ID and SMARTCOVER_SECRET_KEY, the same for every API process")
    path = data / _FILE
    try:
        if not path.exists():
            pair = {"secret_id": "AKID" + secrets.token_hex(16), "secret_key": secrets.token_urlsafe(30)}
            keep_private(path, json.dumps(pair), once=True)
        return _read(path), path
    except OSError as error:
        raise unusable(data, error) from error


def _read(path: Path) -> KeyPair:
    try:
        stored = json.loads(path.read_text())
        return KeyPair(str(stored["secret_id"]), str(stored["secret_key"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be read as a key pair; restore it, or delete it to make a new one"
        ) from error

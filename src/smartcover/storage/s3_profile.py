"""Keys of the store from a profile of the file that `aws configure` writes, read again as it changes."""

from __future__ import annotations

import configparser
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from smartcover.errors import SettingsError

_log = structlog.get_logger(__name__)

#: Whoever replaces the keys in the file keeps the old ones good for longer than this.
_READ_AGAIN_AFTER: Final = timedelta(minutes=5)
_AFTER_A_FAULT: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """Where keys lie: a profile of a credentials file. `demanded`: it was asked for by name, so it must be there."""

    path: Path
    profile: str
    demanded: bool


def keys_of_profile(
    place: SharedKeys, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Callable[[], dict[str, Any]] | None:
    """
    Make what gives the keys of a profile to the store's client, or None when the profile holds none.

    A file that cannot be read later on, as in the middle of being replaced, leaves the keys that were read before.

    Raises:
        SettingsError: If the profile was asked for and holds no keys, or the file is none of the form.
    """
    held = _read(place)
    if held is None:
        return None

    def provide() -> dict[str, Any]:
        nonlocal held
        lasts = _READ_AGAIN_AFTER
        try:
            held = _read(place) or held
        except SettingsError as error:
            _log.warning("the keys of the store cannot be read again", error=error.public)
            lasts = _AFTER_A_FAULT
        assert held is not None
        return {**held, "expires_at": now() + lasts}

    return provide


def _read(place: SharedKeys) -> dict[str, str | None] | None:
    file = configparser.RawConfigParser(default_section="")
    try:
        file.read_string(place.path.read_text("utf-8-sig"))
    except OSError as error:
        if not place.demanded:
            return None
        raise SettingsError(f"{place.path}, which should hold the keys of the store: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError):
        # From None: the parser's own words show the line, and that may be a secret.
        raise SettingsError(f"{place.path} is no credentials file as aws configure writes it") from None
    if not file.has_section(place.profile):
        if not place.demanded:
            return None
        known = ", ".join(file.sections()[:10]) or "none"
        raise SettingsError(f"{place.path} has no profile {place.profile!r} (it has {known}); correct AWS_PROFILE")
    section = file[place.profile]
    key, secret = section.get("aws_access_key_id"), section.get("aws_secret_access_key")
    if key and secret:
        return {"access_key_id": key, "secret_access_key": secret, "token": section.get("aws_session_token") or None}
    if not place.demanded and not (key or secret):
        return None
    raise SettingsError(
        f"profile {place.profile!r} of {place.path} lacks aws_access_key_id or aws_secret_access_key, and other ways "
        "to keys are not followed; aws configure export-credentials --format env gives variables"
    )

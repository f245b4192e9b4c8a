"""
The key pairs that may sign requests: the first one, and those of teams, which come and go while the server runs.

Those of teams are held in memory, so that a request asks no database about its signature. A change reaches every
process by a notification of the database within a moment, and where that is lost, within `LOOK_SECONDS`. A process
that cannot read them any more trusts what it holds for `TRUST_SECONDS` at most: a key pair may have been revoked.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from smartcover.app.credentials import KeyPair
from smartcover.errors import LedgerUnavailable, SettingsError, SmartCoverError
from smartcover.ledger import TeamKey, TeamKeys, keep_private
from smartcover.service import Access, SecretMaker, access_of, full_access
from smartcover.settings import Settings

_log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 5.0
TRUST_SECONDS: Final = 30.0
_FILE: Final = "keys.secret"
_LEAST_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class _Held:
    access: Access
    #: Secret keys, each with the moment of the monotonic clock at which it ends.
    secrets: tuple[tuple[str, float | None], ...]

    def __repr__(self) -> str:
        return f"_Held({self.access.secret_id})"


class TeamKeyRing:
    """
    A key ring with the first key pair, which may do everything, and those of teams.

    Args:
        keys: The key pairs of teams; `load` reads them, and `run` keeps reading.
        maker: Derives their secrets; None knows none of them.
    """

    def __init__(
        self,
        first: KeyPair,
        keys: TeamKeys,
        maker: SecretMaker | None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first = first
        self._first_access = full_access(first.secret_id)
        self._keys = keys
        self._maker = maker
        self._monotonic = monotonic
        self._held: Mapping[str, _Held] = {}
        self._read_at = -TRUST_SECONDS
        self._warned: frozenset[str] = frozenset()

    def secret_of(self, secret_id: str) -> tuple[str, ...] | None:
        """
        Give the secret keys of a SecretId that are in force; None when it is unknown.

        Raises:
            LedgerUnavailable: If it is not the first one and nothing was read for `TRUST_SECONDS`.
        """
        if secret_id == self._first.secret_id:
            return (self._first.secret_key,)
        now = self._monotonic()
        if now - self._read_at > TRUST_SECONDS:
            raise LedgerUnavailable("The database does not say which key pairs are in force; try again")
        held = self._held.get(secret_id)
        if held is None:
            return None
        return tuple(secret for secret, ends in held.secrets if ends is None or ends > now) or None

    def access_of(self, secret_id: str) -> Access:
        """Say what a SecretId may do."""
        if secret_id == self._first.secret_id:
            return self._first_access
        held = self._held.get(secret_id)
        return Access(secret_id) if held is None else held.access

    async def load(self) -> None:
        """Read the key pairs of teams, or raise `LedgerUnavailable` and keep what is held."""
        before = self._monotonic()
        found = await self._keys.all()
        self._held = {key.secret_id: self._hold(key, before) for key in found}
        self._read_at = before
        strange = frozenset(key.secret_id for key in found if key.seeds and not self._held[key.secret_id].secrets)
        if strange - self._warned:
            _log.warning(
                "the secrets of some key pairs were made from another SMARTCOVER_KEYS_SECRET than this process has; "
                "they cannot sign here",
                secret_ids=sorted(strange)[:20],
                count=len(strange),
            )
        self._warned = strange

    async def run(self, stop: asyncio.Event) -> None:
        """Read again at each change, and from time to time, until `stop` is set."""
        stopping = asyncio.create_task(stop.wait())
        try:
            async with self._keys.listen() as wakeups:
                while not stop.is_set():
                    changed = asyncio.create_task(wakeups.wait("keys", LOOK_SECONDS))
                    await asyncio.wait({stopping, changed}, return_when=asyncio.FIRST_COMPLETED)
                    changed.cancel()
                    try:
                        await self.load()
                    except SmartCoverError as error:
                        _log.warning("cannot read the key pairs of teams", error=error.public, detail=error.detail)
        finally:
            stopping.cancel()

    def _hold(self, key: TeamKey, read_at: float) -> _Held:
        known = []
        for seed in key.seeds:
            secret = None if self._maker is None else self._maker.secret_of(key.secret_id, seed)
            if secret is not None:
                known.append((secret, None if seed.seconds_left is None else read_at + seed.seconds_left))
        return _Held(access_of(key), tuple(known))


def secret_maker(settings: Settings, data: Path | None) -> SecretMaker | None:
    """
    Make what derives the secrets of teams' key pairs, or None when there is nothing to derive them from.

    With the embedded database, which one data folder owns, the master secret is made there at the first need. With a
    database of the operator's own, which other processes use too, it is a setting.

    Raises:
        SettingsError: If the setting is too short, or the file cannot be read.
    """
    if settings.keys_secret is not None:
        masters = [word.strip() for word in settings.keys_secret.get_secret_value().split(",")]
        if any(len(master) < _LEAST_CHARACTERS for master in masters):
            raise SettingsError(
                f"SMARTCOVER_KEYS_SECRET has a secret of fewer than {_LEAST_CHARACTERS} characters; give longer ones, "
                "such as openssl rand -hex 32 makes"
            )
        return SecretMaker(masters)
    if settings.database_url is not None or data is None:
        return None
    path = data / _FILE
    try:
        if not path.exists():
            keep_private(path, secrets.token_urlsafe(32) + "\n", once=True)
        master = path.read_text().strip()
    except OSError as error:
        raise SettingsError(f"{path} cannot be used: {error.strerror}; restore it, or let its owner read it") from error
    if len(master) < _LEAST_CHARACTERS:
        raise SettingsError(f"{path} is cut off; restore it, or delete it and make all key pairs of teams anew")
    return SecretMaker([master])


def kept_secret_maker(settings: Settings, data: Path | None) -> SecretMaker | None:
    """Give what `secret_maker` gives, but make no master secret where there is none."""
    if settings.keys_secret is None and (data is None or not (data / _FILE).exists()):
        return None
    return secret_maker(settings, data)

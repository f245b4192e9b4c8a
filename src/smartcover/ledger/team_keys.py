"""Key pairs of teams, as the database holds them: who may do what where, and what each secret is derived from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import aiosql

from smartcover.errors import BadParameter, UnknownKey
from smartcover.ledger.database import Database, notify
from smartcover.ledger.wakeups import Wakeups

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("team_keys.sql"), "asyncpg", mandatory_parameters=False)

#: Each is held by every API process, and each secret of it is tried at each of its requests.
MOST_KEYS: Final = 10_000
MOST_SECRETS: Final = 4


@dataclass(frozen=True, slots=True)
class SecretSeed:
    """
    What a secret key is derived from, together with the master secret of that fingerprint, which is not kept here.

    `seconds_left` is counted from the reading, by the clock of the database; None means until it is replaced.
    """

    salt: str
    master: str
    created_at: datetime
    ends_at: datetime | None = None
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class TeamKey:
    """
    A key pair of a team: what it may do, and the secrets that are in force, newest first.

    `buckets` are names, or beginnings of names with a star behind them; `rights` are words of the edge.
    """

    secret_id: str
    team: str
    buckets: tuple[str, ...]
    rights: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
    seeds: tuple[SecretSeed, ...]


class TeamKeys:
    """
    The key pairs of all teams. Every method raises `LedgerUnavailable` when the database does not answer.

    Each change is announced to all processes, which then read again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def listen(self) -> Wakeups:
        """Hear of changes, as the kind `keys`, inside `async with`."""
        return self._database.listen()

    async def add(
        self, secret_id: str, team: str, *, buckets: Sequence[str], rights: Sequence[str], salt: str, master: str
    ) -> TeamKey:
        """
        Store a new key pair.

        Raises:
            BadParameter: If there are `MOST_KEYS` in force.
        """
        async with self._database.transaction("add key") as connection:
            await QUERIES.lock_all(connection)
            if await QUERIES.count_active(connection) >= MOST_KEYS:
                raise BadParameter(f"there are {MOST_KEYS} key pairs, which is the limit; revoke some first")
            await QUERIES.add_key(
                connection, secret_id=secret_id, team=team, buckets=list(buckets), rights=list(rights)
            )
            await QUERIES.add_secret(connection, secret_id=secret_id, salt=salt, master=master)
            return await self._changed(connection, secret_id)

    async def rotate(self, secret_id: str, *, salt: str, master: str, keep_seconds: float) -> TeamKey:
        """
        Add a secret to a key pair; those before it end after `keep_seconds`, or earlier if they were to.

        Raises:
            UnknownKey: If there is none of that id, or it is revoked.
            BadParameter: If `MOST_SECRETS` would be in force at once.
        """
        async with self._database.transaction("rotate key") as connection:
            await QUERIES.lock_all(connection)
            await QUERIES.end_secrets(connection, secret_id=secret_id, in_seconds=keep_seconds)
            await QUERIES.drop_ended(connection, secret_id=secret_id)
            if len((await self._one(connection, secret_id)).seeds) >= MOST_SECRETS:
                raise BadParameter(
                    f"{secret_id} has {MOST_SECRETS} secrets in force, which is the limit; wait for one to end, or "
                    "end the old ones at once by keeping them for 0 seconds"
                )
            await QUERIES.add_secret(connection, secret_id=secret_id, salt=salt, master=master)
            return await self._changed(connection, secret_id)

    async def change(self, secret_id: str, *, buckets: Sequence[str], rights: Sequence[str]) -> TeamKey:
        """Set what a key pair may do where, or raise `UnknownKey`."""
        async with self._database.transaction("change key") as connection:
            await QUERIES.lock_all(connection)
            await QUERIES.change_key(connection, secret_id=secret_id, buckets=list(buckets), rights=list(rights))
            return await self._changed(connection, secret_id)

    async def revoke(self, secret_id: str) -> TeamKey:
        """End a key pair for good, with all its secrets; raises `UnknownKey` if there is none in force."""
        async with self._database.transaction("revoke key") as connection:
            await QUERIES.lock_all(connection)
            key = await self._one(connection, secret_id)
            await QUERIES.revoke_key(connection, secret_id=secret_id)
            await QUERIES.drop_secrets(connection, secret_id=secret_id)
            await notify(connection, "keys")
            return key

    async def get(self, secret_id: str) -> TeamKey:
        """Give a key pair in force, or raise `UnknownKey`."""
        async with self._database.connection("key") as connection:
            return await self._one(connection, secret_id)

    async def all(self, *, also_revoked: bool = False) -> list[TeamKey]:
        """List the key pairs by team, oldest first."""
        async with self._database.connection("keys") as connection:
            return await _read(connection, None, also_revoked)

    async def _one(self, connection: Any, secret_id: str) -> TeamKey:
        found = await _read(connection, secret_id, False)
        if not found:
            raise UnknownKey(f"no key pair {secret_id[:80]!r} is in force; smartcover keys list shows those that are")
        return found[0]

    async def _changed(self, connection: Any, secret_id: str) -> TeamKey:
        await notify(connection, "keys")
        return await self._one(connection, secret_id)


async def _read(connection: Any, secret_id: str | None, also_revoked: bool) -> list[TeamKey]:
    most = MOST_KEYS * (MOST_SECRETS + 1)
    rows = [row async for row in QUERIES.keys(connection, secret_id=secret_id, also_revoked=also_revoked, most=most)]
    return [_key(list(group)) for _, group in groupby(rows, key=lambda row: row["secret_id"])]


def _key(rows: Sequence[Any]) -> TeamKey:
    first = rows[0]
    return TeamKey(
        secret_id=first["secret_id"],
        team=first["team"],
        buckets=tuple(first["buckets"]),
        rights=tuple(first["rights"]),
        created_at=first["created_at"],
        revoked_at=first["revoked_at"],
        seeds=tuple(
            SecretSeed(row["salt"], row["master"], row["secret_created_at"], row["ends_at"], row["seconds_left"])
            for row in rows
            if row["salt"] is not None
        ),
    )

"""
Making, changing and ending key pairs of teams.

COS signatures need the secret key itself, so a hash of it would not do. Nothing that a thief of the database could
use is stored either: each secret is derived from a salt, which is stored, and a master secret, which the database
never sees. So a backup or a reader of the database signs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from smartcover.errors import BadParameter
from smartcover.ledger import SecretSeed, TeamKey, TeamKeys
from smartcover.service.access import RIGHTS, Access, bucket_pattern_fault

#: How long a replaced secret goes on working unless told otherwise: a day to bring the new one everywhere.
KEEP_OLD_SECONDS: Final = 86_400.0
MOST_KEEP_SECONDS: Final = 366 * 86_400.0
_MOST_BUCKETS: Final = 100
_TEAM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class SecretMaker:
    """
    Derives secret keys by HMAC-SHA-256. New ones come from the first of the master secrets; all of them are known.

    Args:
        masters: Each at least 16 characters; the newest first.
    """

    def __init__(self, masters: Sequence[str]) -> None:
        self._by_fingerprint = {_fingerprint(master): master for master in reversed(masters)}
        self._newest = _fingerprint(masters[0])

    def __repr__(self) -> str:
        return f"SecretMaker({self._newest})"

    @property
    def fingerprint(self) -> str:
        """What names the newest master secret and tells nothing of it."""
        return self._newest

    def secret_of(self, secret_id: str, seed: SecretSeed) -> str | None:
        """Give the secret key, or None when it came from a master secret that is not known here."""
        master = self._by_fingerprint.get(seed.master)
        return None if master is None else _derived(master, secret_id, seed.salt)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key pair with the secret that was just made for it: the only time that anybody is shown it."""

    key: TeamKey
    secret_key: str = field(repr=False)


async def add_team_key(
    keys: TeamKeys,
    maker: SecretMaker,
    team: str,
    *,
    buckets: Sequence[str],
    rights: Sequence[str],
    new_hex: Callable[[], str] = lambda: secrets.token_hex(16),
) -> IssuedKey:
    """
    Make a key pair for a team; a team may have any number of them.

    Raises:
        BadParameter: If the team's name, a bucket or a right is not one.
    """
    if _TEAM.fullmatch(team) is None:
        raise BadParameter(f"the team is {team[:80]!r}; give 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit first")
    secret_id, salt = f"AKID{new_hex()}", new_hex()
    key = await keys.add(
        secret_id,
        team,
        buckets=_buckets(buckets),
        rights=_rights(rights),
        salt=salt,
        master=maker.fingerprint,
    )
    return _issued(maker, key, salt)


async def rotate_team_key(
    keys: TeamKeys,
    maker: SecretMaker,
    secret_id: str,
    *,
    keep_seconds: float = KEEP_OLD_SECONDS,
    new_hex: Callable[[], str] = lambda: secrets.token_hex(16),
) -> IssuedKey:
    """
    Make a new secret for a key pair; the SecretId stays, and the secrets before it go on for `keep_seconds`.

    Raises:
        UnknownKey: If no such key pair is in force.
        BadParameter: If `keep_seconds` is not from 0 to a year, or too many secrets would be in force at once.
    """
    if not 0 <= keep_seconds <= MOST_KEEP_SECONDS:
        raise BadParameter(f"the old secret is to be kept for {keep_seconds:g} s; give 0 to {MOST_KEEP_SECONDS:g}")
    salt = new_hex()
    key = await keys.rotate(secret_id, salt=salt, master=maker.fingerprint, keep_seconds=keep_seconds)
    return _issued(maker, key, salt)


async def change_team_key(
    keys: TeamKeys, secret_id: str, *, buckets: Sequence[str] | None = None, rights: Sequence[str] | None = None
) -> TeamKey:
    """
    Set the buckets or the rights of a key pair, or both; None leaves them.

    Raises:
        UnknownKey: If no such key pair is in force.
        BadParameter: If a bucket or a right is not one.
    """
    key = await keys.get(secret_id)
    return await keys.change(
        secret_id,
        buckets=key.buckets if buckets is None else _buckets(buckets),
        rights=key.rights if rights is None else _rights(rights),
    )


async def overlapping_keys(keys: TeamKeys, key: TeamKey) -> list[TeamKey]:
    """Find the key pairs of other teams that may use a bucket which this one may use, too."""
    own = access_of(key)
    return [other for other in await keys.all() if other.team != key.team and own.overlaps(access_of(other))]


def access_of(key: TeamKey) -> Access:
    """Say what a key pair may do; a right that this version does not know is none."""
    return Access(
        secret_id=key.secret_id,
        team=key.team,
        buckets=key.buckets,
        rights=frozenset(right for right in RIGHTS if right.value in key.rights),
    )


def _buckets(buckets: Sequence[str]) -> list[str]:
    if not 1 <= len(buckets) <= _MOST_BUCKETS:
        raise BadParameter(f"{len(buckets)} buckets are given; give 1 to {_MOST_BUCKETS} names or patterns")
    for pattern in buckets:
        fault = bucket_pattern_fault(pattern)
        if fault is not None:
            raise BadParameter(f"the bucket {pattern[:80]!r} {fault}")
    return list(dict.fromkeys(buckets))


def _rights(rights: Sequence[str]) -> list[str]:
    known = [right.value for right in RIGHTS]
    unknown = [word for word in rights if word not in known]
    if unknown or not rights:
        raise BadParameter(
            f"the right {unknown[0][:40]!r} is not known; give some of {', '.join(known)}"
            if unknown
            else f"no right is given; give some of {', '.join(known)}"
        )
    return [word for word in known if word in rights]


def _issued(maker: SecretMaker, key: TeamKey, salt: str) -> IssuedKey:
    seed = next(seed for seed in key.seeds if seed.salt == salt)
    secret_key = maker.secret_of(key.secret_id, seed)
    assert secret_key is not None  # made with the maker's own newest master
    return IssuedKey(key, secret_key)


def _derived(master: str, secret_id: str, salt: str) -> str:
    message = f"smartcover team key\n{secret_id}\n{salt}".encode()
    digest = hmac.new(master.encode(), message, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _fingerprint(master: str) -> str:
    return hmac.new(master.encode(), b"smartcover master of team keys", hashlib.sha256).hexdigest()[:16]

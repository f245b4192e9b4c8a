"""Who may do what where: the rights of a key pair, and the buckets that it holds them in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from smartcover.errors import AccessDenied

EVERYWHERE: Final = "*"
_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}|[a-z0-9][a-z0-9.-]{0,61}\*|\*", re.ASCII)


class Right(StrEnum):
    """What a key pair may do in its buckets. None of them includes another."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"


RIGHTS: Final = tuple(Right)


@dataclass(frozen=True, slots=True)
class Access:
    """
    What a key pair may do. `buckets` are names, or beginnings of names with a star behind them; `*` is every bucket.

    Whether a bucket exists plays no part: who may not use it is told the same either way.
    """

    secret_id: str
    team: str = ""
    buckets: tuple[str, ...] = ()
    rights: frozenset[Right] = frozenset()

    @property
    def everywhere(self) -> bool:
        """Tell whether its rights hold in every bucket."""
        return EVERYWHERE in self.buckets

    @property
    def is_operator(self) -> bool:
        """Tell whether it may also manage key pairs: the right admin in every bucket is as good as all."""
        return self.everywhere and Right.ADMIN in self.rights

    def covers(self, bucket: str) -> bool:
        """Tell whether the bucket is one of its own."""
        return any(
            bucket.startswith(pattern[:-1]) if pattern.endswith("*") else bucket == pattern for pattern in self.buckets
        )

    def overlaps(self, other: Access) -> bool:
        """Tell whether some bucket, existing or not, belongs to both."""
        return any(_meet(mine, theirs) for mine in self.buckets for theirs in other.buckets)

    def require(self, right: Right, bucket: str | None = None) -> None:
        """
        Let pass who holds the right, in the bucket if one is given.

        Raises:
            AccessDenied: Else; the text names what the key pair lacks and what it has.
        """
        if right not in self.rights:
            has = ", ".join(sorted(self.rights)) or "none"
            raise AccessDenied(
                f"The call needs the right {right.value}, which the key pair {self.secret_id} does not hold (it holds "
                f"{has}); ask the operator for it"
            )
        if bucket is not None:
            self.require_bucket(bucket)

    def require_bucket(self, bucket: str) -> None:
        """Let pass who holds his rights in the bucket, or raise `AccessDenied`."""
        if not self.covers(bucket):
            raise AccessDenied(
                f"The bucket {bucket[:80]} is not one of those that the key pair {self.secret_id} may use "
                f"({self._shown()}); use one of these or ask the operator"
            )

    def _shown(self) -> str:
        shown = ", ".join(self.buckets[:5])
        return f"{shown} and {len(self.buckets) - 5} more" if len(self.buckets) > 5 else shown or "none"


def full_access(secret_id: str) -> Access:
    """Give every right in every bucket, as the first key pair has."""
    return Access(secret_id, "", (EVERYWHERE,), frozenset(Right))


def bucket_pattern_fault(pattern: str) -> str | None:
    """Say what is wrong with a bucket's name or pattern, or None."""
    if _PATTERN.fullmatch(pattern) is None:
        return "is no name and no pattern; give a name of a-z, 0-9, - and ., the beginning of names as teama-*, or *"
    return None


def _meet(one: str, other: str) -> bool:
    if one.endswith("*") and other.endswith("*"):
        return one[:-1].startswith(other[:-1]) or other[:-1].startswith(one[:-1])
    if one.endswith("*"):
        return other.startswith(one[:-1])
    return one.startswith(other[:-1]) if other.endswith("*") else one == other

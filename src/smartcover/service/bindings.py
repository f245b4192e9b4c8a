"""
Which buckets take part in media processing.

A bucket does from its making on. An unbound one keeps its objects, and what was accepted before runs to its end; but
it accepts no new work, and shows no queue until it is bound again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from smartcover.errors import NotBound
from smartcover.storage import BucketInfo, BucketStore


class BindingSource(Protocol):
    """What accepting work needs of the ledger."""

    async def is_bound(self, bucket: str) -> bool:
        """Tell whether the bucket takes part."""


class BindingLedger(BindingSource, Protocol):
    """What these use cases need of the ledger."""

    async def bind(self, bucket: str) -> None:
        """Let the bucket take part."""

    async def unbind(self, bucket: str) -> None:
        """Let the bucket take no part any more."""

    async def unbound(self) -> frozenset[str]:
        """Give the buckets that take no part."""


@dataclass(frozen=True, slots=True)
class BoundBuckets:
    """A page of buckets in order of their names, and how many fit in all."""

    buckets: tuple[BucketInfo, ...]
    total: int


async def require_bound(ledger: BindingSource, bucket: BucketInfo) -> None:
    """
    Let work for a bucket pass only while it takes part.

    Raises:
        NotBound: If the bucket was unbound.
    """
    if not await ledger.is_bound(bucket.name):
        raise NotBound(f"bucket {bucket.name} is not bound to media processing; bind it with POST /mediabucket")


async def bind_bucket(ledger: BindingLedger, bucket: BucketInfo) -> None:
    """Let a bucket take part, with the queues it had before; one that does already stays as it is."""
    await ledger.bind(bucket.name)


async def unbind_bucket(ledger: BindingLedger, bucket: BucketInfo) -> None:
    """
    Let a bucket take no part any more.

    Raises:
        NotBound: If it takes no part already.
    """
    await require_bound(ledger, bucket)
    await ledger.unbind(bucket.name)


async def list_bound_buckets(
    ledger: BindingLedger,
    store: BucketStore,
    *,
    regions: Collection[str] = (),
    names: Collection[str] = (),
    name_prefix: str = "",
    skip: int,
    limit: int,
    visible: Callable[[str], bool],
) -> BoundBuckets:
    """List the visible buckets that take part and fit everything given; empty collections ask for nothing."""
    unbound = await ledger.unbound()
    fitting = sorted(
        (
            bucket
            for bucket in await store.buckets()
            if bucket.name not in unbound
            and visible(bucket.name)
            and (not regions or bucket.region in regions)
            and (not names or bucket.name in names)
            and bucket.name.startswith(name_prefix)
        ),
        key=lambda bucket: bucket.name,
    )
    return BoundBuckets(tuple(fitting[skip : skip + limit]), len(fitting))

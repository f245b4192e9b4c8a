"""Making buckets. A bucket is bound to media processing from the start: it has its default queue at once."""

from __future__ import annotations

from typing import Protocol

from smartcover.errors import BucketMissing
from smartcover.ledger import Queue
from smartcover.storage import BucketInfo, BucketStore


class BucketBinder(Protocol):
    """What binding a new bucket needs of the ledger."""

    async def bind(self, bucket: str) -> None:
        """Let the bucket take part in media processing."""


class QueueMaker(Protocol):
    """What making a bucket needs of the ledger."""

    @property
    def bindings(self) -> BucketBinder:
        """Which buckets take part in media processing."""

    async def default_queue(self, bucket: str) -> Queue:
        """Give the bucket's default queue, made if it is missing."""


async def create_bucket(store: BucketStore, ledger: QueueMaker, name: str, region: str) -> BucketInfo:
    """
    Make a bucket, bound and with its default queue; one that exists keeps its objects, its region and its queue.

    A crash between the steps leaves a bucket without a queue; the first submit to it makes the queue.

    Raises:
        BadBucketName: If the store cannot have a bucket of that name.
    """
    bucket = await store.create_bucket(name, region)
    await _bind(ledger, bucket)
    return bucket


async def ensure_bucket(store: BucketStore, ledger: QueueMaker, name: str, region: str) -> BucketInfo:
    """
    Make a bucket if it is missing, and see that it is bound and has its default queue.

    For one that is known the store of objects is not asked: one that is away, or has lost the bucket, is the trouble of
    what needs it, and keeps nobody from starting.

    Raises:
        BadBucketName: If the store cannot have a bucket of that name.
        BucketMissing: If the bucket is new, and one of an S3 store that the operator has not made there.
    """
    try:
        bucket = await store.bucket(name)
    except BucketMissing:
        return await create_bucket(store, ledger, name, region)
    await _bind(ledger, bucket)
    return bucket


async def _bind(ledger: QueueMaker, bucket: BucketInfo) -> None:
    await ledger.bindings.bind(bucket.name)
    await ledger.default_queue(bucket.name)

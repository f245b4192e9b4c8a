"""Making buckets. A bucket is bound to media processing from the start: it has its default queue at once."""

from __future__ import annotations

from typing import Protocol

from smartcover.ledger import Queue
from smartcover.storage import BucketInfo, BucketStore


class QueueMaker(Protocol):
    """What making a bucket needs of the ledger."""

    async def default_queue(self, bucket: str) -> Queue:
        """Give the bucket's default queue, made if it is missing."""


async def create_bucket(store: BucketStore, ledger: QueueMaker, name: str, region: str) -> BucketInfo:
    """
    Make a bucket and its default queue; one that exists stays as it is, its region included.

    A crash between the two leaves a bucket without a queue; the first submit to it makes the queue.

    Raises:
        BadBucketName: If the store cannot have a bucket of that name.
    """
    bucket = await store.create_bucket(name, region)
    await ledger.default_queue(bucket.name)
    return bucket

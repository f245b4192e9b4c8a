"""Listing and changing queues, and making more of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from smartcover.errors import UnknownQueue
from smartcover.ledger import CallbackTarget, NotifyConfig, Queue, QueueLimits, QueuePage, QueueState
from smartcover.protocol import QueueNotify, QueueRequest, is_id
from smartcover.storage import BucketInfo


class QueueLedger(Protocol):
    """What these use cases need of the ledger."""

    async def default(self, bucket: str) -> Queue:
        """Give the bucket's default queue, made if it is missing."""

    async def add(self, bucket: str, name: str, limits: QueueLimits | None = None) -> Queue:
        """Make one more queue."""

    async def page(
        self,
        bucket: str,
        *,
        queue_ids: Sequence[str] | None = None,
        state: QueueState | None = None,
        skip: int = 0,
        limit: int = 10,
    ) -> QueuePage:
        """List queues that fit everything given."""

    async def change(
        self, bucket: str, queue_id: str, *, name: str, state: QueueState, notify_config: NotifyConfig
    ) -> Queue:
        """Replace what a client may set, and wake the workers."""


@dataclass(frozen=True, slots=True)
class FoundQueues:
    """A page of queues, how many fit in all, and the ids asked for that name none in this bucket."""

    queues: tuple[Queue, ...]
    total: int
    unknown_ids: tuple[str, ...] = ()


async def list_queues(
    ledger: QueueLedger,
    bucket: BucketInfo,
    *,
    queue_ids: Sequence[str] = (),
    state: QueueState | None = None,
    skip: int,
    limit: int,
) -> FoundQueues:
    """List a bucket's queues, or of them those with the ids; one that another state hides is not unknown."""
    if not queue_ids:
        await ledger.default(bucket.name)
        page = await ledger.page(bucket.name, state=state, skip=skip, limit=limit)
        return FoundQueues(page.queues, page.total)
    asked = tuple(dict.fromkeys(queue_ids))
    possible = [queue_id for queue_id in asked if is_id(queue_id, "p")]
    known = await ledger.page(bucket.name, queue_ids=possible, limit=len(asked))
    fitting = [queue for queue in known.queues if state is None or queue.state == state.value]
    known_ids = {queue.queue_id for queue in known.queues}
    return FoundQueues(
        queues=tuple(fitting[skip : skip + limit]),
        total=len(fitting),
        unknown_ids=tuple(queue_id for queue_id in asked if queue_id not in known_ids),
    )


async def change_queue(
    ledger: QueueLedger,
    bucket: BucketInfo,
    queue_id: str,
    request: QueueRequest,
    *,
    check_callback: Callable[[CallbackTarget], None],
) -> Queue:
    """
    Set a queue's name, state and receiver. A paused queue starts nothing from now on; what runs goes on.

    Args:
        check_callback: Refuses a place that no callback can go to, by raising a `RequestError`.

    Raises:
        UnknownQueue: If the bucket has no such queue.
        BadParameter: If `check_callback` refuses.
    """
    if not is_id(queue_id, "p"):
        raise UnknownQueue(f"queue {queue_id[:80]!r} does not exist in bucket {bucket.name}")
    notify = _config(request.notify)
    for event in notify.events:
        target = notify.target(event)
        if target is not None:
            check_callback(target)
    return await ledger.change(
        bucket.name,
        queue_id,
        name=request.name,
        state=QueueState(request.state),
        notify_config=notify,
    )


async def create_queue(ledger: QueueLedger, bucket: BucketInfo, name: str, limits: QueueLimits | None = None) -> Queue:
    """Make one more queue for a bucket; without `limits` it gets those that new queues get."""
    return await ledger.add(bucket.name, name, limits)


def _config(notify: QueueNotify) -> NotifyConfig:
    return NotifyConfig(
        on=notify.on,
        url=notify.url,
        kind=notify.type or "",
        events=notify.events,
        format=notify.format,
        mq_mode=notify.mq_mode,
        mq_region=notify.mq_region,
        mq_name=notify.mq_name,
        kafka=notify.kafka,
    )

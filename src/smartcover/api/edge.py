"""What every handler is given besides the request: the ports, the limits and the sources of ids and time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from smartcover.api.call import Answer, Call
from smartcover.api.config import EdgeConfig, KeyRing
from smartcover.service import JobLedger
from smartcover.storage import BucketStore


class EdgeLedger(JobLedger, Protocol):
    """What the edge needs of the ledger."""

    async def ping(self) -> None:
        """Return if the database answers, or raise `LedgerUnavailable`."""


@dataclass(frozen=True, slots=True)
class Edge:
    """
    The surroundings of a handler.

    `new_id` makes an identifier of the kind its letter names; `check_callback` raises a `RequestError` for a callback
    URL that must not be called.
    """

    ledger: EdgeLedger
    store: BucketStore
    keys: KeyRing
    config: EdgeConfig
    clock: Callable[[], datetime]
    new_id: Callable[[str], str]
    check_callback: Callable[[str], None]


Handler = Callable[[Edge, Call], Awaitable[Answer]]

"""What every handler is given besides the request: the ports, the limits and the sources of ids and time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from smartcover.api.call import Answer, Call
from smartcover.api.config import EdgeConfig, KeyRing
from smartcover.api.probes import Probes
from smartcover.ledger import CallbackTarget, Ledger
from smartcover.service import SecretMaker, require_bound
from smartcover.storage import BucketInfo, BucketStore


@dataclass(frozen=True, slots=True)
class Edge:
    """
    The surroundings of a handler.

    `new_id` makes an identifier of the kind its letter names; `check_callback` raises a `RequestError` for a place
    that no callback can go to; `probes` is what our own pages show.
    `secret_maker` makes key pairs of teams; None where the server was given no secret to make them from.
    """

    ledger: Ledger
    store: BucketStore
    keys: KeyRing
    config: EdgeConfig
    clock: Callable[[], datetime]
    new_id: Callable[[str], str]
    check_callback: Callable[[CallbackTarget], None]
    probes: Probes
    secret_maker: SecretMaker | None = None

    def retried_within_seconds(self, call: Call) -> float | None:
        """Give how far back to look for the first of a call that an SDK sends again; None for a first call."""
        retried = (call.headers.text("x-cos-sdk-retry") or "").lower() == "true"
        return self.config.sdk_retry_seconds if retried else None

    async def bound_bucket(self, call: Call) -> BucketInfo:
        """
        Look up the bucket of a call that makes or changes something of media processing.

        Raises:
            BucketMissing: If it does not exist.
            NotBound: If it takes no part in media processing.
        """
        bucket = await self.store.bucket(call.bucket)
        await require_bound(self.ledger.bindings, bucket)
        return bucket


Handler = Callable[[Edge, Call], Awaitable[Answer]]

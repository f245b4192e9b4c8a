"""One sweep of a store: uploads too old to keep, then bytes that nobody owns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta

import structlog

from smartcover.storage.bucket import Swept
from smartcover.storage.shelf import QUERIES, Register

log = structlog.get_logger(__name__)

#: Small, since a transaction stays open while the bytes go and PostgreSQL ends one that idles for long.
BATCH = 100
#: Most batches of each kind in one sweep; the rest waits for the next one.
BATCHES = 1000


class Sweeper(ABC):
    """Removes what nobody owns, in batches that hold nobody up; the ages are those of `LocalStore`."""

    def __init__(
        self,
        register: Register,
        *,
        grace: timedelta,
        unfinished_age: timedelta,
        upload_age: timedelta,
        completed_age: timedelta,
    ) -> None:
        self._register = register
        self._grace = grace
        self._unfinished_age = unfinished_age
        self._upload_age = upload_age
        self._completed_age = completed_age

    async def sweep(self, now: datetime | None) -> Swept:
        """Do one sweep as of `now`, or of the database's clock."""
        if now is None:
            async with self._register.connection("read the clock") as connection:
                now = await QUERIES.now(connection)
        assert now is not None
        uploads = await self._sweep_uploads(now)
        blobs = await self._sweep_bytes(now)
        if blobs or uploads:
            log.info("storage_swept", blobs=blobs, uploads=uploads)
        return Swept(blobs, uploads)

    @abstractmethod
    async def _sweep_bytes(self, now: datetime) -> int:
        """Remove bytes without an owner, and tell of how many blobs."""

    async def _sweep_uploads(self, now: datetime) -> int:
        total = 0
        for _ in range(BATCHES):
            async with self._register.connection("sweep uploads") as connection:
                removed = QUERIES.remove_old_uploads(
                    connection,
                    open_before=now - self._upload_age,
                    done_before=now - self._completed_age,
                    limit=BATCH,
                )
                count = len([row async for row in removed])
            total += count
            if count < BATCH:
                break
        return total

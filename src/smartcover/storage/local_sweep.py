"""Removing what nobody owns any more from the local store."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from smartcover.storage.bucket import Swept
from smartcover.storage.shelf import QUERIES, Shelf

log = structlog.get_logger(__name__)

#: Small, since a transaction stays open while the files go and PostgreSQL ends one that idles for long.
_BATCH = 100
#: Most batches of each kind in one sweep; the rest waits for the next one.
_BATCHES = 1000


class LocalSweeper:
    """Removes blobs without an owner, and uploads too old to keep, in batches that hold nobody up."""

    def __init__(
        self,
        shelf: Shelf,
        *,
        grace: timedelta,
        unfinished_age: timedelta,
        upload_age: timedelta,
        completed_age: timedelta,
    ) -> None:
        self._shelf = shelf
        self._grace = grace
        self._unfinished_age = unfinished_age
        self._upload_age = upload_age
        self._completed_age = completed_age

    async def sweep(self, now: datetime | None) -> Swept:
        """Do one sweep as of `now`, or of the database's clock."""
        if now is None:
            async with self._shelf.connection("read the clock") as connection:
                now = await QUERIES.now(connection)
        assert now is not None
        uploads = await self._sweep_uploads(now)
        blobs = await self._sweep_blobs("unfinished", now - self._unfinished_age)
        blobs += await self._sweep_blobs("dropped", now - self._grace)
        if blobs or uploads:
            log.info("storage_swept", blobs=blobs, uploads=uploads)
        return Swept(blobs, uploads)

    async def _sweep_uploads(self, now: datetime) -> int:
        total = 0
        for _ in range(_BATCHES):
            async with self._shelf.connection("sweep uploads") as connection:
                removed = QUERIES.remove_old_uploads(
                    connection,
                    open_before=now - self._upload_age,
                    done_before=now - self._completed_age,
                    limit=_BATCH,
                )
                count = len([row async for row in removed])
            total += count
            if count < _BATCH:
                break
        return total

    async def _sweep_blobs(self, reason: str, before: datetime) -> int:
        """Remove files before their rows: after a crash in between, the rows bring us back here."""
        total = 0
        for _ in range(_BATCHES):
            async with self._shelf.transaction("sweep blobs") as connection:
                found = QUERIES.take_garbage(connection, reason=reason, before=before, limit=_BATCH)
                blobs = [row["blob"] async for row in found]
                await self._shelf.in_thread("remove blobs", self._shelf.folder.remove, blobs)
                await QUERIES.forget_garbage(connection, blobs=blobs)
            total += len(blobs)
            if len(blobs) < _BATCH:
                break
        return total

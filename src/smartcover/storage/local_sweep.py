"""Removing what nobody owns any more from the local store."""

from __future__ import annotations

from datetime import datetime, timedelta

from smartcover.storage.shelf import QUERIES, Shelf
from smartcover.storage.sweeper import BATCH, BATCHES, Sweeper


class LocalSweeper(Sweeper):
    """Removes files without an owner."""

    def __init__(
        self,
        shelf: Shelf,
        *,
        grace: timedelta,
        unfinished_age: timedelta,
        upload_age: timedelta,
        completed_age: timedelta,
    ) -> None:
        super().__init__(
            shelf, grace=grace, unfinished_age=unfinished_age, upload_age=upload_age, completed_age=completed_age
        )
        self._shelf = shelf

    async def _sweep_bytes(self, now: datetime) -> int:
        blobs = await self._sweep_blobs("unfinished", now - self._unfinished_age)
        return blobs + await self._sweep_blobs("dropped", now - self._grace)

    async def _sweep_blobs(self, reason: str, before: datetime) -> int:
        """Remove files before their rows: after a crash in between, the rows bring us back here."""
        total = 0
        for _ in range(BATCHES):
            async with self._shelf.transaction("sweep blobs") as connection:
                found = QUERIES.take_garbage(connection, reason=reason, before=before, limit=BATCH)
                blobs = [row["blob"] async for row in found]
                await self._shelf.in_thread("remove blobs", self._shelf.folder.remove, blobs)
                await QUERIES.forget_garbage(connection, blobs=blobs)
            total += len(blobs)
            if len(blobs) < BATCH:
                break
        return total

"""The callbacks that ends owe, as settings say how they are written."""

from __future__ import annotations

from uuid import uuid4

from smartcover import callbacks
from smartcover.ledger import NewDelivery, Run, WhenRunEnds
from smartcover.settings import Settings


def owed_by_runs(settings: Settings) -> WhenRunEnds:
    """Say what the end of a workflow run owes."""

    def owed_by(run: Run) -> list[NewDelivery]:
        owed = callbacks.workflow_finish_delivery(
            run, delivery_id=str(uuid4()), zone_offset_minutes=settings.time_zone_offset_minutes
        )
        return [owed] if owed else []

    return owed_by

"""A batch of the ledger as the outside sees it."""

from __future__ import annotations

from smartcover.ledger.batches import Batch
from smartcover.protocol import BatchDetail


def batch_detail(batch: Batch) -> BatchDetail:
    """Describe a batch in the words of the wire."""
    return BatchDetail(
        batch_id=batch.new.batch_id,
        name=batch.new.name,
        kind=batch.new.kind,
        state=batch.state.value,
        create_time=batch.created_at,
        input_tree=batch.new.input_tree,
        operation_tree=batch.new.operation_tree,
        start_time=batch.started_at,
        end_time=batch.ended_at,
        code=batch.code,
        message=batch.message,
    )

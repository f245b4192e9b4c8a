"""Lists of deliveries and runs walk one index per state, in the order of creation, as lists of jobs do."""

from __future__ import annotations

from alembic import op

from smartcover.ledger.migrations.indexes import change_indexes

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX deliveries_by_time ON deliveries (state, created_at, seq)",
    "CREATE INDEX deliveries_by_destination ON deliveries (destination, state, created_at, seq)",
    "DROP INDEX deliveries_by_state",
    "CREATE INDEX workflow_runs_by_state ON workflow_runs (workflow_id, state, created_at, seq)",
    """
    CREATE INDEX workflow_runs_of_batch ON workflow_runs (batch_id, state, created_at, seq) WHERE batch_id IS NOT NULL
    """,
    "DROP INDEX workflow_runs_by_batch",
)


def upgrade() -> None:
    change_indexes(*STATEMENTS)


def downgrade() -> None:
    op.execute("CREATE INDEX workflow_runs_by_batch ON workflow_runs (batch_id, created_at, seq)")
    op.execute("DROP INDEX workflow_runs_of_batch")
    op.execute("DROP INDEX workflow_runs_by_state")
    op.execute("CREATE INDEX deliveries_by_state ON deliveries (state, seq)")
    op.execute("DROP INDEX deliveries_by_destination")
    op.execute("DROP INDEX deliveries_by_time")

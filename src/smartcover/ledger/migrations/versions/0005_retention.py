"""What deleting old rows needs to find them without reading all others."""

from __future__ import annotations

from alembic import op

from smartcover.ledger.migrations.indexes import change_indexes

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    change_indexes("CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX deliveries_ended")

"""What deleting old rows needs to find them without reading all others."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX deliveries_ended")

"""Deliveries that the operator sends again, and finding those that have waited too long."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE deliveries ADD COLUMN redelivery boolean NOT NULL DEFAULT false",
    "CREATE INDEX deliveries_waiting_since ON deliveries (created_at) WHERE state = 'pending'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("older versions run on this schema as it is")

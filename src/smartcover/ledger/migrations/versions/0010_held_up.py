"""
For how long jobs and batches have been held up by a store or a database that failed them.

Tables of their own: processes of the version before go on reading jobs and batches as they know them.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE held_up_jobs (
        job_id text PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
        seconds double precision NOT NULL
    )
    """,
    """
    CREATE TABLE held_up_batches (
        batch_id text PRIMARY KEY REFERENCES batches ON DELETE CASCADE,
        seconds double precision NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE held_up_batches")
    op.execute("DROP TABLE held_up_jobs")

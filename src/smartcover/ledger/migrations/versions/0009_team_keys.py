"""Key pairs of teams. Secrets are not kept: each is derived from its salt and the server's own secret."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE team_keys (
        secret_id text PRIMARY KEY,
        team text NOT NULL,
        buckets text[] NOT NULL,
        rights text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        revoked_at timestamptz
    )
    """,
    """
    CREATE TABLE team_secrets (
        secret_id text NOT NULL REFERENCES team_keys ON DELETE CASCADE,
        salt text NOT NULL,
        master text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        ends_at timestamptz,
        PRIMARY KEY (secret_id, salt)
    )
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE team_secrets")
    op.execute("DROP TABLE team_keys")

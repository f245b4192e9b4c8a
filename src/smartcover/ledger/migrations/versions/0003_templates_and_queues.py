"""Templates, buckets that are not bound, submits remembered for their repetition, and what listing jobs needs."""

from __future__ import annotations

from alembic import op

from smartcover.ledger.migrations.indexes import change_indexes

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A list of jobs is merged from one ordered walk per state, so that a rare state is found without passing over all
# others, however deep the page.
INDEXES = (
    "CREATE INDEX jobs_by_bucket ON jobs (bucket, state, created_at, seq)",
    "CREATE INDEX jobs_by_queue ON jobs (queue_id, state, created_at, seq)",
    "CREATE INDEX jobs_by_input ON jobs (bucket, (spec ->> 'object_key'), created_at, seq)",
)
STATEMENTS = (
    """
    CREATE TABLE templates (
        template_id text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        bucket text NOT NULL,
        tag text NOT NULL,
        name text NOT NULL,
        smart_cover json NOT NULL,
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        updated_at timestamptz NOT NULL DEFAULT smartcover_now()
    )
    """,
    "CREATE INDEX templates_by_bucket ON templates (bucket, seq)",
    # A bucket is bound unless it stands here, so that one which the store learnt of by itself is bound too.
    """
    CREATE TABLE unbound_buckets (
        bucket text PRIMARY KEY,
        unbound_at timestamptz NOT NULL DEFAULT smartcover_now()
    )
    """,
    # What a repeated submit is recognised by: the client's token, or the digest of the body for a retry of an SDK.
    """
    CREATE TABLE submissions (
        submission_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        bucket text NOT NULL,
        secret_id text NOT NULL,
        token text,
        digest bytea NOT NULL,
        job_ids text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT smartcover_now()
    )
    """,
    "CREATE UNIQUE INDEX submissions_by_token ON submissions (bucket, secret_id, token) WHERE token IS NOT NULL",
    "CREATE INDEX submissions_by_digest ON submissions (bucket, secret_id, digest, created_at)",
    "CREATE INDEX submissions_by_age ON submissions ((token IS NULL), created_at)",
    """
    ALTER TABLE jobs
        ADD COLUMN workflow_id text,
        ADD COLUMN run_id text,
        ADD COLUMN batch_id text
    """,
    "CREATE INDEX jobs_by_workflow ON jobs (workflow_id, state, created_at, seq) WHERE workflow_id IS NOT NULL",
    "CREATE INDEX jobs_by_run ON jobs (run_id, seq) WHERE run_id IS NOT NULL",
    "CREATE INDEX jobs_by_batch ON jobs (batch_id, state, created_at, seq) WHERE batch_id IS NOT NULL",
    "DROP INDEX jobs_by_time",
)


def upgrade() -> None:
    change_indexes(*INDEXES)
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back would drop every template; restore a backup instead")

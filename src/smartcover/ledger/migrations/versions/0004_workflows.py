"""
Workflows, their runs, the uploads that start them, the outputs that must not, and batches.

`smartcover_note_upload` is how any writer of objects tells that one arrived: it is called in the transaction that
shows the object. It remembers which workflows were active at that moment, so that a run is owed exactly for uploads
that happened while a workflow was active, however late the run starts.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE workflows (
        workflow_id text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        bucket text COLLATE "C" NOT NULL,
        name text NOT NULL,
        state text NOT NULL CHECK (state IN ('Active', 'Paused')),
        object_prefix text COLLATE "C" NOT NULL,
        topology json NOT NULL,
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        updated_at timestamptz NOT NULL DEFAULT smartcover_now()
    )
    """,
    "CREATE INDEX workflows_by_bucket ON workflows (bucket, seq)",
    "CREATE INDEX workflows_active ON workflows (bucket) WHERE state = 'Active'",
    # A run outlives its workflow: what it does and where it reports was fixed when it started. `start_key` is what
    # started it - an upload, a client's token, an object of a batch - and starts each workflow once.
    """
    CREATE TABLE workflow_runs (
        run_id text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        bucket text NOT NULL,
        workflow_id text NOT NULL,
        workflow_name text NOT NULL,
        object_key text NOT NULL,
        state text NOT NULL DEFAULT 'Running' CHECK (state IN ('Running', 'Success', 'Failed', 'Cancel')),
        topology json NOT NULL,
        cos_headers json NOT NULL,
        finish_target json,
        start_key text NOT NULL,
        batch_id text,
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        ended_at timestamptz,
        UNIQUE (workflow_id, start_key)
    )
    """,
    "CREATE INDEX workflow_runs_by_workflow ON workflow_runs (workflow_id, created_at, seq)",
    "CREATE INDEX workflow_runs_by_batch ON workflow_runs (batch_id, created_at, seq) WHERE batch_id IS NOT NULL",
    "CREATE INDEX workflow_runs_ended ON workflow_runs (ended_at) WHERE ended_at IS NOT NULL",
    # Consumed rows stay for a while, so that an event that is told again starts nothing.
    """
    CREATE TABLE upload_events (
        event_id text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        bucket text NOT NULL,
        key text NOT NULL,
        name text NOT NULL,
        size_bytes bigint NOT NULL,
        etag text NOT NULL,
        headers json NOT NULL,
        request_id text NOT NULL,
        workflow_ids text[] NOT NULL,
        outside boolean NOT NULL,
        tries integer NOT NULL DEFAULT 0,
        next_at timestamptz NOT NULL DEFAULT smartcover_now(),
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        consumed_at timestamptz
    )
    """,
    "CREATE INDEX upload_events_waiting ON upload_events (next_at, seq) WHERE consumed_at IS NULL",
    "CREATE INDEX upload_events_consumed ON upload_events (consumed_at) WHERE consumed_at IS NOT NULL",
    # Objects that jobs wrote, noted before they are written: a notification about one starts no run.
    """
    CREATE TABLE own_outputs (
        bucket text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        etag text NOT NULL,
        written_at timestamptz NOT NULL DEFAULT smartcover_now(),
        PRIMARY KEY (bucket, key)
    )
    """,
    "CREATE INDEX own_outputs_by_age ON own_outputs (written_at)",
    """
    CREATE FUNCTION smartcover_note_upload(
        new_id text, in_bucket text, at_key text, event_name text, bytes bigint, with_etag text, with_headers json,
        by_request text, from_outside boolean
    ) RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE
        waiting text[];
    BEGIN
        SELECT array_agg(workflow_id ORDER BY seq) INTO waiting FROM workflows
        WHERE bucket = in_bucket AND state = 'Active' AND starts_with(at_key, object_prefix);
        IF waiting IS NULL THEN
            RETURN false;
        END IF;
        INSERT INTO upload_events (
            event_id, bucket, key, name, size_bytes, etag, headers, request_id, workflow_ids, outside
        )
        VALUES (
            new_id, in_bucket, at_key, event_name, bytes, with_etag, with_headers, by_request, waiting, from_outside
        )
        ON CONFLICT (event_id) DO NOTHING;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        PERFORM pg_notify('smartcover', 'uploads');
        RETURN true;
    END
    $$
    """,
    # A batch goes on from `marker`, which moves in the transaction that stores what the page before it started.
    """
    CREATE TABLE batches (
        batch_id text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        bucket text NOT NULL,
        name text NOT NULL,
        kind text NOT NULL CHECK (kind IN ('Job', 'Workflow')),
        state text NOT NULL DEFAULT 'Submitted'
            CHECK (state IN ('Submitted', 'Running', 'Success', 'Failed', 'Cancel')),
        code text NOT NULL DEFAULT 'Success',
        message text NOT NULL DEFAULT '',
        input json NOT NULL,
        operation json NOT NULL,
        plan json NOT NULL,
        workflow_ids text[] NOT NULL,
        marker text NOT NULL DEFAULT '',
        seen bigint NOT NULL DEFAULT 0,
        started bigint NOT NULL DEFAULT 0,
        tries integer NOT NULL DEFAULT 0,
        next_at timestamptz NOT NULL DEFAULT smartcover_now(),
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        started_at timestamptz,
        ended_at timestamptz,
        CHECK ((state IN ('Success', 'Failed', 'Cancel')) = (ended_at IS NOT NULL))
    )
    """,
    "CREATE INDEX batches_open ON batches (next_at, seq) WHERE ended_at IS NULL",
    "CREATE INDEX batches_by_bucket ON batches (bucket, created_at, seq)",
    "CREATE INDEX batches_ended ON batches (ended_at) WHERE ended_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back would drop every workflow; restore a backup instead")

"""Queues, jobs, deliveries and their attempts, and the one clock that all of them share."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    # Every durable time comes from here, so that the clocks of workers do not matter. The offset is for tests of
    # clock jumps; it is never set in production.
    """
    CREATE FUNCTION smartcover_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
        SELECT clock_timestamp()
             + coalesce(nullif(current_setting('smartcover.clock_offset', true), '')::interval, interval '0')
    $$
    """,
    """
    CREATE TABLE queues (
        queue_id text PRIMARY KEY,
        bucket text NOT NULL,
        name text NOT NULL,
        state text NOT NULL DEFAULT 'Active' CHECK (state IN ('Active', 'Paused')),
        is_default boolean NOT NULL DEFAULT false,
        max_concurrent integer NOT NULL DEFAULT 10 CHECK (max_concurrent > 0),
        max_size integer NOT NULL DEFAULT 10000 CHECK (max_size > 0),
        notify json,
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        updated_at timestamptz NOT NULL DEFAULT smartcover_now()
    )
    """,
    "CREATE UNIQUE INDEX queues_default ON queues (bucket) WHERE is_default",
    "CREATE INDEX queues_by_bucket ON queues (bucket, created_at)",
    """
    CREATE TABLE jobs (
        job_id text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        bucket text NOT NULL,
        region text NOT NULL,
        queue_id text NOT NULL REFERENCES queues (queue_id),
        tag text NOT NULL,
        state text NOT NULL DEFAULT 'Submitted'
            CHECK (state IN ('Submitted', 'Running', 'Success', 'Failed', 'Cancel')),
        level smallint NOT NULL DEFAULT 0,
        spec json NOT NULL,
        callback json,
        attempt integer NOT NULL DEFAULT 0,
        not_before timestamptz,
        worker_id text,
        lease_token uuid,
        lease_until timestamptz,
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        started_at timestamptz,
        ended_at timestamptz,
        code text NOT NULL DEFAULT 'Success',
        message text NOT NULL DEFAULT '',
        result json,
        CHECK ((state = 'Running') = (lease_token IS NOT NULL)),
        CHECK ((state IN ('Success', 'Failed', 'Cancel')) = (ended_at IS NOT NULL))
    )
    """,
    # Claiming walks this in order; it holds waiting jobs only and stays small.
    "CREATE INDEX jobs_waiting ON jobs (queue_id, level DESC, seq) WHERE state = 'Submitted'",
    "CREATE INDEX jobs_running ON jobs (queue_id, lease_until) WHERE state = 'Running'",
    "CREATE INDEX jobs_by_time ON jobs (bucket, created_at, seq)",
    "CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL",
    """
    CREATE TABLE deliveries (
        delivery_id text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
        job_id text,
        bucket text NOT NULL,
        target json NOT NULL,
        destination text NOT NULL,
        content_type text NOT NULL,
        body bytea NOT NULL,
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'exhausted', 'refused')),
        reason text NOT NULL DEFAULT '',
        tries integer NOT NULL DEFAULT 0,
        next_at timestamptz DEFAULT smartcover_now(),
        claimed_until timestamptz,
        created_at timestamptz NOT NULL DEFAULT smartcover_now(),
        ended_at timestamptz,
        redelivery boolean NOT NULL DEFAULT false,
        CHECK ((state = 'pending') = (next_at IS NOT NULL))
    )
    """,
    "CREATE INDEX deliveries_due ON deliveries (destination, next_at, seq) WHERE state = 'pending'",
    "CREATE INDEX deliveries_waiting_since ON deliveries (created_at) WHERE state = 'pending'",
    "CREATE INDEX deliveries_next ON deliveries (next_at) WHERE state = 'pending'",
    "CREATE INDEX deliveries_by_job ON deliveries (job_id)",
    "CREATE INDEX deliveries_by_state ON deliveries (state, seq)",
    """
    CREATE TABLE delivery_attempts (
        delivery_id text NOT NULL REFERENCES deliveries (delivery_id) ON DELETE CASCADE,
        number integer NOT NULL,
        started_at timestamptz NOT NULL,
        outcome text NOT NULL,
        duration_seconds double precision NOT NULL,
        address text,
        http_status integer,
        error text,
        answer_head bytea NOT NULL DEFAULT '',
        retry_after_seconds double precision,
        PRIMARY KEY (delivery_id, number)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back would drop every job; restore a backup instead")

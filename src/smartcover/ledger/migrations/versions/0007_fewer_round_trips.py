"""
Claims as functions: one round trip each, where locking and looking took a transaction of several statements.

Each statement of a volatile function sees what was committed before that statement, so that what is read after a lock
was taken is up to date. The time of a claim is read once: compared with smartcover_now() itself, which may change from
row to row, no index would be used.
"""

from __future__ import annotations

from alembic import op

from smartcover.ledger.migrations.indexes import change_indexes

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# How many tries are in flight to a destination, without reading all that waits for it.
FLYING = """
    CREATE INDEX deliveries_flying ON deliveries (destination, claimed_until)
    WHERE state = 'pending' AND claimed_until IS NOT NULL
"""
STATEMENTS = (
    # Queues that may start something, those with the most urgent head first; then one claimer per queue at a time, so
    # that max_concurrent holds for all workers together. NO KEY: a submit refers to the queue and need not wait.
    """
    CREATE FUNCTION smartcover_claim_jobs(
        for_worker text, most integer, tokens uuid[], lease_seconds double precision, most_queues integer
    ) RETURNS SETOF jobs LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
    #variable_conflict use_column
    DECLARE
        at_time timestamptz := smartcover_now();
        promising text[];
    BEGIN
        SELECT array_agg(queue_id) INTO promising FROM (
            SELECT queues.queue_id
            FROM queues
            CROSS JOIN LATERAL (
                SELECT level, seq FROM jobs
                WHERE jobs.queue_id = queues.queue_id AND state = 'Submitted'
                  AND (not_before IS NULL OR not_before <= at_time)
                ORDER BY level DESC, seq LIMIT 1
            ) AS head
            WHERE queues.state = 'Active'
              AND queues.max_concurrent > (
                  SELECT count(*) FROM jobs WHERE jobs.queue_id = queues.queue_id AND state = 'Running'
              )
            ORDER BY head.level DESC, head.seq
            LIMIT most_queues
        ) AS found;
        IF promising IS NULL THEN
            RETURN;
        END IF;
        PERFORM queue_id FROM queues WHERE queue_id = ANY(promising) ORDER BY queue_id FOR NO KEY UPDATE;
        at_time := smartcover_now();
        RETURN QUERY
        WITH picked AS (
            SELECT waiting.job_id
            FROM queues
            CROSS JOIN LATERAL (
                SELECT job_id, level, seq FROM jobs
                WHERE jobs.queue_id = queues.queue_id AND state = 'Submitted'
                  AND (not_before IS NULL OR not_before <= at_time)
                ORDER BY level DESC, seq
                LIMIT least(most, greatest(0, queues.max_concurrent - (
                    SELECT count(*) FROM jobs AS running
                    WHERE running.queue_id = queues.queue_id AND running.state = 'Running'
                )))
                FOR UPDATE SKIP LOCKED
            ) AS waiting
            WHERE queues.queue_id = ANY(promising) AND queues.state = 'Active'
            ORDER BY waiting.level DESC, waiting.seq
            LIMIT most
        ), numbered AS (
            SELECT job_id, row_number() OVER () AS number FROM picked
        )
        UPDATE jobs SET
            state = 'Running',
            attempt = attempt + 1,
            worker_id = for_worker,
            lease_token = tokens[numbered.number],
            lease_until = at_time + make_interval(secs => lease_seconds),
            started_at = at_time
        FROM numbered
        WHERE jobs.job_id = numbered.job_id AND jobs.state = 'Submitted'
        RETURNING jobs.*;
    END
    $$
    """,
    # One claimer at a time, so that per_destination holds for all dispatchers together; released at commit.
    """
    CREATE FUNCTION smartcover_claim_deliveries(
        most integer, lease_seconds double precision, per_destination bigint, avoid text[]
    ) RETURNS SETOF deliveries LANGUAGE plpgsql AS $$
    #variable_conflict use_column
    DECLARE
        at_time timestamptz;
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended('smartcover deliveries', 0));
        at_time := smartcover_now();
        RETURN QUERY
        WITH RECURSIVE destinations AS (
            (SELECT destination FROM deliveries WHERE state = 'pending' ORDER BY destination LIMIT 1)
            UNION ALL
            SELECT (
                SELECT deliveries.destination FROM deliveries
                WHERE state = 'pending' AND deliveries.destination > destinations.destination
                ORDER BY deliveries.destination LIMIT 1
            )
            FROM destinations WHERE destinations.destination IS NOT NULL
        ), picked AS (
            SELECT due.delivery_id
            FROM destinations
            CROSS JOIN LATERAL (
                SELECT delivery_id, next_at, seq FROM deliveries
                WHERE deliveries.destination = destinations.destination AND state = 'pending'
                  AND next_at <= at_time
                  AND (claimed_until IS NULL OR claimed_until < at_time)
                ORDER BY next_at, seq
                LIMIT least(most, greatest(0, per_destination - (
                    SELECT count(*) FROM deliveries AS flying
                    WHERE flying.destination = destinations.destination AND flying.state = 'pending'
                      AND flying.claimed_until >= at_time
                )))
                FOR UPDATE SKIP LOCKED
            ) AS due
            WHERE destinations.destination IS NOT NULL AND destinations.destination <> ALL(avoid)
            ORDER BY due.next_at, due.seq
            LIMIT most
        )
        UPDATE deliveries SET
            tries = tries + 1,
            claimed_until = at_time + make_interval(secs => lease_seconds)
        FROM picked
        WHERE deliveries.delivery_id = picked.delivery_id AND deliveries.state = 'pending'
        RETURNING deliveries.*;
    END
    $$
    """,
)


def upgrade() -> None:
    change_indexes(FLYING)
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX deliveries_flying")
    op.execute("DROP FUNCTION smartcover_claim_deliveries")
    op.execute("DROP FUNCTION smartcover_claim_jobs")

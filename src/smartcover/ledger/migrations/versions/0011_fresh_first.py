"""
Claims that take jobs which were handed back to wait after all others, so that those leave the slots to these.

As many as there are of them, oldest first they would be due again before the first job behind them had its turn. The
function is one more, beside the one of 0007: processes of the version before go on with that.
"""

from __future__ import annotations

from alembic import op

from smartcover.ledger.migrations.indexes import change_indexes

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

INDEX = """
    CREATE INDEX jobs_fresh_first ON jobs (queue_id, (not_before IS NOT NULL), level DESC, seq)
    WHERE state = 'Submitted'
"""
# The words of 0007's, but for the order.
CLAIM = """
    CREATE FUNCTION smartcover_claim_jobs_fresh_first(
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
                SELECT not_before IS NOT NULL AS held_up, level, seq FROM jobs
                WHERE jobs.queue_id = queues.queue_id AND state = 'Submitted'
                  AND (not_before IS NULL OR not_before <= at_time)
                ORDER BY not_before IS NOT NULL, level DESC, seq LIMIT 1
            ) AS head
            WHERE queues.state = 'Active'
              AND queues.max_concurrent > (
                  SELECT count(*) FROM jobs WHERE jobs.queue_id = queues.queue_id AND state = 'Running'
              )
            ORDER BY head.held_up, head.level DESC, head.seq
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
                SELECT job_id, not_before IS NOT NULL AS held_up, level, seq FROM jobs
                WHERE jobs.queue_id = queues.queue_id AND state = 'Submitted'
                  AND (not_before IS NULL OR not_before <= at_time)
                ORDER BY not_before IS NOT NULL, level DESC, seq
                LIMIT least(most, greatest(0, queues.max_concurrent - (
                    SELECT count(*) FROM jobs AS running
                    WHERE running.queue_id = queues.queue_id AND running.state = 'Running'
                )))
                FOR UPDATE SKIP LOCKED
            ) AS waiting
            WHERE queues.queue_id = ANY(promising) AND queues.state = 'Active'
            ORDER BY waiting.held_up, waiting.level DESC, waiting.seq
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
"""


def upgrade() -> None:
    change_indexes(INDEX)
    op.execute(CLAIM)


def downgrade() -> None:
    op.execute("DROP FUNCTION smartcover_claim_jobs_fresh_first")
    op.execute("DROP INDEX jobs_fresh_first")

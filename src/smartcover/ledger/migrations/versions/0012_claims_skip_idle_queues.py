"""
Claims that look at the queues with waiting jobs alone, and not at each queue there is.

Every bucket has a queue, so with thousands of buckets each claim, also of an idle worker, cost thousands of looks at
empty queues. What the functions of 0007 and 0011 claim, and in which order, stays; processes of the version before
gain from it too.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# `head` is the first job that waits in each queue: one step of the index of waiting jobs leads from each to the next.
_CLAIM = """
    CREATE OR REPLACE FUNCTION {name}(
        for_worker text, most integer, tokens uuid[], lease_seconds double precision, most_queues integer
    ) RETURNS SETOF jobs LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
    #variable_conflict use_column
    DECLARE
        at_time timestamptz := smartcover_now();
        promising text[];
    BEGIN
        SELECT array_agg(queue_id) INTO promising FROM (
            WITH RECURSIVE head AS (
                (
                    SELECT queue_id, not_before IS NOT NULL AS held_up, level, seq FROM jobs
                    WHERE state = 'Submitted' AND (not_before IS NULL OR not_before <= at_time)
                    ORDER BY queue_id, {order_of_jobs} LIMIT 1
                )
                UNION ALL
                SELECT next.* FROM head CROSS JOIN LATERAL (
                    SELECT queue_id, not_before IS NOT NULL AS held_up, level, seq FROM jobs
                    WHERE jobs.queue_id > head.queue_id AND state = 'Submitted'
                      AND (not_before IS NULL OR not_before <= at_time)
                    ORDER BY queue_id, {order_of_jobs} LIMIT 1
                ) AS next
            )
            SELECT queues.queue_id
            FROM head JOIN queues ON queues.queue_id = head.queue_id
            WHERE queues.state = 'Active'
              AND queues.max_concurrent > (
                  SELECT count(*) FROM jobs WHERE jobs.queue_id = queues.queue_id AND state = 'Running'
              )
            ORDER BY {order_of_picks}
            LIMIT most_queues
        ) AS found;
        IF promising IS NULL THEN
            RETURN;
        END IF;
        PERFORM queue_id FROM queues WHERE queue_id = ANY(promising) ORDER BY queue_id FOR NO KEY UPDATE;
        at_time := smartcover_now();
        RETURN QUERY
        WITH picked AS (
            SELECT head.job_id
            FROM queues
            CROSS JOIN LATERAL (
                SELECT job_id, not_before IS NOT NULL AS held_up, level, seq FROM jobs
                WHERE jobs.queue_id = queues.queue_id AND state = 'Submitted'
                  AND (not_before IS NULL OR not_before <= at_time)
                ORDER BY {order_of_jobs}
                LIMIT least(most, greatest(0, queues.max_concurrent - (
                    SELECT count(*) FROM jobs AS running
                    WHERE running.queue_id = queues.queue_id AND running.state = 'Running'
                )))
                FOR UPDATE SKIP LOCKED
            ) AS head
            WHERE queues.queue_id = ANY(promising) AND queues.state = 'Active'
            ORDER BY {order_of_picks}
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

_STATEMENTS = (
    _CLAIM.format(
        name="smartcover_claim_jobs",
        order_of_jobs="level DESC, seq",
        order_of_picks="head.level DESC, head.seq",
    ),
    _CLAIM.format(
        name="smartcover_claim_jobs_fresh_first",
        order_of_jobs="not_before IS NOT NULL, level DESC, seq",
        order_of_picks="head.held_up, head.level DESC, head.seq",
    ),
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the functions of before would do the same, more slowly; restore a backup to have them")

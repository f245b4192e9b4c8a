-- Jobs, deliveries and their attempts. Times come from smartcover_now(), the database's clock.
-- A transition names the state it leaves in its WHERE clause: what came too late changes no row.

-- name: ping$
SELECT 1;

-- name: jobs
SELECT jobs.*, queues.state AS queue_state FROM jobs JOIN queues USING (queue_id)
WHERE jobs.bucket = :bucket AND job_id = ANY(:job_ids::text[]);

-- name: job^
SELECT * FROM jobs WHERE job_id = :job_id;

-- name: cancel_job^
UPDATE jobs SET state = 'Cancel', ended_at = smartcover_now(), lease_token = NULL, lease_until = NULL
WHERE bucket = :bucket AND job_id = :job_id AND state IN ('Submitted', 'Running')
RETURNING *;

-- name: queues_with_work
-- Queues that may start something, those with the most urgent head first. A reading only: claim_jobs looks again.
SELECT queues.queue_id
FROM queues
CROSS JOIN LATERAL (
    SELECT level, seq FROM jobs
    WHERE jobs.queue_id = queues.queue_id AND state = 'Submitted'
      AND (not_before IS NULL OR not_before <= smartcover_now())
    ORDER BY level DESC, seq LIMIT 1
) AS head
WHERE queues.state = 'Active'
  AND queues.max_concurrent > (
      SELECT count(*) FROM jobs WHERE jobs.queue_id = queues.queue_id AND state = 'Running'
  )
ORDER BY head.level DESC, head.seq
LIMIT :most;

-- name: lock_queues
-- One claimer per queue at a time. The next statement sees what the claimer before has committed, so that
-- max_concurrent holds for all workers together. NO KEY: a submit refers to the queue and need not wait.
SELECT queue_id FROM queues WHERE queue_id = ANY(:queue_ids::text[]) ORDER BY queue_id FOR NO KEY UPDATE;

-- name: claim_jobs
WITH picked AS (
    SELECT waiting.job_id
    FROM queues
    CROSS JOIN LATERAL (
        SELECT job_id, level, seq FROM jobs
        WHERE jobs.queue_id = queues.queue_id AND state = 'Submitted'
          AND (not_before IS NULL OR not_before <= smartcover_now())
        ORDER BY level DESC, seq
        LIMIT greatest(0, queues.max_concurrent - (
            SELECT count(*) FROM jobs AS running WHERE running.queue_id = queues.queue_id AND running.state = 'Running'
        ))
        FOR UPDATE SKIP LOCKED
    ) AS waiting
    WHERE queues.queue_id = ANY(:queue_ids::text[]) AND queues.state = 'Active'
    ORDER BY waiting.level DESC, waiting.seq
    LIMIT :most
), numbered AS (
    SELECT job_id, row_number() OVER () AS number FROM picked
)
UPDATE jobs SET
    state = 'Running',
    attempt = attempt + 1,
    worker_id = :worker_id,
    lease_token = (:tokens::uuid[])[numbered.number],
    lease_until = smartcover_now() + make_interval(secs => :lease_seconds),
    started_at = smartcover_now()
FROM numbered
WHERE jobs.job_id = numbered.job_id AND jobs.state = 'Submitted'
RETURNING jobs.*;

-- name: renew_leases
-- A row that its holder is about to end is locked for as long as publishing takes: it counts as held and is passed
-- over, or the other leases of the same worker would run out behind it.
WITH free AS (
    SELECT job_id FROM jobs WHERE lease_token = ANY(:tokens::uuid[]) AND state = 'Running' FOR UPDATE SKIP LOCKED
), renewed AS (
    UPDATE jobs SET lease_until = smartcover_now() + make_interval(secs => :lease_seconds)
    FROM free WHERE jobs.job_id = free.job_id
)
SELECT lease_token FROM jobs WHERE lease_token = ANY(:tokens::uuid[]) AND state = 'Running';

-- name: hand_back_job$
UPDATE jobs SET
    state = 'Submitted', attempt = greatest(0, attempt - 1), worker_id = NULL,
    lease_token = NULL, lease_until = NULL, started_at = NULL,
    not_before = smartcover_now() + make_interval(secs => :delay_seconds)
WHERE job_id = :job_id AND lease_token = :token AND state = 'Running'
RETURNING job_id;

-- name: sweep_jobs
-- Rows that somebody is changing right now are alive enough: they are passed over.
UPDATE jobs SET state = 'Submitted', worker_id = NULL, lease_token = NULL, lease_until = NULL, started_at = NULL
WHERE job_id IN (
    SELECT job_id FROM jobs WHERE state = 'Running' AND lease_until < smartcover_now()
    ORDER BY lease_until LIMIT :most FOR UPDATE SKIP LOCKED
) AND state = 'Running' AND lease_until < smartcover_now()
RETURNING job_id;

-- name: lock_running_job^
SELECT jobs.*, smartcover_now() AS now FROM jobs
WHERE job_id = :job_id AND lease_token = :token AND state = 'Running'
FOR UPDATE;

-- name: succeed_job!
UPDATE jobs SET state = 'Success', ended_at = :ended_at, result = :result::text::json,
    lease_token = NULL, lease_until = NULL
WHERE job_id = :job_id AND state = 'Running';

-- name: fail_job!
UPDATE jobs SET state = 'Failed', ended_at = :ended_at, code = :code, message = :message,
    lease_token = NULL, lease_until = NULL
WHERE job_id = :job_id AND state = 'Running';

-- name: add_delivery!
INSERT INTO deliveries (delivery_id, job_id, bucket, target, destination, content_type, body)
VALUES (:delivery_id, :job_id, :bucket, :target::text::json, :destination, :content_type, :body);

-- name: lock_delivery_claims!
-- One claimer at a time, so that per_destination holds for all dispatchers together; released at commit.
SELECT pg_advisory_xact_lock(hashtextextended('smartcover deliveries', 0));

-- name: claim_deliveries
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
          AND next_at <= smartcover_now()
          AND (claimed_until IS NULL OR claimed_until < smartcover_now())
        ORDER BY next_at, seq
        LIMIT greatest(0, :per_destination::bigint - (
            SELECT count(*) FROM deliveries AS flying
            WHERE flying.destination = destinations.destination AND flying.state = 'pending'
              AND flying.claimed_until >= smartcover_now()
        ))
        FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE destinations.destination IS NOT NULL AND destinations.destination <> ALL(:avoid::text[])
    ORDER BY due.next_at, due.seq
    LIMIT :most
)
UPDATE deliveries SET
    tries = tries + 1,
    claimed_until = smartcover_now() + make_interval(secs => :lease_seconds)
FROM picked
WHERE deliveries.delivery_id = picked.delivery_id AND deliveries.state = 'pending'
RETURNING deliveries.*;

-- name: release_delivery$
UPDATE deliveries SET
    tries = greatest(0, tries - 1), claimed_until = NULL,
    next_at = smartcover_now() + make_interval(secs => :delay_seconds)
WHERE delivery_id = :delivery_id AND state = 'pending'
RETURNING delivery_id;

-- name: end_try^
UPDATE deliveries SET
    state = :state,
    reason = :reason,
    claimed_until = NULL,
    next_at = CASE WHEN :state = 'pending' THEN smartcover_now() + make_interval(secs => :retry_in_seconds) END,
    ended_at = CASE WHEN :state = 'pending' THEN NULL ELSE smartcover_now() END
WHERE delivery_id = :delivery_id AND state = 'pending'
RETURNING tries;

-- name: add_attempt!
INSERT INTO delivery_attempts (
    delivery_id, number, started_at, outcome, duration_seconds, address, http_status, error, answer_head,
    retry_after_seconds
)
VALUES (
    :delivery_id, :number, smartcover_now() - make_interval(secs => :duration_seconds), :outcome, :duration_seconds,
    :address, :http_status, :error, :answer_head, :retry_after_seconds
)
ON CONFLICT (delivery_id, number) DO NOTHING;

-- name: next_due_seconds$
SELECT extract(epoch FROM next_at - smartcover_now())::double precision
FROM deliveries
WHERE state = 'pending' AND (claimed_until IS NULL OR claimed_until < smartcover_now())
ORDER BY next_at LIMIT 1;

-- name: deliveries
SELECT * FROM deliveries
WHERE (:job_id::text IS NULL OR job_id = :job_id) AND (:state::text IS NULL OR state = :state)
  AND (:destination::text IS NULL OR destination = :destination)
  AND (:since::timestamptz IS NULL OR created_at >= :since) AND (:until::timestamptz IS NULL OR created_at < :until)
  AND (:before::bigint IS NULL OR seq < :before)
ORDER BY seq DESC LIMIT :most;

-- name: redeliver
-- One batch in order of seq. What waits for its next try is only brought forward, and what is in flight is let be.
UPDATE deliveries SET
    redelivery = redelivery OR state <> 'pending',
    state = 'pending', reason = 'sent again by the operator',
    next_at = smartcover_now(), claimed_until = NULL, ended_at = NULL
WHERE delivery_id IN (
    SELECT delivery_id FROM deliveries
    WHERE seq > :after AND (claimed_until IS NULL OR claimed_until < smartcover_now() OR state <> 'pending')
      AND (:delivery_ids::text[] IS NULL OR delivery_id = ANY(:delivery_ids))
      AND (:job_id::text IS NULL OR job_id = :job_id) AND (:state::text IS NULL OR state = :state)
      AND (:destination::text IS NULL OR destination = :destination)
      AND (:since::timestamptz IS NULL OR created_at >= :since)
      AND (:until::timestamptz IS NULL OR created_at < :until)
    ORDER BY seq LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING seq;

-- name: expire_deliveries
UPDATE deliveries SET
    state = 'exhausted', reason = :reason, next_at = NULL, claimed_until = NULL, ended_at = smartcover_now()
WHERE delivery_id IN (
    SELECT delivery_id FROM deliveries
    WHERE state = 'pending' AND NOT redelivery
      AND created_at < smartcover_now() - make_interval(secs => :older_than_seconds)
      AND (claimed_until IS NULL OR claimed_until < smartcover_now())
    ORDER BY created_at LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING *;

-- name: delivery^
SELECT * FROM deliveries WHERE delivery_id = :delivery_id;

-- name: attempts
SELECT * FROM delivery_attempts WHERE delivery_id = :delivery_id ORDER BY number;

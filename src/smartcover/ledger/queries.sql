-- Jobs, deliveries and their attempts. Times come from smartcover_now(), the database's clock; where an index is to find
-- rows by it, it stands in a SELECT of its own, which is read once and not anew for each row.
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

-- name: claim_jobs
-- The function (migrations, 0007) is one round trip; it locks queues and then looks at their jobs anew.
SELECT * FROM smartcover_claim_jobs(:worker_id, :most::integer, :tokens::uuid[], :lease_seconds, :most_queues::integer);

-- name: claim_jobs_fresh_first
SELECT * FROM smartcover_claim_jobs_fresh_first(
    :worker_id, :most::integer, :tokens::uuid[], :lease_seconds, :most_queues::integer
);

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

-- name: held_up_seconds$
SELECT coalesce((SELECT seconds FROM held_up_jobs WHERE job_id = :job_id), 0.0);

-- name: hand_back_job$
-- Held up is what the delays took and the starts behind them. The time before a start in which the job only waited for
-- its turn, as in a paused queue, is no failure of the store's, nor is an hour by which the clock jumped: however long it
-- was, twelve times the next delay counts, which is two minutes of ten seconds and an hour of five minutes.
WITH held_up AS (
    INSERT INTO held_up_jobs (job_id, seconds)
    SELECT job_id, :delay_seconds::float8 + greatest(
        0.0, least(12 * :delay_seconds::float8, extract(epoch FROM smartcover_now() - coalesce(not_before, started_at)))
    )
    FROM jobs
    WHERE job_id = :job_id AND lease_token = :token AND state = 'Running' AND :held_up::boolean
    ON CONFLICT (job_id) DO UPDATE SET seconds = held_up_jobs.seconds + excluded.seconds
)
UPDATE jobs SET
    state = 'Submitted', attempt = greatest(0, attempt - (NOT :counted::boolean)::integer), worker_id = NULL,
    lease_token = NULL, lease_until = NULL, started_at = NULL,
    -- What was never made to wait stays among the fresh jobs.
    not_before = CASE WHEN :delay_seconds > 0 OR not_before IS NOT NULL
        THEN smartcover_now() + make_interval(secs => :delay_seconds) END
WHERE job_id = :job_id AND lease_token = :token AND state = 'Running'
RETURNING job_id;

-- name: sweep_jobs
-- Rows that somebody is changing right now are alive enough: they are passed over.
UPDATE jobs SET state = 'Submitted', worker_id = NULL, lease_token = NULL, lease_until = NULL, started_at = NULL
WHERE job_id IN (
    SELECT job_id FROM jobs WHERE state = 'Running' AND lease_until < (SELECT smartcover_now())
    ORDER BY lease_until LIMIT :most FOR UPDATE SKIP LOCKED
) AND state = 'Running' AND lease_until < smartcover_now()
RETURNING job_id;

-- name: lock_running_job^
SELECT jobs.*, smartcover_now() AS now FROM jobs
WHERE job_id = :job_id AND lease_token = :token AND state = 'Running'
FOR UPDATE;

-- name: end_job!
-- Who ends a job looks for the next one by itself; others are told of the free place only if somebody waits for it.
WITH ended AS (
    UPDATE jobs SET
        state = :state, ended_at = :ended_at, result = :result::text::json, code = :code, message = :message,
        lease_token = NULL, lease_until = NULL
    WHERE job_id = :job_id AND state = 'Running'
    RETURNING queue_id
)
SELECT pg_notify('smartcover', 'jobs') FROM ended
WHERE EXISTS (SELECT FROM jobs AS waiting WHERE waiting.queue_id = ended.queue_id AND waiting.state = 'Submitted');

-- name: add_deliveries!
WITH owed AS (
    INSERT INTO deliveries (delivery_id, job_id, bucket, target, destination, content_type, body)
    SELECT delivery_id, :job_id, :bucket, target::json, destination, content_type, body
    FROM unnest(
        :delivery_ids::text[], :targets::text[], :destinations::text[], :content_types::text[], :bodies::bytea[]
    ) AS new (delivery_id, target, destination, content_type, body)
)
SELECT pg_notify('smartcover', 'deliveries');

-- name: claim_deliveries
SELECT * FROM smartcover_claim_deliveries(
    :most::integer, :lease_seconds, :per_destination::bigint, :avoid::text[]
);

-- name: release_delivery$
UPDATE deliveries SET
    tries = greatest(0, tries - 1), claimed_until = NULL,
    next_at = smartcover_now() + make_interval(secs => :delay_seconds)
WHERE delivery_id = :delivery_id AND state = 'pending'
RETURNING delivery_id;

-- name: record_attempt!
WITH ended AS (
    UPDATE deliveries SET
        state = :state,
        reason = :reason,
        claimed_until = NULL,
        next_at = CASE WHEN :state = 'pending' THEN smartcover_now() + make_interval(secs => :retry_in_seconds) END,
        ended_at = CASE WHEN :state = 'pending' THEN NULL ELSE smartcover_now() END
    WHERE delivery_id = :delivery_id AND state = 'pending'
    RETURNING delivery_id, tries
)
INSERT INTO delivery_attempts (
    delivery_id, number, started_at, outcome, duration_seconds, address, http_status, error, answer_head,
    retry_after_seconds
)
SELECT
    delivery_id, tries, smartcover_now() - make_interval(secs => :duration_seconds), :outcome, :duration_seconds,
    :address, :http_status, :error, :answer_head, :retry_after_seconds
FROM ended
ON CONFLICT (delivery_id, number) DO NOTHING;

-- name: next_due_seconds$
SELECT extract(epoch FROM next_at - smartcover_now())::double precision
FROM deliveries
WHERE state = 'pending' AND (claimed_until IS NULL OR claimed_until < smartcover_now())
ORDER BY next_at LIMIT 1;

-- name: delivery_before^
-- Where a page that goes on behind this number begins, also when retention has taken the delivery of that number.
SELECT created_at, seq FROM deliveries WHERE seq <= :before ORDER BY seq DESC LIMIT 1;

-- name: deliveries
-- Merged from one ordered walk per state, as lists of jobs are.
SELECT found.*
FROM unnest(:states::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT * FROM deliveries
    WHERE deliveries.state = wanted.state
      AND (:job_id::text IS NULL OR job_id = :job_id)
      AND (:destination::text IS NULL OR destination = :destination)
      AND (:since::timestamptz IS NULL OR created_at >= :since)
      AND (:until::timestamptz IS NULL OR created_at < :until)
      AND (:buckets::text[] IS NULL OR bucket LIKE ANY (:buckets))
      AND (:at::timestamptz IS NULL OR (created_at, seq) < (:at::timestamptz, :before::bigint))
    ORDER BY created_at DESC, seq DESC LIMIT :most
) AS found
ORDER BY created_at DESC, seq DESC LIMIT :most;

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
      AND (:buckets::text[] IS NULL OR bucket LIKE ANY (:buckets))
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

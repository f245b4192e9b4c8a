-- Every statement about batches.

-- name: add_batch^
INSERT INTO batches (batch_id, bucket, name, kind, input, operation, plan, workflow_ids)
VALUES (
    :batch_id, :bucket, :name, :kind, :input::text::json, :operation::text::json, :plan::text::json,
    :workflow_ids::text[]
)
RETURNING *;

-- name: batch_lately^
SELECT * FROM batches
WHERE bucket = :bucket AND name = :name AND kind = :kind AND input::text = :input AND operation::text = :operation
  AND created_at > smartcover_now() - make_interval(secs => :seconds)
ORDER BY created_at DESC, seq DESC LIMIT 1;

-- name: batch^
SELECT * FROM batches WHERE bucket = :bucket AND batch_id = :batch_id;

-- name: batches_newest_first
SELECT * FROM batches
WHERE bucket = :bucket
  AND (:kind::text IS NULL OR kind = :kind)
  AND (:batch_id::text IS NULL OR batch_id = :batch_id)
  AND (:workflow_id::text IS NULL OR :workflow_id = ANY(workflow_ids))
  AND (:name_part::text IS NULL OR strpos(name, :name_part) > 0)
  AND state = ANY(:states::text[])
  AND (:since::timestamptz IS NULL OR created_at >= :since)
  AND (:until::timestamptz IS NULL OR created_at <= :until)
  AND (:at::timestamptz IS NULL OR (created_at, seq) < (:at::timestamptz, :seq::bigint))
ORDER BY created_at DESC, seq DESC LIMIT :most;

-- name: batches_oldest_first
SELECT * FROM batches
WHERE bucket = :bucket
  AND (:kind::text IS NULL OR kind = :kind)
  AND (:batch_id::text IS NULL OR batch_id = :batch_id)
  AND (:workflow_id::text IS NULL OR :workflow_id = ANY(workflow_ids))
  AND (:name_part::text IS NULL OR strpos(name, :name_part) > 0)
  AND state = ANY(:states::text[])
  AND (:since::timestamptz IS NULL OR created_at >= :since)
  AND (:until::timestamptz IS NULL OR created_at <= :until)
  AND (:at::timestamptz IS NULL OR (created_at, seq) > (:at::timestamptz, :seq::bigint))
ORDER BY created_at, seq LIMIT :most;

-- name: claim_batch^
-- next_at is the lease: another process looks at the batch again only when it has run out.
UPDATE batches SET
    state = 'Running',
    started_at = coalesce(started_at, smartcover_now()),
    next_at = smartcover_now() + make_interval(secs => :lease_seconds)
WHERE batch_id = (
    SELECT batch_id FROM batches WHERE ended_at IS NULL AND next_at <= smartcover_now()
    ORDER BY next_at, seq LIMIT 1 FOR UPDATE SKIP LOCKED
) AND ended_at IS NULL
RETURNING *;

-- name: lock_batch^
-- Only whoever stands at the place where the batch is goes on with it.
SELECT * FROM batches WHERE batch_id = :batch_id AND marker = :marker AND state = 'Running' FOR UPDATE;

-- name: move_batch!
WITH gone_on AS (
    DELETE FROM held_up_batches WHERE batch_id = :batch_id
)
UPDATE batches SET
    marker = :marker,
    seen = seen + :seen,
    started = started + :started,
    tries = 0,
    next_at = smartcover_now() + make_interval(secs => :lease_seconds),
    state = CASE WHEN :ended::boolean THEN 'Success' ELSE state END,
    ended_at = CASE WHEN :ended::boolean THEN smartcover_now() END
WHERE batch_id = :batch_id;

-- name: held_up_seconds$
SELECT coalesce((SELECT seconds FROM held_up_batches WHERE batch_id = :batch_id), 0.0);

-- name: postpone_batch^
WITH held_up AS (
    INSERT INTO held_up_batches (batch_id, seconds)
    SELECT batch_id, :delay_seconds FROM batches
    WHERE batch_id = :batch_id AND ended_at IS NULL AND :held_up::boolean
    ON CONFLICT (batch_id) DO UPDATE SET seconds = held_up_batches.seconds + excluded.seconds
)
UPDATE batches SET
    tries = tries + CASE WHEN :counted::boolean THEN 1 ELSE 0 END,
    next_at = smartcover_now() + make_interval(secs => :delay_seconds)
WHERE batch_id = :batch_id AND ended_at IS NULL
RETURNING *;

-- name: fail_batch!
UPDATE batches SET state = 'Failed', code = :code, message = :message, ended_at = smartcover_now()
WHERE batch_id = :batch_id AND ended_at IS NULL;

-- name: cancel_batch^
UPDATE batches SET state = 'Cancel', ended_at = smartcover_now()
WHERE bucket = :bucket AND batch_id = :batch_id AND ended_at IS NULL
RETURNING *;

-- name: cancel_jobs_of_batch
UPDATE jobs SET state = 'Cancel', ended_at = smartcover_now(), lease_token = NULL, lease_until = NULL
WHERE job_id IN (
    SELECT job_id FROM jobs
    WHERE batch_id = :batch_id AND state IN ('Submitted', 'Running')
    ORDER BY job_id LIMIT :most FOR UPDATE
) AND state IN ('Submitted', 'Running')
RETURNING *;

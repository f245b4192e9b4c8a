-- What is deleted when it has been over for long. One batch a statement: short transactions, each found by an index
-- on the time it ended; the age is compared with a time that is read once, or no index would serve. What still waits,
-- runs or is owed has no such time and is never touched.

-- name: expire_deliveries
DELETE FROM deliveries WHERE delivery_id IN (
    SELECT delivery_id FROM deliveries
    WHERE ended_at < (SELECT smartcover_now() - make_interval(secs => :age_seconds))
    ORDER BY ended_at LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING delivery_id AS id;

-- name: expire_jobs
-- A job stays while a callback of it is owed, or its workflow run goes on.
DELETE FROM jobs WHERE job_id IN (
    SELECT job_id FROM jobs
    WHERE ended_at < (SELECT smartcover_now() - make_interval(secs => :age_seconds))
      AND NOT EXISTS (
          SELECT 1 FROM deliveries WHERE deliveries.job_id = jobs.job_id AND deliveries.state = 'pending'
      )
      AND NOT EXISTS (
          SELECT 1 FROM workflow_runs WHERE workflow_runs.run_id = jobs.run_id AND workflow_runs.ended_at IS NULL
      )
    ORDER BY ended_at LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING job_id AS id;

-- name: expire_runs
DELETE FROM workflow_runs WHERE run_id IN (
    SELECT run_id FROM workflow_runs
    WHERE ended_at < (SELECT smartcover_now() - make_interval(secs => :age_seconds))
    ORDER BY ended_at LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING run_id AS id;

-- name: expire_batches
DELETE FROM batches WHERE batch_id IN (
    SELECT batch_id FROM batches
    WHERE ended_at < (SELECT smartcover_now() - make_interval(secs => :age_seconds))
    ORDER BY ended_at LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING batch_id AS id;

-- name: expire_upload_events
-- Until then the same event, told again, is recognised.
DELETE FROM upload_events WHERE event_id IN (
    SELECT event_id FROM upload_events
    WHERE consumed_at < (SELECT smartcover_now() - make_interval(secs => :age_seconds))
    ORDER BY consumed_at LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING event_id AS id;

-- name: expire_own_outputs
-- Until then a notification about a cover of ours is recognised.
DELETE FROM own_outputs WHERE (bucket, key) IN (
    SELECT bucket, key FROM own_outputs
    WHERE written_at < (SELECT smartcover_now() - make_interval(secs => :age_seconds))
    ORDER BY written_at LIMIT :most FOR UPDATE SKIP LOCKED
)
RETURNING key AS id;

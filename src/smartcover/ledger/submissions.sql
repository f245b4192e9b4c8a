-- Adding jobs, and recognising a submit that is a repetition of an earlier one.

-- name: add_job^
INSERT INTO jobs (
    job_id, bucket, region, queue_id, tag, level, spec, callback, workflow_id, run_id, batch_id
)
VALUES (
    :job_id, :bucket, :region, :queue_id, :tag, :level, :spec::text::json, :callback::text::json,
    :workflow_id, :run_id, :batch_id
)
RETURNING *;

-- name: lock_submission!
-- A repetition that overtakes its original waits here until that is committed.
SELECT pg_advisory_xact_lock(hashtextextended('smartcover submit ' || :mark::text, 0));

-- name: submission_by_token^
SELECT digest, job_ids FROM submissions
WHERE bucket = :bucket AND secret_id = :secret_id AND token = :token
  AND created_at > smartcover_now() - make_interval(secs => :seconds);

-- name: submission_by_digest^
SELECT digest, job_ids FROM submissions
WHERE bucket = :bucket AND secret_id = :secret_id AND digest = :digest
  AND created_at > smartcover_now() - make_interval(secs => :seconds)
ORDER BY created_at DESC LIMIT 1;

-- name: add_submission!
INSERT INTO submissions (bucket, secret_id, token, digest, job_ids)
VALUES (:bucket, :secret_id, :token, :digest, :job_ids)
ON CONFLICT (bucket, secret_id, token) WHERE token IS NOT NULL
DO UPDATE SET digest = excluded.digest, job_ids = excluded.job_ids, created_at = excluded.created_at;

-- name: forget_submissions!
-- A few at every submit, so that the table stays as small as its windows.
DELETE FROM submissions WHERE submission_id IN (
    SELECT submission_id FROM submissions
    WHERE (token IS NULL) AND created_at < smartcover_now() - make_interval(secs => :retry_seconds)
    ORDER BY created_at LIMIT 4 FOR UPDATE SKIP LOCKED
) OR submission_id IN (
    SELECT submission_id FROM submissions
    WHERE (token IS NULL) = false AND created_at < smartcover_now() - make_interval(secs => :token_seconds)
    ORDER BY created_at LIMIT 4 FOR UPDATE SKIP LOCKED
);

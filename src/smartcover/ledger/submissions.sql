-- Adding jobs, and recognising a submit that is a repetition of an earlier one.

-- name: add_jobs
-- Adds jobs to one queue, remembers the submit they came with if any, and announces them: one round trip, and without a
-- transaction around it committed when it returns. No row, and nothing done, if the queue would then have room for
-- fewer than `spare` more. A repetition that overtakes its original waits for the lock until that is committed.
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('smartcover submit ' || :mark::text, 0))
), room AS (
    SELECT queue_id FROM queues CROSS JOIN locked
    WHERE queue_id = :queue_id AND max_size - :spare::bigint - cardinality(:job_ids::text[]) >= (
        SELECT count(*) FROM (
            SELECT FROM jobs WHERE jobs.queue_id = queues.queue_id AND state = 'Submitted' LIMIT queues.max_size
        ) AS waiting
    )
), added AS (
    INSERT INTO jobs (
        job_id, bucket, region, queue_id, tag, level, spec, callback, workflow_id, run_id, batch_id
    )
    SELECT
        new.job_id, new.bucket, new.region, room.queue_id, new.tag, new.level, new.spec::json, new.callback::json,
        new.workflow_id, new.run_id, new.batch_id
    FROM room CROSS JOIN unnest(
        :job_ids::text[], :buckets::text[], :regions::text[], :tags::text[], :levels::smallint[], :specs::text[],
        :callbacks::text[], :workflow_ids::text[], :run_ids::text[], :batch_ids::text[]
    ) WITH ORDINALITY AS new (
        job_id, bucket, region, tag, level, spec, callback, workflow_id, run_id, batch_id, place
    )
    ORDER BY new.place
    RETURNING *
), remembered AS (
    INSERT INTO submissions (bucket, secret_id, token, digest, job_ids)
    SELECT (:buckets::text[])[1], :secret_id::text, :token::text, :digest::bytea, :job_ids::text[]
    FROM room WHERE :mark::text IS NOT NULL
    ON CONFLICT (bucket, secret_id, token) WHERE token IS NOT NULL
    DO UPDATE SET digest = excluded.digest, job_ids = excluded.job_ids, created_at = excluded.created_at
), forgotten AS (
    -- A few at every submit, so that the table stays as small as its windows.
    DELETE FROM submissions WHERE :mark::text IS NOT NULL AND submission_id = ANY(
        ARRAY(
            SELECT submission_id FROM submissions
            WHERE (token IS NULL)
              AND created_at < (SELECT smartcover_now() - make_interval(secs => :retry_seconds::double precision))
            ORDER BY created_at LIMIT 4 FOR UPDATE SKIP LOCKED
        ) || ARRAY(
            SELECT submission_id FROM submissions
            WHERE (token IS NULL) = false
              AND created_at < (SELECT smartcover_now() - make_interval(secs => :token_seconds::double precision))
            ORDER BY created_at LIMIT 4 FOR UPDATE SKIP LOCKED
        )
    )
), told AS (
    SELECT pg_notify('smartcover', 'jobs') FROM room
)
SELECT added.* FROM added CROSS JOIN told ORDER BY seq;

-- name: lock_submission!
-- As add_jobs does, for those who look at earlier submits first.
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

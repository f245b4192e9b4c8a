-- Lists of jobs, page by page. Each is merged from one ordered walk per state: the index of the narrowest filter
-- gives each walk in order, so that a page costs the same wherever it starts and however rare its states are.
-- `Pause` is no stored state: a waiting job shows it while its queue is paused.

-- name: newest_jobs
SELECT found.*
FROM unnest(:states::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT jobs.*, queues.state AS queue_state
    FROM jobs JOIN queues USING (queue_id)
    WHERE jobs.bucket = :bucket AND jobs.state = wanted.state
      AND (jobs.state <> 'Submitted' OR queues.state = ANY(:waiting_in::text[]))
      AND (:queue_id::text IS NULL OR jobs.queue_id = :queue_id)
      AND (:workflow_id::text IS NULL OR jobs.workflow_id = :workflow_id)
      AND (:batch_id::text IS NULL OR jobs.batch_id = :batch_id)
      AND (:input_object::text IS NULL OR (jobs.spec ->> 'object_key') = :input_object)
      AND (:since::timestamptz IS NULL OR jobs.created_at >= :since)
      AND (:until::timestamptz IS NULL OR jobs.created_at <= :until)
      AND (:after_time::timestamptz IS NULL OR (jobs.created_at, jobs.seq) < (:after_time, :after_seq::bigint))
    ORDER BY jobs.created_at DESC, jobs.seq DESC
    LIMIT :most
) AS found
ORDER BY found.created_at DESC, found.seq DESC
LIMIT :most;

-- name: oldest_jobs
SELECT found.*
FROM unnest(:states::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT jobs.*, queues.state AS queue_state
    FROM jobs JOIN queues USING (queue_id)
    WHERE jobs.bucket = :bucket AND jobs.state = wanted.state
      AND (jobs.state <> 'Submitted' OR queues.state = ANY(:waiting_in::text[]))
      AND (:queue_id::text IS NULL OR jobs.queue_id = :queue_id)
      AND (:workflow_id::text IS NULL OR jobs.workflow_id = :workflow_id)
      AND (:batch_id::text IS NULL OR jobs.batch_id = :batch_id)
      AND (:input_object::text IS NULL OR (jobs.spec ->> 'object_key') = :input_object)
      AND (:since::timestamptz IS NULL OR jobs.created_at >= :since)
      AND (:until::timestamptz IS NULL OR jobs.created_at <= :until)
      AND (:after_time::timestamptz IS NULL OR (jobs.created_at, jobs.seq) > (:after_time, :after_seq::bigint))
    ORDER BY jobs.created_at, jobs.seq
    LIMIT :most
) AS found
ORDER BY found.created_at, found.seq
LIMIT :most;

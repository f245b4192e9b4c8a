-- Lists of jobs, page by page. Each is merged from one ordered walk per state: the index of the narrowest filter
-- gives each walk in order, so that a page costs the same wherever it starts and however rare its states are.
-- `Pause` is no stored state: a waiting job shows it while its queue is paused. Where only one of the two is wanted,
-- waiting jobs are walked queue by queue, through queues in the state `waiting_in` alone.

-- name: newest_jobs
SELECT found.*
FROM (
    SELECT walk.*
    FROM unnest(:states::text[]) AS wanted (state)
    CROSS JOIN LATERAL (
        SELECT jobs.*, queues.state AS queue_state
        FROM jobs JOIN queues USING (queue_id)
        WHERE jobs.bucket = :bucket AND jobs.state = wanted.state
          AND (:queue_id::text IS NULL OR jobs.queue_id = :queue_id)
          AND (:workflow_id::text IS NULL OR jobs.workflow_id = :workflow_id)
          AND (:batch_id::text IS NULL OR jobs.batch_id = :batch_id)
          AND (:input_object::text IS NULL OR (jobs.spec ->> 'object_key') = :input_object)
          AND (:since::timestamptz IS NULL OR jobs.created_at >= :since)
          AND (:until::timestamptz IS NULL OR jobs.created_at <= :until)
          AND (:after_time::timestamptz IS NULL OR (jobs.created_at, jobs.seq) < (:after_time, :after_seq::bigint))
        ORDER BY jobs.created_at DESC, jobs.seq DESC
        LIMIT :most
    ) AS walk
    UNION ALL
    SELECT walk.*
    FROM queues AS waiting
    CROSS JOIN LATERAL (
        SELECT jobs.*, waiting.state AS queue_state
        FROM jobs
        WHERE jobs.queue_id = waiting.queue_id AND jobs.state = 'Submitted' AND jobs.bucket = :bucket
          AND (:workflow_id::text IS NULL OR jobs.workflow_id = :workflow_id)
          AND (:batch_id::text IS NULL OR jobs.batch_id = :batch_id)
          AND (:input_object::text IS NULL OR (jobs.spec ->> 'object_key') = :input_object)
          AND (:since::timestamptz IS NULL OR jobs.created_at >= :since)
          AND (:until::timestamptz IS NULL OR jobs.created_at <= :until)
          AND (:after_time::timestamptz IS NULL OR (jobs.created_at, jobs.seq) < (:after_time, :after_seq::bigint))
        ORDER BY jobs.created_at DESC, jobs.seq DESC
        LIMIT :most
    ) AS walk
    WHERE waiting.bucket = :bucket AND waiting.state = :waiting_in::text
      AND (:queue_id::text IS NULL OR waiting.queue_id = :queue_id)
) AS found
ORDER BY found.created_at DESC, found.seq DESC
LIMIT :most;

-- name: oldest_jobs
SELECT found.*
FROM (
    SELECT walk.*
    FROM unnest(:states::text[]) AS wanted (state)
    CROSS JOIN LATERAL (
        SELECT jobs.*, queues.state AS queue_state
        FROM jobs JOIN queues USING (queue_id)
        WHERE jobs.bucket = :bucket AND jobs.state = wanted.state
          AND (:queue_id::text IS NULL OR jobs.queue_id = :queue_id)
          AND (:workflow_id::text IS NULL OR jobs.workflow_id = :workflow_id)
          AND (:batch_id::text IS NULL OR jobs.batch_id = :batch_id)
          AND (:input_object::text IS NULL OR (jobs.spec ->> 'object_key') = :input_object)
          AND (:since::timestamptz IS NULL OR jobs.created_at >= :since)
          AND (:until::timestamptz IS NULL OR jobs.created_at <= :until)
          AND (:after_time::timestamptz IS NULL OR (jobs.created_at, jobs.seq) > (:after_time, :after_seq::bigint))
        ORDER BY jobs.created_at, jobs.seq
        LIMIT :most
    ) AS walk
    UNION ALL
    SELECT walk.*
    FROM queues AS waiting
    CROSS JOIN LATERAL (
        SELECT jobs.*, waiting.state AS queue_state
        FROM jobs
        WHERE jobs.queue_id = waiting.queue_id AND jobs.state = 'Submitted' AND jobs.bucket = :bucket
          AND (:workflow_id::text IS NULL OR jobs.workflow_id = :workflow_id)
          AND (:batch_id::text IS NULL OR jobs.batch_id = :batch_id)
          AND (:input_object::text IS NULL OR (jobs.spec ->> 'object_key') = :input_object)
          AND (:since::timestamptz IS NULL OR jobs.created_at >= :since)
          AND (:until::timestamptz IS NULL OR jobs.created_at <= :until)
          AND (:after_time::timestamptz IS NULL OR (jobs.created_at, jobs.seq) > (:after_time, :after_seq::bigint))
        ORDER BY jobs.created_at, jobs.seq
        LIMIT :most
    ) AS walk
    WHERE waiting.bucket = :bucket AND waiting.state = :waiting_in::text
      AND (:queue_id::text IS NULL OR waiting.queue_id = :queue_id)
) AS found
ORDER BY found.created_at, found.seq
LIMIT :most;

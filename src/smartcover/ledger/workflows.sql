-- Every statement about workflows, their runs and the uploads that start them.

-- name: add_workflow^
INSERT INTO workflows (workflow_id, bucket, name, state, object_prefix, topology)
VALUES (:workflow_id, :bucket, :name, :state, :object_prefix, :topology::text::json)
RETURNING *;

-- name: workflow_added_lately^
SELECT * FROM workflows
WHERE bucket = :bucket AND name = :name AND state = :state AND object_prefix = :object_prefix
  AND topology::text = :topology AND created_at > smartcover_now() - make_interval(secs => :seconds)
ORDER BY seq DESC LIMIT 1;

-- name: update_workflow^
UPDATE workflows SET
    name = :name, state = :state, object_prefix = :object_prefix, topology = :topology::text::json,
    updated_at = smartcover_now()
WHERE bucket = :bucket AND workflow_id = :workflow_id AND state = 'Paused'
RETURNING *;

-- name: set_workflow_state^
UPDATE workflows SET
    state = :state, updated_at = CASE WHEN state = :state THEN updated_at ELSE smartcover_now() END
WHERE bucket = :bucket AND workflow_id = :workflow_id
RETURNING *;

-- name: remove_workflow^
DELETE FROM workflows WHERE bucket = :bucket AND workflow_id = :workflow_id AND state = 'Paused' RETURNING *;

-- name: workflow^
SELECT * FROM workflows WHERE bucket = :bucket AND workflow_id = :workflow_id;

-- name: workflows_by_id
SELECT * FROM workflows WHERE bucket = :bucket AND workflow_id = ANY(:workflow_ids::text[]) ORDER BY seq;

-- name: list_workflows
SELECT workflows.*, count(*) OVER () AS total FROM workflows
WHERE bucket = :bucket AND starts_with(name, :name_prefix)
ORDER BY seq OFFSET :skip LIMIT :most;

-- name: count_workflows$
SELECT count(*) FROM workflows WHERE bucket = :bucket AND starts_with(name, :name_prefix);

-- name: note_upload$
SELECT smartcover_note_event(
    :event_id, :bucket, :key, :name, :size_bytes, :etag, :headers::text::json, :request_id, :outside, NULL,
    :happened_at::timestamptz, :near_seconds
);

-- name: lock_upload^
-- One upload per transaction; others are taken by others meanwhile.
SELECT * FROM upload_events
WHERE consumed_at IS NULL AND next_at <= smartcover_now()
ORDER BY next_at, seq LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: next_upload_seconds$
SELECT extract(epoch FROM next_at - smartcover_now())::double precision
FROM upload_events WHERE consumed_at IS NULL ORDER BY next_at LIMIT 1;

-- name: consume_upload!
UPDATE upload_events SET consumed_at = smartcover_now() WHERE event_id = :event_id;

-- name: postpone_upload$
UPDATE upload_events SET
    tries = tries + CASE WHEN :counted::boolean THEN 1 ELSE 0 END,
    next_at = smartcover_now() + make_interval(secs => :delay_seconds),
    consumed_at = CASE WHEN :counted::boolean AND tries + 1 >= :most_tries THEN smartcover_now() END
WHERE event_id = :event_id AND consumed_at IS NULL
RETURNING consumed_at IS NOT NULL;

-- name: forget_old_uploads$
WITH gone AS (
    DELETE FROM upload_events WHERE event_id IN (
        SELECT event_id FROM upload_events
        WHERE consumed_at < (SELECT smartcover_now() - make_interval(secs => :older_than_seconds))
        LIMIT :most FOR UPDATE SKIP LOCKED
    ) RETURNING 1
), also_gone AS (
    DELETE FROM own_outputs WHERE (bucket, key) IN (
        SELECT bucket, key FROM own_outputs
        WHERE written_at < (SELECT smartcover_now() - make_interval(secs => :older_than_seconds))
        LIMIT :most FOR UPDATE SKIP LOCKED
    ) RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM also_gone);

-- name: note_outputs!
INSERT INTO own_outputs (bucket, key, etag)
SELECT bucket, key, etag FROM unnest(:buckets::text[], :keys::text[], :etags::text[]) AS new (bucket, key, etag)
ON CONFLICT (bucket, key) DO UPDATE SET etag = excluded.etag, written_at = excluded.written_at;

-- name: is_own_output$
-- A store may give an object another ETag than the MD5 that we know; what arrived at the time of our writing is ours.
SELECT EXISTS (
    SELECT 1 FROM own_outputs
    WHERE bucket = :bucket AND key = :key
      AND (etag = :etag OR abs(extract(epoch FROM written_at - :arrived_at)) < :near_seconds)
);

-- name: pair_with_own_upload$
-- Of the uploads through our own API that no event of the store was paired with yet, the nearest in time.
WITH own AS (
    SELECT event_id FROM upload_events
    WHERE bucket = :bucket AND key = :key AND NOT outside AND twin IS NULL
      AND lower(:etag::text) IN (lower(etag), lower(store_etag))
      AND abs(extract(epoch FROM created_at - :happened_at::timestamptz)) < :near_seconds
    ORDER BY abs(extract(epoch FROM created_at - :happened_at::timestamptz)) LIMIT 1
    FOR UPDATE
), paired AS (
    UPDATE upload_events SET twin = :event_id FROM own WHERE upload_events.event_id = own.event_id
    RETURNING own.event_id
)
UPDATE upload_events SET twin = paired.event_id FROM paired WHERE upload_events.event_id = :event_id
RETURNING true;

-- name: add_run^
INSERT INTO workflow_runs (
    run_id, bucket, workflow_id, workflow_name, object_key, topology, cos_headers, finish_target, start_key, batch_id
)
VALUES (
    :run_id, :bucket, :workflow_id, :workflow_name, :object_key, :topology::text::json, :cos_headers::text::json,
    :finish_target::text::json, :start_key, :batch_id
)
ON CONFLICT (workflow_id, start_key) DO NOTHING
RETURNING *;

-- name: run_started_by^
SELECT * FROM workflow_runs WHERE workflow_id = :workflow_id AND start_key = :start_key;

-- name: run_called_lately^
SELECT * FROM workflow_runs
WHERE workflow_id = :workflow_id AND object_key = :object_key AND starts_with(start_key, 'call:')
  AND created_at > smartcover_now() - make_interval(secs => :seconds)
ORDER BY created_at DESC, seq DESC LIMIT 1;

-- name: lock_run^
SELECT * FROM workflow_runs WHERE run_id = :run_id FOR UPDATE;

-- name: end_run^
UPDATE workflow_runs SET
    state = :state, ended_at = CASE WHEN :ended::boolean THEN :at::timestamptz END
WHERE run_id = :run_id
RETURNING *;

-- name: run^
SELECT * FROM workflow_runs WHERE bucket = :bucket AND run_id = :run_id;

-- name: tasks
SELECT jobs.*, queues.state AS queue_state FROM jobs JOIN queues USING (queue_id)
WHERE run_id = :run_id ORDER BY seq;

-- name: runs_newest_first
-- Merged from one ordered walk per state, as lists of jobs are.
SELECT found.*
FROM unnest(:states::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT * FROM workflow_runs
    WHERE bucket = :bucket AND workflow_runs.state = wanted.state
      AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
      AND (:batch_id::text IS NULL OR batch_id = :batch_id)
      AND (:since::timestamptz IS NULL OR created_at >= :since)
      AND (:until::timestamptz IS NULL OR created_at <= :until)
      AND (:at::timestamptz IS NULL OR (created_at, seq) < (:at::timestamptz, :seq::bigint))
    ORDER BY created_at DESC, seq DESC LIMIT :most
) AS found
ORDER BY created_at DESC, seq DESC LIMIT :most;

-- name: runs_oldest_first
SELECT found.*
FROM unnest(:states::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    SELECT * FROM workflow_runs
    WHERE bucket = :bucket AND workflow_runs.state = wanted.state
      AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
      AND (:batch_id::text IS NULL OR batch_id = :batch_id)
      AND (:since::timestamptz IS NULL OR created_at >= :since)
      AND (:until::timestamptz IS NULL OR created_at <= :until)
      AND (:at::timestamptz IS NULL OR (created_at, seq) > (:at::timestamptz, :seq::bigint))
    ORDER BY created_at, seq LIMIT :most
) AS found
ORDER BY created_at, seq LIMIT :most;

-- name: named_runs_newest_first
-- No index helps to find a part of a name: so many runs are looked at, and the place where that ended is told, if it
-- ended before all were seen. The states stand apart, so that each is walked in order and no further than needed.
WITH walked AS (
    SELECT run_id, object_key, created_at, seq
    FROM (
        (
            SELECT run_id, object_key, created_at, seq FROM workflow_runs
            WHERE bucket = :bucket AND state = 'Running' AND 'Running' = ANY(:states::text[])
              AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
              AND (:batch_id::text IS NULL OR batch_id = :batch_id)
              AND (:since::timestamptz IS NULL OR created_at >= :since)
              AND (:until::timestamptz IS NULL OR created_at <= :until)
              AND (:at::timestamptz IS NULL OR (created_at, seq) < (:at::timestamptz, :seq::bigint))
            ORDER BY created_at DESC, seq DESC LIMIT :most_walked
        )
        UNION ALL
        (
            SELECT run_id, object_key, created_at, seq FROM workflow_runs
            WHERE bucket = :bucket AND state = 'Success' AND 'Success' = ANY(:states::text[])
              AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
              AND (:batch_id::text IS NULL OR batch_id = :batch_id)
              AND (:since::timestamptz IS NULL OR created_at >= :since)
              AND (:until::timestamptz IS NULL OR created_at <= :until)
              AND (:at::timestamptz IS NULL OR (created_at, seq) < (:at::timestamptz, :seq::bigint))
            ORDER BY created_at DESC, seq DESC LIMIT :most_walked
        )
        UNION ALL
        (
            SELECT run_id, object_key, created_at, seq FROM workflow_runs
            WHERE bucket = :bucket AND state = 'Failed' AND 'Failed' = ANY(:states::text[])
              AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
              AND (:batch_id::text IS NULL OR batch_id = :batch_id)
              AND (:since::timestamptz IS NULL OR created_at >= :since)
              AND (:until::timestamptz IS NULL OR created_at <= :until)
              AND (:at::timestamptz IS NULL OR (created_at, seq) < (:at::timestamptz, :seq::bigint))
            ORDER BY created_at DESC, seq DESC LIMIT :most_walked
        )
        UNION ALL
        (
            SELECT run_id, object_key, created_at, seq FROM workflow_runs
            WHERE bucket = :bucket AND state = 'Cancel' AND 'Cancel' = ANY(:states::text[])
              AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
              AND (:batch_id::text IS NULL OR batch_id = :batch_id)
              AND (:since::timestamptz IS NULL OR created_at >= :since)
              AND (:until::timestamptz IS NULL OR created_at <= :until)
              AND (:at::timestamptz IS NULL OR (created_at, seq) < (:at::timestamptz, :seq::bigint))
            ORDER BY created_at DESC, seq DESC LIMIT :most_walked
        )
    ) AS runs
    ORDER BY created_at DESC, seq DESC LIMIT :most_walked
), hits AS (
    SELECT run_id FROM walked WHERE strpos(object_key, :object_part) > 0
    ORDER BY created_at DESC, seq DESC LIMIT :most
), place AS (
    SELECT created_at AS walked_to, seq AS walked_seq FROM walked
    ORDER BY created_at DESC, seq DESC OFFSET :most_walked::integer - 1 LIMIT 1
)
SELECT workflow_runs.*, place.walked_to, place.walked_seq
FROM (VALUES (1)) AS one (row)
LEFT JOIN place ON true
LEFT JOIN hits ON true
LEFT JOIN workflow_runs USING (run_id)
ORDER BY workflow_runs.created_at DESC, workflow_runs.seq DESC;

-- name: named_runs_oldest_first
WITH walked AS (
    SELECT run_id, object_key, created_at, seq
    FROM (
        (
            SELECT run_id, object_key, created_at, seq FROM workflow_runs
            WHERE bucket = :bucket AND state = 'Running' AND 'Running' = ANY(:states::text[])
              AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
              AND (:batch_id::text IS NULL OR batch_id = :batch_id)
              AND (:since::timestamptz IS NULL OR created_at >= :since)
              AND (:until::timestamptz IS NULL OR created_at <= :until)
              AND (:at::timestamptz IS NULL OR (created_at, seq) > (:at::timestamptz, :seq::bigint))
            ORDER BY created_at, seq LIMIT :most_walked
        )
        UNION ALL
        (
            SELECT run_id, object_key, created_at, seq FROM workflow_runs
            WHERE bucket = :bucket AND state = 'Success' AND 'Success' = ANY(:states::text[])
              AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
              AND (:batch_id::text IS NULL OR batch_id = :batch_id)
              AND (:since::timestamptz IS NULL OR created_at >= :since)
              AND (:until::timestamptz IS NULL OR created_at <= :until)
              AND (:at::timestamptz IS NULL OR (created_at, seq) > (:at::timestamptz, :seq::bigint))
            ORDER BY created_at, seq LIMIT :most_walked
        )
        UNION ALL
        (
            SELECT run_id, object_key, created_at, seq FROM workflow_runs
            WHERE bucket = :bucket AND state = 'Failed' AND 'Failed' = ANY(:states::text[])
              AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
              AND (:batch_id::text IS NULL OR batch_id = :batch_id)
              AND (:since::timestamptz IS NULL OR created_at >= :since)
              AND (:until::timestamptz IS NULL OR created_at <= :until)
              AND (:at::timestamptz IS NULL OR (created_at, seq) > (:at::timestamptz, :seq::bigint))
            ORDER BY created_at, seq LIMIT :most_walked
        )
        UNION ALL
        (
            SELECT run_id, object_key, created_at, seq FROM workflow_runs
            WHERE bucket = :bucket AND state = 'Cancel' AND 'Cancel' = ANY(:states::text[])
              AND (:workflow_id::text IS NULL OR workflow_id = :workflow_id)
              AND (:batch_id::text IS NULL OR batch_id = :batch_id)
              AND (:since::timestamptz IS NULL OR created_at >= :since)
              AND (:until::timestamptz IS NULL OR created_at <= :until)
              AND (:at::timestamptz IS NULL OR (created_at, seq) > (:at::timestamptz, :seq::bigint))
            ORDER BY created_at, seq LIMIT :most_walked
        )
    ) AS runs
    ORDER BY created_at, seq LIMIT :most_walked
), hits AS (
    SELECT run_id FROM walked WHERE strpos(object_key, :object_part) > 0
    ORDER BY created_at, seq LIMIT :most
), place AS (
    SELECT created_at AS walked_to, seq AS walked_seq FROM walked
    ORDER BY created_at, seq OFFSET :most_walked::integer - 1 LIMIT 1
)
SELECT workflow_runs.*, place.walked_to, place.walked_seq
FROM (VALUES (1)) AS one (row)
LEFT JOIN place ON true
LEFT JOIN hits ON true
LEFT JOIN workflow_runs USING (run_id)
ORDER BY workflow_runs.created_at, workflow_runs.seq;

-- name: templates_by_id
SELECT * FROM templates WHERE bucket = :bucket AND template_id = ANY(:template_ids::text[]);

-- name: queue_or_default^
SELECT * FROM queues WHERE bucket = :bucket AND (queue_id = :queue_id OR is_default)
ORDER BY queue_id = :queue_id DESC LIMIT 1;

-- name: bound$
SELECT NOT EXISTS (SELECT 1 FROM unbound_buckets WHERE bucket = :bucket);

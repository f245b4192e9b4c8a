-- What lives now, for metrics. Each part walks an index that holds live rows only, or its end: a table of millions of
-- finished rows costs nothing here.

-- name: live_jobs
SELECT queues.bucket, queues.queue_id, queues.state = 'Paused' AS paused, waiting.jobs AS waiting,
    extract(epoch FROM smartcover_now() - waiting.oldest)::double precision AS oldest_waiting_seconds,
    running.jobs AS running
FROM queues
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs, min(created_at) AS oldest
    FROM jobs WHERE jobs.queue_id = queues.queue_id AND jobs.state = 'Submitted'
) AS waiting
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs FROM jobs WHERE jobs.queue_id = queues.queue_id AND jobs.state = 'Running'
) AS running
ORDER BY waiting.jobs + running.jobs DESC, queues.created_at, queues.queue_id;

-- name: owed_deliveries^
SELECT count(*) AS pending, count(*) FILTER (WHERE claimed_until >= smartcover_now()) AS in_flight,
    extract(epoch FROM smartcover_now() - min(created_at))::double precision AS oldest_seconds
FROM deliveries WHERE state = 'pending';

-- name: open_work^
SELECT
    (SELECT count(*) FROM upload_events WHERE consumed_at IS NULL) AS uploads,
    (SELECT count(*) FROM batches WHERE ended_at IS NULL) AS batches;

-- name: schema_revision$
SELECT version_num FROM alembic_version;

-- Queues. Whoever changes one holds its row, and so does whoever claims from it: what a pause says holds at its commit.

-- name: add_default_queue!
INSERT INTO queues (queue_id, bucket, name, is_default, max_concurrent, max_size)
VALUES (:queue_id, :bucket, :name, true, :max_concurrent, :max_size)
ON CONFLICT (bucket) WHERE is_default DO NOTHING;

-- name: add_queue^
INSERT INTO queues (queue_id, bucket, name, max_concurrent, max_size)
VALUES (:queue_id, :bucket, :name, :max_concurrent, :max_size)
RETURNING *;

-- name: default_queue^
SELECT * FROM queues WHERE bucket = :bucket AND is_default;

-- name: queue^
SELECT * FROM queues WHERE bucket = :bucket AND queue_id = :queue_id;

-- name: queues
SELECT *, count(*) OVER () AS total FROM queues
WHERE bucket = :bucket AND (:queue_ids::text[] IS NULL OR queue_id = ANY(:queue_ids))
  AND (:state::text IS NULL OR state = :state)
ORDER BY created_at, queue_id OFFSET :skip LIMIT :most;

-- name: count_queues$
SELECT count(*) FROM queues
WHERE bucket = :bucket AND (:queue_ids::text[] IS NULL OR queue_id = ANY(:queue_ids))
  AND (:state::text IS NULL OR state = :state);

-- name: change_queue^
UPDATE queues SET name = :name, state = :state, notify = :notify::text::json, updated_at = smartcover_now()
WHERE bucket = :bucket AND queue_id = :queue_id
RETURNING *;

-- name: set_queue_limits^
UPDATE queues SET max_concurrent = :max_concurrent, max_size = :max_size, updated_at = smartcover_now()
WHERE bucket = :bucket AND queue_id = :queue_id
RETURNING *;

-- name: queue_room^
-- How many more jobs may wait; counting ends where the answer is known.
SELECT max_size, max_size - (
    SELECT count(*) FROM (
        SELECT FROM jobs WHERE jobs.queue_id = queues.queue_id AND state = 'Submitted' LIMIT queues.max_size
    ) AS waiting
) AS room
FROM queues WHERE queue_id = :queue_id;

-- name: lock_queue_room!
SELECT pg_advisory_xact_lock(hashtextextended('smartcover room of ' || :queue_id::text, 0));

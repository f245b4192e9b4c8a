"""Two million finished and waiting things, written by the database itself, so that lists have something to find."""

from __future__ import annotations

from typing import Final

import asyncpg

from benchmarks.service.client import BUCKET, REGION

#: A second bucket, as large: nothing of it may be read for a page of the first.
_OTHER: Final = "other-1250000000"
WORKFLOW: Final = "w" + "1" * 32
RARE_WORKFLOW: Final = "w" + "2" * 32
BATCH: Final = "b" + "1" * 32
RARE_OBJECT: Final = "in/rare.mp4"

_QUEUES: Final = """
INSERT INTO queues (queue_id, bucket, name, state, is_default, max_size) VALUES
    ('p' || repeat('1', 32), $1, 'queue-1', 'Active', true, 10000000),
    ('p' || repeat('2', 32), $1, 'paused', 'Paused', false, 10000000),
    ('p' || repeat('3', 32), $2, 'queue-1', 'Active', true, 10000000)
"""

#: One job each 2 seconds, newest last. Of 1,000 jobs 5 wait, 1 runs, 20 failed and 4 were cancelled; a few waiting ones
#: stand in a paused queue. A third belong to workflow runs, nearly all of one workflow, and some to a batch.
_JOBS: Final = """
INSERT INTO jobs (
    job_id, bucket, region, queue_id, tag, state, spec, workflow_id, run_id, batch_id, attempt, created_at, started_at,
    ended_at, lease_token, lease_until, worker_id, result
)
SELECT
    'j' || md5(n::text), bucket, $3, queue_id, 'SmartCover', state,
    json_build_object(
        'object_key', CASE WHEN n = 777777 THEN 'in/rare.mp4' ELSE 'in/' || n % 500000 || '.mp4' END,
        'output', json_build_object('region', $3::text, 'bucket', bucket, 'object_pattern', 'out/${Number}.jpg'),
        'covers', json_build_object('count', 3), 'smart_cover', json_build_object('Count', '3'), 'user_data', 'seed'
    ),
    CASE WHEN n % 3 = 0 THEN CASE WHEN n % 90000 = 0 THEN $5 ELSE $4 END END,
    CASE WHEN n % 3 = 0 THEN 'i' || md5(n::text) END,
    CASE WHEN n % 1000 < 50 THEN 'b' || repeat('1', 32) END,
    1, at, at, CASE WHEN state IN ('Success', 'Failed', 'Cancel') THEN at + interval '9 seconds' END,
    CASE WHEN state = 'Running' THEN gen_random_uuid() END,
    CASE WHEN state = 'Running' THEN now() + interval '1 day' END,
    CASE WHEN state = 'Running' THEN 'seed' END,
    CASE WHEN state = 'Success' THEN json_build_object('covers', json_build_array(json_build_object(
        'key', 'out/0.jpg', 'md5', md5(n::text), 'size_bytes', 50000, 'width_px', 1280, 'height_px', 720,
        'seconds', 1.5, 'score', 0.7))) END
FROM (
    SELECT n, at, CASE WHEN n % 20 = 19 THEN $2 ELSE $1 END AS bucket,
        CASE WHEN n % 20 = 19 THEN 'p' || repeat('3', 32) WHEN n % 50 = 7 THEN 'p' || repeat('2', 32)
             ELSE 'p' || repeat('1', 32) END AS queue_id,
        CASE WHEN n % 1000 < 5 OR n % 1000 = 7 THEN 'Submitted' WHEN n % 1000 = 5 THEN 'Running'
             WHEN n % 50 = 11 THEN 'Failed' WHEN n % 250 = 13 THEN 'Cancel' ELSE 'Success' END AS state
    FROM (
        SELECT n, now() - make_interval(secs => 2 * ($6 - n)) AS at FROM generate_series($7::bigint, $8::bigint) AS n
    ) AS numbers
) AS jobs
"""

_RUNS: Final = """
INSERT INTO workflow_runs (
    run_id, bucket, workflow_id, workflow_name, object_key, state, topology, cos_headers, start_key, batch_id,
    created_at, ended_at
)
SELECT run_id, bucket, workflow_id, 'name', 'in/' || seq || '.mp4',
    CASE WHEN state IN ('Success', 'Failed', 'Cancel') THEN state ELSE 'Running' END, '{}', '[]', run_id, batch_id,
    created_at, ended_at
FROM jobs WHERE run_id IS NOT NULL
"""

_BATCHES: Final = """
INSERT INTO batches (
    batch_id, bucket, name, kind, state, input, operation, plan, workflow_ids, created_at, ended_at
)
SELECT 'b' || md5(n::text), $1, 'batch ' || n, CASE WHEN n % 2 = 0 THEN 'Job' ELSE 'Workflow' END,
    CASE WHEN n % 5000 = 1 THEN 'Failed' ELSE 'Success' END, '{}', '{}',
    '{"source": "Prefix", "place": "in/"}', CASE WHEN n % 2 = 0 THEN '{}' ELSE ARRAY[$2] END,
    now() - make_interval(secs => 60 * ($3 - n)), now()
FROM generate_series(1, $3::bigint) AS n
"""

_DELIVERIES: Final = """
INSERT INTO deliveries (
    delivery_id, job_id, bucket, target, destination, content_type, body, state, tries, next_at, created_at, ended_at
)
SELECT md5(seq::text), job_id, bucket, '{"url": "http://receiver.example/cb"}',
    CASE WHEN seq % 100000 = 1 THEN 'rare.example:80' ELSE 'receiver' || seq % 7 || '.example:80' END,
    'application/xml', '<Response/>',
    CASE WHEN seq % 5000 = 1 THEN 'exhausted' ELSE 'delivered' END, 1, NULL, ended_at, ended_at
FROM jobs WHERE ended_at IS NOT NULL ORDER BY seq
"""

_STEP: Final = 200_000


async def seed(dsn: str, jobs: int) -> None:
    """Fill an empty database with so many jobs, the runs and deliveries that belong to them, and some batches."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(_QUEUES, BUCKET, _OTHER, timeout=60)
    for first in range(1, jobs + 1, _STEP):
        last = min(jobs, first + _STEP - 1)
        await connection.execute(
            _JOBS, BUCKET, _OTHER, REGION, WORKFLOW, RARE_WORKFLOW, float(jobs), first, last, timeout=900
        )
    await connection.execute(_RUNS, timeout=900)
    await connection.execute(_BATCHES, BUCKET, WORKFLOW, float(max(jobs // 100, 1)), timeout=900)
    await connection.execute(_DELIVERIES, timeout=900)
    await connection.execute("VACUUM ANALYZE", timeout=900)
    await connection.close()

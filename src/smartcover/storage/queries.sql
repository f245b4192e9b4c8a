-- Every statement of the local object store. Times come from the database's clock; keys compare byte by byte ("C").

-- name: add_bucket!
INSERT INTO buckets (name, region) VALUES (:name, :region) ON CONFLICT (name) DO NOTHING;

-- name: bucket^
SELECT name, region, created_at FROM buckets WHERE name = :name;

-- name: all_buckets
SELECT name, region, created_at FROM buckets ORDER BY name;

-- name: remove_bucket$
-- None when the bucket is missing or not empty; a key that arrives at the same moment fails it by its foreign key.
DELETE FROM buckets
WHERE name = :name
  AND NOT EXISTS (SELECT 1 FROM objects WHERE bucket = :name)
  AND NOT EXISTS (SELECT 1 FROM uploads WHERE bucket = :name AND done_at IS NULL)
RETURNING name;

-- name: announce_object_blob$
-- Before the file exists: the sweep finds it here if we die. None when the bucket is missing.
INSERT INTO garbage (blob, reason)
SELECT :blob::uuid, 'unfinished' FROM buckets WHERE name = :bucket
RETURNING blob;

-- name: announce_part_blob$
-- As announce_object_blob, for a part. None when the upload is not open.
INSERT INTO garbage (blob, reason)
SELECT :blob::uuid, 'unfinished' FROM uploads
WHERE upload_id = :upload_id AND bucket = :bucket AND key = :key AND done_at IS NULL
RETURNING blob;

-- name: show_object$
-- Gives the blob its owner. None when the blob was swept meanwhile; the replaced blob is dropped by trigger.
WITH owned AS (
    DELETE FROM garbage WHERE blob = :blob AND reason = 'unfinished' RETURNING blob
)
INSERT INTO objects (bucket, key, blob, size_bytes, etag, crc64, headers)
SELECT :bucket, :key, owned.blob, :size_bytes, :etag, :crc64, :headers::text::json FROM owned
ON CONFLICT (bucket, key) DO UPDATE SET
    blob = excluded.blob, size_bytes = excluded.size_bytes, etag = excluded.etag, crc64 = excluded.crc64,
    headers = excluded.headers, last_modified = excluded.last_modified
RETURNING last_modified;

-- name: upload_told_lately$
-- Asked after the object's row was written, and so after a first upload that is still under way.
SELECT coalesce((
    SELECT name = :name AND etag = :etag AND created_at > smartcover_now() - make_interval(secs => :seconds)
    FROM upload_events WHERE bucket = :bucket AND key = :key AND NOT outside
    ORDER BY seq DESC LIMIT 1
), false);

-- name: note_upload$
-- Owes a run to each workflow that waits for this object, in the transaction that shows it.
SELECT smartcover_note_event(
    :event_id, :bucket, :key, :name, :size_bytes, :etag, :headers::text::json, :request_id, false, :store_etag::text,
    NULL, :near_seconds
);

-- name: object^
SELECT bucket, key, blob, size_bytes, etag, crc64, headers::text AS headers, last_modified
FROM objects WHERE bucket = :bucket AND key = :key;

-- name: remove_object!
DELETE FROM objects WHERE bucket = :bucket AND key = :key;

-- name: list_flat
-- Keys with one prefix lie together, so the page ends where the first other key begins.
SELECT NULL::text AS folded, page.* FROM (
    SELECT bucket, key, size_bytes, etag, crc64, headers::text AS headers, last_modified
    FROM objects
    WHERE bucket = :bucket AND key >= :lower
    ORDER BY key
    LIMIT :limit
) AS page
WHERE starts_with(key, :prefix)
ORDER BY key;

-- name: list_folded
-- One index probe for each entry of the page: a folded prefix is jumped over, however many keys it holds.
-- `after_delimiter` is the smallest string above every string that starts with the delimiter; chr(1) is the smallest
-- character a text can hold, so key || chr(1) is the next possible key.
WITH RECURSIVE entry (number, key, folded, resume) AS (
    (
        SELECT 0, NULL::text COLLATE "C", NULL::text COLLATE "C", :lower::text COLLATE "C"
    )
    UNION ALL
    SELECT entry.number + 1, found.key, cut.folded,
           CASE WHEN cut.at > 0
                THEN left(found.key, length(:prefix::text) + cut.at - 1) || :after_delimiter::text
                ELSE found.key || chr(1)
           END COLLATE "C"
    FROM entry
    CROSS JOIN LATERAL (
        SELECT objects.key FROM objects
        WHERE objects.bucket = :bucket AND objects.key >= entry.resume
        ORDER BY objects.key
        LIMIT 1
    ) AS found
    CROSS JOIN LATERAL (
        SELECT position.at,
               CASE WHEN position.at > 0
                    THEN left(found.key, length(:prefix::text) + position.at - 1 + length(:delimiter::text))
               END COLLATE "C" AS folded
        FROM (SELECT strpos(substr(found.key, length(:prefix::text) + 1), :delimiter::text) AS at) AS position
    ) AS cut
    WHERE starts_with(found.key, :prefix::text) AND entry.number < :limit
)
SELECT entry.folded, objects.bucket, entry.key, objects.size_bytes, objects.etag, objects.crc64,
       objects.headers::text AS headers, objects.last_modified
FROM entry
LEFT JOIN objects ON entry.folded IS NULL AND objects.bucket = :bucket AND objects.key = entry.key
WHERE entry.number > 0
ORDER BY entry.number;

-- name: add_upload^
-- The id begins with its time in microseconds, so that uploads of one key are listed oldest first: a client that
-- resumes takes the last one.
INSERT INTO uploads (upload_id, bucket, key, headers, initiated_at)
SELECT lpad(to_hex((extract(epoch FROM moment) * 1000000)::bigint), 14, '0') || :random,
       name, :key, :headers::text::json, moment
FROM buckets, smartcover_now() AS moment
WHERE name = :bucket
RETURNING upload_id, bucket, key, headers::text AS headers, initiated_at;

-- name: upload^
SELECT upload_id, bucket, key, headers::text AS headers, initiated_at,
       done_at, done_parts, done_size_bytes, done_etag, done_crc64
FROM uploads WHERE upload_id = :upload_id AND bucket = :bucket AND key = :key;

-- name: lock_upload^
SELECT upload_id, bucket, key, headers::text AS headers, initiated_at,
       done_at, done_parts, done_size_bytes, done_etag, done_crc64
FROM uploads WHERE upload_id = :upload_id AND bucket = :bucket AND key = :key
FOR UPDATE;

-- name: open_uploads
SELECT * FROM (
    SELECT upload_id, bucket, key, headers::text AS headers, initiated_at
    FROM uploads
    WHERE bucket = :bucket AND done_at IS NULL AND (key, upload_id) > (:key::text, :upload_id::text)
    ORDER BY key, upload_id
    LIMIT :limit
) AS page
WHERE starts_with(key, :prefix)
ORDER BY key, upload_id;

-- name: show_part$
-- None when the upload was completed or aborted meanwhile, or the blob was swept.
WITH still_open AS (
    SELECT upload_id FROM uploads WHERE upload_id = :upload_id AND done_at IS NULL FOR SHARE
), owned AS (
    DELETE FROM garbage
    WHERE blob = :blob AND reason = 'unfinished' AND EXISTS (SELECT 1 FROM still_open)
    RETURNING blob
)
INSERT INTO upload_parts (upload_id, number, blob, size_bytes, etag, crc64)
SELECT still_open.upload_id, :number, owned.blob, :size_bytes, :etag, :crc64 FROM owned, still_open
ON CONFLICT (upload_id, number) DO UPDATE SET
    blob = excluded.blob, size_bytes = excluded.size_bytes, etag = excluded.etag, crc64 = excluded.crc64,
    last_modified = excluded.last_modified
RETURNING last_modified;

-- name: parts
SELECT number, blob, size_bytes, etag, crc64, last_modified
FROM upload_parts WHERE upload_id = :upload_id AND number > :after
ORDER BY number LIMIT :limit;

-- name: finish_upload!
UPDATE uploads SET done_at = :done_at, done_parts = :done_parts, done_size_bytes = :size_bytes,
                   done_etag = :etag, done_crc64 = :crc64
WHERE upload_id = :upload_id;

-- name: remove_parts!
DELETE FROM upload_parts WHERE upload_id = :upload_id;

-- name: remove_upload$
DELETE FROM uploads
WHERE upload_id = :upload_id AND bucket = :bucket AND key = :key AND done_at IS NULL
RETURNING upload_id;

-- name: now$
SELECT smartcover_now();

-- name: take_garbage
SELECT blob FROM garbage WHERE reason = :reason AND since < :before
ORDER BY since LIMIT :limit
FOR UPDATE SKIP LOCKED;

-- name: take_unfinished
SELECT blob FROM garbage WHERE blob = ANY(:blobs::uuid[]) AND reason = 'unfinished' FOR UPDATE;

-- name: unfinished
SELECT blob FROM garbage WHERE blob = ANY(:blobs::uuid[]) AND reason = 'unfinished';

-- name: forget_garbage!
DELETE FROM garbage WHERE blob = ANY(:blobs::uuid[]);

-- name: remove_old_uploads
DELETE FROM uploads WHERE upload_id IN (
    SELECT upload_id FROM uploads
    WHERE done_at < :done_before OR (done_at IS NULL AND initiated_at < :open_before)
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
RETURNING upload_id;

-- name: objects_of_keys
SELECT bucket, key, blob, size_bytes, etag, crc64, headers::text AS headers, last_modified
FROM objects WHERE bucket = :bucket AND key = ANY(:keys::text[]);

-- name: any_objects$
SELECT EXISTS (SELECT FROM objects);

-- name: known_blobs
-- Of the blobs given those that any row tells of.
SELECT blob FROM objects WHERE blob = ANY(:blobs::uuid[])
UNION ALL
SELECT blob FROM upload_parts WHERE blob = ANY(:blobs::uuid[])
UNION ALL
SELECT blob FROM garbage WHERE blob = ANY(:blobs::uuid[]);

-- name: objects_of_blobs
SELECT blob, bucket, key FROM objects WHERE blob BETWEEN :first::uuid AND :last::uuid ORDER BY blob LIMIT :limit;

-- name: forget_objects!
DELETE FROM objects WHERE bucket = :bucket;

-- name: owned_blobs
-- Of the blobs given those that something may still ask for: parts, and what is noted down as garbage of any age.
SELECT blob FROM upload_parts WHERE blob = ANY(:blobs::uuid[])
UNION ALL
SELECT blob FROM garbage WHERE blob = ANY(:blobs::uuid[]);

-- name: take_old_garbage
SELECT blob FROM garbage
WHERE blob = ANY(:blobs::uuid[])
  AND since < CASE reason WHEN 'unfinished' THEN :unfinished_before::timestamptz
                                 ELSE :dropped_before::timestamptz END
FOR UPDATE SKIP LOCKED;

-- name: forget_old_garbage!
-- What has no bytes of its own left: objects that lie under their keys leave such rows when they are replaced.
DELETE FROM garbage WHERE since < :before;

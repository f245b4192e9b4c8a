-- Key pairs of teams and the salts of their secrets.

-- name: lock_all!
-- One change at a time, so that none is made on what another is changing.
SELECT pg_advisory_xact_lock(hashtextextended('smartcover team keys', 0));

-- name: count_active$
SELECT count(*) FROM team_keys WHERE revoked_at IS NULL;

-- name: add_key!
INSERT INTO team_keys (secret_id, team, buckets, rights) VALUES (:secret_id, :team, :buckets, :rights);

-- name: add_secret!
INSERT INTO team_secrets (secret_id, salt, master) VALUES (:secret_id, :salt, :master);

-- name: drop_ended!
DELETE FROM team_secrets WHERE secret_id = :secret_id AND ends_at <= smartcover_now();

-- name: end_secrets!
UPDATE team_secrets SET ends_at = least(ends_at, smartcover_now() + make_interval(secs => :in_seconds))
WHERE secret_id = :secret_id;

-- name: change_key!
UPDATE team_keys SET buckets = :buckets, rights = :rights WHERE secret_id = :secret_id;

-- name: revoke_key!
UPDATE team_keys SET revoked_at = smartcover_now() WHERE secret_id = :secret_id AND revoked_at IS NULL;

-- name: drop_secrets!
DELETE FROM team_secrets WHERE secret_id = :secret_id;

-- name: keys
SELECT team_keys.*, salt, master, team_secrets.created_at AS secret_created_at, ends_at,
    extract(epoch FROM ends_at - smartcover_now())::float8 AS seconds_left
FROM team_keys LEFT JOIN team_secrets
    ON team_secrets.secret_id = team_keys.secret_id AND (ends_at IS NULL OR ends_at > smartcover_now())
WHERE (:secret_id::text IS NULL OR team_keys.secret_id = :secret_id) AND (:also_revoked OR revoked_at IS NULL)
ORDER BY team_keys.team, team_keys.created_at, team_keys.secret_id, team_secrets.created_at DESC, salt
LIMIT :most;

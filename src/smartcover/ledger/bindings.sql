-- Which buckets take part in media processing: all but those that were unbound.

-- name: unbind!
INSERT INTO unbound_buckets (bucket) VALUES (:bucket) ON CONFLICT DO NOTHING;

-- name: bind!
DELETE FROM unbound_buckets WHERE bucket = :bucket;

-- name: is_unbound$
SELECT EXISTS (SELECT FROM unbound_buckets WHERE bucket = :bucket);

-- name: unbound
SELECT bucket FROM unbound_buckets;

-- Templates: saved cover options of a bucket. A bucket holds few, so pages by number are read with OFFSET.

-- name: add_template^
INSERT INTO templates (template_id, bucket, tag, name, smart_cover)
SELECT :template_id, :bucket, :tag, :name, :smart_cover::text::json
WHERE (SELECT count(*) FROM templates WHERE bucket = :bucket) < :most
RETURNING *;

-- name: template_added_lately^
SELECT * FROM templates
WHERE bucket = :bucket AND tag = :tag AND name = :name AND smart_cover::text = :smart_cover
  AND created_at > smartcover_now() - make_interval(secs => :seconds)
ORDER BY seq DESC LIMIT 1;

-- name: replace_template^
UPDATE templates SET tag = :tag, name = :name, smart_cover = :smart_cover::text::json, updated_at = smartcover_now()
WHERE bucket = :bucket AND template_id = :template_id
RETURNING *;

-- name: template^
SELECT * FROM templates WHERE bucket = :bucket AND template_id = :template_id;

-- name: templates
SELECT *, count(*) OVER () AS total FROM templates
WHERE bucket = :bucket AND (:template_ids::text[] IS NULL OR template_id = ANY(:template_ids))
  AND (:tag::text IS NULL OR tag = :tag) AND starts_with(name, :name_prefix)
ORDER BY seq OFFSET :skip LIMIT :most;

-- name: count_templates$
SELECT count(*) FROM templates
WHERE bucket = :bucket AND (:template_ids::text[] IS NULL OR template_id = ANY(:template_ids))
  AND (:tag::text IS NULL OR tag = :tag) AND starts_with(name, :name_prefix);

-- name: delete_template$
DELETE FROM templates WHERE bucket = :bucket AND template_id = :template_id RETURNING template_id;

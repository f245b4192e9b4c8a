"""
An upload through our object API that a store of its own tells of too is known as one.

`smartcover_note_event` takes the place of `smartcover_note_upload`, which processes of the version before still call.
Two events of one upload, ours and the store's, become twins in whichever order they arrive, and one of them starts
runs. The lock of the key lets neither of them miss the other while both are being stored.
"""

from __future__ import annotations

from alembic import op

from smartcover.ledger.migrations.indexes import change_indexes

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    ALTER TABLE upload_events
        ADD COLUMN store_etag text,
        ADD COLUMN happened_at timestamptz,
        ADD COLUMN twin text
    """,
    """
    CREATE FUNCTION smartcover_note_event(
        new_id text, in_bucket text, at_key text, event_name text, bytes bigint, with_etag text, with_headers json,
        by_request text, from_outside boolean, with_store_etag text, happened timestamptz, near_seconds double precision
    ) RETURNS boolean LANGUAGE plpgsql AS $$
    DECLARE
        waiting text[];
        told record;
    BEGIN
        SELECT array_agg(workflow_id ORDER BY seq) INTO waiting FROM workflows
        WHERE bucket = in_bucket AND state = 'Active' AND starts_with(at_key, object_prefix);
        IF waiting IS NULL THEN
            RETURN false;
        END IF;
        PERFORM pg_advisory_xact_lock(hashtextextended(in_bucket || '/' || at_key, 0));
        INSERT INTO upload_events (
            event_id, bucket, key, name, size_bytes, etag, headers, request_id, workflow_ids, outside, store_etag,
            happened_at
        )
        VALUES (
            new_id, in_bucket, at_key, event_name, bytes, with_etag, with_headers, by_request, waiting, from_outside,
            with_store_etag, happened
        )
        ON CONFLICT (event_id) DO NOTHING;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
        IF NOT from_outside THEN
            SELECT event_id, consumed_at INTO told FROM upload_events
            WHERE bucket = in_bucket AND key = at_key AND outside AND twin IS NULL
              AND lower(etag) IN (lower(with_etag), lower(with_store_etag))
              AND abs(extract(epoch FROM coalesce(happened_at, created_at) - smartcover_now())) < near_seconds
            ORDER BY seq LIMIT 1
            FOR UPDATE;
            IF FOUND THEN
                -- The store was quicker. Its event started the runs already, or leaves them to ours.
                UPDATE upload_events SET twin = new_id, consumed_at = coalesce(consumed_at, smartcover_now())
                WHERE event_id = told.event_id;
                UPDATE upload_events SET
                    twin = told.event_id, consumed_at = CASE WHEN told.consumed_at IS NOT NULL THEN smartcover_now() END
                WHERE event_id = new_id;
            END IF;
        END IF;
        PERFORM pg_notify('smartcover', 'uploads');
        RETURN true;
    END
    $$
    """,
)


def upgrade() -> None:
    change_indexes("CREATE INDEX upload_events_by_key ON upload_events (bucket, key)")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute(
        "DROP FUNCTION smartcover_note_event(text, text, text, text, bigint, text, json, text, boolean, text, "
        "timestamptz, double precision)"
    )
    op.execute("DROP INDEX upload_events_by_key")
    op.execute("ALTER TABLE upload_events DROP COLUMN store_etag, DROP COLUMN happened_at, DROP COLUMN twin")

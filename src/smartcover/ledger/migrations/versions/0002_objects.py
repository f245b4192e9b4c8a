"""
Buckets, objects, multipart uploads, and the list of files that nobody owns.

A row of `garbage` is a blob without an owner: one being written (`unfinished`), or one whose object or part was
replaced or deleted (`dropped`). A blob enters the list before its file exists, leaves it in the transaction that
shows it, and comes back by trigger in the transaction that drops it. So at every instant each file on disk is either
owned or on the list, whatever crashes.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE buckets (
        name text COLLATE "C" PRIMARY KEY,
        region text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT smartcover_now()
    )
    """,
    """
    CREATE TABLE objects (
        bucket text COLLATE "C" NOT NULL REFERENCES buckets (name),
        key text COLLATE "C" NOT NULL,
        blob uuid NOT NULL UNIQUE,
        size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
        etag text NOT NULL,
        crc64 numeric(20, 0) NOT NULL,
        headers json NOT NULL,
        last_modified timestamptz NOT NULL DEFAULT smartcover_now(),
        PRIMARY KEY (bucket, key)
    )
    """,
    # A completed upload stays for a while, so that completing it again answers as before; done_* is that answer.
    """
    CREATE TABLE uploads (
        upload_id text COLLATE "C" PRIMARY KEY,
        bucket text COLLATE "C" NOT NULL REFERENCES buckets (name) ON DELETE CASCADE,
        key text COLLATE "C" NOT NULL,
        headers json NOT NULL,
        initiated_at timestamptz NOT NULL DEFAULT smartcover_now(),
        done_at timestamptz,
        done_parts text,
        done_size_bytes bigint,
        done_etag text,
        done_crc64 numeric(20, 0),
        CHECK (done_at IS NULL OR (done_parts IS NOT NULL AND done_size_bytes IS NOT NULL
               AND done_etag IS NOT NULL AND done_crc64 IS NOT NULL))
    )
    """,
    "CREATE INDEX uploads_open ON uploads (bucket, key, upload_id) WHERE done_at IS NULL",
    "CREATE INDEX uploads_by_end ON uploads (done_at) WHERE done_at IS NOT NULL",
    "CREATE INDEX uploads_by_start ON uploads (initiated_at) WHERE done_at IS NULL",
    """
    CREATE TABLE upload_parts (
        upload_id text COLLATE "C" NOT NULL REFERENCES uploads (upload_id) ON DELETE CASCADE,
        number integer NOT NULL CHECK (number BETWEEN 1 AND 10000),
        blob uuid NOT NULL UNIQUE,
        size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
        etag text NOT NULL,
        crc64 numeric(20, 0) NOT NULL,
        last_modified timestamptz NOT NULL DEFAULT smartcover_now(),
        PRIMARY KEY (upload_id, number)
    )
    """,
    """
    CREATE TABLE garbage (
        blob uuid PRIMARY KEY,
        reason text NOT NULL CHECK (reason IN ('unfinished', 'dropped')),
        since timestamptz NOT NULL DEFAULT smartcover_now()
    )
    """,
    "CREATE INDEX garbage_by_age ON garbage (reason, since)",
    """
    CREATE FUNCTION smartcover_drop_blob() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO garbage (blob, reason) VALUES (OLD.blob, 'dropped');
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER objects_replaced AFTER UPDATE ON objects FOR EACH ROW
    WHEN (OLD.blob IS DISTINCT FROM NEW.blob) EXECUTE FUNCTION smartcover_drop_blob()
    """,
    """
    CREATE TRIGGER objects_deleted AFTER DELETE ON objects FOR EACH ROW EXECUTE FUNCTION smartcover_drop_blob()
    """,
    """
    CREATE TRIGGER upload_parts_replaced AFTER UPDATE ON upload_parts FOR EACH ROW
    WHEN (OLD.blob IS DISTINCT FROM NEW.blob) EXECUTE FUNCTION smartcover_drop_blob()
    """,
    """
    CREATE TRIGGER upload_parts_deleted AFTER DELETE ON upload_parts FOR EACH ROW
    EXECUTE FUNCTION smartcover_drop_blob()
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("going back would drop every object; restore a backup instead")

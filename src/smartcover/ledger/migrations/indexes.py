"""Building indexes on tables in use: writers go on meanwhile, and a build that was broken off is done again."""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy
from alembic import op

_INDEX: Final = re.compile(r"\s*CREATE (UNIQUE )?INDEX (?P<name>[a-z_]+) ON (?P<rest>[a-z_]+ .+)", re.DOTALL)
_DROP: Final = re.compile(r"\s*DROP INDEX (?P<name>[a-z_]+)\s*")


def change_indexes(*statements: str) -> None:
    """
    Run CREATE INDEX and DROP INDEX statements, in this order, so that no writer of the table waits for them.

    CONCURRENTLY knows no transaction. Call this first in a migration: what was done before it would be committed, and
    what comes after it stays one transaction together with the new revision. When a build is broken off, the migration
    counts as not done and is run again; an index that was finished is kept then, and one that was not, which PostgreSQL
    leaves behind as invalid, is removed and built anew.

    Each statement is `CREATE INDEX name ON …` (or UNIQUE) or `DROP INDEX name`.
    """
    connection = op.get_bind()
    with op.get_context().autocommit_block():
        for statement in statements:
            _change(connection, statement)


def _change(connection: sqlalchemy.Connection, statement: str) -> None:
    drop = _DROP.fullmatch(statement)
    if drop is not None:
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {drop['name']}")
        return
    create = _INDEX.fullmatch(statement)
    assert create is not None, statement
    name = create["name"]
    valid = connection.execute(
        sqlalchemy.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": name}
    ).scalar()
    if valid is False:
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    if valid is not True:
        op.execute(f"CREATE {create[1] or ''}INDEX CONCURRENTLY {name} ON {create['rest']}")

"""Templates: cover options that are saved under an id. A job takes a copy, so changing one changes no job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosql

from smartcover.errors import BadParameter, UnknownTemplate
from smartcover.ledger import rows
from smartcover.ledger.database import Database
from smartcover.ledger.model import Template

QUERIES: Any = aiosql.from_path(Path(__file__).with_name("templates.sql"), "asyncpg", mandatory_parameters=False)


@dataclass(frozen=True, slots=True)
class TemplatePage:
    """Some of the templates that fit, in order of their making, and how many fit in all."""

    templates: tuple[Template, ...]
    total: int


class Templates:
    """The templates of all buckets. Every method raises `LedgerUnavailable` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, template_id: str, bucket: str, *, tag: str, name: str, smart_cover: Mapping[str, str], most: int
    ) -> Template:
        """
        Save a template.

        Raises:
            BadParameter: If the bucket has `most` templates already.
        """
        async with self._database.connection("add template") as connection:
            row = await QUERIES.add_template(
                connection,
                template_id=template_id,
                bucket=bucket,
                tag=tag,
                name=name,
                smart_cover=json.dumps(dict(smart_cover)),
                most=most,
            )
        if row is None:
            raise BadParameter(f"bucket {bucket} has {most} templates, which is the limit; delete one first")
        return rows.template(row)

    async def added_lately(
        self, bucket: str, *, tag: str, name: str, smart_cover: Mapping[str, str], seconds: float
    ) -> Template | None:
        """Give the newest template that says the same and was added within the time, None when there is none."""
        async with self._database.connection("look for an earlier template") as connection:
            row = await QUERIES.template_added_lately(
                connection,
                bucket=bucket,
                tag=tag,
                name=name,
                smart_cover=json.dumps(dict(smart_cover)),
                seconds=seconds,
            )
        return None if row is None else rows.template(row)

    async def replace(
        self, bucket: str, template_id: str, *, tag: str, name: str, smart_cover: Mapping[str, str]
    ) -> Template:
        """Put new content into a template, nothing of the old stays. Raises `UnknownTemplate`."""
        async with self._database.connection("replace template") as connection:
            row = await QUERIES.replace_template(
                connection,
                bucket=bucket,
                template_id=template_id,
                tag=tag,
                name=name,
                smart_cover=json.dumps(dict(smart_cover)),
            )
        if row is None:
            raise _unknown(bucket, template_id)
        return rows.template(row)

    async def get(self, bucket: str, template_id: str) -> Template:
        """Give a template of the bucket, or raise `UnknownTemplate`."""
        async with self._database.connection("template") as connection:
            row = await QUERIES.template(connection, bucket=bucket, template_id=template_id)
        if row is None:
            raise _unknown(bucket, template_id)
        return rows.template(row)

    async def page(
        self,
        bucket: str,
        *,
        template_ids: Sequence[str] | None = None,
        tag: str | None = None,
        name_prefix: str = "",
        skip: int = 0,
        limit: int = 10,
    ) -> TemplatePage:
        """List templates that fit everything given."""
        wanted = {
            "bucket": bucket,
            "template_ids": None if template_ids is None else list(template_ids),
            "tag": tag,
            "name_prefix": name_prefix,
        }
        async with self._database.connection("templates") as connection:
            found = [row async for row in QUERIES.templates(connection, **wanted, skip=skip, most=limit)]
            total = found[0]["total"] if found else await QUERIES.count_templates(connection, **wanted)
        return TemplatePage(tuple(rows.template(row) for row in found), total)

    async def delete(self, bucket: str, template_id: str) -> None:
        """Forget a template; jobs that used it keep their copy. Raises `UnknownTemplate`."""
        async with self._database.connection("delete template") as connection:
            if await QUERIES.delete_template(connection, bucket=bucket, template_id=template_id) is None:
                raise _unknown(bucket, template_id)


def _unknown(bucket: str, template_id: str) -> UnknownTemplate:
    return UnknownTemplate(f"template {template_id[:80]!r} does not exist in bucket {bucket}")

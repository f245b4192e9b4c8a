"""`smartcover objects`: whether the folder of objects and the database agree, for the operator after a restore."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from smartcover.app.administer import open_objects
from smartcover.app.logs import configure_logs
from smartcover.cli.options import DATA, Json, flag
from smartcover.cli.terminal import one_line
from smartcover.settings import Settings, read_settings
from smartcover.storage import FolderAudit, audit_folder, remove_unowned

__all__ = ["objects"]

objects = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The folder of objects of a server without an S3 store."
)


@objects.callback()
def _group() -> None:
    """Keep `check` a command of its own: a group of one would be that one."""


@objects.command()
def check(
    data: Annotated[
        Path, typer.Option(help="Data folder of the server; its database is not used with SMARTCOVER_DATABASE_URL.")
    ] = DATA,
    remove: Annotated[bool, flag("--remove", "Delete the files that belong to no object.")] = False,
    as_json: Json = False,
) -> None:
    """Say which objects lack their bytes, then the exit code is 1, and how many files belong to no object."""
    settings = read_settings()
    configure_logs(settings)
    audit, removed = asyncio.run(_check(settings, data, remove=remove))
    if as_json:
        _print_json(audit, removed)
    else:
        _print_plain(audit, removed, remove=remove)
    if audit.bare_objects:
        sys.exit(1)


async def _check(settings: Settings, data: Path, *, remove: bool) -> tuple[FolderAudit, int]:
    async with open_objects(settings, data) as (root, pool):
        removed = await remove_unowned(root, pool) if remove else 0
        return await audit_folder(root, pool), removed


def _print_plain(audit: FolderAudit, removed: int, *, remove: bool) -> None:
    print(f"files that the database knows    {audit.owned_files}")
    if remove:
        print(f"files of no object, removed      {removed}")
    unowned = f"{audit.unowned_files}, {audit.unowned_bytes / 1e6:.1f} MB" if audit.unowned_files else "0"
    hint = "; --remove deletes them" if audit.unowned_files and not remove else ""
    print(f"files of no object               {unowned}{hint}")
    print(f"objects without their bytes      {audit.bare_objects}")
    for bucket, key in audit.bare_names:
        print(one_line(f"    {bucket}/{key}"))
    if audit.bare_objects > len(audit.bare_names):
        print(f"    and {audit.bare_objects - len(audit.bare_names)} more")


def _print_json(audit: FolderAudit, removed: int) -> None:
    print(
        json.dumps(
            {
                "owned_files": audit.owned_files,
                "unowned_files": audit.unowned_files,
                "unowned_bytes": audit.unowned_bytes,
                "removed_files": removed,
                "objects_without_bytes": audit.bare_objects,
                "named": [{"bucket": bucket, "key": key} for bucket, key in audit.bare_names],
            }
        )
    )

"""`smartcover db`: the schema of a database of your own."""

from __future__ import annotations

import asyncio

import typer

from smartcover.app.database_wait import DatabaseWait
from smartcover.app.logs import configure_logs
from smartcover.errors import SettingsError
from smartcover.ledger import check_schema, expected_revision
from smartcover.ledger import upgrade as upgrade_schema
from smartcover.settings import Settings, read_settings

db = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The schema of the database at SMARTCOVER_DATABASE_URL."
)


@db.command()
def upgrade() -> None:
    """Bring the schema to this version's; safe while processes of the version before run."""
    settings = read_settings()
    configure_logs(settings)
    dsn = _dsn(settings)
    asyncio.run(_upgrade(dsn, settings.database_wait_seconds))
    print(f"the schema is at {expected_revision()}")


@db.command()
def check() -> None:
    """Say whether the schema is this version's; if not, the exit code is 1."""
    asyncio.run(check_schema(_dsn(read_settings())))
    print(f"the schema is at {expected_revision()}, as this version needs it")


async def _upgrade(dsn: str, wait_seconds: float) -> None:
    await DatabaseWait(wait_seconds).through(lambda: upgrade_schema(dsn))


def _dsn(settings: Settings) -> str:
    url = settings.database_url
    if url is None:
        raise SettingsError(
            "SMARTCOVER_DATABASE_URL is not set; the embedded database is upgraded by smartcover serve itself"
        )
    return url.get_secret_value()

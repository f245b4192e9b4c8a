"""Which steps of the schema this version knows."""

from __future__ import annotations

import functools
from pathlib import Path

from smartcover.errors import SettingsError


def expected_revision() -> str:
    """Name the newest migration of this version."""
    return max(known_revisions())


@functools.cache
def known_revisions() -> frozenset[str]:
    """Name all migrations of this version, after which their files are named."""
    files = Path(__file__).with_name("migrations").joinpath("versions").glob("[0-9]*_*.py")
    return frozenset(path.name.partition("_")[0] for path in files)


def refuse_unknown(found: str | None) -> None:
    """
    Refuse a schema that came from a newer version.

    Raises:
        SettingsError: If this version does not know it; the text says what to do.
    """
    if found is not None and found not in known_revisions():
        raise SettingsError(
            f"the database's schema is at {found}, which this version does not know (its newest is "
            f"{expected_revision()}); run the version of smartcover that made it, or a newer one"
        )

"""Which folder holds the objects."""

from __future__ import annotations

from pathlib import Path

from smartcover.errors import SettingsError
from smartcover.settings import Settings


def objects_folder(settings: Settings, data: Path | None) -> Path:
    """
    Find the folder of local objects that `SMARTCOVER_STORAGE` names.

    Raises:
        SettingsError: If it names none.
    """
    scheme, _, place = settings.storage.partition(":")
    if scheme != "file":
        raise SettingsError(f"SMARTCOVER_STORAGE is {settings.storage!r}; give file:, file:/a/folder or s3://…")
    if place:
        return Path(place)
    if data is None:
        raise SettingsError(
            "a role of its own needs a store that all roles share; set SMARTCOVER_STORAGE to file:/a/shared/folder"
        )
    return data / "objects"

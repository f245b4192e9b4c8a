"""
Comparing the local store's folder with its database.

In service they agree: a row comes before its file and goes after it. Once either was restored from a backup they need
not: objects may lack their bytes, and files may belong to nobody, of which no sweep would ever hear.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from smartcover.errors import RegisterUnavailable, SettingsError
from smartcover.storage.blobs import BlobFolder, blob_path, is_blob_folder
from smartcover.storage.failures import storage_failures
from smartcover.storage.shelf import ACQUIRE_TIMEOUT_SECONDS, QUERIES, Connections

#: Objects without bytes that are named; beyond, they are counted only.
MOST_NAMED: Final = 1000
#: Most blobs that one statement asks for or gives.
_BATCH: Final = 5000


@dataclass(slots=True)
class FolderAudit:
    """
    How a folder and its database agree.

    Args:
        owned_files: Files that a row tells of, those that are to be swept included.
        unowned_files: Files that no row tells of.
        unowned_bytes: The sum of their sizes.
        bare_objects: Objects whose file is not there.
        bare_names: Bucket and key of the first `MOST_NAMED` of these.
    """

    owned_files: int = 0
    unowned_files: int = 0
    unowned_bytes: int = 0
    bare_objects: int = 0
    bare_names: list[tuple[str, str]] = field(default_factory=list)


async def audit_folder(root: Path, pool: Connections) -> FolderAudit:
    """
    Compare a folder of blobs with the database. Nothing is changed, and the server may run meanwhile.

    Raises:
        SettingsError: If the folder is none of blobs.
        StorageUnavailable: If the folder or the database cannot be read.
    """
    audit = FolderAudit()
    async for number, files in _parts(root):
        unowned = await _unowned(pool, files)
        audit.owned_files += len(files) - len(unowned)
        audit.unowned_files += len(unowned)
        audit.unowned_bytes += sum(files[blob] for blob in unowned)
        async for blob, name in _objects(pool, number):
            # Looked for once more: an object may be younger than the list of files.
            if blob not in files and not await _is_there(root, blob):
                audit.bare_objects += 1
                if len(audit.bare_names) < MOST_NAMED:
                    audit.bare_names.append(name)
    return audit


async def remove_unowned(root: Path, pool: Connections) -> int:
    """
    Remove the files that no row tells of, and count them.

    The server may run meanwhile: a file appears after its row is committed, and is asked for after it was seen.

    Raises:
        SettingsError: If the folder is none of blobs, or the database knows none of its files: it is most likely not
            the database of this folder.
        StorageUnavailable: If the folder or the database cannot be read, or a file cannot be removed.
    """
    await _require_its_database(root, pool)
    unchanged = f"{root} cannot be changed; run this as the user whose folder it is"
    with storage_failures("open the blob folder", unchanged):
        folder = await asyncio.to_thread(BlobFolder, root)
    removed = 0
    async for _, files in _parts(root):
        unowned = await _unowned(pool, files)
        with storage_failures("remove blobs", unchanged):
            await asyncio.to_thread(folder.remove, unowned)
        removed += len(unowned)
    return removed


async def _require_its_database(root: Path, pool: Connections) -> None:
    """Refuse a database that knows none of the folder's files; the first that it knows ends the search."""
    unknown = 0
    async for _, files in _parts(root):
        unowned = await _unowned(pool, files)
        if len(unowned) < len(files):
            return
        unknown += len(unowned)
    if unknown:
        raise SettingsError(
            f"the database knows none of the {unknown} files in {root}, so it is most likely another folder's; "
            "nothing was removed. See whether SMARTCOVER_DATABASE_URL and SMARTCOVER_STORAGE belong together"
        )


async def _parts(root: Path) -> AsyncIterator[tuple[int, dict[UUID, int]]]:
    """Give the number of each of the folder's 256 parts, and the blobs in it with their sizes in bytes."""
    with storage_failures("look for blobs", _unseen(root)):
        if not await asyncio.to_thread(is_blob_folder, root):
            raise SettingsError(f"{root} is no folder of objects; see whether its share is mounted")
    for number in range(256):
        with storage_failures("list blobs", _unseen(root)):
            files = await asyncio.to_thread(_files, root / f"{number:02x}")
        yield number, files


async def _is_there(root: Path, blob: UUID) -> bool:
    with storage_failures("look for a blob", _unseen(root)):
        return await asyncio.to_thread(blob_path(root, blob).exists)


def _unseen(root: Path) -> str:
    return f"{root} cannot be looked at; see whether its share is mounted and may be read"


def _files(part: Path) -> dict[UUID, int]:
    """
    Give the blobs of one part: none where it is missing, as backups may leave out folders that are empty.

    What has another name, or is no regular file, is somebody else's and is passed over.
    """
    files: dict[UUID, int] = {}
    try:
        paths = list(part.iterdir())
    except FileNotFoundError:
        return files
    for path in paths:
        try:
            blob, status = UUID(hex=path.name), path.lstat()
        except (ValueError, FileNotFoundError):  # of another kind, or swept meanwhile
            continue
        if blob.hex == path.name and path.name.startswith(part.name) and stat.S_ISREG(status.st_mode):
            files[blob] = status.st_size
    return files


async def _unowned(pool: Connections, blobs: Iterable[UUID]) -> list[UUID]:
    wanted = list(blobs)
    unowned: list[UUID] = []
    for start in range(0, len(wanted), _BATCH):
        some = wanted[start : start + _BATCH]
        known = {row["blob"] for row in await _rows(pool, QUERIES.known_blobs, blobs=some)}
        unowned += [blob for blob in some if blob not in known]
    return unowned


async def _objects(pool: Connections, number: int) -> AsyncIterator[tuple[UUID, tuple[str, str]]]:
    """Give the blob of each object whose bytes belong into one part, with its bucket and key."""
    first, last = UUID(int=number << 120), UUID(int=((number + 1) << 120) - 1)
    while True:
        rows = await _rows(pool, QUERIES.objects_of_blobs, first=first, last=last, limit=_BATCH)
        for row in rows:
            yield row["blob"], (row["bucket"], row["key"])
        if len(rows) < _BATCH or rows[-1]["blob"] == last:
            return
        first = UUID(int=rows[-1]["blob"].int + 1)


async def _rows(pool: Connections, query: Any, **parameters: Any) -> list[Any]:
    with storage_failures("compare the folder with the database", kind=RegisterUnavailable):
        async with pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
            return [row async for row in query(connection, **parameters)]

"""Pages of open multipart uploads, with keys that share a beginning folded into one entry; alike for every store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from smartcover.storage.bucket import UploadInfo, UploadPage
from smartcover.storage.rules import after_delimiter, check_text, first_key_after, page_limit

#: Gives so many open uploads behind a key and an id, in this order, whose keys have the prefix.
Read = Callable[[str, str, int], Awaitable[Sequence[UploadInfo]]]


async def upload_page(
    read: Read, *, prefix: str, delimiter: str, key_marker: str, upload_id_marker: str, limit: int
) -> UploadPage:
    """
    Give a page of open uploads in order of key and id; a folded prefix counts as one entry.

    As in lists of objects, a marker at or below a folded prefix is behind all that is folded into it.

    Raises:
        BadKey, BadParameter: If a text cannot be one of a key.
    """
    check_text(prefix, "Prefix")
    check_text(key_marker, "Key marker")
    check_text(upload_id_marker, "Upload id marker")
    following = after_delimiter(delimiter) if delimiter else ""
    limit = page_limit(limit)
    key, upload_id = _beginning(prefix, delimiter, key_marker, upload_id_marker)
    entries: list[UploadInfo | str] = []
    while len(entries) <= limit:
        found = await read(key, upload_id, limit + 1)
        for info in found:
            folded = _folded(info.key, prefix, delimiter)
            if folded is None or entries[-1:] != [folded]:
                entries.append(folded or info)
        if len(found) <= limit:
            break
        key, upload_id = found[-1].key, found[-1].upload_id
        if isinstance(entries[-1], str):  # over all that is folded into it, however much that is
            key, upload_id = entries[-1].removesuffix(delimiter) + following, ""
    shown = entries[:limit]
    uploads = tuple(entry for entry in shown if isinstance(entry, UploadInfo))
    folds = tuple(entry for entry in shown if isinstance(entry, str))
    if len(entries) <= limit or not shown:
        return UploadPage(uploads, folds, None, None)
    last = shown[-1]
    return UploadPage(uploads, folds, *((last, None) if isinstance(last, str) else (last.key, last.upload_id)))


def _beginning(prefix: str, delimiter: str, key_marker: str, upload_id_marker: str) -> tuple[str, str]:
    """Give the key and the id behind which the first entry is."""
    if key_marker < prefix or not key_marker:
        return prefix, ""
    if _folded(key_marker, prefix, delimiter) is not None:
        return first_key_after(key_marker, prefix, delimiter), ""
    # Without an id the marker stands behind all uploads of its key: ids are hex and '~' is above them.
    return key_marker, upload_id_marker or "~"


def _folded(key: str, prefix: str, delimiter: str) -> str | None:
    """Give the beginning of a key up to the delimiter behind the prefix, or None when it stands for itself."""
    at = key.find(delimiter, len(prefix)) if delimiter and key.startswith(prefix) else -1
    return None if at < 0 else key[: at + len(delimiter)]

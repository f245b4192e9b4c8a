"""
Listing a store bucket that holds keys which the store's client cannot name.

The client gives up a whole page of a thousand keys for one such as `a//b`, which other tools write now and then. Then
the store is asked directly, at an address that the client signed.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode, urlsplit

from lxml import etree

from smartcover.errors import StorageUnavailable, StoreBucketMissing
from smartcover.storage.s3_failures import code_of_body, meaning_of, s3_failures
from smartcover.storage.s3_place import S3Place

_TIMEOUT_SECONDS = 20.0
_TRIES = 3
_RETRY_SECONDS = 0.4
#: A page of a thousand keys of a kilobyte, each byte as %XX, and what stands beside them.
_MOST_BYTES = 8 << 20


async def entries_of(
    place: S3Place, bucket: str, *, prefix: str, after: str
) -> AsyncIterator[list[tuple[str, dict[str, Any]]]]:
    """
    Give pages of paths that start with `prefix`, above `after`, each with what the store says of it.

    Raises:
        StorageUnavailable: If the store does not answer, or with something else.
        StoreBucketMissing: If there is no such store bucket.
    """
    while True:
        query = {"encoding-type": "url", "list-type": "2", "max-keys": "1000", "prefix": prefix, "start-after": after}
        with s3_failures("sign a listing"):
            url = place.signed_listing(bucket, urlencode(query, quote_via=quote, safe=""))
        entries, more = _read(await _fetch(url))
        yield entries
        if not more or not entries:
            return
        after = entries[-1][0]


async def _fetch(url: str) -> bytes:
    failure: Exception | None = None
    meaning: str | None = None
    for number in range(_TRIES):
        await asyncio.sleep(_RETRY_SECONDS * number)
        try:
            status, body = await asyncio.to_thread(_get, url)
        except (OSError, http.client.HTTPException) as error:
            failure = error
            continue
        if status == 200:
            return body
        code = code_of_body(body)
        if code == "NoSuchBucket":
            raise StoreBucketMissing(detail="list objects: NoSuchBucket")
        failure = OSError(f"the store answered {status} {code}".rstrip())
        meaning = meaning_of(code)
        if status < 500 and status not in (408, 429):
            break
    raise StorageUnavailable(meaning, detail=f"list objects: {failure!r}") from failure


def _get(url: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT_SECONDS, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_SECONDS)
    )
    try:
        connection.request("GET", f"{parts.path or '/'}?{parts.query}")
        answer = connection.getresponse()
        body = answer.read(_MOST_BYTES + 1)
    finally:
        connection.close()
    if len(body) > _MOST_BYTES:
        raise StorageUnavailable(detail=f"a page of the listing has more than {_MOST_BYTES} bytes")
    return answer.status, body


def _read(body: bytes) -> tuple[list[tuple[str, dict[str, Any]]], bool]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
        encoded = _text(root, "EncodingType") == "url"
        entries = []
        for contents in root.iterfind("{*}Contents"):
            key = _text(contents, "Key")
            entries.append(
                (
                    unquote_plus(key, errors="strict") if encoded else key,
                    {
                        "size": int(_text(contents, "Size")),
                        "e_tag": _text(contents, "ETag"),
                        "last_modified": datetime.fromisoformat(_text(contents, "LastModified")),
                    },
                )
            )
    except (etree.XMLSyntaxError, ValueError) as error:
        raise StorageUnavailable(detail=f"the store's listing cannot be read: {error}") from error
    return entries, _text(root, "IsTruncated") == "true"


def _text(element: Any, name: str) -> str:
    found = element.findtext(f"{{*}}{name}")
    return found or ""

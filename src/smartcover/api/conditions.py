"""
Conditional and partial requests: pure, from headers and an object's facts to a decision.

After RFC 9110, sections 13.2.2 (which condition goes first) and 14.2 (ranges). A condition or range that cannot be
read is ignored, as the RFC says; a range that lies outside the object is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from smartcover.api.call import Headers
from smartcover.errors import RangeUnsatisfiable

_RANGE: Final = re.compile(r"bytes\s*=\s*(?:(\d{1,18})\s*-\s*(\d{0,18})|-\s*(\d{1,18}))", re.ASCII | re.IGNORECASE)
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)')


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions speak about; `etag` without quotes, `changed_at` cut to whole seconds."""

    etag: str
    changed_at: datetime
    size_bytes: int


def failed_condition(headers: Headers, facts: Facts, *, prefix: str = "") -> int | None:
    """
    Evaluate If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in this order.

    Args:
        prefix: Of the headers' names: `x-cos-copy-source-` for those about the source of a copy.

    Returns:
        412 or 304 for the condition that fails, None when the request goes on.
    """
    match = headers.text(f"{prefix}if-match")
    if match is not None:
        if not names_etag(match, facts.etag):
            return 412
    else:
        unmodified_since = read_date(headers.text(f"{prefix}if-unmodified-since"))
        if unmodified_since is not None and facts.changed_at > unmodified_since:
            return 412
    none_match = headers.text(f"{prefix}if-none-match")
    if none_match is not None:
        return 304 if names_etag(none_match, facts.etag) else None
    modified_since = read_date(headers.text(f"{prefix}if-modified-since"))
    return 304 if modified_since is not None and facts.changed_at <= modified_since else None


def wanted_range(headers: Headers, facts: Facts) -> tuple[int, int] | None:
    """
    Give the first and last byte asked for, both included, or None for the whole object.

    Several ranges in one header are answered with the whole object, which RFC 9110 allows.

    Raises:
        RangeUnsatisfiable: If no byte of the object lies in the range.
    """
    header = headers.text("range")
    match = _RANGE.fullmatch(header.strip()) if header is not None and len(header) < 100 else None
    if match is None or not _if_range_holds(headers.text("if-range"), facts):
        return None
    size_bytes = facts.size_bytes
    if match[3] is not None:
        first, last = max(0, size_bytes - int(match[3])), size_bytes - 1
        satisfiable = int(match[3]) > 0 and size_bytes > 0
    else:
        first = int(match[1])
        last = min(int(match[2]), size_bytes - 1) if match[2] else size_bytes - 1
        if match[2] and int(match[2]) < first:
            return None
        satisfiable = first < size_bytes
    if not satisfiable:
        raise RangeUnsatisfiable(f"The range {header!r} lies outside the object, which has {size_bytes} bytes")
    return first, last


def names_etag(header: str, etag: str) -> bool:
    """Tell whether a list of entity tags names this one; quotes may be missing, as in many scripts."""
    if header.strip() == "*":
        return True
    names = (match[1] if match[1] is not None else match[2] for match in _ENTITY_TAG.finditer(header[:8192]))
    return any(name.lower() == etag.lower() for name in names)


def read_date(text: str | None) -> datetime | None:
    """Read an HTTP date; None when there is none or it cannot be read."""
    if text is None or len(text) > 64:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _if_range_holds(header: str | None, facts: Facts) -> bool:
    if header is None:
        return True
    moment = read_date(header)
    return facts.changed_at == moment if moment is not None else names_etag(header, facts.etag)

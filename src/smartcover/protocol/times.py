"""
Times as the wire writes them: `2022-06-30T15:29:42+0800`, always with an offset, `-` while unknown.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from smartcover.errors import BadParameter

CHINA_STANDARD_TIME: Final = timezone(timedelta(hours=8))
"""The zone of every time in the vendor's documents."""

UNKNOWN_TIME: Final = "-"

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\s?([Zz]|[+-]\d\d:?\d\d)", re.ASCII
)
_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)


def format_time(moment: datetime | None, zone: tzinfo = CHINA_STANDARD_TIME) -> str:
    """
    Write a moment with the offset of `zone` and without a colon in it; `-` when there is none yet.

    Raises:
        ValueError: If the datetime is naive: its instant would depend on the machine.
    """
    if moment is None:
        return UNKNOWN_TIME
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on the wire; attach a zone")
    # isoformat and not strftime: %Y is not padded to four digits on every platform.
    local = moment.astimezone(zone).replace(microsecond=0)
    return local.replace(tzinfo=None).isoformat() + _offset_text(local)


def format_utc(moment: datetime, *, milliseconds: bool = True) -> str:
    """Write a moment as the object API does: `2022-06-30T07:29:42.000Z`, or without the milliseconds."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on the wire; attach a zone")
    timespec = "milliseconds" if milliseconds else "seconds"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def parse_time(text: str) -> datetime:
    """
    Read a time of a request or callback; the result is aware and keeps the offset sent.

    Takes `T` or a space in the middle, and `z`, `+0800` or `+08:00` at the end.

    Raises:
        BadParameter: For anything else, a missing offset included.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise BadParameter(f"{_shown(text)} is not a time; write it like 2001-01-01T00:00:00+0800")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    microsecond = int((match[7] or "0").ljust(6, "0")[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=parse_zone(match[8]))
        moment.astimezone(UTC)  # refuses what cannot be compared or stored later
    except (ValueError, OverflowError) as error:
        raise BadParameter(f"{_shown(text)} is not a time: {error}") from error
    return moment


def parse_zone(text: str) -> timezone:
    """
    Read `z`, `+0800` or `+08:00` as a fixed offset.

    Raises:
        BadParameter: For anything else.
    """
    if text in ("z", "Z"):
        return UTC
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        raise BadParameter(f"{_shown(text)} is not an offset from UTC; write it like +0800")
    size = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(size if match[1] == "+" else -size)


def _offset_text(moment: datetime) -> str:
    offset = moment.utcoffset() or timedelta(0)
    minutes = int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{rest:02d}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")

"""Pages of lists: by number, as templates, queues and buckets have them, and by token, as jobs and runs do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from smartcover.errors import BadParameter
from smartcover.protocol.messages import Message
from smartcover.protocol.xml_codec import Tree

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Digits only, as in the vendor's samples: microseconds since 1970, then the number of the row in 19 digits.
_TOKEN: Final = re.compile(r"([0-9]{1,17})([0-9]{19})", re.ASCII)
_MAX_SEQ: Final = (1 << 63) - 1


class Page(Message):
    """Which page of how many entries: `number` counts from 1."""

    total: int
    number: int
    size: int

    def tree(self) -> dict[str, Tree]:
        """Build the three nodes of an answer."""
        return {"TotalCount": str(self.total), "PageNumber": str(self.number), "PageSize": str(self.size)}


def write_token(created_at: datetime, seq: int) -> str:
    """Write where a list goes on: behind the row that was created then and has this number."""
    return f"{(created_at - _EPOCH) // _MICROSECOND}{seq:019d}"


def read_token(text: str) -> tuple[datetime, int]:
    """
    Read what `write_token` wrote. A made-up token of the same form leads to another place of the same list.

    Raises:
        BadParameter: If it has another form.
    """
    match = _TOKEN.fullmatch(text)
    if match is None or int(match[2]) > _MAX_SEQ:
        raise BadParameter(f"nextToken is {text[:60]!r}, which no list gave out; leave it out to begin anew")
    return _EPOCH + int(match[1]) * _MICROSECOND, int(match[2])

"""One request and its answer, as the handlers see them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from smartcover.api.limits import RequestBody, check_md5, read_md5
from smartcover.api.target import RequestTarget, Target
from smartcover.errors import BadParameter, BadUri
from smartcover.protocol import MAX_KEY_BYTES, XML_CONTENT_TYPE, Tree, to_xml
from smartcover.service import Access, Right

HeaderPair = tuple[bytes, bytes]

_MAX_QUERY_FIELDS: Final = 500
_INTEGER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class Headers:
    """The request's headers by lower-case name; values are text in Latin-1, which keeps every byte."""

    def __init__(self, pairs: Iterable[HeaderPair]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower().decode("latin-1"), []).append(value.strip().decode("latin-1"))

    def text(self, name: str) -> str | None:
        """
        Give a header's value, or None when it is absent or empty.

        Raises:
            BadParameter: If it was sent twice with different values: each reader might believe another one.
        """
        values = self._values.get(name, [])
        if len(set(values)) > 1:
            raise BadParameter(f"The header {name} is given {len(values)} times with different values; give it once")
        return values[0] or None if values else None

    def names(self) -> Iterable[str]:
        """Give the lower-case names."""
        return self._values.keys()


class Query:
    """The decoded query parameters. Of a repeated name the first counts."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._first: dict[str, str] = {}
        for name, value in pairs:
            self._first.setdefault(name, value)

    @classmethod
    def read(cls, raw_query: bytes) -> Query:
        """
        Decode a query string; a `+` is a space.

        Raises:
            BadUri: If it is not UTF-8 or has too many parameters.
        """
        try:
            pairs = parse_qsl(
                raw_query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS
            )
        except UnicodeDecodeError as error:
            raise BadUri("The query is not UTF-8 once decoded; percent-encode UTF-8") from error
        except ValueError as error:
            raise BadUri(f"The query has more than {_MAX_QUERY_FIELDS} parameters") from error
        return cls(pairs)

    def __contains__(self, name: str) -> bool:
        return name in self._first

    def names(self) -> Iterable[str]:
        """Give the names in the order sent."""
        return self._first.keys()

    def text(self, name: str) -> str | None:
        """
        Give a parameter's value, or None when it is absent or empty: the Python SDK sends what it was not given.

        Raises:
            BadParameter: If it holds a NUL, which no text of ours can.
        """
        value = self._first.get(name)
        if value is not None and "\x00" in value:
            raise BadParameter(f"The parameter {name} holds the character U+0000; leave it out")
        return value or None

    def integer(self, name: str, *, default: int, low: int, high: int) -> int:
        """
        Give a whole number; one above `high` is cut to it, as the cloud does with page sizes.

        Raises:
            BadParameter: If it is no number or below `low`.
        """
        value = self.text(name)
        if value is None:
            return default
        if _INTEGER.fullmatch(value) is None or int(value) < low:
            raise BadParameter(f"The parameter {name} is {value[:40]!r}; give a whole number from {low} to {high}")
        return min(int(value), high)


@dataclass(frozen=True, slots=True)
class Call:
    """
    A request whose signature holds. `bucket` is the name that it is for; whether it exists is not known yet.

    `access` is what the key pair that signed may do. Handlers ask it only about other buckets than `bucket`: that one,
    and the right that the route needs, were asked about before.
    """

    method: str
    request_target: RequestTarget
    target: Target
    query: Query
    headers: Headers
    body: RequestBody
    request_id: str
    access: Access
    max_page_size: int = 100
    max_key_bytes: int = MAX_KEY_BYTES

    @property
    def secret_id(self) -> str:
        """Whose signature it is; empty for an upload by form, whose fields are signed."""
        return self.access.secret_id

    def may_submit_to(self, bucket: str) -> None:
        """Let covers be written to a bucket, or raise `AccessDenied`."""
        self.access.require(Right.SUBMIT, bucket)

    @property
    def bucket(self) -> str:
        """
        The bucket of the request.

        Raises:
            BadParameter: If nothing names one.
        """
        if self.target.bucket is None:
            raise BadParameter(
                "The request names no bucket; use a Host such as BUCKET.ci.REGION.myqcloud.com, put an existing "
                "bucket into the path, or set SMARTCOVER_DEFAULT_BUCKET on the server"
            )
        return self.target.bucket

    @property
    def entry(self) -> str:
        """The id in the path of a CI call, such as that of `/jobs/<id>`."""
        return self.target.segments[1].strip()

    async def xml(self, limit_bytes: int) -> bytes:
        """
        Read a body that is a document, and check its Content-MD5 if one was sent.

        Raises:
            InvalidDigest, DigestMismatch: If the header is no MD5, or another body's.
        """
        digest = read_md5(self.headers.text("content-md5"))
        body = await self.body.whole(limit_bytes)
        check_md5(body, digest)
        return body


async def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What goes back.

    A streamed `body` needs a Content-Length among the headers; `close` is awaited once it is sent or given up.
    """

    status: int = 200
    headers: tuple[HeaderPair, ...] = ()
    body: bytes | AsyncIterator[bytes] = b""
    close: Callable[[], Awaitable[None]] = field(default=_nothing)


def xml_answer(document: dict[str, Tree], *, headers: Sequence[HeaderPair] = ()) -> Answer:
    """Answer with a document."""
    return Answer(headers=(content_type(XML_CONTENT_TYPE), *headers), body=to_xml(document))


def content_type(value: str) -> HeaderPair:
    """Make a Content-Type header."""
    return b"content-type", value.encode("latin-1", "replace")

"""
A callback URL taken apart once, by one strict reader, and put together again from the parts that were checked.

Pure. What is called is never the text that came in: two parsers may read one text differently (`http://a\\@b/`,
`http://0x7f.1/`), and that difference is how guards are passed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote

from yarl import URL

from smartcover.callbacks.addresses import IpAddress
from smartcover.errors import BadParameter

MAX_URL_CHARACTERS: Final = 4096
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[/?][^#]*)?(#.*)?")
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\[\]@]*\]|[^\[\]:@]*)(?::(?P<port>[0-9]*))?")
_UNUSABLE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff]")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_KEPT_IN_REST: Final = "/?:@!$&'()*+,;=-._~%[]"


@dataclass(frozen=True, slots=True)
class Target:
    """
    Where a callback goes: `host` is a lower-case ASCII name without its last dot, or the canonical text of `address`.

    `rest` is path and query as sent; `address` is set when the URL names an IP address instead of a host.
    """

    scheme: str
    host: str
    port: int
    rest: str
    address: IpAddress | None = None

    @property
    def url(self) -> str:
        """The URL to call, made of the checked parts."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.rest}"

    @property
    def origin(self) -> str:
        """Scheme, host and port, always with the port: what shares one receiver."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_target(url: str) -> Target:
    """
    Take a callback URL apart.

    Host names may be international and may hold underscores, as container networks use them. An IPv4 address must be
    written as four decimal numbers: the shorter, octal and hexadecimal forms have no use but to pass guards.

    Raises:
        BadParameter: For anything that is not plainly http or https to one host; says what is wrong.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise BadParameter(f"the callback URL is {len(url)} characters long; give at most {MAX_URL_CHARACTERS}")
    parts = _URL.fullmatch(url)
    if parts is None or _UNUSABLE.search(url) is not None:
        raise _bad(url, "is not a URL; give http:// or https://, a host and a path, without blanks")
    scheme = parts["scheme"].lower()
    if scheme not in _DEFAULT_PORTS:
        raise _bad(url, f"has the scheme {scheme[:20]}; give http or https")
    authority = parts["authority"]
    if "@" in authority:
        raise BadParameter("the callback URL holds a user name or password; put a token into the path or query")
    place = _AUTHORITY.fullmatch(authority)
    if place is None or not place["host"]:
        raise _bad(url, "names no host that can be read")
    host, address = _host(url, place["host"])
    rest = quote(parts["rest"] or "/", safe=_KEPT_IN_REST)
    return Target(scheme, host, _port(url, place["port"], scheme), rest if rest[0] == "/" else "/" + rest, address)


def _port(url: str, text: str | None, scheme: str) -> int:
    if not text:
        return _DEFAULT_PORTS[scheme]
    if len(text) > 5 or not 1 <= int(text) <= 65535:
        raise _bad(url, "has a port outside 1 to 65535")
    return int(text)


def _host(url: str, text: str) -> tuple[str, IpAddress | None]:
    if text.startswith("["):
        try:
            v6 = IPv6Address(text[1:-1] if "%" not in text else "")  # a zone id names a local interface
        except AddressValueError as error:
            raise _bad(url, f"has {text[:60]}, which is not an IPv6 address without a zone") from error
        return str(v6), v6
    if "%" in text:
        raise _bad(url, "has a percent sign in its host; write the host plainly")
    host = text.lower() if text.isascii() else _international(url, text)
    host = host.removesuffix(".")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            v4 = IPv4Address(text)
        except AddressValueError as error:
            raise _bad(url, "has a number for a host; write an IPv4 address as four decimal numbers") from error
        return str(v4), v4
    if len(host) > 253 or any(_LABEL.fullmatch(label) is None for label in labels):
        raise _bad(url, "has a host that is not a name")
    return host, None


def _international(url: str, text: str) -> str:
    try:
        host = URL.build(scheme="http", host=text).raw_host
    except ValueError as error:
        raise _bad(url, "has a host that is not a name") from error
    if not host or not host.isascii():
        raise _bad(url, "has a host that is not a name")
    return host.lower()


def _bad(url: str, fault: str) -> BadParameter:
    # Only the part before the path is shown: a query may hold the receiver's token.
    shown = re.split(r"[?#]", url, maxsplit=1)[0]
    return BadParameter(f"the callback URL {(shown if len(shown) <= 100 else shown[:100] + '…')!r} {fault}")

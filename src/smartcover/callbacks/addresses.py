"""
What kind of place an IP address is: public, or one that no stranger's URL may reach.

The tables follow the special-purpose registries of IANA (RFC 6890 and its updates) and are written out here, because
the standard library's `is_private` and `is_global` changed their meaning between patch releases.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

IpAddress = IPv4Address | IPv6Address

METADATA_ADDRESSES: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # the usual one of AWS, Azure, Google, OpenStack
        "169.254.169.253",  # AWS resolver
        "169.254.170.2",  # AWS container credentials
        "169.254.170.23",  # AWS pod credentials
        "169.254.0.23",  # Tencent Cloud
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure host; a public address that is never public from inside
        "192.0.0.192",  # Oracle Cloud, older
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google, IPv6 only
    )
)
"""Where clouds hand out the machine's own credentials; these are opened by their exact address only."""

_KINDS_V4: Final = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "an unspecified"),
        ("10.0.0.0/8", "a private"),
        ("100.64.0.0/10", "a carrier-grade NAT"),
        ("127.0.0.0/8", "a loopback"),
        ("169.254.0.0/16", "a link-local"),
        ("172.16.0.0/12", "a private"),
        ("192.0.0.0/24", "a reserved"),
        ("192.0.2.0/24", "a documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private"),
        ("198.18.0.0/15", "a benchmarking"),
        ("198.51.100.0/24", "a documentation"),
        ("203.0.113.0/24", "a documentation"),
        ("224.0.0.0/4", "a multicast"),
        ("255.255.255.255/32", "a broadcast"),
        ("240.0.0.0/4", "a reserved"),
    )
)

_KINDS_V6: Final = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "an unspecified"),
        ("::1/128", "a loopback"),
        ("64:ff9b:1::/48", "a local NAT64"),
        ("100::/64", "a discard"),
        ("2001:db8::/32", "a documentation"),
        ("3fff::/20", "a documentation"),
        ("2001::/32", "a Teredo"),
        ("2001::/23", "a reserved"),
        ("2002::/16", "a 6to4"),
        ("fc00::/7", "a private"),
        ("fe80::/10", "a link-local"),
        ("fec0::/10", "a site-local"),
        ("ff00::/8", "a multicast"),
    )
)

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_UNICAST: Final = IPv6Network("2000::/3")
_LOW_32: Final = 0xFFFFFFFF
_ISATAP_MARKS: Final = (0x00005EFE, 0x02005EFE)


def kind_of(address: IpAddress) -> str | None:
    """Say with its article what special kind an address itself is ("a loopback"), or None for a public one."""
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _KINDS_V4 if address in network), None)
    if address in _NAT64:
        return None  # a public gateway prefix: what counts is the IPv4 address inside, which `faces` shows
    named = next((kind for network, kind in _KINDS_V6 if address in network), None)
    if named is None and address not in _UNICAST:
        return "a reserved"
    return named


def faces(address: IpAddress) -> Iterator[IpAddress]:
    """
    Give every address that a packet to this one may end at.

    An IPv4-mapped address is the IPv4 address and nothing else. Those of the NAT64, 6to4, Teredo, IPv4-compatible and
    ISATAP forms are themselves and carry an IPv4 address that some gateway may unwrap; both must be harmless.
    """
    if isinstance(address, IPv4Address):
        yield address
        return
    number = int(address)
    if address in _MAPPED:
        yield IPv4Address(number & _LOW_32)
        return
    yield address
    if address in _NAT64 or (address in _COMPATIBLE and number > 1):
        yield IPv4Address(number & _LOW_32)
    elif address in _SIX_TO_FOUR:
        yield IPv4Address((number >> 80) & _LOW_32)
    elif address in _TEREDO:
        yield IPv4Address((number >> 64) & _LOW_32)
        yield IPv4Address((number & _LOW_32) ^ _LOW_32)
    if (number >> 32) & _LOW_32 in _ISATAP_MARKS:
        yield IPv4Address(number & _LOW_32)

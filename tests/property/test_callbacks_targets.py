"""Whatever text or address comes, the guard answers in one of two ways, and never lets a private place through."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from smartcover.callbacks import EgressPolicy, check_literal
from smartcover.callbacks.addresses import faces
from smartcover.callbacks.target import parse_target
from smartcover.errors import BadParameter

NAT64 = IPv6Network("64:ff9b::/96")
CLOSED = EgressPolicy()

_pieces = st.sampled_from(
    (
        *("http", "https", ":", "//", "/", "@", "\\", "#", "?", "%", ".", "..", "[", "]", "::", "127", "0x7f", "0177"),
        *("1", "localhost", "example", "com", "。", "①", "é", "80", "65536", "-", "_", " ", "\t", "\u00ad", "%00"),
        "a" * 64,
    )
)
_urls = st.text() | st.builds("http://{}".format, st.text()) | st.lists(_pieces, max_size=12).map("".join)
_urls |= st.lists(_pieces, max_size=10).map(lambda pieces: "http://" + "".join(pieces))


@given(_urls)
def test_any_text_is_a_target_or_a_bad_parameter(text: str) -> None:
    try:
        target = parse_target(text)
    except BadParameter:
        return
    assert target.url.isascii()
    assert parse_target(target.url) == target
    called = URL(target.url, encoded=True)
    assert (called.scheme, called.raw_host, called.port) == (target.scheme, target.host, target.port)
    assert called.user is None
    assert called.password is None


def _written(number: int) -> st.SearchStrategy[str]:
    address = IPv4Address(number)
    parts = str(address).split(".")
    return st.sampled_from(
        [
            str(address),
            str(number),
            hex(number),
            oct(number).replace("0o", "0"),
            ".".join(hex(int(part)) for part in parts),
            ".".join(oct(int(part)).replace("0o", "0") for part in parts),
            f"{parts[0]}.{number & 0xFFFFFF}",
            f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
            f"{address}.",
            f"[::ffff:{address}]",
            f"[::{address}]",
            f"[64:ff9b::{address}]",
            f"[2002:{number >> 16:x}:{number & 0xFFFF:x}::1]",
        ]
    )


_private_v4 = st.sampled_from(["127.0.0.0", "10.0.0.0", "192.168.0.0", "169.254.0.0", "0.0.0.0"]).flatmap(
    lambda start: st.integers(0, 0xFFFF).map(lambda tail: int(IPv4Address(start)) + tail)
)


@given(_private_v4.flatmap(_written), st.sampled_from(["", ":80", ":8460"]), st.sampled_from(["", "/", "/x?y"]))
def test_no_spelling_of_a_private_address_passes(host: str, port: str, rest: str) -> None:
    try:
        check_literal(f"http://{host}{port}{rest}", CLOSED)
    except BadParameter:
        return
    raise AssertionError(f"{host} passed")


@given(st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_what_the_standard_library_calls_special_is_refused(address: IPv4Address | IPv6Address) -> None:
    inner = ip_address(list(faces(address))[-1])
    special = any(
        (face.is_private or face.is_loopback or face.is_link_local or face.is_multicast or face.is_unspecified)
        for face in {address, inner}
        if face not in NAT64
    )
    if special and getattr(address, "ipv4_mapped", None) is None:
        assert CLOSED.refusal(address) is not None


@given(st.integers(0, 2**32 - 1).map(IPv4Address), st.booleans())
def test_a_mapped_address_is_judged_as_the_address_it_is(address: IPv4Address, named: bool) -> None:
    mapped = IPv6Address(f"::ffff:{address}")
    direct = CLOSED.refusal(address, named=named)
    through = CLOSED.refusal(mapped, named=named)
    assert (direct is None) == (through is None)

"""
The guard of outgoing calls: which places a callback may reach, judged by address and never by name alone.

A URL comes from whoever may submit a job, and this server often stands where the submitter does not: beside
databases, admin pages and the cloud's metadata service. So every address is judged before a socket is opened, and the
connection goes to the address that was judged: a name could resolve elsewhere a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from smartcover.callbacks.addresses import METADATA_ADDRESSES, IpAddress, faces, kind_of
from smartcover.callbacks.target import Target, parse_target
from smartcover.errors import BadParameter, SettingsError

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives all addresses of a name, as text; raises OSError when there are none."""

_LOCALHOST: Final = ("127.0.0.1", "::1")
_NAME: Final = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_LOOKUP_THREADS: Final = 64


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an address may not be called ("10.0.0.7, a private address") and the word that would allow it."""

    fault: str
    allow: str


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """
    What callbacks may reach beyond the public internet.

    Args:
        allow: Addresses, networks (`10.1.0.0/16`), host names (`hooks.internal`) and `*.`-suffixes
            (`*.internal`). A name that is allowed may resolve to private addresses. Metadata addresses are reachable
            only when the exact address stands here, whatever network or name is allowed.
        ports: The only ports that may be called; none means any.

    Raises:
        SettingsError: If a word of `allow` is none of these.
    """

    allow: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    _networks: tuple[IPv4Network | IPv6Network, ...] = field(init=False, repr=False)
    _names: frozenset[str] = field(init=False, repr=False)
    _suffixes: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        networks: list[IPv4Network | IPv6Network] = []
        names: set[str] = set()
        for word in self.allow:
            network = _network(word)
            if network is not None:
                networks.append(network)
                continue
            name = word.lower().removesuffix(".")
            if _NAME.fullmatch(name) is None:
                raise SettingsError(
                    f"SMARTCOVER_CALLBACK_ALLOW holds {word!r}; give host names, addresses or networks such as "
                    "hooks.internal, *.internal, 10.0.0.7, 10.1.0.0/16, without scheme or port"
                )
            names.add(name)
        object.__setattr__(self, "_networks", tuple(networks))
        object.__setattr__(self, "_names", frozenset(n for n in names if not n.startswith("*.")))
        object.__setattr__(self, "_suffixes", tuple(sorted(n[1:] for n in names if n.startswith("*."))))

    def allows_name(self, host: str) -> bool:
        """Whether the operator named this host, so that its addresses may be private."""
        return host in self._names or host.endswith(self._suffixes or ("\0",))

    def refusal(self, address: IpAddress, *, named: bool = False) -> Refusal | None:
        """
        Say why an address may not be called, or None when it may.

        Args:
            named: Whether it was reached by a host name that the operator allowed.
        """
        for face in faces(address):
            if face in METADATA_ADDRESSES:
                if not any(network.num_addresses == 1 and face in network for network in self._networks):
                    return Refusal(f"{_both(address, face)}, a cloud metadata address", str(face))
                continue
            kind = kind_of(face)
            if kind is None or named or any(face in n or address in n for n in self._networks):
                continue
            return Refusal(f"{_both(address, face)}, {kind} address", str(face))
        return None


def check_literal(url: str, policy: EgressPolicy) -> None:
    """
    Refuse a callback URL that could never be delivered, as far as the URL alone shows it.

    Host names are not resolved: a name is judged at each try, because names can change. `localhost` is no such name;
    it means this machine by definition (RFC 6761).

    Raises:
        BadParameter: If the URL is malformed, or names an address or port that the policy refuses; the text names the
            address and the setting that would allow it.
    """
    check_target(parse_target(url), policy)


def check_target(target: Target, policy: EgressPolicy) -> None:
    """
    Judge what `check_literal` judges, for a URL taken apart already.

    Raises:
        BadParameter: If the policy refuses the address or port.
    """
    if policy.ports and target.port not in policy.ports:
        allowed = ", ".join(str(port) for port in policy.ports)
        raise BadParameter(f"callbacks to port {target.port} are not allowed here; allowed: {allowed}")
    if target.address is not None:
        refusal = policy.refusal(target.address)
    elif target.host == "localhost" or target.host.endswith(".localhost"):
        named = policy.allows_name(target.host)
        faults = [policy.refusal(ip_address(text), named=named) for text in _LOCALHOST]
        refusal = Refusal(f"{target.host}, a loopback address", target.host) if all(faults) else None
    else:
        refusal = None
    if refusal is not None:
        raise _refused(refusal)


async def resolve(target: Target, policy: EgressPolicy, lookup: Lookup) -> tuple[IpAddress, ...]:
    """
    Give the addresses that a try may connect to, each judged now.

    Of a name with public and refused addresses only the public ones are given: connecting is pinned to them.

    Raises:
        BadParameter: If the URL's address, or every address of its name, is refused.
        OSError: If the name has no address.
    """
    check_target(target, policy)
    if target.address is not None:
        return (target.address,)
    named = policy.allows_name(target.host)
    texts = await lookup(target.host, target.port)
    found = dict.fromkeys(ip_address(text) for text in texts if "%" not in text)
    refusals = {address: policy.refusal(address, named=named) for address in found}
    usable = tuple(address for address, refusal in refusals.items() if refusal is None)
    if usable:
        return usable
    for refusal in refusals.values():
        if refusal is not None:
            metadata = refusal.allow in map(str, METADATA_ADDRESSES)
            allow = refusal.allow if metadata else target.host
            raise _refused(Refusal(f"{target.host}: it leads to {refusal.fault}", allow))
    raise OSError(f"{target.host} has no address that can be called")


class SystemLookup:
    """
    Name resolution by the operating system, in threads of its own.

    A name server that never answers holds its thread for many seconds. So the threads are not shared with the rest of
    the process, tries of one name share one lookup, and none keeps the process from ending.
    """

    def __init__(self, most_threads: int = _LOOKUP_THREADS) -> None:
        self._free = asyncio.Semaphore(most_threads)
        self._running: dict[tuple[str, int], asyncio.Task[list[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        key = (host, port)
        lookup = self._running.get(key)
        if lookup is None:
            lookup = self._running[key] = asyncio.create_task(self._look_up(host, port))
            lookup.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(lookup)

    async def _look_up(self, host: str, port: int) -> list[str]:
        async with self._free:
            loop = asyncio.get_running_loop()
            found: asyncio.Future[list[str]] = loop.create_future()
            threading.Thread(target=_system_lookup, args=(host, port, loop, found), daemon=True).start()
            return await found

    def _ended(self, key: tuple[str, int], lookup: asyncio.Task[list[str]]) -> None:
        self._running.pop(key, None)
        if not lookup.cancelled():
            lookup.exception()  # heard, in case every try that waited has timed out meanwhile


def _system_lookup(host: str, port: int, loop: asyncio.AbstractEventLoop, found: asyncio.Future[list[str]]) -> None:
    addresses: list[str] = []
    fault: OSError | None = None
    try:
        addresses = _system_addresses(host, port)
    except OSError as error:
        fault = error

    def tell() -> None:
        if found.cancelled():
            return
        if fault is None:
            found.set_result(addresses)
        else:
            found.set_exception(fault)

    with contextlib.suppress(RuntimeError):  # the loop was closed while the name server thought
        loop.call_soon_threadsafe(tell)


def _system_addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host} cannot be looked up: {error}") from error
    return [str(address[0]) for _, _, _, _, address in found]


def _network(word: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(word[1:-1] if word.startswith("[") and word.endswith("]") else word, strict=False)
    except ValueError:
        return None


def _both(address: IpAddress, face: IpAddress) -> str:
    return str(address) if address == face else f"{address} (which carries {face})"


def _refused(refusal: Refusal) -> BadParameter:
    return BadParameter(
        f"callbacks may not reach {refusal.fault}; to allow it, the operator sets "
        f"SMARTCOVER_CALLBACK_ALLOW={refusal.allow}"
    )

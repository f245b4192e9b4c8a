"""The guard: which URLs and addresses a callback may reach."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from smartcover.callbacks import EgressPolicy, check_literal
from smartcover.callbacks.addresses import METADATA_ADDRESSES
from smartcover.callbacks.egress import SystemLookup, resolve
from smartcover.callbacks.target import parse_target
from smartcover.errors import BadParameter, SettingsError

#: Ways to write a place that a stranger's URL may not reach, or to confuse whoever reads the URL.
FORBIDDEN = (
    "http://127.0.0.1/",
    "http://127.0.0.1:8460/jobs",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0X7F.0X0.0X0.0X1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://127.0.0.01/",
    "http://00000127.0.0.1/",
    "http://4294967297/",
    "http://127.0.0.1./",
    "http://127.0.0.1../",
    "http://0/",
    "http://0.0.0.0/",
    "http://0x/",
    "http://1.2.3/",
    "http://1.2.3.4.5/",
    "http://example.com.127.1.0x1/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://169.254.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://192.0.0.8/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://239.255.255.250:1900/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:808:808::1]/",
    "http://[2001:0:7f00:1::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[2606:4700::5efe:7f00:1]/",
    "http://[v1.fe80]/",
    "http://[::1/",
    "http://::1/",
    "http://localhost/",
    "http://LOCALHOST:80/",
    "http://localhost./",
    "http://sub.localhost/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://127.0.0.1。/",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://user:secret@example.com/",
    "http://user@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1@example.com/",
    "http://@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http:\\\\127.0.0.1\\",
    "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
    "http://exa mple.com/",
    "http://example.com\t/",
    "http://example.com\r\nHost: internal/",
    "http://example.com/a\nb",
    "http://exam\u00adple\u2028.com/",
    " http://example.com/",
    "http://example.com/\ufeff",
    "http://",
    "http:///path",
    "http://:80/",
    "http://?x",
    "http://#x",
    "http:example.com",
    "//example.com/",
    "example.com/cb",
    "",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "javascript://example.com/",
    "jar:http://example.com!/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:99999999999/",
    "http://example.com:-1/",
    "http://example.com:80:80/",
    "http://example.com:８０/",
    "http://exa..mple.com/",
    "http://.example.com/",
    "http://-example.com/",
    "http://example.com../",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 130 + "com/",
    "http://example.com/" + "a" * 5000,
)

FINE = (
    ("http://example.com", "http://example.com/"),
    ("HTTPS://Example.COM:443/Path?Q=1#frag", "https://example.com/Path?Q=1"),
    ("https://example.com:8443/a%2Fb?x=%7E&sig=a+b/c==", "https://example.com:8443/a%2Fb?x=%7E&sig=a+b/c=="),
    ("http://example.com./", "http://example.com/"),
    ("http://example.com?x=1", "http://example.com/?x=1"),
    ("http://8.8.8.8/", "http://8.8.8.8/"),
    ("http://[2606:4700:4700::1111]:81/", "http://[2606:4700:4700::1111]:81/"),
    ("http://[64:ff9b::8.8.8.8]/", "http://[64:ff9b::808:808]/"),
    ("http://my_service:8000/cb", "http://my_service:8000/cb"),
    ("http://xn--r8jz45g.jp/", "http://xn--r8jz45g.jp/"),
    ("http://例え.jp/路?名=值", "http://xn--r8jz45g.jp/%E8%B7%AF?%E5%90%8D=%E5%80%BC"),
    ("http://1.example.com/", "http://1.example.com/"),
    ("http://0xdead.example/", "http://0xdead.example/"),
    ("http://127.0.0.1.nip.io/", "http://127.0.0.1.nip.io/"),  # a name: judged by its addresses at each try
    ("http://example.com/a@b:c", "http://example.com/a@b:c"),
    ('http://example.com/"<x>', "http://example.com/%22%3Cx%3E"),
)


@pytest.mark.parametrize("url", FORBIDDEN)
def test_this_spelling_is_refused(url: str) -> None:
    with pytest.raises(BadParameter):
        check_literal(url, EgressPolicy())


@pytest.mark.parametrize("url", FORBIDDEN)
def test_allowing_everything_private_opens_no_metadata_and_no_malformed_url(url: str) -> None:
    everything = EgressPolicy(allow=("0.0.0.0/0", "::/0", "localhost", "*.localhost"))
    try:
        check_literal(url, everything)
    except BadParameter:
        return
    target = parse_target(url)
    assert target.address not in METADATA_ADDRESSES
    assert target.host in url.lower() or target.address is not None or target.host == "localhost"


@pytest.mark.parametrize(("url", "called"), FINE)
def test_a_plain_public_url_is_taken_and_called_as_meant(url: str, called: str) -> None:
    check_literal(url, EgressPolicy())
    assert parse_target(url).url == called


def test_the_refusal_names_the_address_and_the_setting() -> None:
    with pytest.raises(BadParameter) as refused:
        check_literal("http://192.168.7.9/cb?token=secret", EgressPolicy())
    assert "192.168.7.9" in refused.value.public
    assert "SMARTCOVER_CALLBACK_ALLOW=192.168.7.9" in refused.value.public
    assert "secret" not in refused.value.public


def test_a_malformed_url_is_shown_without_its_query() -> None:
    with pytest.raises(BadParameter) as refused:
        check_literal("http://2130706433/cb?token=secret", EgressPolicy())
    assert "secret" not in refused.value.public


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:9/"),
        ("127.0.0.0/8", "http://127.8.9.10/"),
        ("127.0.0.1", "http://localhost/"),
        ("::1", "http://localhost/"),
        ("::1", "http://[::1]/"),
        ("[::1]", "http://[::1]/"),
        ("localhost", "http://localhost/"),
        ("LocalHost.", "http://localhost/"),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]/"),
        ("10.0.0.0/8", "http://[64:ff9b::10.1.2.3]/"),
        ("fd00::/8", "http://[fd12::1]/"),
        ("169.254.169.254", "http://169.254.169.254/"),
        ("169.254.169.254/32", "http://169.254.169.254/"),
        ("fd00:ec2::254", "http://[fd00:ec2::254]/"),
    ],
)
def test_an_allowed_address_is_let_through(allow: str, url: str) -> None:
    check_literal(url, EgressPolicy(allow=(allow,)))


@pytest.mark.parametrize(
    ("allow", "url"),
    [
        ("10.0.0.1", "http://10.0.0.2/"),
        ("10.0.0.0/8", "http://11.0.0.1.evil.example:70000/"),
        ("169.254.0.0/16", "http://169.254.169.254/"),
        ("0.0.0.0/0", "http://169.254.169.254/"),
        ("::/0", "http://[::ffff:169.254.169.254]/"),
        ("::/0", "http://[fd00:ec2::254]/"),
        ("2002::/16", "http://[2002:a9fe:a9fe::]/"),
        ("localhost", "http://127.0.0.1/"),
        ("evil.example", "http://10.0.0.1/"),
    ],
)
def test_an_allowance_opens_no_more_than_it_says(allow: str, url: str) -> None:
    with pytest.raises(BadParameter):
        check_literal(url, EgressPolicy(allow=(allow,)))


@pytest.mark.parametrize(
    "word", ["http://localhost", "localhost:8000", "10.0.0.0/99", "a b", "*", "*.", "[::1", "a/b", ""]
)
def test_an_allowance_that_means_nothing_is_a_wrong_setting(word: str) -> None:
    with pytest.raises(SettingsError, match="SMARTCOVER_CALLBACK_ALLOW"):
        EgressPolicy(allow=(word,))


def test_ports_can_be_limited() -> None:
    policy = EgressPolicy(ports=(443, 8443))
    check_literal("https://example.com/", policy)
    with pytest.raises(BadParameter, match="port 80"):
        check_literal("http://example.com/", policy)


def fixed(*addresses: str) -> object:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return addresses

    return lookup


async def resolved(url: str, *addresses: str, allow: tuple[str, ...] = ()) -> list[str]:
    found = await resolve(parse_target(url), EgressPolicy(allow=allow), fixed(*addresses))  # type: ignore[arg-type]
    return [str(address) for address in found]


async def test_a_name_with_public_addresses_resolves_to_them_in_order() -> None:
    assert await resolved("http://example.com/", "8.8.4.4", "8.8.8.8", "8.8.4.4") == ["8.8.4.4", "8.8.8.8"]


async def test_private_addresses_of_a_mixed_name_are_left_out() -> None:
    assert await resolved("http://example.com/", "10.0.0.1", "8.8.8.8", "::1") == ["8.8.8.8"]


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "127.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1", "169.254.169.254", "0.0.0.0"]
)
async def test_a_name_with_nothing_but_private_addresses_is_refused(address: str) -> None:
    with pytest.raises(BadParameter, match="evil\\.example"):
        await resolved("http://evil.example/", address)


async def test_an_allowed_name_may_lead_to_private_addresses() -> None:
    assert await resolved("http://hooks.internal/", "10.0.0.1", allow=("hooks.internal",)) == ["10.0.0.1"]
    assert await resolved("http://a.b.internal/", "10.0.0.1", allow=("*.internal",)) == ["10.0.0.1"]
    with pytest.raises(BadParameter):
        await resolved("http://evil-hooks.internal/", "10.0.0.1", allow=("hooks.internal",))
    with pytest.raises(BadParameter):
        await resolved("http://notinternal/", "10.0.0.1", allow=("*.internal",))


async def test_an_allowed_name_leads_to_no_metadata() -> None:
    with pytest.raises(BadParameter, match=r"SMARTCOVER_CALLBACK_ALLOW=169\.254\.169\.254"):
        await resolved("http://hooks.internal/", "169.254.169.254", allow=("hooks.internal",))


async def test_a_name_without_addresses_is_no_refusal() -> None:
    with pytest.raises(OSError, match="no address"):
        await resolved("http://example.com/")


async def test_addresses_with_a_zone_are_not_used() -> None:
    with pytest.raises(OSError, match="no address"):
        await resolved("http://example.com/", "fe80::1%eth0", allow=("fe80::/10",))


async def test_tries_of_one_name_share_a_lookup_and_a_slow_one_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    let_go = threading.Event()

    def slow_or_not(host: str, port: int) -> list[str]:
        asked.append(host)
        if host == "slow.example":
            assert let_go.wait(30), "the fast one waits for the slow one"
        return ["8.8.8.8"]

    monkeypatch.setattr("smartcover.callbacks.egress._system_addresses", slow_or_not)
    lookup = SystemLookup()
    slow = [asyncio.create_task(lookup("slow.example", 80)) for _ in range(50)]
    await asyncio.sleep(0)
    assert await lookup("fast.example", 80) == ["8.8.8.8"]
    let_go.set()
    assert await asyncio.gather(*slow) == [["8.8.8.8"]] * 50
    assert asked.count("slow.example") == 1


async def test_a_lookup_given_up_by_one_try_goes_on_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        assert let_go.wait(30)
        return ["8.8.8.8"]

    monkeypatch.setattr("smartcover.callbacks.egress._system_addresses", slow)
    lookup = SystemLookup()
    first, second = (asyncio.create_task(lookup("slow.example", 80)) for _ in range(2))
    await asyncio.sleep(0.01)
    assert first.cancel()
    let_go.set()
    assert await second == ["8.8.8.8"]


async def test_the_system_says_when_a_name_does_not_exist() -> None:
    with pytest.raises(OSError):
        await SystemLookup()("no-such-name.invalid", 80)


def test_every_metadata_address_is_refused() -> None:
    policy = EgressPolicy(allow=("0.0.0.0/0", "::/0"))
    assert all(policy.refusal(address) is not None for address in METADATA_ADDRESSES)


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "203.0.114.1", "2606:4700::1111", "2a00:1450::1", "240e::1"])
def test_a_public_address_is_not_refused(text: str) -> None:
    assert EgressPolicy().refusal(ip_address(text)) is None

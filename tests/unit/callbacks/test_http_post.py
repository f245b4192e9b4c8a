"""One try over real sockets: what goes out, and what each kind of receiver comes to."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from smartcover.callbacks import EgressPolicy, HttpConfig, HttpSender, read_secrets
from smartcover.errors import SettingsError
from tests.deliveries import Received, Receiver, a_delivery, answer, hang, receiving, reset

ALLOWED = EgressPolicy(allow=("127.0.0.1", "::1"))
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def clock() -> datetime:
    return datetime.now(UTC)


def a_config(**changes: object) -> HttpConfig:
    given: dict[str, object] = {
        "policy": ALLOWED,
        "user_agent": "smartcover/1.2.3",
        "connect_timeout_seconds": 10.0,
        "timeout_seconds": 15.0,
        **changes,
    }
    return HttpConfig(**given)  # type: ignore[arg-type]


@asynccontextmanager
async def sending(**changes: object) -> AsyncIterator[HttpSender]:
    lookup = changes.pop("lookup", None)
    async with HttpSender(a_config(**changes), now=clock, lookup=lookup) as sender:  # type: ignore[arg-type]
        yield sender


async def test_the_stored_bytes_go_out_with_id_type_and_user_agent() -> None:
    body = b"<Response>\xe5\xb0\x81</Response>"
    async with receiving(answer(200)) as receiver, sending() as sender:
        delivery = a_delivery(receiver.url + "?a=%2F&b=1", body=body)
        started = time.monotonic()
        report = await sender.send(delivery)
        spent = time.monotonic() - started
    assert (report.outcome, report.http_status, report.answer_head) == ("ok", 200, b"thanks")
    assert report.address == f"127.0.0.1:{receiver.port}"
    assert 0 < report.duration_seconds <= spent
    (request,) = receiver.received
    assert request.line == "POST /cb?a=%2F&b=1 HTTP/1.1"
    assert request.body == body
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/xml"
    assert request.headers["user-agent"] == "smartcover/1.2.3"
    assert request.headers["webhook-id"] == delivery.delivery_id
    assert "webhook-signature" not in request.headers


async def test_with_a_secret_an_independent_library_verifies_the_try() -> None:
    async with receiving(answer(204, body=b"")) as receiver, sending(signing_keys=read_secrets(SECRET)) as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert report.outcome == "ok"
    (request,) = receiver.received
    Webhook(SECRET).verify(request.body, request.headers, json_parse=False)


@pytest.mark.parametrize("status", [201, 202, 204, 299])
async def test_every_2xx_delivers(status: int) -> None:
    async with receiving(answer(status, body=b"")) as receiver, sending() as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert (report.outcome, report.http_status) == ("ok", status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_reported_and_not_followed(status: int) -> None:
    async with receiving(answer(200)) as elsewhere:
        async with receiving(answer(status, f"Location: {elsewhere.url}")) as receiver, sending() as sender:
            report = await sender.send(a_delivery(receiver.url))
        assert elsewhere.received == []
    assert (report.outcome, report.http_status) == ("http", status)
    assert elsewhere.url in (report.error or "")


async def test_retry_after_is_read() -> None:
    async with receiving(answer(503, "Retry-After: 17")) as receiver, sending() as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert (report.outcome, report.http_status, report.retry_after_seconds) == ("http", 503, 17.0)


async def test_a_hanging_receiver_is_left_after_the_time_of_a_try() -> None:
    async with receiving(hang) as receiver, sending(timeout_seconds=0.3) as sender:
        started = time.monotonic()
        report = await sender.send(a_delivery(receiver.url))
        spent = time.monotonic() - started
    assert report.outcome == "timed_out"
    assert report.address == f"127.0.0.1:{receiver.port}"
    assert 0.25 < spent < 5.0


async def test_headers_that_come_drop_by_drop_do_not_stretch_the_try() -> None:
    async def drip(receiver: Receiver, request: Received, reader: object, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with receiving(drip) as receiver, sending(timeout_seconds=0.4) as sender:
        started = time.monotonic()
        report = await sender.send(a_delivery(receiver.url))
        spent = time.monotonic() - started
    assert report.outcome == "timed_out"
    assert spent < 5.0


async def test_a_reset_is_a_connection_fault() -> None:
    async with receiving(reset) as receiver, sending() as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert report.outcome == "connection"
    assert report.error


async def test_a_closed_port_is_a_connection_fault_that_names_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with sending() as sender:
        report = await sender.send(a_delivery(f"http://127.0.0.1:{port}/"))
    assert report.outcome == "connection"
    assert report.address == f"127.0.0.1:{port}"


async def test_an_answer_that_is_not_http_is_a_connection_fault() -> None:
    async def babble(receiver: Receiver, request: Received, reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()

    async with receiving(babble) as receiver, sending() as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert report.outcome == "connection"
    assert "HTTP" in (report.error or "")


@pytest.mark.parametrize(("status", "outcome"), [(200, "ok"), (204, "ok"), (302, "http"), (410, "http"), (503, "http")])
@pytest.mark.parametrize(
    ("rest", "fault"),
    [
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok", "Duplicate Content-Length"),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "Content-Length"),
        (b"Transfer-Encoding: chunked\r\n\r\nok", "ok"),
        (b"Server\r\n\r\n", "Invalid header token"),
        (b"Content-Length: 0\r\n\r\nok", "Bad status line"),
    ],
    ids=["two-lengths", "length-and-chunks", "no-chunks", "no-header", "body-beyond-its-length"],
)
async def test_the_status_of_an_answer_that_breaks_http_decides(
    status: int, outcome: str, rest: bytes, fault: str
) -> None:
    async def broken(_: object, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" if status == 204 else b""
        writer.write(interim + f"HTTP/1.1 {status} Word\r\n".encode() + rest)
        await writer.drain()
        await reader.read()

    async with receiving(broken) as receiver, sending() as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert (report.outcome, report.http_status) == (outcome, status)
    assert report.error is not None
    assert report.error.startswith("the answer breaks HTTP: ")
    assert fault in report.error
    assert f"HTTP/1.1 {status} Word".encode() in report.answer_head


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 17_000 + b"\r\n\r\n",
    ],
    ids=["status", "version", "line-cut-off", "headers-cut-off", "header-too-long"],
)
async def test_what_only_looks_like_a_good_status_is_no_answer(said: bytes) -> None:
    async def half(_: object, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.write_eof()
        await reader.read()

    async with receiving(half) as receiver, sending() as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert (report.outcome, report.http_status) == ("connection", None)


async def test_headers_without_end_are_cut_off() -> None:
    async def flood(receiver: Receiver, request: Received, reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Filler: " + b"y" * 4000 + b"\r\n")
            await writer.drain()

    async with receiving(flood) as receiver, sending() as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert report.outcome == "connection"


async def test_a_hundred_megabytes_of_answer_are_not_read() -> None:
    sent = 0

    async def gush(receiver: Receiver, request: Received, reader: object, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        size = 100 * 1024 * 1024
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65536):
            writer.write(b"z" * 65536)
            await writer.drain()
            sent += 65536

    async with receiving(gush) as receiver, sending() as sender:
        started = time.monotonic()
        report = await sender.send(a_delivery(receiver.url))
        spent = time.monotonic() - started
        await asyncio.sleep(0)
    assert report.outcome == "ok"
    assert report.answer_head == b"z" * 1024
    assert sent < 16 * 1024 * 1024  # what the kernel's buffers took
    assert spent < 5.0


async def test_a_packed_answer_is_kept_as_it_came() -> None:
    import gzip

    bomb = gzip.compress(b"\0" * 10_000_000)
    async with receiving(answer(200, "Content-Encoding: gzip", body=bomb)) as receiver, sending() as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert report.outcome == "ok"
    assert report.answer_head == bomb[:1024]


async def test_a_body_that_never_ends_does_not_undo_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smartcover.callbacks.http_post.ANSWER_SECONDS", 0.2)

    async def stall(receiver: Receiver, request: Received, reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart")
        await asyncio.sleep(3600)

    async with receiving(stall) as receiver, sending() as sender:
        report = await sender.send(a_delivery(receiver.url))
    assert (report.outcome, report.answer_head) == ("ok", b"part")


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving(answer(500)) as proxy, receiving(answer(200)) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with sending() as sender:
            report = await sender.send(a_delivery(receiver.url))
        assert proxy.received == []
    assert report.outcome == "ok"


async def test_a_private_address_is_refused_without_a_packet() -> None:
    async with receiving(answer(200)) as receiver, sending(policy=EgressPolicy()) as sender:
        report = await sender.send(a_delivery(receiver.url))
        assert receiver.most_open == 0
    assert report.outcome == "refused"
    assert "SMARTCOVER_CALLBACK_ALLOW=127.0.0.1" in (report.error or "")


def names(**table: Sequence[str]) -> object:
    async def lookup(host: str, port: int) -> Sequence[str]:
        found = table.get(host.replace(".", "_"))
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    return lookup


async def test_a_name_that_leads_to_a_private_address_is_refused() -> None:
    async with receiving(answer(200)) as receiver:
        async with sending(policy=EgressPolicy(), lookup=names(evil_example=["127.0.0.1"])) as sender:
            report = await sender.send(a_delivery(f"http://evil.example:{receiver.port}/"))
        assert receiver.most_open == 0
    assert report.outcome == "refused"
    assert "evil.example" in (report.error or "")
    assert "127.0.0.1" in (report.error or "")


async def test_a_name_is_looked_up_once_and_the_connection_goes_to_that_answer() -> None:
    asked = 0

    async def rebinding(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.1"] if asked == 1 else ["127.0.0.2"]

    async with receiving(answer(200)) as receiver, sending(lookup=rebinding) as sender:
        report = await sender.send(a_delivery(f"http://rebind.example:{receiver.port}/"))
        assert report.outcome == "ok"
        assert receiver.received[0].headers["host"] == f"rebind.example:{receiver.port}"
        assert asked == 1
        second = await sender.send(a_delivery(f"http://rebind.example:{receiver.port}/"))
    assert second.outcome == "refused"


async def test_only_the_harmless_addresses_of_a_mixed_name_are_called() -> None:
    async with receiving(answer(200)) as receiver:
        policy = EgressPolicy(allow=("127.0.0.1",))
        async with sending(policy=policy, lookup=names(two_example=["127.0.0.9", "127.0.0.1"])) as sender:
            report = await sender.send(a_delivery(f"http://two.example:{receiver.port}/"))
    assert report.outcome == "ok"
    assert report.address == f"127.0.0.1:{receiver.port}"


async def test_the_second_address_is_tried_when_the_first_does_not_answer() -> None:
    policy = EgressPolicy(allow=("127.0.0.0/8",))
    lookup = names(two_example=["127.0.0.9", "127.0.0.1"])
    async with receiving(answer(200)) as receiver, sending(policy=policy, lookup=lookup) as sender:
        report = await sender.send(a_delivery(f"http://two.example:{receiver.port}/"))
    assert report.outcome == "ok"
    assert report.address == f"127.0.0.1:{receiver.port}"


async def test_an_unknown_name_is_a_dns_fault() -> None:
    async with sending(lookup=names()) as sender:
        report = await sender.send(a_delivery("http://gone.example/"))
    assert report.outcome == "dns"
    assert "gone.example" in (report.error or "")


async def test_a_name_server_that_hangs_costs_the_connect_time_only() -> None:
    async def silent(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(3600)
        return []

    async with sending(lookup=silent, connect_timeout_seconds=0.2) as sender:
        report = await sender.send(a_delivery("http://slow.example/"))
    assert report.outcome == "timed_out"
    assert "slow.example" in (report.error or "")


async def test_the_system_resolves_localhost() -> None:
    async with receiving(answer(200)) as receiver, sending() as sender:
        report = await sender.send(a_delivery(f"http://localhost:{receiver.port}/"))
    assert report.outcome == "ok"


async def test_a_url_that_cannot_be_read_is_a_bad_target() -> None:
    async with sending() as sender:
        report = await sender.send(a_delivery("ftp://example.com/"))
    assert report.outcome == "bad_target"


async def test_ipv6_receivers_are_reached() -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    async with receiving(answer(200), host="::1") as receiver, sending() as sender:
        report = await sender.send(a_delivery(f"http://[::1]:{receiver.port}/"))
    assert report.outcome == "ok"
    assert report.address == f"[::1]:{receiver.port}"
    assert receiver.received[0].headers["host"] == f"[::1]:{receiver.port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for hooks.example and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hooks.example"]
    command += ["-addext", "subjectAltName=DNS:hooks.example", "-keyout", "key.pem", "-out", "cert.pem"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


def _server_side(certificate: Path, seen: list[str | None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    return context


async def test_a_trusted_certificate_is_accepted_under_the_name_and_not_the_address(certificate: Path) -> None:
    seen: list[str | None] = []
    async with receiving(answer(200), tls=_server_side(certificate, seen)) as receiver:
        lookup = names(hooks_example=["127.0.0.1"])
        async with sending(ca_file=certificate, lookup=lookup) as sender:
            report = await sender.send(a_delivery(f"https://hooks.example:{receiver.port}/"))
    assert report.outcome == "ok", report
    assert seen == ["hooks.example"]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"


@pytest.mark.parametrize("trusting", [True, False])
async def test_a_certificate_of_another_name_or_signer_is_a_tls_fault(certificate: Path, trusting: bool) -> None:
    async with receiving(answer(200), tls=_server_side(certificate, [])) as receiver:
        lookup = names(hooks_example=["127.0.0.1"], other_example=["127.0.0.1"])
        async with sending(ca_file=certificate if trusting else None, lookup=lookup) as sender:
            host = "other.example" if trusting else "hooks.example"
            report = await sender.send(a_delivery(f"https://{host}:{receiver.port}/"))
        assert receiver.received == []
    assert report.outcome == "tls"
    assert report.error is not None
    assert report.error.startswith("the certificate is not trusted: ")
    assert ("not valid for 'other.example'" in report.error) == trusting
    assert report.error.endswith("add it to the file of SMARTCOVER_CALLBACK_CA_FILE") == (not trusting)


async def test_tls_spoken_to_a_plain_receiver_is_a_tls_fault() -> None:
    async with receiving(answer(200)) as receiver, sending(connect_timeout_seconds=1.0) as sender:
        report = await sender.send(a_delivery(f"https://127.0.0.1:{receiver.port}/"))
    assert report.outcome in {"tls", "connection", "timed_out"}
    assert report.outcome != "tls" or "speaks no TLS at this port" in (report.error or "")


def test_a_missing_ca_file_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"SMARTCOVER_CALLBACK_CA_FILE=.*nowhere\.pem"):
        HttpSender(a_config(ca_file=Path("/nowhere.pem")), now=clock)


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False

"""`smartcover listen`, started as users start it and called over real sockets."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smartcover.callbacks import read_secrets, signature_headers
from smartcover.cli.terminal import pretty

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
BODY = b"<Response><EventName>TaskFinish</EventName><JobsDetail><Message/></JobsDetail></Response>"


@contextmanager
def listening(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command; gives the process and its URL."""
    command = [sys.executable, "-m", "smartcover", "listen", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("receiving callbacks at http://127.0.0.1:"), line
        yield process, line.split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def post(url: str, body: bytes = BODY, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/xml", **named})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def test_it_prints_what_came_keeps_it_and_ends_after_its_count(tmp_path: Path) -> None:
    with listening("--once", "--save", str(tmp_path / "kept")) as (process, url):
        assert post(url + "any/path?x=1", webhook_id="../d1") == 200
        output, _ = process.communicate(timeout=10)
        assert process.returncode == 0
    assert "POST /any/path?x=1" in output
    assert "../d1" in output
    assert "  <EventName>TaskFinish</EventName>" in output
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.name == "0001-___d1.xml"
    assert kept.read_bytes() == BODY


def test_it_fails_the_first_tries_of_each_callback_and_says_which_is_a_repeat() -> None:
    with listening("--fail", "2", "--count", "2") as (process, url):
        assert [post(url, webhook_id="d1") for _ in range(4)] == [500, 500, 200, 200]
        assert process.poll() is None  # d1 counts once
        assert [post(url, webhook_id="d2") for _ in range(3)] == [500, 500, 200]
        output, _ = process.communicate(timeout=10)
    assert "try 2\n" in output
    assert "try 4, taken before" in output
    assert output.count("failing on purpose") == 4


def test_it_refuses_a_wrong_signature_and_accepts_a_right_one() -> None:
    with listening("--secret", SECRET, "--once") as (process, url):
        assert post(url, webhook_id="d1") == 401
        headers = signature_headers(BODY, delivery_id="d1", now=datetime.now(UTC), keys=read_secrets(SECRET))
        assert post(url, BODY + b" ", **headers) == 401
        assert post(url, BODY, **headers) == 200
        output, _ = process.communicate(timeout=10)
    assert output.count("signature  WRONG") == 2
    assert output.count("signature  right") == 1


def test_it_ends_at_once_when_told_to_while_a_sender_waits() -> None:
    with listening("--hang", "60") as (process, url):
        with pytest.raises(OSError):
            urllib.request.urlopen(urllib.request.Request(url, data=BODY), timeout=0.5)
        process.terminate()
        assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(("--secret", "whsec_"), "--secret"), (("--host", "203.0.113.1"), "choose another --host or --port")],
)
def test_what_it_cannot_do_is_one_line_and_no_traceback(arguments: tuple[str, ...], complaint: str) -> None:
    command = [sys.executable, "-m", "smartcover", "listen", "--port", "0", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert complaint in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("body", "text", "language"),
    [
        (b"<a><b>1</b></a>", "<a>\n  <b>1</b>\n</a>", "xml"),
        (b' {"a":"\xe5\xb0\x81"}', '{\n  "a": "封"\n}', "json"),
        (b"<a", "<a", "text"),
        (b"{", "{", "text"),
        (b"", "", "text"),
        (b"\x1b]0;title\x07\xff", "\N{REPLACEMENT CHARACTER}]0;title" + "\N{REPLACEMENT CHARACTER}" * 2, "text"),
        (b"[" * 100_000, "[" * 20_000, "text"),
    ],
)
def test_a_body_is_indented_and_harmless_to_a_terminal(body: bytes, text: str, language: str) -> None:
    assert pretty(body) == (text, language)


def test_entities_of_a_hostile_body_are_not_expanded(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    body = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret}">]><a>&x;</a>'.encode()
    assert "hidden" not in pretty(body)[0]

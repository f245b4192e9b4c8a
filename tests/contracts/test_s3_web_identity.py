"""Keys of the store for a web identity, as pods of Kubernetes have one: fetched from the token service over TLS."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import obstore
import pytest

from smartcover.settings import shared_keys_place
from smartcover.storage.s3_place import S3Options, S3Place
from tests.certificates import self_signed
from tests.moto_server import fresh, running_moto
from tests.server_postgres import free_port

BUCKET = "videos-1250000000"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"))


#: moto's server guesses the service by the signature, and this one call has none.
SERVE = """
import sys
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import run_simple
port, certificate, key = sys.argv[1:]
run_simple("127.0.0.1", int(port), create_backend_app("sts"), ssl_context=(certificate, key))
"""


@pytest.fixture(scope="module")
def tokens(certificate: tuple[Path, Path]) -> Iterator[str]:
    """Run the token service."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port), *map(str, certificate)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_moto() as address:
        fresh(address, BUCKET)
        yield address


async def test_a_web_identity_is_changed_for_keys_of_its_role(
    tokens: str, server: str, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    token, home = tmp_path / "token", tmp_path / "home"
    token.write_text("eyJhbGciOiJub25lIn0.eyJzdWIiOiJzbWFydGNvdmVyIn0.")
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text("[default]\naws_access_key_id = p\naws_secret_access_key = s\n")
    monkeypatch.setenv("HOME", str(home))  # its profile comes after the web identity
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/covers")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", tokens)
    assert shared_keys_place() is None
    place = S3Place("s3://", S3Options(endpoint=server, region="us-east-1", path_style=True, allow_http=True))
    store = place.store(BUCKET)
    await obstore.put_async(store, "in/a.mp4", b"bytes")
    assert bytes((await obstore.get_async(store, "in/a.mp4")).bytes()) == b"bytes"
    query = parse_qs(urlsplit(obstore.sign(store, "GET", "in/a.mp4", timedelta(seconds=60))).query)
    assert query["X-Amz-Credential"][0].startswith("ASIA"), "a temporary key, and not that of the profile"
    assert query["X-Amz-Security-Token"][0]

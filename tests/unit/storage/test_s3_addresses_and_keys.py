"""Where requests to an S3 store go, and whose keys sign them."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import obstore
import pytest

from smartcover.storage.s3_place import S3Options, S3Place

SAID = {
    "AccessKeyId": "rolekey",
    "SecretAccessKey": "rolesecret",
    "Token": "roletoken",
    "Expiration": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    "Code": "Success",
    "Type": "AWS-HMAC",
    "LastUpdated": datetime.now(UTC).isoformat(),
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys of the machine that the tests run on."""
    import os

    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def machine() -> Iterator[str]:
    """Stand for the metadata service of a machine and of a container."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.say(b"a session")

        def do_GET(self) -> None:
            inside = self.path.startswith("/latest/meta-data/iam/security-credentials/")
            if inside and self.headers["X-aws-ec2-metadata-token"] != "a session":
                self.send_error(401)
            elif self.path == "/latest/meta-data/iam/security-credentials/":
                self.say(b"a-role")
            elif self.path in ("/latest/meta-data/iam/security-credentials/a-role", "/container"):
                self.say(json.dumps(SAID).encode())
            else:
                self.send_error(404)

        def say(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def signed(place: S3Place, bucket: str = "videos-1", key: str = "in/a b.mp4") -> str:
    return obstore.sign(place.store(bucket), "GET", place.path(bucket, key), timedelta(seconds=60))


@pytest.mark.parametrize(
    ("url", "endpoint", "path_style", "address"),
    [
        ("s3://", None, False, "https://videos-1.s3.ap-x.amazonaws.com/in/a%20b.mp4"),
        ("s3://", None, True, "https://s3.ap-x.amazonaws.com/videos-1/in/a%20b.mp4"),
        ("s3://", "http://minio:9000", True, "http://minio:9000/videos-1/in/a%20b.mp4"),
        ("s3://all/p", "http://minio:9000/", True, "http://minio:9000/all/p/videos-1/in/a%20b.mp4"),
        ("s3://", "https://s3.example.com", False, "https://videos-1.s3.example.com/in/a%20b.mp4"),
        (
            "s3://",
            "https://cos.ap-chongqing.myqcloud.com",
            False,
            "https://videos-1.cos.ap-chongqing.myqcloud.com/in/a%20b.mp4",
        ),
        (
            "s3://all-125/p",
            "https://all-125.cos.ap-chongqing.myqcloud.com/",
            False,
            "https://all-125.cos.ap-chongqing.myqcloud.com/p/videos-1/in/a%20b.mp4",
        ),
    ],
)
def test_requests_go_where_the_store_wants_them(url: str, endpoint: str | None, path_style: bool, address: str) -> None:
    options = S3Options(
        endpoint=endpoint,
        region="ap-x",
        access_key_id="k",
        secret_access_key="s",
        path_style=path_style,
        allow_http=True,
    )
    assert signed(S3Place(url, options)).partition("?")[0] == address


@pytest.mark.parametrize(
    ("endpoint", "path_style", "base"),
    [
        (None, False, "https://videos-1.s3.ap-x.amazonaws.com/"),
        ("http://minio:9000", True, "http://minio:9000/videos-1"),
        ("https://cos.ap-x.myqcloud.com", False, "https://videos-1.cos.ap-x.myqcloud.com/"),
    ],
)
def test_a_listing_is_signed_as_the_store_checks_it(endpoint: str | None, path_style: bool, base: str) -> None:
    """Signature Version 4, worked out here from its description."""
    options = S3Options(
        endpoint=endpoint,
        region="ap-x",
        access_key_id="k",
        secret_access_key="secret",
        path_style=path_style,
        allow_http=True,
    )
    url = S3Place("s3://", options).signed_listing("videos-1", "list-type=2&prefix=a%2F%20b%2B%C3%A9&start-after=")
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == base
    pairs = dict(parse_qsl(parts.query, keep_blank_values=True))
    assert (pairs["list-type"], pairs["prefix"], pairs["start-after"]) == ("2", "a/ b+é", "")
    signature = pairs.pop("X-Amz-Signature")
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(pairs.items()))
    canonical = f"GET\n{parts.path}\n{query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    scope = pairs["X-Amz-Credential"].partition("/")[2]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = b"AWS4secret"
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    wanted = hmac.digest(key, f"AWS4-HMAC-SHA256\n{pairs['X-Amz-Date']}\n{scope}\n{digest}".encode(), "sha256")
    assert signature == wanted.hex()


def signer(options: S3Options) -> tuple[str, str | None]:
    """Name the key that signs, and the token that goes along."""
    query = parse_qs(urlsplit(signed(S3Place("s3://", options))).query)
    return query["X-Amz-Credential"][0].partition("/")[0], query.get("X-Amz-Security-Token", [None])[0]


def test_keys_come_from_the_settings_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert signer(S3Options(access_key_id="ours", secret_access_key="s")) == ("ours", None)


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "envkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "envtoken")
    assert signer(S3Options()) == ("envkey", "envtoken")


def test_keys_come_from_the_machines_metadata_service(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", machine)
    assert signer(S3Options(allow_http=True)) == ("rolekey", "roletoken")


def test_keys_come_from_the_container(monkeypatch: pytest.MonkeyPatch, machine: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("may ask")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{machine}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    assert signer(S3Options(allow_http=True)) == ("rolekey", "roletoken")

"""Where requests to an S3 store go, and whose keys sign them."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit

import obstore
import pytest

from smartcover.errors import SettingsError
from smartcover.settings import shared_keys_place
from smartcover.storage.s3_place import S3Options, S3Place
from smartcover.storage.s3_profile import SharedKeys, keys_of_profile

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


CREDENTIALS = """[default]
aws_access_key_id = profilekey
aws_secret_access_key = s%cret#1

[covers]
aws_access_key_id=coverskey
aws_secret_access_key=s
aws_session_token = coverstoken

[roaming]
role_arn = arn:aws:iam::123456789012:role/covers
source_profile = default
"""


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home of its own with a credentials file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".aws" / "credentials"
    path.parent.mkdir()
    path.write_text(CREDENTIALS)
    return path


def options() -> S3Options:
    """Give what a process makes of its environment."""
    place = shared_keys_place()
    return S3Options(allow_http=True, shared_keys=None if place is None else SharedKeys(*place))


def test_keys_come_from_the_default_profile(profiles: Path) -> None:
    assert signer(options()) == ("profilekey", None)


def test_keys_come_from_the_profile_that_is_named(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "covers")
    assert signer(options()) == ("coverskey", "coverstoken")


def test_the_credentials_file_may_lie_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "keys.ini"
    elsewhere.write_text(CREDENTIALS.replace("profilekey", "elsewhere"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(elsewhere))
    assert signer(options()) == ("elsewhere", None)


async def test_the_keys_of_a_profile_sign_what_is_sent(
    profiles: Path, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", machine)  # not asked: the file comes first
    place = S3Place("s3://", options())
    address = await obstore.sign_async(place.store("videos-1250000000"), "GET", "k", timedelta(seconds=60))
    assert "profilekey" in address
    assert "profilekey" in place.signed_listing("videos-1250000000", "list-type=2")


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"AWS_ACCESS_KEY_ID": "envkey", "AWS_SECRET_ACCESS_KEY": "s", "AWS_PROFILE": "covers"}, "envkey"),
        ({}, "profilekey"),
    ],
)
def test_variables_come_before_the_file(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wanted: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert signer(options())[0] == wanted


def test_settings_come_before_the_file(profiles: Path) -> None:
    given = replace(options(), access_key_id="ours", secret_access_key="s")
    assert signer(given) == ("ours", None)


@pytest.mark.parametrize("content", [None, "", "[other]\naws_access_key_id = x\n", "[default]\nregion = eu\n"])
def test_without_a_default_profile_the_machine_is_asked(
    profiles: Path, machine: str, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    profiles.unlink() if content is None else profiles.write_text(content)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", machine)
    assert signer(options()) == ("rolekey", "roletoken")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_PROFILE", "nobody", "it has default, covers, roaming"),
        ("AWS_PROFILE", "roaming", "export-credentials"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/no/such/file", "No such file"),
    ],
)
def test_a_profile_that_is_named_and_cannot_be_used_is_refused(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=said):
        S3Place("s3://", options())


@pytest.mark.parametrize("content", [b"secretline\n", b"[default\nsecretline = 1\n", b"\xff\xfesecretline"])
def test_a_damaged_credentials_file_is_refused_without_its_words(profiles: Path, content: bytes) -> None:
    profiles.write_bytes(content)
    with pytest.raises(SettingsError, match="no credentials file") as refused:
        S3Place("s3://", options())
    assert "secretline" not in str(refused.value)


def test_keys_that_are_replaced_in_the_file_are_taken_without_a_restart(profiles: Path) -> None:
    provide = keys_of_profile(SharedKeys(profiles, "default", False))
    assert provide is not None
    first = provide()
    assert first["access_key_id"] == "profilekey"
    assert timedelta(0) < first["expires_at"] - datetime.now(UTC) <= timedelta(minutes=5)
    profiles.write_text(CREDENTIALS.replace("profilekey", "newkey"))
    assert provide()["access_key_id"] == "newkey"
    profiles.write_text("[default")
    assert provide()["access_key_id"] == "newkey", "in the middle of being replaced"
    profiles.unlink()
    assert provide()["access_key_id"] == "newkey"

"""An S3-compatible store for tests: a moto server in a process of its own, and a plain client of it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3  # type: ignore[import-untyped] # it ships no types, and tests need three calls of it
from botocore.config import Config  # type: ignore[import-untyped] # as above

from smartcover.storage import S3Options

REGION = "us-east-1"


def ask(address: str, method: str) -> None:
    """Send a request without a body; an error answer is none."""
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=10).close()


@contextlib.contextmanager
def running_moto() -> Iterator[str]:
    """Run a server and give its address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/moto-api/", timeout=5).close()
                break
            time.sleep(0.1)
        yield address
    finally:
        process.kill()
        process.wait()


def fresh(address: str, *buckets: str) -> None:
    """Empty the store and make buckets in it."""
    ask(f"{address}/moto-api/reset", "POST")
    for name in buckets:
        ask(f"{address}/{name}", "PUT")


def options_of(address: str) -> S3Options:
    """Say how a store of ours reaches the server."""
    return S3Options(
        endpoint=address,
        region=REGION,
        access_key_id="key",
        secret_access_key="secret",
        path_style=True,
        allow_http=True,
    )


def client_of(address: str, service: str = "s3") -> Any:
    """Make AWS' own client, as others use it who read and write the store beside us."""
    return boto3.client(
        service,
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=Config(s3={"addressing_style": "path"}),
    )


def keys_in(address: str, bucket: str) -> list[str]:
    """List all keys that lie in a bucket of the store."""
    pages = client_of(address).get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

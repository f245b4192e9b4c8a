"""The flows of `smartcover conformance URL` against our own server, and against servers that get it wrong."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest

from smartcover.api import EdgeConfig
from smartcover.conformance import FLOWS, Outcome, Server, try_flows
from smartcover.errors import Mismatch, ServerUnreachable
from tests.edge_server import BUCKET, REGION, SECRET_ID, SECRET_KEY, RunningEdge, build, exchange, running_edge

MARKS = {"documented", "observed", "inferred", "ours"}
NEEDS_A_WORKER = "a video gets its covers"


@pytest.fixture(scope="module")
def edge() -> Iterator[RunningEdge]:
    with running_edge(EdgeConfig(region=REGION)) as running:
        yield running


def tried(port: int, *, bucket: str = BUCKET, in_path: bool = False, secret_key: str = SECRET_KEY) -> list[Outcome]:
    server = Server(f"http://127.0.0.1:{port}", bucket, REGION, SECRET_ID, secret_key, in_path)
    return list(try_flows(server, video=None, run_id=uuid4().hex, now=time.time))


@pytest.mark.documented
@pytest.mark.parametrize("in_path", [False, True], ids=["bucket in host", "bucket in path"])
def test_our_server_keeps_every_flow(edge: RunningEdge, in_path: bool) -> None:
    outcomes = tried(edge.port, in_path=in_path)
    assert {outcome.flow: outcome.reason for outcome in outcomes if outcome.state == "failed"} == {}
    assert [outcome.flow for outcome in outcomes if outcome.state == "skipped"] == [NEEDS_A_WORKER]
    assert len(outcomes) == len(FLOWS)


@pytest.mark.ours
def test_nothing_that_the_flows_made_is_left(edge: RunningEdge) -> None:
    bucket = "flows-1250000000"
    assert {outcome.state for outcome in tried(edge.port, bucket=bucket)} == {"ok", "skipped"}
    tried(edge.port)
    names = [found.name for found in edge.run(edge.store.buckets())]
    assert bucket not in names
    listing = exchange(edge.port, build("GET", "/?prefix=conformance-"))
    assert listing.status == 200
    assert b"<Key>" not in listing.body


@pytest.mark.ours
def test_every_flow_says_where_its_promise_comes_from_and_has_a_name_of_its_own() -> None:
    assert {flow.mark for flow in FLOWS} <= MARKS
    assert len({flow.name for flow in FLOWS}) == len(FLOWS)
    assert all(flow.calls for flow in FLOWS)


@contextlib.contextmanager
def wrong_server(body: bytes) -> Iterator[int]:
    """Serve the same 200 to everything."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.ours
@pytest.mark.parametrize("body", [b"", b"hello", b"<Response/>"])
def test_a_server_that_says_yes_to_everything_keeps_no_flow(body: bytes) -> None:
    with wrong_server(body) as port:
        outcomes = tried(port)
    assert {outcome.state for outcome in outcomes if outcome.flow != NEEDS_A_WORKER} == {"failed"}
    assert all(outcome.reason for outcome in outcomes)


@pytest.mark.ours
def test_wrong_keys_end_the_run_with_a_word(edge: RunningEdge) -> None:
    with pytest.raises(Mismatch, match="check the keys"):
        tried(edge.port, secret_key="WRONG")


@pytest.mark.ours
def test_a_server_that_is_not_there_is_said_to_be_unreachable() -> None:
    with pytest.raises(ServerUnreachable, match="got no answer"):
        tried(1)


@pytest.mark.ours
def test_the_command_finds_a_whole_server_conforming(tmp_path: Path) -> None:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("SMARTCOVER_")}
    keys = {"SMARTCOVER_SECRET_ID": SECRET_ID, "SMARTCOVER_SECRET_KEY": SECRET_KEY, "SMARTCOVER_REGION": REGION}
    smartcover = [sys.executable, "-m", "smartcover"]
    with (tmp_path / "log").open("wb") as log:
        serving = subprocess.Popen(
            [*smartcover, "serve", f"--data={tmp_path / 'data'}", "--port=0"],
            env=clean | keys,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert serving.stdout is not None
    try:
        address = next(line.split(" answers at ")[1].strip() for line in serving.stdout if " answers at " in line)
        command = [*smartcover, "conformance", address, "--region", REGION, "--json"]
        done = subprocess.run(command, env=clean | keys, capture_output=True, text=True, timeout=100, check=False)
    finally:
        serving.terminate()
        serving.wait(40)
        serving.stdout.close()
    report = json.loads(done.stdout)
    assert report["counts"] == {"ok": len(FLOWS), "failed": 0, "skipped": 0}, report
    assert done.returncode == 0

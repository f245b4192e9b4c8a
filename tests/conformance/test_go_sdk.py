"""
The official Go SDK, unmodified, with the server as its proxy; skipped where Go or the SDK's module cannot be had.

The program is go/flows.go. It was written against the SDK's source; what the SDK was recorded to send is tested in
tests/unit/api/test_recorded_requests.py, without Go.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from smartcover.api import EdgeConfig
from tests.edge_server import BUCKET, REGION, running_edge

SOURCE = Path(__file__).with_name("go")

pytestmark = [pytest.mark.observed, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str | None]]:
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is not installed")
    folder = tmp_path_factory.mktemp("go")
    for name in ("go.mod", "flows.go"):
        shutil.copy(SOURCE / name, folder)
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    command = [go, "mod", "download"]
    try:
        fetched = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("the module of the Go SDK was not fetched within two minutes")
    if fetched.returncode != 0:
        pytest.skip(f"the module of the Go SDK cannot be fetched: {fetched.stderr[-300:]}")
    build = [go, "build", "-o", "flows", "."]
    built = subprocess.run(build, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert built.returncode == 0, built.stderr
    with running_edge(EdgeConfig(region=REGION, default_bucket=BUCKET)) as edge:
        run = [str(folder / "flows"), str(edge.port)]
        done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    yield {line["flow"]: line["error"] for line in lines}


@pytest.mark.call("PUT /<key>", "GET /<key>", "HEAD /<key>", "DELETE /<key>", "GET /", sdk="go", evidence="written")
def test_objects_go_round_in_go(outcomes: Mapping[str, str | None]) -> None:
    assert outcomes["objects"] is None


@pytest.mark.call(
    "POST /<key>?uploads", "PUT /<key>?partNumber&uploadId", "POST /<key>?uploadId", sdk="go", evidence="written"
)
def test_a_large_file_goes_up_in_parts_in_go(outcomes: Mapping[str, str | None]) -> None:
    assert outcomes["multipart"] is None


@pytest.mark.call("POST /jobs", "GET /jobs/<ids>", "PUT /jobs/<id>?cancel", sdk="go", evidence="written")
def test_jobs_are_submitted_described_and_cancelled_in_go(outcomes: Mapping[str, str | None]) -> None:
    assert outcomes["jobs"] is None


@pytest.mark.call("GET /jobs", sdk="go", evidence="written")
def test_jobs_are_listed_in_go(outcomes: Mapping[str, str | None]) -> None:
    assert outcomes["lists"] is None


@pytest.mark.call(
    "POST /template", "PUT /template/<id>", "GET /template", "DELETE /template/<id>", sdk="go", evidence="written"
)
def test_templates_live_in_go(outcomes: Mapping[str, str | None]) -> None:
    assert outcomes["templates"] is None


@pytest.mark.call("GET /queue", "PUT /queue/<id>", sdk="go", evidence="written")
def test_queues_are_listed_and_changed_in_go(outcomes: Mapping[str, str | None]) -> None:
    assert outcomes["queues"] is None


@pytest.mark.call(
    "POST /workflow",
    "PUT /workflow/<id>",
    "PUT /workflow/<id>?active|paused",
    "GET /workflow",
    "DELETE /workflow/<id>",
    "POST /triggerworkflow",
    "GET /workflowexecution",
    "GET /workflowexecution/<id>",
    sdk="go",
    evidence="written",
)
def test_a_workflow_lives_in_go(outcomes: Mapping[str, str | None]) -> None:
    assert outcomes["workflows"] is None


@pytest.mark.call(
    "POST /inventorytriggerjob",
    "GET /inventorytriggerjob/<id>",
    "GET /inventorytriggerjob",
    "PUT /inventorytriggerjob/<id>?cancel",
    sdk="go",
    evidence="written",
)
def test_a_batch_lives_in_go(outcomes: Mapping[str, str | None]) -> None:
    assert outcomes["batches"] is None


def test_refusals_arrive_with_their_codes_in_go(outcomes: Mapping[str, str | None]) -> None:
    assert outcomes["refusals"] is None

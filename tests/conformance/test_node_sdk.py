"""
The official Node SDK, unmodified, the newest of both major versions, in each of its ways to be pointed at a server.

The flows are in node/flows.js; here they are started, once for each version and way, and their outcomes told.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from smartcover.api import EdgeConfig
from tests.edge_server import BUCKET, REGION, running_edge

SOURCE = Path(__file__).with_name("node")
VERSIONS = {"3.0.0": "cos-nodejs-sdk-v5", "2.15.4": "cos-nodejs-sdk-v5-2"}
MODES = ("proxy", "domain", "ip", "token")

Outcomes = Mapping[str, str | None]
RunFlows = Callable[[str, str], Outcomes]


def install() -> Path:
    """Install the SDK as locked, once for each lock; skip the test when that cannot be done here."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    locked = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"smartcover-conformance-node-{os.getuid()}-{locked}"
    if not (folder / "ready").is_file():
        folder.mkdir(exist_ok=True, mode=0o700)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm could not install the SDK, perhaps for want of a registry: {done.stderr[-300:]}")
        (folder / "ready").touch()
    assert folder.stat().st_uid == os.getuid(), f"{folder} belongs to somebody else"
    return folder


@pytest.fixture(scope="module")
def run_flows() -> Iterator[RunFlows]:
    folder = install()
    known: dict[tuple[str, str], Outcomes] = {}
    with running_edge(EdgeConfig(region=REGION, default_bucket=BUCKET)) as edge:

        def run(version: str, mode: str) -> Outcomes:
            if (version, mode) not in known:
                shutil.copy(SOURCE / "flows.js", folder)
                command = ["node", "flows.js", VERSIONS[version], mode, str(edge.port)]
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
                lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"flow"')]
                assert lines, f"node said nothing of flows: {done.stdout[-1000:]}{done.stderr[-2000:]}"
                known[version, mode] = {line["flow"]: line["error"] for line in lines}
            return known[version, mode]

        yield run


@pytest.fixture(params=list(VERSIONS))
def version(request: pytest.FixtureRequest) -> str:
    """Each version of the SDK."""
    name: str = request.param
    return name


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each way of pointing the SDK at the server."""
    name: str = request.param
    return name


@pytest.fixture
def outcomes(run_flows: RunFlows, version: str, mode: str) -> Outcomes:
    return run_flows(version, mode)


def succeeded(outcomes: Outcomes, flow: str) -> bool:
    assert outcomes[flow] is None, outcomes[flow]
    return True


@pytest.mark.observed
@pytest.mark.call("PUT /<key>", "GET /<key>", "HEAD /<key>", "DELETE /<key>", "GET /", "HEAD /", sdk="node")
def test_objects_go_round_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "objects")


@pytest.mark.observed
@pytest.mark.call(
    "GET /?uploads",
    "POST /<key>?uploads",
    "PUT /<key>?partNumber&uploadId",
    "GET /<key>?uploadId",
    "POST /<key>?uploadId",
    "DELETE /<key>?uploadId",
    "POST /?delete",
    sdk="node",
)
def test_a_large_file_goes_up_in_parts_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "multipart")


@pytest.mark.observed
@pytest.mark.call("PUT /<key> (copy)", "PUT /<key>?partNumber&uploadId (copy)", sdk="node")
def test_objects_are_copied_whole_and_in_parts_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "copies")


@pytest.mark.observed
@pytest.mark.call("GET /<key> presigned", sdk="node")
def test_a_presigned_url_of_node_opens_with_a_plain_client(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "presign")


@pytest.mark.documented
@pytest.mark.call("POST /jobs", "GET /jobs/<ids>", "PUT /jobs/<id>?cancel", sdk="node")
def test_jobs_are_submitted_described_and_cancelled_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "jobs")


@pytest.mark.documented
@pytest.mark.call("GET /jobs", sdk="node")
def test_jobs_are_listed_in_pages_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "lists")


@pytest.mark.documented
@pytest.mark.call("POST /template", "PUT /template/<id>", "GET /template", "DELETE /template/<id>", sdk="node")
def test_templates_live_and_are_used_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "templates")


@pytest.mark.documented
@pytest.mark.call("GET /queue", "PUT /queue/<id>", sdk="node")
def test_a_queue_is_paused_and_resumed_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "queues")


@pytest.mark.documented
@pytest.mark.call("POST /mediabucket", "GET /mediabucket", "DELETE /mediabucket", sdk="node")
def test_a_bucket_is_bound_and_unbound_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "bindings")


@pytest.mark.documented
@pytest.mark.call(
    "POST /workflow",
    "PUT /workflow/<id>",
    "PUT /workflow/<id>?active|paused",
    "GET /workflow",
    "DELETE /workflow/<id>",
    "POST /triggerworkflow",
    "GET /workflowexecution",
    "GET /workflowexecution/<id>",
    sdk="node",
)
def test_a_workflow_is_made_switched_triggered_and_deleted_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "workflows")


@pytest.mark.documented
@pytest.mark.call(
    "POST /inventorytriggerjob",
    "GET /inventorytriggerjob/<id>",
    "GET /inventorytriggerjob",
    "PUT /inventorytriggerjob/<id>?cancel",
    sdk="node",
)
def test_a_batch_is_begun_listed_and_cancelled_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "batches")


@pytest.mark.observed
def test_refusals_arrive_with_their_codes_in_node(outcomes: Outcomes) -> None:
    assert succeeded(outcomes, "errors")


@pytest.mark.ours
def test_every_flow_of_node_is_asked_for(run_flows: RunFlows) -> None:
    asked = re.findall(r'assert succeeded\(outcomes, "(\w+)"\)', Path(__file__).read_text())
    assert list(run_flows("3.0.0", "proxy")) == asked


@pytest.mark.ours
def test_the_lock_names_no_registry() -> None:
    lock = json.loads((SOURCE / "package-lock.json").read_text())
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)
    assert [lock["packages"][f"node_modules/{name}"]["version"] for name in VERSIONS.values()] == list(VERSIONS)

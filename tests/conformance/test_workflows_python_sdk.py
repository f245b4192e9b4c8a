"""Workflow calls with the official Python SDK, unmodified, in several of its ways to be pointed at a server."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from qcloud_cos import CosConfig, CosS3Client, CosServiceError

from smartcover.ledger import JobFilter
from tests.edge_server import (
    BLOCKED_CALLBACK_HOST,
    BUCKET,
    CI_HOST,
    COS_HOST,
    REGION,
    SECRET_ID,
    SECRET_KEY,
    RunningEdge,
    build,
    exchange,
)

UNKNOWN = "w" + "1" * 32


MODES: dict[str, Any] = {
    "proxy": lambda port: {"Proxies": {"http": f"http://127.0.0.1:{port}"}},
    "bucket in path": lambda port: {"Domain": f"127.0.0.1:{port}/{BUCKET}"},
    "one bucket": lambda port: {"Domain": f"127.0.0.1:{port}"},
    "address": lambda port: {"IP": "127.0.0.1", "Port": port},
}


@pytest.fixture(params=list(MODES))
def client(edge: RunningEdge, request: pytest.FixtureRequest) -> Iterator[CosS3Client]:
    known = {"Region": REGION, "SecretId": SECRET_ID, "SecretKey": SECRET_KEY, "Scheme": "http"}
    made = CosS3Client(CosConfig(**known, **MODES[request.param](edge.port)), retry=0)
    yield made
    made._session.close()


def definition(edge: RunningEdge, *, state: str = "Paused", name: str = "demo") -> dict[str, Any]:
    """Give a workflow as the SDK's own demo writes it."""
    output = {"Region": REGION, "Bucket": BUCKET, "Object": "out/${RunId}/cover-${Number}.jpg"}
    cover = {"Format": "jpg", "Width": "1280", "Height": "960", "Count": "3", "DeleteDuplicates": "true"}
    notify = {"Url": "http://receiver.example/cb", "Type": "Url", "Event": "TaskFinish,WorkflowFinish"}
    source = {
        "QueueId": edge.queue_id,
        "ObjectPrefix": "input/",
        "NotifyConfig": notify | {"ResultFormat": "JSON"},
        "ExtFilter": {"State": "On", "Video": "true"},
    }
    return {
        "MediaWorkflow": {
            "Name": name,
            "State": state,
            "Topology": {
                "Dependencies": {"Start": "SmartCover_1", "SmartCover_1": "End"},
                "Nodes": {
                    "Start": {"Type": "Start", "Input": source},
                    "SmartCover_1": {"Type": "SmartCover", "Operation": {"Output": output, "SmartCover": cover}},
                },
            },
        }
    }


def create(client: CosS3Client, body: dict[str, Any], **more: Any) -> Any:
    return client.ci_create_workflow(Bucket=BUCKET, Body=body, ContentType="application/xml", **more)["MediaWorkflow"]


def found(client: CosS3Client, workflow_id: str) -> Any:
    (entry,) = client.ci_get_workflow(Bucket=BUCKET, Ids=workflow_id)["MediaWorkflowList"]
    return entry


def trigger(client: CosS3Client, workflow_id: str, key: str = "input/中 a.mp4") -> str:
    return str(client.ci_trigger_workflow(Bucket=BUCKET, WorkflowId=workflow_id, Key=key)["InstanceId"])


def described(client: CosS3Client, run_id: str) -> Any:
    """Describe a run; the SDK makes a list of it, and none of its only task."""
    (run,) = client.ci_get_workflowexecution(Bucket=BUCKET, RunId=run_id)["WorkflowExecution"]
    return run


def refusal(call: Any, *args: Any, **kwargs: Any) -> tuple[int, str, str]:
    with pytest.raises(CosServiceError) as refused:
        call(*args, **kwargs)
    error = refused.value
    assert error.get_request_id()
    assert error.get_resource_location()
    return error.get_status_code(), error.get_error_code(), error.get_error_msg()


@pytest.mark.documented
@pytest.mark.call("POST /workflow", "GET /workflow", sdk="python")
def test_a_workflow_is_created_and_shown_as_sent(edge: RunningEdge, client: CosS3Client) -> None:
    body = definition(edge, state="Active")
    created = create(client, body)
    assert created["WorkflowId"].startswith("w")
    assert len(created["WorkflowId"]) == 33
    assert (created["Name"], created["State"], created["BucketId"]) == ("demo", "Active", BUCKET)
    assert created["CreateTime"].endswith("+0800")
    assert created["Topology"] == body["MediaWorkflow"]["Topology"]
    assert found(client, created["WorkflowId"]) == created


@pytest.mark.documented
@pytest.mark.call("PUT /workflow/<id>?active|paused", sdk="python")
def test_a_workflow_is_switched_on_and_off(edge: RunningEdge, client: CosS3Client) -> None:
    workflow_id = create(client, definition(edge))["WorkflowId"]
    for word, state in (("active", "Active"), ("active", "Active"), ("paused", "Paused")):
        answer = client.ci_update_workflow_state(Bucket=BUCKET, WorkflowId=workflow_id, UpdateState=word)
        assert answer["RequestId"]
        assert found(client, workflow_id)["State"] == state


@pytest.mark.documented
@pytest.mark.parametrize("host", [CI_HOST, COS_HOST])
def test_a_capital_in_the_path_of_a_deletion_means_the_workflow_on_the_host_of_ci(
    edge: RunningEdge, client: CosS3Client, host: str
) -> None:
    """Older Go SDKs write it so; it is signed as it was sent. On the Host of COS it is an object, there or not."""
    workflow_id = create(client, definition(edge))["WorkflowId"]
    gone = exchange(edge.port, build("DELETE", f"/Workflow/{workflow_id}", host=host), method="DELETE")
    assert gone.status == (200 if host == CI_HOST else 204)
    left = client.ci_get_workflow(Bucket=BUCKET, Ids=workflow_id).get("MediaWorkflowList")
    assert bool(left) == (host == COS_HOST)


@pytest.mark.ours
def test_a_workflow_of_an_unbound_bucket_is_paused_and_deleted_and_no_more(
    edge: RunningEdge, client: CosS3Client
) -> None:
    workflow_id = create(client, definition(edge, state="Active"))["WorkflowId"]
    assert exchange(edge.port, build("DELETE", "/mediabucket", host=CI_HOST)).status == 200
    try:
        named = {"Bucket": BUCKET, "WorkflowId": workflow_id}
        client.ci_update_workflow_state(**named, UpdateState="paused")
        assert found(client, workflow_id)["State"] == "Paused"
        assert refusal(client.ci_update_workflow_state, **named, UpdateState="active")[:2] == (403, "AccessDenied")
        changed = {"Body": definition(edge), "ContentType": "application/xml"}
        assert refusal(client.ci_update_workflow, **named, **changed)[:2] == (403, "AccessDenied")
        assert found(client, workflow_id)["State"] == "Paused"
        client.ci_delete_workflow(**named)
    finally:
        assert exchange(edge.port, build("POST", "/mediabucket", host=CI_HOST, body=b"")).status == 200


@pytest.mark.call("PUT /workflow/<id>", "DELETE /workflow/<id>", sdk="python")
def test_only_a_paused_workflow_is_updated_or_deleted(edge: RunningEdge, client: CosS3Client) -> None:
    workflow_id = create(client, definition(edge, state="Active"))["WorkflowId"]
    other = definition(edge, name="other")
    wish = {"Bucket": BUCKET, "WorkflowId": workflow_id}
    for call in (client.ci_delete_workflow, lambda **more: client.ci_update_workflow(Body=other, **more)):
        status, code, text = refusal(call, **wish)
        assert (status, code) == (400, "InvalidArgument")
        assert "pause it first" in text
    client.ci_update_workflow_state(UpdateState="paused", **wish)
    assert client.ci_update_workflow(Body=other, **wish)["MediaWorkflow"]["Name"] == "other"
    assert client.ci_delete_workflow(**wish)["WorkflowId"] == workflow_id
    answer = client.ci_get_workflow(Bucket=BUCKET, Ids=workflow_id)
    assert answer["NonExistIDs"] == workflow_id


@pytest.mark.observed
@pytest.mark.call("GET /workflow", sdk="python")
def test_workflows_are_listed_by_name_and_page(edge: RunningEdge, client: CosS3Client) -> None:
    name = f"list-{uuid4().hex}"
    ids = [create(client, definition(edge, name=f"{name}-{number}"))["WorkflowId"] for number in range(3)]
    pages = [client.ci_get_workflow(Bucket=BUCKET, Name=name, PageNumber=n, PageSize=2) for n in (1, 2)]
    listed = [entry["WorkflowId"] for page in pages for entry in page["MediaWorkflowList"]]
    assert [entry for entry in listed if entry in ids] == ids
    assert (pages[0]["PageNumber"], pages[0]["PageSize"]) == ("1", "2")
    assert int(pages[0]["TotalCount"]) >= 3
    assert client.ci_get_workflow(Bucket=BUCKET)["MediaWorkflowList"]


@pytest.mark.ours
@pytest.mark.parametrize(
    ("node", "replacement", "named"),
    [
        (("Nodes", "SmartCover_1", "Type"), "Transcode", "Topology.Nodes.SmartCover_1"),
        (("Nodes", "SmartCover_1", "Operation", "SmartCover", "Count"), "11", "SmartCover.Count"),
        (("Nodes", "SmartCover_1", "Operation", "Output", "Bucket"), "missing-1250000000", "missing-1250000000"),
        (("Nodes", "SmartCover_1", "Operation", "TemplateId"), "t" + "1" * 32, "TemplateId"),
        (("Nodes", "Start", "Input", "QueueId"), "p" + "1" * 32, "QueueId"),
        (("Nodes", "Start", "Input", "NotifyConfig", "Url"), f"http://{BLOCKED_CALLBACK_HOST}/", "CALLBACK_ALLOW"),
        (("Dependencies", "SmartCover_1"), "Snapshot_1", "Dependencies.SmartCover_1"),
    ],
)
@pytest.mark.call("POST /workflow", sdk="python")
def test_what_cannot_be_done_is_refused_and_named(
    edge: RunningEdge, client: CosS3Client, node: tuple[str, ...], replacement: str, named: str
) -> None:
    body = definition(edge)
    place = body["MediaWorkflow"]["Topology"]
    for step in node[:-1]:
        place = place[step]
    place[node[-1]] = replacement
    status, _, text = refusal(create, client, body)
    assert status in (400, 404)
    assert named in text


@pytest.mark.ours
@pytest.mark.call("POST /workflow", sdk="python")
def test_a_workflow_that_would_feed_itself_needs_a_word(edge: RunningEdge, client: CosS3Client) -> None:
    body = definition(edge)
    nodes = body["MediaWorkflow"]["Topology"]["Nodes"]
    nodes["Start"]["Input"]["ExtFilter"] = {"State": "On", "Image": "true"}
    nodes["SmartCover_1"]["Operation"]["Output"]["Object"] = "input/cover-${Number}.jpg"
    status, code, text = refusal(create, client, copy.deepcopy(body))
    assert (status, code) == (400, "InvalidArgument")
    assert "x-smartcover-allow-loop" in text


@pytest.mark.documented
@pytest.mark.call("POST /triggerworkflow", "GET /workflowexecution/<id>", sdk="python")
def test_a_workflow_is_triggered_and_its_run_described(edge: RunningEdge, client: CosS3Client) -> None:
    client.put_object(Bucket=BUCKET, Key="input/中 a.mp4", Body=b"video", ContentType="video/mp4")
    created = create(client, definition(edge, state="Active"))
    run_id = trigger(client, created["WorkflowId"])
    assert run_id.startswith("i")
    run = described(client, run_id)
    assert (run["RunId"], run["WorkflowId"], run["State"]) == (run_id, created["WorkflowId"], "Running")
    assert (run["Name"], run["WorkflowName"], run["Object"]) == ("demo", "demo", "input/中 a.mp4")
    assert run["CreateTime"].endswith("+08:00")
    assert run["Topology"] == created["Topology"]
    task = run["Tasks"]
    assert (task["Type"], task["Name"], task["State"]) == ("SmartCover", "SmartCover_1", "Submitted")
    job = client.ci_get_media_jobs(Bucket=BUCKET, JobIDs=task["JobId"])["JobsDetail"]
    job = job[0] if isinstance(job, list) else job
    assert (job["QueueId"], job["Input"]["Object"]) == (edge.queue_id, "input/中 a.mp4")
    listed = edge.run(edge.ledger.list_jobs(BUCKET, JobFilter(workflow_id=created["WorkflowId"])))
    assert [entry.job_id for entry in listed.jobs] == [task["JobId"]]


@pytest.mark.observed
def test_a_run_tells_own_headers_as_text_and_finds_its_object_with_a_slash_in_front(
    edge: RunningEdge, client: CosS3Client
) -> None:
    own = {"x-cos-meta-title": "封面 é", "x-cos-meta-empty": ""}
    client.put_object(Bucket=BUCKET, Key="input/titled.mp4", Body=b"video", Metadata=own)
    workflow_id = create(client, definition(edge))["WorkflowId"]
    for name in ("input/titled.mp4", "/input/titled.mp4"):
        run = edge.run(edge.ledger.workflows.run(BUCKET, trigger(client, workflow_id, name)))
        assert [header for header in run.cos_headers if header[0] in own] == sorted(own.items())


@pytest.mark.documented
@pytest.mark.call("GET /workflowexecution", sdk="python")
def test_runs_are_listed_with_every_filter(edge: RunningEdge, client: CosS3Client) -> None:
    workflow_id = create(client, definition(edge))["WorkflowId"]
    run_ids = [trigger(client, workflow_id, f"input/{number}.mp4") for number in range(3)]

    def ask(**wish: Any) -> list[str]:
        answer = client.ci_list_workflowexecution(Bucket=BUCKET, WorkflowId=workflow_id, **wish)
        entries = answer.get("WorkflowExecutionList") or []
        return [entry["RunId"] for entry in (entries if isinstance(entries, list) else [entries])]

    assert ask() == run_ids[::-1]
    assert ask(OrderByTime="Asc") == run_ids
    assert ask(Name="input/1.mp4") == [run_ids[1]]
    assert ask(States="Running,Failed") == run_ids[::-1]
    assert ask(States="Success") == []
    assert ask(StartCreationTime="2001-01-01T00:00:00+0800", EndCreationTime="2001-01-02T00:00:00z") == []
    assert ask(StartCreationTime="2001-01-01T00:00:00+0800") == run_ids[::-1]
    assert ask(BatchJobId="b" + "1" * 32) == []
    first = client.ci_list_workflowexecution(Bucket=BUCKET, WorkflowId=workflow_id, Size=2)
    assert {"RunId", "WorkflowId", "State", "CreateTime", "CreationTime", "Object"} <= set(
        first["WorkflowExecutionList"][0]
    )
    assert ask(Size=2, NextToken=first["NextToken"]) == [run_ids[0]]


@pytest.mark.ours
@pytest.mark.call("PUT /jobs/<id>?cancel", "GET /workflowexecution/<id>", sdk="python")
def test_cancelling_the_job_of_a_run_cancels_the_run(edge: RunningEdge, client: CosS3Client) -> None:
    run_id = trigger(client, create(client, definition(edge))["WorkflowId"])
    task = described(client, run_id)["Tasks"]
    client.ci_cancel_jobs(Bucket=BUCKET, JobID=task["JobId"])
    run = described(client, run_id)
    assert (run["State"], run["Tasks"]["State"]) == ("Cancel", "Cancel")


@pytest.mark.ours
def test_what_does_not_exist_is_said_to(client: CosS3Client) -> None:
    wish = {"Bucket": BUCKET, "WorkflowId": UNKNOWN}
    for call in (
        lambda: client.ci_update_workflow_state(UpdateState="active", **wish),
        lambda: client.ci_delete_workflow(**wish),
        lambda: client.ci_trigger_workflow(Key="a.mp4", **wish),
        lambda: client.ci_trigger_workflow(Bucket=BUCKET, WorkflowId="nonsense", Key="a.mp4"),
        lambda: client.ci_get_workflowexecution(Bucket=BUCKET, RunId="i" + "1" * 32),
        lambda: client.ci_list_workflowexecution(Bucket=BUCKET, WorkflowId=""),
        lambda: client.ci_trigger_workflow(Bucket=BUCKET, WorkflowId=UNKNOWN, Key=""),
    ):
        assert refusal(call)[:2] == (400, "InvalidArgument")


@pytest.mark.observed
def test_every_way_of_uploading_is_told_to_those_who_wait(
    edge: RunningEdge, client: CosS3Client, tmp_path: Any
) -> None:
    edge.store.events.clear()
    client.put_object(Bucket=BUCKET, Key="up/a", Body=b"hello")
    client.copy_object(Bucket=BUCKET, Key="up/b", CopySource={"Bucket": BUCKET, "Key": "up/a", "Region": REGION})
    large = tmp_path / "large"
    large.write_bytes(b"x" * (3 << 20))
    client.upload_file(Bucket=BUCKET, Key="up/c", LocalFilePath=str(large), PartSize=1, MAXThread=1)
    assert [(event.name, info.key) for event, info in edge.store.events] == [
        ("cos:ObjectCreated:Put", "up/a"),
        ("cos:ObjectCreated:Copy", "up/b"),
        ("cos:ObjectCreated:CompleteMultipartUpload", "up/c"),
    ]

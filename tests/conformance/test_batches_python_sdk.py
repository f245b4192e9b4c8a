"""Batch calls with the official Python SDK, unmodified."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from qcloud_cos import CosConfig, CosS3Client, CosServiceError

from smartcover.ledger import JobFilter
from smartcover.worker import BatchLoop
from tests.edge_server import (
    BUCKET,
    CI_HOST,
    REGION,
    SECRET_ID,
    SECRET_KEY,
    RunningEdge,
    build,
    exchange,
)

UNKNOWN = "b" + "1" * 32


@pytest.fixture(params=["proxy", "bucket in path"])
def client(edge: RunningEdge, request: pytest.FixtureRequest) -> Iterator[CosS3Client]:
    proxy = {"Proxies": {"http": f"http://127.0.0.1:{edge.port}"}}
    mode = proxy if request.param == "proxy" else {"Domain": f"127.0.0.1:{edge.port}/{BUCKET}"}
    known = {"Region": REGION, "SecretId": SECRET_ID, "SecretKey": SECRET_KEY, "Scheme": "http"}
    made = CosS3Client(CosConfig(**known, **mode), retry=0)
    yield made
    made._session.close()


def wish(source: dict[str, str], **operation: Any) -> dict[str, Any]:
    output = {
        "Region": REGION,
        "Bucket": BUCKET,
        "Object": "out/${InventoryTriggerJobId}/${InputName}-${Number}.jpg",
    }
    cover = {"Format": "jpg", "Width": "1280", "Height": "960", "Count": "3", "DeleteDuplicates": "true"}
    asked = {"Tag": "SmartCover", "JobParam": {"SmartCover": cover}, "Output": output} | operation
    return {"Name": "stock", "Type": "Job", "Input": source, "Operation": asked}


def begin(client: CosS3Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.ci_create_inventory_trigger_jobs(Bucket=BUCKET, JobBody=body, ContentType="application/xml")
    assert answer["RequestId"]
    return one(answer)


def one(answer: dict[str, Any]) -> dict[str, Any]:
    """The SDK makes a list of the detail or not, by call."""
    detail = answer["JobsDetail"]
    found: dict[str, Any] = detail[0] if isinstance(detail, list) else detail
    return found


def described(client: CosS3Client, batch_id: str) -> dict[str, Any]:
    return one(client.ci_get_inventory_trigger_jobs(Bucket=BUCKET, JobID=batch_id))


def work(edge: RunningEdge) -> None:
    """Let the loop do what there is."""

    async def all_of_it() -> None:
        loop = BatchLoop(edge.ledger, edge.store, new_id=lambda letter: letter + uuid4().hex)
        while await loop.work_on_one(asyncio.Event()):
            continue

    edge.run(all_of_it())


@pytest.mark.documented
@pytest.mark.call("POST /inventorytriggerjob", "GET /inventorytriggerjob/<id>", sdk="python")
def test_a_batch_is_accepted_and_worked_through(edge: RunningEdge, client: CosS3Client) -> None:
    prefix = f"input-{uuid4().hex}/"
    for name in ("a.mp4", "中 b.mov", "c.txt"):
        client.put_object(Bucket=BUCKET, Key=prefix + name, Body=b"video")
    body = wish({"Prefix": prefix}, QueueId=edge.queue_id, CallBack="http://receiver.example/cb", UserData="77")
    batch = begin(client, body)
    assert batch["JobId"].startswith("b")
    assert (batch["State"], batch["Type"], batch["Name"], batch["Code"]) == ("Submitted", "Job", "stock", "Success")
    assert (batch["StartTime"], batch["EndTime"]) == ("-", "-")
    assert batch["Input"] == body["Input"]
    assert batch["Operation"] == body["Operation"]
    work(edge)
    assert described(client, batch["JobId"])["State"] == "Success"
    jobs = edge.run(edge.ledger.list_jobs(BUCKET, JobFilter(batch_id=batch["JobId"]))).jobs
    assert sorted(job.spec.object_key for job in jobs) == [f"{prefix}a.mp4", f"{prefix}中 b.mov"]
    assert {job.spec.user_data for job in jobs} == {"77"}
    assert {job.callback.url for job in jobs if job.callback} == {"http://receiver.example/cb"}


@pytest.mark.observed
@pytest.mark.call("POST /inventorytriggerjob", sdk="python")
def test_an_empty_time_interval_is_none(edge: RunningEdge, client: CosS3Client) -> None:
    batch = begin(client, wish({"Prefix": "/"}, TimeInterval={"Start": "", "End": ""}))
    assert batch["State"] == "Submitted"


@pytest.mark.documented
@pytest.mark.call("GET /inventorytriggerjob", "PUT /inventorytriggerjob/<id>?cancel", sdk="python")
def test_batches_are_listed_and_cancelled(edge: RunningEdge, client: CosS3Client) -> None:
    ids = [begin(client, wish({"Object": f"{number}.mp4"}))["JobId"] for number in range(3)]

    def listed(**wanted: Any) -> list[str]:
        answer = client.ci_list_inventory_trigger_jobs(Bucket=BUCKET, **wanted)
        details = answer.get("JobsDetail") or []
        return [detail["JobId"] for detail in (details if isinstance(details, list) else [details])]

    assert listed(Type="Job", Size="3") == ids[::-1]
    assert listed(Type="Job", JobId=ids[1]) == [ids[1]]
    assert set(listed(Type="Workflow")).isdisjoint(ids)
    client.ci_delete_inventory_trigger_jobs(Bucket=BUCKET, JobId=ids[0])
    assert described(client, ids[0])["State"] == "Cancel"
    assert listed(Type="Job", States="Cancel", Size="1") == [ids[0]]
    work(edge)
    jobs = edge.run(edge.ledger.list_jobs(BUCKET, JobFilter(batch_id=ids[0]))).jobs
    assert jobs == ()


@pytest.mark.ours
@pytest.mark.parametrize("query", ["acl", "foo=1", "cancel&pause", "Tagging="])
def test_a_put_that_may_mean_something_else_cancels_no_batch(
    edge: RunningEdge, client: CosS3Client, query: str
) -> None:
    batch_id = begin(client, wish({"Object": "a.mp4"}))["JobId"]
    reply = exchange(edge.port, build("PUT", f"/inventorytriggerjob/{batch_id}?{query}", host=CI_HOST))
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert "/inventorytriggerjob/&lt;id&gt;" in reply.node("Message")
    assert described(client, batch_id)["State"] == "Submitted"


@pytest.mark.observed
@pytest.mark.parametrize("query", ["", "?cancel", "?cancel=", "?cancel&x-cos-security-token=t"])
def test_a_batch_is_cancelled_in_every_spelling_of_the_sdks(edge: RunningEdge, client: CosS3Client, query: str) -> None:
    batch_id = begin(client, wish({"Object": "a.mp4"}))["JobId"]
    reply = exchange(edge.port, build("PUT", f"/inventorytriggerjob/{batch_id}{query}", host=CI_HOST))
    assert reply.status == 200
    assert described(client, batch_id)["State"] == "Cancel"


@pytest.mark.ours
@pytest.mark.call("GET /inventorytriggerjob/<id>", "PUT /inventorytriggerjob/<id>?cancel", sdk="python")
def test_an_unknown_batch_is_named_and_cannot_be_cancelled(client: CosS3Client) -> None:
    assert client.ci_get_inventory_trigger_jobs(Bucket=BUCKET, JobID=UNKNOWN)["NonExistJobId"] == UNKNOWN
    with pytest.raises(CosServiceError) as refused:
        client.ci_delete_inventory_trigger_jobs(Bucket=BUCKET, JobId=UNKNOWN)
    assert (refused.value.get_status_code(), refused.value.get_error_code()) == (404, "NoSuchJob")


@pytest.mark.ours
@pytest.mark.parametrize(
    ("body", "named"),
    [
        (wish({"Prefix": "a"}) | {"Name": ""}, "Name"),
        (wish({"Prefix": "a"}) | {"Type": "Other"}, "Type"),
        (wish({}), "Input"),
        (wish({"Prefix": "a", "Object": "b"}), "exactly one"),
        (wish({"Prefix": "a"}, Tag="Transcode"), "Tag"),
        (wish({"Prefix": "a"}, TimeInterval={"Start": "yesterday"}), "TimeInterval.Start"),
        (wish({"Prefix": "a"}, QueueId="p" + "1" * 32), "QueueId"),
        (wish({"Prefix": "a"}, JobParam={"TemplateId": "t" + "1" * 32}), "TemplateId"),
        (wish({"Prefix": "a"}, JobParam={"SmartCover": {"Count": "0"}}), "Count"),
        (wish({"Prefix": "a"}) | {"Type": "Workflow"}, "WorkflowIds"),
        (wish({"Prefix": "a"}, WorkflowIds="w" + "1" * 32) | {"Type": "Workflow"}, "workflow"),
    ],
)
@pytest.mark.call("POST /inventorytriggerjob", sdk="python")
def test_what_cannot_be_done_is_refused_and_named(client: CosS3Client, body: dict[str, Any], named: str) -> None:
    with pytest.raises(CosServiceError) as refused:
        begin(client, body)
    assert refused.value.get_status_code() == 400
    assert refused.value.get_error_code() == "InvalidArgument"
    assert named in refused.value.get_error_msg()

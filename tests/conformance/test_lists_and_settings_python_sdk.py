"""Job lists, templates, queues and bindings with the official Python SDK, in several of its ways to reach a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from qcloud_cos import CosConfig, CosS3Client, CosServiceError

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

COVER = {"Format": "webp", "Width": "640", "Count": "2", "DeleteDuplicates": "true"}
OFF = {"State": "Off"}


MODES: dict[str, Any] = {
    "proxy": lambda port: {"Proxies": {"http": f"http://127.0.0.1:{port}"}},
    "bucket in path": lambda port: {"Domain": f"127.0.0.1:{port}/{BUCKET}"},
    "one bucket": lambda port: {"Domain": f"127.0.0.1:{port}"},
    "address": lambda port: {"IP": "127.0.0.1", "Port": port},
    "unsigned parameters": lambda port: {"Domain": f"127.0.0.1:{port}", "SignParams": False},
}


@pytest.fixture(params=list(MODES))
def client(edge: RunningEdge, request: pytest.FixtureRequest) -> Iterator[CosS3Client]:
    known = {"Region": REGION, "SecretId": SECRET_ID, "SecretKey": SECRET_KEY, "Scheme": "http"}
    made = CosS3Client(CosConfig(**known, **MODES[request.param](edge.port)), retry=0)
    yield made
    made._session.close()


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def submit(client: CosS3Client, *, key: str = "in/clip.mp4", **operation: Any) -> dict[str, Any]:
    output = {"Region": REGION, "Bucket": BUCKET, "Object": "out/cover-${Number}.jpg"}
    body = {"Tag": "SmartCover", "Input": {"Object": key}, "Operation": {"Output": output, **operation}}
    detail: dict[str, Any] = listed(client.ci_create_media_jobs(Bucket=BUCKET, Jobs=body, Lst={})["JobsDetail"])[0]
    return detail


def a_queue(edge: RunningEdge) -> str:
    """Make a queue of the test's own."""
    return edge.run(edge.ledger.queues.add(BUCKET, uuid4().hex)).queue_id


def submit_to(client: CosS3Client, queue_id: str, **operation: Any) -> str:
    output = {"Region": REGION, "Bucket": BUCKET, "Object": "out/cover-${Number}.jpg"}
    body = {
        "Tag": "SmartCover",
        "Input": {"Object": "in/clip.mp4"},
        "Operation": {"Output": output, **operation},
        "QueueId": queue_id,
    }
    details = listed(client.ci_create_media_jobs(Bucket=BUCKET, Jobs=body, Lst={})["JobsDetail"])
    job_id: str = details[0]["JobId"]
    return job_id


def ids_of(answer: dict[str, Any]) -> list[str]:
    return [detail["JobId"] for detail in listed(answer.get("JobsDetail"))]


@pytest.mark.documented
@pytest.mark.call("GET /jobs", sdk="python")
def test_jobs_are_listed_page_by_page_in_both_orders(client: CosS3Client, edge: RunningEdge) -> None:
    queue_id = a_queue(edge)
    made = [submit_to(client, queue_id) for _ in range(5)]
    for order, expected in (("Desc", made[::-1]), ("Asc", made)):
        found: list[str] = []
        token = ""
        for size in (2, 2, 1):
            answer = client.ci_list_media_jobs(
                Bucket=BUCKET, Tag="SmartCover", QueueId=queue_id, OrderByTime=order, Size=2, NextToken=token
            )
            assert len(ids_of(answer)) == size
            found += ids_of(answer)
            token = answer["NextToken"]
        assert found == expected
        assert not token


@pytest.mark.documented
@pytest.mark.call("GET /jobs", sdk="python")
def test_jobs_are_listed_by_state_and_time(client: CosS3Client, edge: RunningEdge) -> None:
    queue_id = a_queue(edge)
    kept, cancelled = submit_to(client, queue_id), submit_to(client, queue_id)
    client.ci_cancel_jobs(Bucket=BUCKET, JobID=cancelled)

    def ask(**more: Any) -> list[str]:
        return ids_of(client.ci_list_media_jobs(Bucket=BUCKET, Tag="SmartCover", QueueId=queue_id, **more))

    assert ask(States="Cancel") == [cancelled]
    assert ask(States="Submitted,Running") == [kept]
    assert ask(States="Success,Failed,Pause") == []
    assert set(ask()) == {kept, cancelled}
    created = edge.job(kept).created_at
    china = timezone(timedelta(hours=8))
    for shown in (
        created.astimezone(china).strftime("%Y-%m-%dT%H:%M:%S+0800"),
        created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%Sz"),
    ):
        assert kept in ask(StartCreationTime=shown, EndCreationTime=shown), "a second holds all of its jobs"
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S+0000")
    assert ask(StartCreationTime=later) == []
    assert ask(EndCreationTime="2001-01-01T00:00:00+0800") == []


@pytest.mark.ours
@pytest.mark.parametrize(
    "query",
    [
        "TAG=SmartCover&QueueId={queue}&States=&NextToken=&Size=",
        "tag=&queueid={queue}&orderByTime=asc&states=submitted",
        "tag=SmartCover&queueId={queue}&startCreationTime=2001-01-01T00:00:00+0800",
        "queueId={queue}&inputObject=in%2Fclip.mp4&workflowId=&inventoryTriggerJobId=",
    ],
)
def test_parameters_are_known_in_any_case_and_empty_ones_count_as_absent(
    client: CosS3Client, edge: RunningEdge, query: str
) -> None:
    queue_id = a_queue(edge)
    job_id = submit_to(client, queue_id)
    reply = exchange(edge.port, build("GET", "/jobs?" + query.format(queue=queue_id), host=CI_HOST))
    assert (reply.status, reply.node("JobId")) == (200, job_id)


@pytest.mark.documented
@pytest.mark.parametrize(
    "query", ["workflowId=w1", "inventoryTriggerJobId=b1", "inputObject=other", "tag=Transcode", "queueId=p1"]
)
def test_a_filter_that_nothing_fits_gives_an_empty_list(edge: RunningEdge, query: str) -> None:
    reply = exchange(edge.port, build("GET", f"/jobs?{query}", host=CI_HOST))
    assert reply.body == b"<Response><NextToken/></Response>"


@pytest.mark.documented
@pytest.mark.call(
    "POST /template", "PUT /template/<id>", "GET /template", "DELETE /template/<id>", "POST /jobs", sdk="python"
)
def test_a_template_lives_through_create_update_list_use_and_delete(client: CosS3Client, edge: RunningEdge) -> None:
    name = f"模板_{uuid4().hex[:8]}*"
    request = {"Tag": "SmartCover", "Name": name, "SmartCover": COVER}
    answer = client.ci_create_template(Bucket=BUCKET, Template=request)
    template = answer["Template"]
    template_id = template["TemplateId"]
    assert answer["RequestId"]
    assert (template["Tag"], template["Name"], template["BucketId"]) == ("SmartCover", name, BUCKET)
    assert (template["Category"], template["SmartCover"]) == ("Custom", COVER)
    assert template["CreateTime"] == template["UpdateTime"]
    assert template["CreateTime"].endswith("+0800")

    job = submit(client, TemplateId=template_id, SmartCover={"Count": "9", "Format": "png"})
    assert (job["Operation"]["TemplateId"], job["Operation"]["TemplateName"]) == (template_id, name)
    assert "SmartCover" not in job["Operation"]

    changed = client.ci_update_template(
        Bucket=BUCKET, TemplateId=template_id, Template={**request, "SmartCover": {"Height": "480"}}
    )["Template"]
    assert changed["SmartCover"] == {"Height": "480"}, "nothing of the old stays"
    snapshot = edge.job(job["JobId"]).spec.covers
    assert (snapshot.count, snapshot.format, snapshot.width_px, snapshot.height_px) == (2, "webp", 640, None)

    by_id = client.ci_get_template(Bucket=BUCKET, Ids=f"{template_id},t1")
    assert [entry["TemplateId"] for entry in listed(by_id["TemplateList"])] == [template_id]
    assert by_id["NonExistTIDs"] == {"TemplateId": "t1"}
    assert "TotalCount" not in by_id
    by_name = client.ci_get_template(Bucket=BUCKET, Name=name[:6])
    assert (by_name["TotalCount"], listed(by_name["TemplateList"])[0]["TemplateId"]) == ("1", template_id)
    assert client.ci_get_template(Bucket=BUCKET, Category="Official")["TotalCount"] == "0"

    gone = client.ci_delete_template(Bucket=BUCKET, TemplateId=template_id)
    assert gone["TemplateId"] == template_id
    for call in (
        lambda: client.ci_delete_template(Bucket=BUCKET, TemplateId=template_id),
        lambda: client.ci_update_template(Bucket=BUCKET, TemplateId=template_id, Template=request),
        lambda: submit(client, TemplateId=template_id),
    ):
        with pytest.raises(CosServiceError) as refused:
            call()
        assert (refused.value.get_status_code(), refused.value.get_error_code()) == (400, "InvalidArgument")
        assert template_id in refused.value.get_error_msg()


@pytest.mark.documented
@pytest.mark.call("GET /template", sdk="python")
def test_templates_are_listed_in_pages(client: CosS3Client) -> None:
    prefix = uuid4().hex
    made = [
        client.ci_create_template(
            Bucket=BUCKET, Template={"Tag": "SmartCover", "Name": f"{prefix}-{number}", "SmartCover": {"Count": "1"}}
        )["Template"]["TemplateId"]
        for number in range(3)
    ]
    pages = [client.ci_get_template(Bucket=BUCKET, Name=prefix, PageNumber=page, PageSize=2) for page in (1, 2, 3)]
    assert [[entry["TemplateId"] for entry in listed(page.get("TemplateList"))] for page in pages] == [
        made[:2],
        made[2:],
        [],
    ]
    assert {page["TotalCount"] for page in pages} == {"3"}
    assert [(page["PageNumber"], page["PageSize"]) for page in pages] == [("1", "2"), ("2", "2"), ("3", "2")]


@pytest.mark.documented
@pytest.mark.call("GET /queue", sdk="python")
def test_the_queues_of_a_bucket_are_listed(client: CosS3Client, edge: RunningEdge) -> None:
    answer = client.ci_get_media_queue(Bucket=BUCKET, QueueIds=f"{edge.queue_id},p1")
    (queue,) = listed(answer["QueueList"])
    assert (queue["QueueId"], queue["BucketId"], queue["Category"]) == (edge.queue_id, BUCKET, "Transcoding")
    assert (queue["MaxSize"], queue["MaxConcurrent"], queue["State"]) == ("10000", "10", "Active")
    assert queue["NotifyConfig"]["State"] == "Off"
    assert answer["NonExistPIDs"] == {"QueueID": "p1"}
    everything = client.ci_get_media_queue(Bucket=BUCKET, PageSize="100")
    assert edge.queue_id in [entry["QueueId"] for entry in listed(everything["QueueList"])]
    assert int(everything["TotalCount"]) == len(listed(everything["QueueList"]))
    assert (everything["PageNumber"], everything["PageSize"]) == ("1", "100")


@pytest.mark.documented
@pytest.mark.call("PUT /queue/<id>", sdk="python")
def test_a_queue_is_renamed_paused_resumed_and_given_a_receiver(client: CosS3Client, edge: RunningEdge) -> None:
    queue_id = a_queue(edge)
    notify = {
        "State": "On",
        "Type": "Url",
        "Url": "http://receiver.example/cb",
        "Event": "TaskFinish,WorkflowFinish",
        "ResultFormat": "JSON",
    }
    wish = {"Name": "夜间", "QueueID": queue_id, "State": "Paused", "NotifyConfig": notify}
    answer = client.ci_update_media_queue(Bucket=BUCKET, QueueId=queue_id, Request=wish)
    (queue,) = listed(answer["Queue"])
    assert (queue["QueueId"], queue["Name"], queue["State"]) == (queue_id, "夜间", "Paused")
    assert {name: queue["NotifyConfig"][name] for name in notify} == notify

    job_id = submit_to(client, queue_id)
    callback = edge.job(job_id).callback
    assert callback is not None
    assert (callback.url, callback.format) == ("http://receiver.example/cb", "JSON")

    def state() -> str:
        shown: str = listed(client.ci_get_media_jobs(Bucket=BUCKET, JobIDs=job_id)["JobsDetail"])[0]["State"]
        return shown

    assert state() == "Pause"
    assert ids_of(client.ci_list_media_jobs(Bucket=BUCKET, Tag="SmartCover", QueueId=queue_id, States="Pause")) == [
        job_id
    ]
    claimed = edge.run(edge.ledger.claim_jobs("w", limit=100, lease_seconds=30))
    assert job_id not in [claim.job.job_id for claim in claimed], "a paused queue starts nothing"
    client.ci_update_media_queue(
        Bucket=BUCKET, QueueId=queue_id, Request={"Name": "n", "State": "Active", "NotifyConfig": OFF}
    )
    assert state() == "Submitted"
    later = submit_to(client, queue_id)
    assert edge.job(later).callback is None
    assert edge.job(job_id).callback == callback, "an accepted job keeps its receiver"


@pytest.mark.ours
@pytest.mark.call("PUT /queue/<id>", sdk="python")
def test_what_a_queue_cannot_be_is_refused_by_the_node_that_is_wrong(client: CosS3Client, edge: RunningEdge) -> None:
    on = {"State": "On", "Type": "Url", "Url": "http://h/", "Event": "TaskFinish"}
    for node, notify in {
        "NotifyConfig.Url": {**on, "Url": ""},
        "NotifyConfig.Type": {**on, "Type": ""},
        "NotifyConfig.Event": {**on, "Event": "Other"},
        "SMARTCOVER_BROKER_URL": {**on, "Type": "TDMQ", "MqRegion": "sh", "MqName": "q"},
        BLOCKED_CALLBACK_HOST: {**on, "Url": f"http://{BLOCKED_CALLBACK_HOST}/"},
    }.items():
        with pytest.raises(CosServiceError) as refused:
            client.ci_update_media_queue(
                Bucket=BUCKET,
                QueueId=edge.queue_id,
                Request={"Name": "n", "State": "Active", "NotifyConfig": notify},
            )
        assert (refused.value.get_status_code(), refused.value.get_error_code()) == (400, "InvalidArgument")
        assert node in refused.value.get_error_msg()
    with pytest.raises(CosServiceError) as unknown:
        client.ci_update_media_queue(
            Bucket=BUCKET, QueueId="p1", Request={"Name": "n", "State": "Active", "NotifyConfig": OFF}
        )
    assert (unknown.value.get_status_code(), unknown.value.get_error_code()) == (400, "InvalidArgument")


@pytest.mark.documented
@pytest.mark.call("GET /mediabucket", sdk="python")
def test_bound_buckets_are_listed_with_and_without_a_bucket_in_the_host(client: CosS3Client) -> None:
    answer = client.ci_get_media_bucket(Regions=REGION, BucketNames=f"{BUCKET},nowhere-1")
    (bucket,) = listed(answer["MediaBucketList"])
    assert (bucket["BucketId"], bucket["Name"], bucket["Region"]) == (BUCKET, BUCKET, REGION)
    assert (answer["TotalCount"], answer["PageNumber"], answer["PageSize"]) == ("1", "1", "10")
    assert client.ci_get_media_bucket(Regions="ap-nowhere")["TotalCount"] == "0"
    assert client.ci_get_media_bucket(BucketName=BUCKET[:4], PageSize="1")["TotalCount"] == "1"
    assert client.ci_get_media_bucket(BucketName="zzz")["TotalCount"] == "0"


@pytest.mark.documented
def test_a_bucket_is_unbound_and_bound_again(edge: RunningEdge) -> None:
    name = "bound-1250000000"
    host, objects = CI_HOST.replace(BUCKET, name), COS_HOST.replace(BUCKET, name)
    body = (
        f"<Request><Tag>SmartCover</Tag><Input><Object>a</Object></Input><Operation><Output><Region>{REGION}</Region>"
        f"<Bucket>{name}</Bucket><Object>o${{number}}</Object></Output></Operation></Request>"
    ).encode()
    assert exchange(edge.port, build("PUT", "/", host=objects, body=b"")).status == 200
    assert exchange(edge.port, build("PUT", "/kept", host=objects, body=b"x")).status == 200
    assert exchange(edge.port, build("POST", "/mediabucket", host=host, body=b"")).node("BucketId") == name
    accepted = exchange(edge.port, build("POST", "/jobs", host=host, body=body)).node("JobId")
    queue_id = exchange(edge.port, build("GET", "/queue", host=host)).node("QueueId")
    unbound = exchange(edge.port, build("DELETE", "/mediabucket", host=host))
    assert (unbound.status, unbound.node("BucketName")) == (200, name)
    assert unbound.node("RequestId") == unbound.headers["x-ci-request-id"]
    for method, target in (("POST", "/jobs"), ("POST", "/template"), ("PUT", f"/queue/{queue_id}")):
        refused = exchange(edge.port, build(method, target, host=host, body=body))
        assert (refused.status, refused.code) == (403, "AccessDenied")
    again = exchange(edge.port, build("DELETE", "/mediabucket", host=host))
    assert (again.status, again.code) == (403, "AccessDenied")
    assert exchange(edge.port, build("GET", "/queue", host=host)).node("TotalCount") == "0"
    listing = exchange(edge.port, build("GET", f"/mediabucket?bucketNames={name}", host=f"ci.{REGION}.myqcloud.com"))
    assert listing.node("TotalCount") == "0"
    assert exchange(edge.port, build("GET", "/kept", host=objects)).body == b"x"
    assert exchange(edge.port, build("GET", f"/jobs/{accepted}", host=host)).node("State") == "Submitted"
    assert exchange(edge.port, build("POST", "/mediabucket", host=host, body=b"")).status == 200
    assert exchange(edge.port, build("GET", "/queue", host=host)).node("QueueId") == queue_id
    assert exchange(edge.port, build("POST", "/jobs", host=host, body=body)).status == 200


@pytest.mark.ours
def test_a_submit_with_an_idempotency_key_makes_its_jobs_once(edge: RunningEdge) -> None:
    body = (
        f"<Request><Tag>SmartCover</Tag><Input><Object>a</Object></Input><Operation><Output><Region>{REGION}</Region>"
        f"<Bucket>{BUCKET}</Bucket><Object>o${{number}}</Object></Output></Operation></Request>"
    ).encode()

    def send(body: bytes, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return exchange(edge.port, build("POST", "/jobs", host=CI_HOST, body=body, headers=named))

    key = uuid4().hex
    first = send(body, x_smartcover_idempotency_key=key)
    edge.run(edge.ledger.cancel(BUCKET, first.node("JobId")))
    again = send(body, x_smartcover_idempotency_key=key)
    assert again.body == first.body, "answered as the first time"
    assert send(body, x_smartcover_idempotency_key=uuid4().hex).node("JobId") != first.node("JobId")
    other = send(body.replace(b">a<", b">b<"), x_smartcover_idempotency_key=key)
    assert (other.status, other.code) == (400, "InvalidArgument")
    for wrong in ("a b", "k" * 129, "é"):
        assert send(body, x_smartcover_idempotency_key=wrong).code == "InvalidArgument"

    plain = send(body)
    assert send(body, x_cos_sdk_retry="true").body == plain.body
    assert send(body).node("JobId") != plain.node("JobId")
    assert send(body.replace(b">a<", b">c<"), x_cos_sdk_retry="true").node("JobId") != plain.node("JobId")

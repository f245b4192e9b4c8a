"""Job calls with the official Python SDK, unmodified, in each of its ways to be pointed at a server."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from qcloud_cos import CosConfig, CosS3Client, CosServiceError

from smartcover.api import EdgeConfig
from tests.edge_server import (
    BLOCKED_CALLBACK_HOST,
    BUCKET,
    COS_HOST,
    REGION,
    SECRET_ID,
    SECRET_KEY,
    RunningEdge,
    running_edge,
)

UNKNOWN_JOB = "j" + "1" * 32


def client_of(edge: RunningEdge, **config: Any) -> CosS3Client:
    settings = {"Region": REGION, "SecretId": SECRET_ID, "SecretKey": SECRET_KEY, "Scheme": "http"} | config
    return CosS3Client(CosConfig(**settings), retry=0)


MODES: dict[str, Any] = {
    "proxy": lambda port: {"Proxies": {"http": f"http://127.0.0.1:{port}"}},
    "bucket in path": lambda port: {"Domain": f"127.0.0.1:{port}/{BUCKET}"},
    "one bucket": lambda port: {"Domain": f"127.0.0.1:{port}"},
    "address": lambda port: {"IP": "127.0.0.1", "Port": port},
    "address and CI endpoint": lambda port: {"IP": "127.0.0.1", "Port": port, "Endpoint": f"ci.{REGION}.myqcloud.com"},
    "token": lambda port: {"Domain": f"127.0.0.1:{port}", "Token": "TOK"},
    "unsigned host": lambda port: {"Domain": f"127.0.0.1:{port}", "SignHost": False},
    "unsigned parameters": lambda port: {"Domain": f"127.0.0.1:{port}", "SignParams": False},
}


@pytest.fixture(params=list(MODES))
def client(edge: RunningEdge, request: pytest.FixtureRequest) -> Iterator[CosS3Client]:
    made = client_of(edge, **MODES[request.param](edge.port))
    yield made
    made._session.close()


def wish(**operation: Any) -> dict[str, Any]:
    output = {"Region": REGION, "Bucket": BUCKET, "Object": "out/cover-${Number}.jpg"}
    return {
        "Tag": "SmartCover",
        "Input": {"Object": "in/clip.mp4"},
        "Operation": {"Output": output, **operation},
    }


def submit(client: CosS3Client, body: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    answer = client.ci_create_media_jobs(Bucket=BUCKET, Jobs=body, Lst={}, **more)
    details = answer["JobsDetail"]
    return details if isinstance(details, list) else [details]


@pytest.mark.documented
@pytest.mark.call("POST /jobs", sdk="python")
def test_a_submit_answers_submitted_with_the_nodes_as_sent(client: CosS3Client) -> None:
    cover = {"Format": "jpg", "Width": "1280", "Height": "", "Count": "5", "DeleteDuplicates": "true"}
    body = wish(SmartCover=cover, UserData="order-77", JobLevel="1")
    (detail,) = submit(client, body, ContentType="application/xml")
    assert detail["JobId"].startswith("j")
    assert len(detail["JobId"]) == 33
    assert (detail["Code"], detail["Message"], detail["State"]) == ("Success", None, "Submitted")
    assert (detail["StartTime"], detail["EndTime"], detail["Tag"]) == ("-", "-", "SmartCover")
    assert detail["CreationTime"].endswith("+0800")
    assert detail["Input"] == {"BucketId": BUCKET, "Object": "in/clip.mp4", "Region": REGION}
    operation = detail["Operation"]
    assert operation["SmartCover"] == {name: text for name, text in cover.items() if text}
    assert operation["Output"] == body["Operation"]["Output"]
    assert (operation["UserData"], operation["JobLevel"]) == ("order-77", "1")


@pytest.mark.observed
@pytest.mark.call("POST /jobs", sdk="python")
def test_a_submit_needs_no_content_type(client: CosS3Client) -> None:
    assert submit(client, wish())[0]["State"] == "Submitted"


@pytest.mark.documented
@pytest.mark.call("POST /jobs", sdk="python")
def test_several_operations_make_several_jobs_in_order(client: CosS3Client) -> None:
    body = wish()
    operations = [{**body["Operation"], "Tag": "SmartCover", "UserData": str(number)} for number in range(3)]
    details = submit(client, {"Input": body["Input"], "Operation": operations})
    assert [detail["Operation"]["UserData"] for detail in details] == ["0", "1", "2"]
    assert len({detail["JobId"] for detail in details}) == 3
    assert all(detail["Operation"]["Tag"] == "SmartCover" for detail in details)


@pytest.mark.documented
@pytest.mark.call("GET /jobs/<ids>", sdk="python")
def test_one_job_is_described(client: CosS3Client) -> None:
    (submitted,) = submit(client, wish())
    detail = client.ci_get_media_jobs(Bucket=BUCKET, JobIDs=submitted["JobId"])["JobsDetail"]
    detail = detail[0] if isinstance(detail, list) else detail
    assert detail == submitted


@pytest.mark.observed
@pytest.mark.call("GET /jobs/<ids>", sdk="python")
def test_several_jobs_are_described_and_unknown_ones_named(client: CosS3Client) -> None:
    ids = [submit(client, wish())[0]["JobId"] for _ in range(2)]
    answer = client.ci_get_media_jobs(Bucket=BUCKET, JobIDs=",".join([*ids, UNKNOWN_JOB]))
    assert [detail["JobId"] for detail in answer["JobsDetail"]] == ids
    assert answer["NonExistJobIds"] == UNKNOWN_JOB


@pytest.mark.ours
@pytest.mark.call("GET /jobs/<ids>", sdk="python")
def test_an_unknown_job_alone_is_no_error(client: CosS3Client) -> None:
    answer = client.ci_get_media_jobs(Bucket=BUCKET, JobIDs=UNKNOWN_JOB)
    assert answer["NonExistJobIds"] == UNKNOWN_JOB


@pytest.mark.documented
@pytest.mark.call("PUT /jobs/<id>?cancel", "GET /jobs/<ids>", sdk="python")
def test_a_job_is_cancelled(client: CosS3Client) -> None:
    (submitted,) = submit(client, wish())
    client.ci_cancel_jobs(Bucket=BUCKET, JobID=submitted["JobId"])
    detail = client.ci_get_media_jobs(Bucket=BUCKET, JobIDs=submitted["JobId"])["JobsDetail"]
    assert (detail[0] if isinstance(detail, list) else detail)["State"] == "Cancel"


@pytest.mark.ours
@pytest.mark.parametrize(("known", "status", "code"), [(True, 400, "InvalidArgument"), (False, 404, "NoSuchJob")])
@pytest.mark.call("PUT /jobs/<id>?cancel", sdk="python")
def test_a_job_that_cannot_be_cancelled_is_refused(client: CosS3Client, known: bool, status: int, code: str) -> None:
    job_id = submit(client, wish())[0]["JobId"] if known else UNKNOWN_JOB
    if known:
        client.ci_cancel_jobs(Bucket=BUCKET, JobID=job_id)
    with pytest.raises(CosServiceError) as refused:
        client.ci_cancel_jobs(Bucket=BUCKET, JobID=job_id)
    assert (refused.value.get_status_code(), refused.value.get_error_code()) == (status, code)


@pytest.mark.observed
@pytest.mark.call("POST /jobs", sdk="python")
def test_an_error_arrives_with_all_its_parts(client: CosS3Client) -> None:
    with pytest.raises(CosServiceError) as refused:
        submit(client, wish(SmartCover={"Count": "11"}))
    error = refused.value
    assert (error.get_status_code(), error.get_error_code()) == (400, "InvalidArgument")
    assert "Count" in error.get_error_msg()
    assert error.get_resource_location() == "/jobs" or error.get_resource_location().endswith("/jobs")
    assert error.get_request_id()
    assert submit(client, wish())[0]["State"] == "Submitted"  # the pooled connection still works


@pytest.mark.ours
@pytest.mark.call("POST /jobs", sdk="python")
def test_a_blocked_callback_is_refused_with_the_setting_that_allows_it(client: CosS3Client) -> None:
    with pytest.raises(CosServiceError, match="SMARTCOVER_CALLBACK_ALLOW"):
        submit(client, wish() | {"CallBack": f"http://{BLOCKED_CALLBACK_HOST}/cb"})


@pytest.mark.documented
@pytest.mark.call("POST /jobs", sdk="python")
def test_the_callback_of_the_job_is_kept_with_it(edge: RunningEdge, client: CosS3Client) -> None:
    body = wish() | {"CallBack": "http://receiver.example/cb", "CallBackFormat": "JSON"}
    callback = edge.job(submit(client, body)[0]["JobId"]).callback
    assert callback is not None
    assert (callback.kind, callback.url, callback.format) == ("Url", "http://receiver.example/cb", "JSON")


@pytest.mark.observed
@pytest.mark.call("POST /jobs", sdk="python")
def test_wrong_keys_are_refused_by_name(edge: RunningEdge) -> None:
    proxy = {"Proxies": {"http": f"http://127.0.0.1:{edge.port}"}}
    for wrong, code in (({"SecretKey": "x"}, "SignatureDoesNotMatch"), ({"SecretId": "x"}, "InvalidAccessKeyId")):
        client = client_of(edge, **proxy, **wrong)
        with pytest.raises(CosServiceError) as refused:
            submit(client, wish())
        assert (refused.value.get_status_code(), refused.value.get_error_code()) == (403, code)
        client._session.close()


@pytest.mark.observed
@pytest.mark.call("PUT /<key>", "GET /<key> presigned", sdk="python")
def test_a_presigned_url_opens_with_a_plain_client(edge: RunningEdge) -> None:
    client = client_of(edge, IP="127.0.0.1", Port=edge.port)
    client.put_object(Bucket=BUCKET, Key="dir/a b.txt", Body=b"hello")
    plain = client_of(edge, Domain=f"127.0.0.1:{edge.port}")
    url = plain.get_presigned_url(Bucket=BUCKET, Key="dir/a b.txt", Method="GET", Expired=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"hello"
    client._session.close()


@pytest.mark.observed
@pytest.mark.call("PUT /<key>", "HEAD /<key>", sdk="python")
def test_headers_are_found_by_their_usual_spelling(client: CosS3Client) -> None:
    # The SDK hands headers over in a plain dict, so `answer["ETag"]` works only if that is how it was spelled.
    assert (
        client.put_object(Bucket=BUCKET, Key="spelling", Body=b"hello")["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    )
    head = client.head_object(Bucket=BUCKET, Key="spelling")
    assert head["Content-Length"] == "5"
    assert {"Content-Type", "Last-Modified", "ETag", "Date", "Server", "x-cos-request-id"} <= set(head)


@pytest.mark.observed
@pytest.mark.call("POST /jobs", sdk="python")
def test_a_host_with_the_bucket_needs_no_default() -> None:
    with running_edge(EdgeConfig(region=REGION)) as edge:
        client = client_of(edge, IP="127.0.0.1", Port=edge.port, Domain=COS_HOST)
        assert submit(client, wish())[0]["Input"]["BucketId"] == BUCKET
        client._session.close()

"""Calls of the cloud's other services with the official Python SDK: refused by name, and never stored as objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qcloud_cos import CosConfig, CosS3Client, CosServiceError

from tests.edge_server import (
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

pytestmark = pytest.mark.ours


#: Ways to be pointed at a server, and whether CI calls have the Host of CI there.
MODES: dict[str, tuple[Any, bool]] = {
    "proxy": (lambda port: {"Proxies": {"http": f"http://127.0.0.1:{port}"}}, True),
    "address with endpoint": (
        lambda port: {"IP": "127.0.0.1", "Port": port, "Endpoint": f"ci.{REGION}.myqcloud.com"},
        True,
    ),
    "address": (lambda port: {"IP": "127.0.0.1", "Port": port}, False),
    "one bucket": (lambda port: {"Domain": f"127.0.0.1:{port}"}, False),
    "bucket in path": (lambda port: {"Domain": f"127.0.0.1:{port}/{BUCKET}"}, False),
}


def client_for(edge: RunningEdge, mode: str) -> CosS3Client:
    known = {"Region": REGION, "SecretId": SECRET_ID, "SecretKey": SECRET_KEY, "Scheme": "http"}
    return CosS3Client(CosConfig(**known, **MODES[mode][0](edge.port)), retry=0)


@pytest.fixture(params=list(MODES))
def client(edge: RunningEdge, request: pytest.FixtureRequest) -> Iterator[CosS3Client]:
    made = client_for(edge, request.param)
    yield made
    made._session.close()


@pytest.fixture(params=[mode for mode, (_, on_ci) in MODES.items() if on_ci])
def client_on_ci(edge: RunningEdge, request: pytest.FixtureRequest) -> Iterator[CosS3Client]:
    made = client_for(edge, request.param)
    yield made
    made._session.close()


ON_EVERY_HOST: dict[str, tuple[str, dict[str, Any]]] = {
    "ci_update_ai_queue": ("/ai_queue/q1", {"QueueId": "q1", "Request": {"Name": "n"}}),
    "ci_get_ai_queue": ("/ai_queue", {}),
    "ci_open_ai_bucket": ("/ai_bucket", {}),
    "ci_close_ai_bucket": ("/ai_bucket", {}),
    "ci_update_asr_queue": ("/asrqueue/q1", {"QueueId": "q1", "Request": {"Name": "n"}}),
    "ci_get_asr_queue": ("/asrqueue", {}),
    "ci_open_asr_bucket": ("/asrbucket", {}),
    "ci_get_asr_bucket": ("/asrbucket", {}),
    "ci_get_asr_job": ("/asr_jobs/j1", {"JobID": "j1"}),
    "ci_update_doc_queue": ("/docqueue/q1", {"QueueId": "q1", "Request": {"Name": "n"}}),
    "ci_get_doc_queue": ("/docqueue", {}),
    "ci_get_doc_bucket": ("/docbucket", {}),
    "ci_get_doc_job": ("/doc_jobs/j1", {"JobID": "j1"}),
    "ci_list_doc_jobs": ("/doc_jobs", {"QueueId": "q1"}),
    "ci_update_media_pic_queue": ("/picqueue/q1", {"QueueId": "q1", "Request": {"Name": "n"}}),
    "ci_get_media_pic_queue": ("/picqueue", {}),
    "ci_open_pic_bucket": ("/picbucket", {}),
    "ci_close_pic_bucket": ("/picbucket", {}),
    "ci_create_media_pic_jobs": ("/pic_jobs", {"Jobs": {"Tag": "PicProcess"}}),
    "ci_get_media_pic_jobs": ("/pic_jobs/j1", {"JobIDs": "j1"}),
    "ci_get_file_process_jobs": ("/file_jobs/j1", {"JobIDs": "j1"}),
    "ci_get_hls_play_key": ("/playKey", {}),
    "ci_update_hls_play_key": ("/playKey", {"MasterPlayKey": "k"}),
}

WITHOUT_A_BUCKET = ("ci_get_asr_bucket", "ci_get_doc_bucket")

ON_THE_HOST_OF_CI: dict[str, tuple[str, dict[str, Any]]] = {
    "ci_auditing_image_batch": ("/image/auditing", {"Input": [{"Object": "a.jpg"}], "DetectType": 1}),
    "ci_auditing_image_query": ("/image/auditing/j1", {"JobID": "j1"}),
    "ci_auditing_video_query": ("/video/auditing/j1", {"JobID": "j1"}),
    "ci_auditing_live_video_cancle": ("/video/cancel_auditing/j1", {"JobID": "j1"}),
    "ci_auditing_virus_query": ("/virus/detect/j1", {"JobID": "j1"}),
    "ci_auditing_report_badcase": (
        "/report/badcase",
        {"ContentType": 1, "Label": "Porn", "SuggestedLabel": "Normal", "Text": "x"},
    ),
}


def refuse_by_name(edge: RunningEdge, client: CosS3Client, call: str, path: str, given: dict[str, Any]) -> None:
    with pytest.raises(CosServiceError) as refused:
        getattr(client, call)(**({} if call in WITHOUT_A_BUCKET else {"Bucket": BUCKET}), **given)
    error = refused.value
    assert (error.get_status_code(), error.get_error_code()) == (400, "NotSupported")
    assert f"'{path}'" in error.get_error_msg()
    assert exchange(edge.port, build("HEAD", f"/%{ord(path[1]):02x}{path[2:]}"), method="HEAD").status == 404


@pytest.mark.parametrize("call", list(ON_EVERY_HOST))
def test_a_call_of_another_service_is_refused_by_name(edge: RunningEdge, client: CosS3Client, call: str) -> None:
    refuse_by_name(edge, client, call, *ON_EVERY_HOST[call])


@pytest.mark.parametrize("call", list(ON_THE_HOST_OF_CI))
def test_a_call_that_begins_like_a_folder_is_refused_on_the_host_of_ci(
    edge: RunningEdge, client_on_ci: CosS3Client, call: str
) -> None:
    refuse_by_name(edge, client_on_ci, call, *ON_THE_HOST_OF_CI[call])


@pytest.mark.parametrize("target", ["/snapshot", "/mediainfo", "/a/new/call"])
def test_what_is_posted_to_the_host_of_ci_is_refused_by_name(edge: RunningEdge, target: str) -> None:
    reply = exchange(edge.port, build("POST", target, host=CI_HOST, body=b"<Request/>"))
    assert (reply.status, reply.code, reply.headers["server"]) == (400, "NotSupported", "tencent-ci")
    assert target in reply.node("Message")


@pytest.mark.parametrize(
    ("host", "key"),
    [
        (COS_HOST, "snapshot"),
        (COS_HOST, "image/auditing"),
        (COS_HOST, "video/auditing/j1"),
        (COS_HOST, "ai_queue/a.jpg"),
        (COS_HOST, "picbucket/a/b"),
        (CI_HOST, "video/a.mp4"),
        (CI_HOST, "image/auditing/a.jpg"),
        (CI_HOST, "ai_queue%2Fq1"),
    ],
)
def test_objects_whose_keys_only_begin_like_a_call_stay_objects(edge: RunningEdge, host: str, key: str) -> None:
    assert exchange(edge.port, build("PUT", f"/{key}", host=host, body=b"x")).status == 200
    assert exchange(edge.port, build("GET", f"/{key}", host=host)).body == b"x"
    assert exchange(edge.port, build("DELETE", f"/{key}", host=host), method="DELETE").status == 204


def test_every_mode_still_moves_objects(edge: RunningEdge, client: CosS3Client) -> None:
    client.put_object(Bucket=BUCKET, Key="in/视频 a.mp4", Body=b"x")
    assert client.get_object(Bucket=BUCKET, Key="in/视频 a.mp4")["Body"].get_raw_stream().read() == b"x"
    client.delete_object(Bucket=BUCKET, Key="in/视频 a.mp4")

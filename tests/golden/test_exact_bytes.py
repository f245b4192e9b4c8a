"""The exact bytes of what we write; a change here is a change for every receiver and must be meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from smartcover.protocol import (
    BucketSummary,
    CallbackFormat,
    DeleteFailure,
    JobInput,
    JobsDetail,
    Md5Info,
    ObjectListing,
    ObjectSummary,
    OperationDetail,
    Output,
    PartListing,
    PartSummary,
    SmartCoverParams,
    Tree,
    UploadListing,
    UploadSummary,
    WorkflowRef,
    callback_body,
    complete_multipart_upload_result,
    copy_object_result,
    copy_part_result,
    delete_result,
    error_document,
    initiate_multipart_upload_result,
    jobs_response,
    list_all_my_buckets_result,
    list_bucket_result,
    list_multipart_uploads_result,
    list_parts_result,
    parse_time,
    parse_zone,
    to_xml,
)

Compare = Callable[[str, bytes], None]
NOON = parse_time("2026-01-05T12:00:00+0800")
ETAG = "5d41402abc4b2a76b9719d911017c592"

SUBMITTED = JobsDetail(
    job_id="j" + "0" * 32,
    state="Submitted",
    creation_time=NOON,
    queue_id="p" + "1" * 32,
    input=JobInput(bucket_id="test-1250000000", object="in/猫 & <dog>.mp4", region="ap-chongqing"),
    operation=OperationDetail(
        smart_cover=SmartCoverParams(sent=(("Count", "2"), ("Format", "webp"))),
        output=Output(region="ap-chongqing", bucket="out-1250000000", object="out/c-${number}.webp"),
        user_data="order 77",
        job_level=0,
    ),
)


def changed(detail: JobsDetail, **operation: object) -> JobsDetail:
    return detail.model_copy(update={"operation": detail.operation.model_copy(update=operation)})


FINISHED = changed(
    SUBMITTED.model_copy(update={"state": "Success", "start_time": NOON, "end_time": NOON}),
    object_names=("out/c-0.webp", "out/c-1.webp"),
    md5s=(Md5Info(md5=ETAG, object_name="out/c-0.webp"), Md5Info(md5=ETAG, object_name="out/c-1.webp")),
)
ONE_COVER = changed(FINISHED, object_names=("out/c-0.webp",), md5s=())
BY_TEMPLATE = changed(
    FINISHED, smart_cover=None, template_id="t" + "2" * 32, template_name="cards", user_data=None, job_level=None
)
FAILED = SUBMITTED.model_copy(
    update={
        "state": "Failed",
        "code": "NoVideoStream",
        "message": "The file holds no video stream.",
        "start_time": NOON,
        "end_time": NOON,
        "workflow": WorkflowRef(name="SmartCover_1", run_id="i1", workflow_id="w1", workflow_name="on-upload"),
    }
)


@pytest.mark.parametrize("format", ["XML", "JSON"])
@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("callback-success", FINISHED),
        ("callback-one-cover", ONE_COVER),
        ("callback-template", BY_TEMPLATE),
        ("callback-failed", FAILED),
    ],
)
def test_callbacks(golden: Compare, name: str, detail: JobsDetail, format: CallbackFormat) -> None:
    golden(f"{name}.{format.lower()}", callback_body(detail, format)[0])


@pytest.mark.parametrize("format", ["XML", "JSON"])
def test_callbacks_of_the_older_page(golden: Compare, format: CallbackFormat) -> None:
    body, _ = callback_body(FINISHED, format, json_jobs_detail_array=True, md5_info=True, zone=parse_zone("-0330"))
    golden(f"callback-older-page.{format.lower()}", body)


def test_answers(golden: Compare) -> None:
    golden("answer-submitted.xml", to_xml(jobs_response([SUBMITTED])))
    multi = [changed(SUBMITTED.model_copy(update={"multi": True}), job_level=None), BY_TEMPLATE]
    golden("answer-multi.xml", to_xml(jobs_response(multi)))
    golden("answer-query.xml", to_xml(jobs_response([FINISHED, FAILED], ["j1", "j2"], next_token="")))
    golden("answer-unknown.xml", to_xml(jobs_response([], ["j1"])))
    golden("error.xml", error_document("InvalidArgument", "Count is 0 & bad", "/jobs", "NjY="))


OBJECT_DOCUMENTS: dict[str, Mapping[str, Tree]] = {
    "list-bucket.xml": list_bucket_result(
        ObjectListing(
            bucket="test-1250000000",
            objects=[ObjectSummary("a b/猫+\x01.mp4", 5, ETAG, NOON, owner_id="qcs::cam::uin/1:uin/1")],
            common_prefixes=["a b/c&d/"],
            prefix="a b/",
            delimiter="/",
            max_keys=1,
            next_marker="a b/猫+\x01.mp4",
            encoding_type="url",
        )
    ),
    "list-bucket-empty.xml": list_bucket_result(ObjectListing(bucket="test-1250000000")),
    "list-uploads.xml": list_multipart_uploads_result(
        UploadListing(
            bucket="test-1250000000",
            uploads=[UploadSummary("big file.bin", "u1", NOON, owner_id="1")],
            prefix="big file.bin",
            next_key_marker="big file.bin",
            next_upload_id_marker="u1",
            encoding_type="url",
        )
    ),
    "list-parts.xml": list_parts_result(
        PartListing(
            bucket="test-1250000000",
            key="big file.bin",
            upload_id="u1",
            parts=[PartSummary(1, ETAG, 1 << 20, NOON), PartSummary(2, ETAG, 7, NOON)],
            max_parts=2,
            next_part_number_marker=2,
            encoding_type="url",
        )
    ),
    "initiate.xml": initiate_multipart_upload_result("test-1250000000", "big file.bin", "u1"),
    "complete.xml": complete_multipart_upload_result(
        "http://test-1250000000.cos.ap-chongqing.myqcloud.com/big%20file.bin", "test-1250000000", "big file.bin", ETAG
    ),
    "copy.xml": copy_object_result(ETAG, NOON, 11177612005948864433),
    "copy-part.xml": copy_part_result(ETAG, NOON, 11177612005948864433),
    "delete.xml": delete_result(["a", "b"], [DeleteFailure("c", "AccessDenied", "Access denied.")]),
    "delete-quiet.xml": delete_result(["a", "b"], quiet=True),
    "buckets.xml": list_all_my_buckets_result("1", [BucketSummary("test-1250000000", "ap-chongqing", NOON)]),
    "buckets-none.xml": list_all_my_buckets_result("1", []),
}


@pytest.mark.parametrize("name", sorted(OBJECT_DOCUMENTS))
def test_documents_of_the_object_api(golden: Compare, name: str) -> None:
    golden(f"object-{name}", to_xml(OBJECT_DOCUMENTS[name]))

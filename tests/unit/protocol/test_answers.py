from __future__ import annotations

from datetime import datetime
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from smartcover.protocol import (
    CODES,
    JobInput,
    JobsDetail,
    OperationDetail,
    Output,
    SmartCoverParams,
    callback_body,
    error_document,
    jobs_response,
    parse_time,
    task_finish,
    to_xml,
)

DETAIL = JobsDetail(
    job_id="j1",
    state="Running",
    creation_time=parse_time("2026-01-05T12:00:00+0800"),
    queue_id="p1",
    input=JobInput(bucket_id="b-1", object="in.mp4", region="r"),
    operation=OperationDetail(
        smart_cover=SmartCoverParams(sent=(("Count", "1"),)),
        output=Output(region="r", bucket="b-1", object="o.jpg"),
        object_names=("o.jpg",),
    ),
)


def children(body: bytes, path: str) -> list[str]:
    found = ElementTree.fromstring(body).find(path)
    assert found is not None, path
    return [child.tag for child in found]


@pytest.mark.documented
def test_an_answer_has_the_documented_order() -> None:
    body = to_xml(jobs_response([DETAIL]))
    assert " ".join(children(body, "JobsDetail")) == (
        "Code Message JobId State CreationTime StartTime EndTime QueueId Tag Input Operation"
    )
    assert children(body, "JobsDetail/Input") == ["BucketId", "Object", "Region"]


@pytest.mark.documented
@pytest.mark.parametrize("state", ["Submitted", "Running", "Failed", "Pause", "Cancel"])
def test_only_a_finished_job_shows_a_result(state: str) -> None:
    detail = DETAIL.model_copy(update={"state": state})
    assert b"Media" not in to_xml(jobs_response([detail]))
    assert b"Media" not in callback_body(detail, "XML")[0]


@pytest.mark.documented
def test_the_multi_form_repeats_the_tag_inside_the_operation() -> None:
    detail = DETAIL.model_copy(update={"multi": True})
    body = to_xml(jobs_response([detail, detail]))
    assert children(body, "JobsDetail/Operation")[0] == "Tag"
    assert "Tag" in children(body, "JobsDetail")
    assert "Tag" not in children(callback_body(detail, "XML")[0], "JobsDetail/Operation")


def test_options_are_echoed_in_the_documents_order_even_when_a_store_has_lost_it() -> None:
    sent = (("DeleteDuplicates", "false"), ("Count", "2"), ("Format", "jpg"))
    operation = DETAIL.operation.model_copy(update={"smart_cover": SmartCoverParams(sent=sent)})
    body = to_xml(jobs_response([DETAIL.model_copy(update={"operation": operation})]))
    assert children(body, "JobsDetail/Operation/SmartCover") == ["Format", "Count", "DeleteDuplicates"]


@pytest.mark.observed
def test_no_node_of_an_error_is_ever_empty() -> None:
    # The Python SDK says "Unknown" instead of the code when one of them is.
    for code in [*CODES, ""]:
        root = ElementTree.fromstring(error_document(code, "", "", ""))
        assert [child.tag for child in root] == ["Code", "Message", "Resource", "RequestId"]
        assert all(child.text for child in root)


@pytest.mark.parametrize(("trace_id", "shown"), [("id", ["id"]), ("", []), (None, [])])
def test_an_error_has_a_trace_id_only_if_there_is_one(trace_id: str | None, shown: list[str]) -> None:
    root = ElementTree.fromstring(error_document("NoSuchKey", "", "", "id", trace_id=trace_id))
    assert [child.text for child in root.findall("TraceId")] == shown


def test_an_error_survives_any_text() -> None:
    root = ElementTree.fromstring(error_document("InvalidArgument", "<&\x00\ud800>", "/a\x01b", "id"))
    assert [child.text for child in root] == ["InvalidArgument", "<&\ufffd\ufffd>", "/a\ufffdb", "id"]


def test_the_older_pages_array_is_json_only() -> None:
    as_xml, _ = callback_body(DETAIL, "XML", json_jobs_detail_array=True)
    assert as_xml == callback_body(DETAIL, "XML")[0]
    as_json, _ = callback_body(DETAIL, "JSON", json_jobs_detail_array=True)
    assert b'"JobsDetail":[{' in as_json
    assert isinstance(task_finish(DETAIL)["Response"], dict)


def test_a_naive_time_never_enters_a_message() -> None:
    with pytest.raises(ValidationError, match="naive"):
        JobsDetail(job_id="j1", state="Running", creation_time=datetime.fromisoformat("2026-01-05"))


def test_messages_are_frozen_and_know_their_fields() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DETAIL.state = "Failed"
    with pytest.raises(ValidationError, match="Extra inputs"):
        Output(region="r", bucket="b", object="o", colour="red")  # type: ignore[call-arg]

"""With the values of the document's three cases our callbacks have its nodes, in its order, with its text."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from smartcover.protocol import (
    CosHeader,
    JobInput,
    JobsDetail,
    OperationDetail,
    Output,
    SmartCoverParams,
    WorkflowRef,
    callback_body,
    parse_time,
)
from smartcover.receiver import TaskFinish, parse

DOCUMENT = Path(__file__).parent / "data"

BY_API = JobsDetail(
    job_id="j6842765cf84611ecb8546d80f2baf56f",
    state="Success",
    creation_time=parse_time("2022-06-30T15:29:42+0800"),
    start_time=parse_time("2022-06-30T07:29:43Z"),
    end_time=parse_time("2022-06-30T15:29:48+0800"),
    queue_id="p2242ab62c7c94486915508540933a2c6",
    input=JobInput(bucket_id="test-123456789", object="input/demo.mp4", region="ap-chongqing"),
    operation=OperationDetail(
        smart_cover=SmartCoverParams(
            sent=(
                ("Format", "jpg"),
                ("Width", "1280"),
                ("Height", "960"),
                ("Count", "5"),
                ("DeleteDuplicates", "false"),
            )
        ),
        output=Output(region="ap-chongqing", bucket="test-123456789", object="output/smartcover-${Number}.jpg"),
        user_data="This is my SmartCover job.",
        object_names=tuple(f"output/smartcover-{number}.jpg" for number in range(5)),
    ),
)
HEADERS = (
    CosHeader(key="Content-Type", value="video/mp4"),
    CosHeader(key="x-cos-request-id", value="NjJiZDYwYTFfNjUzYTYyNjRfZjEwZl8xMmZhYzY5"),
    CosHeader(key="EventName", value="cos:ObjectCreated:Put"),
    CosHeader(key="Size", value="1424687"),
)
BY_WORKFLOW = BY_API.model_copy(
    update={
        "input": BY_API.input.model_copy(update={"cos_headers": HEADERS}),
        "workflow": WorkflowRef(
            name="SmartCover_1581665960537",
            run_id="ic90edd59f84f11ec9d4f525400a3c59f",
            workflow_id="web6ac56c1ef54dbfa44d7f4103203be9",
            workflow_name="workflow-test",
        ),
    }
)


def outline(element: ElementTree.Element) -> tuple[object, ...]:
    """Names, order, attributes and text; white space between nodes aside."""
    return (
        element.tag,
        dict(element.attrib),
        (element.text or "").strip(),
        (element.tail or "").strip(),
        [outline(child) for child in element],
    )


@pytest.mark.documented
@pytest.mark.parametrize(("case", "detail"), [("case1-api.xml", BY_API), ("case2-workflow.xml", BY_WORKFLOW)])
def test_the_xml_callback_has_the_nodes_of_the_document(case: str, detail: JobsDetail) -> None:
    body, content_type = callback_body(detail, "XML")
    assert content_type == "application/xml"
    documented = ElementTree.fromstring((DOCUMENT / case).read_text("utf-8"))
    assert outline(ElementTree.fromstring(body)) == outline(documented)


@pytest.mark.documented
def test_the_json_callback_has_the_members_of_the_document() -> None:
    body, content_type = callback_body(BY_WORKFLOW, "JSON")
    assert content_type == "application/json"
    documented = (DOCUMENT / "case3-workflow.json").read_text("utf-8")
    # Members as lists of pairs: order and types count, not only content.
    assert json.loads(body, object_pairs_hook=list) == json.loads(documented, object_pairs_hook=list)


@pytest.mark.documented
def test_bodies_are_compact_and_without_declaration() -> None:
    xml, _ = callback_body(BY_WORKFLOW, "XML")
    assert xml.startswith(b"<Response><EventName>TaskFinish</EventName><JobsDetail><Code>")
    assert b"\n" not in xml
    assert b"<Message/>" in xml
    as_json, _ = callback_body(BY_WORKFLOW, "JSON")
    assert as_json.startswith(b'{"EventName":"TaskFinish","JobsDetail":{"Code":"Success","CreationTime":')
    assert b'"MediaInfo":{"Stream":{}}' in as_json


@pytest.mark.parametrize(
    ("case", "detail"),
    [("case1-api.xml", BY_API), ("case2-workflow.xml", BY_WORKFLOW), ("case3-workflow.json", BY_WORKFLOW)],
)
def test_the_receiver_reads_the_document_as_the_same_value(case: str, detail: JobsDetail) -> None:
    read = parse((DOCUMENT / case).read_bytes())
    assert isinstance(read, TaskFinish)
    place = {"output_bucket": "test-123456789", "output_region": "ap-chongqing"}
    cover = SmartCoverParams(sent=tuple(sorted((detail.operation.smart_cover or SmartCoverParams()).sent)))
    operation = detail.operation.model_copy(update={**place, "smart_cover": cover})
    assert read.jobs_detail == detail.model_copy(update={"operation": operation})
    assert read.succeeded
    assert read.object_names == detail.operation.object_names

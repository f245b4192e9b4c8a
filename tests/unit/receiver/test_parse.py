from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from smartcover.errors import MalformedCallback
from smartcover.protocol import (
    CosHeader,
    JobInput,
    JobsDetail,
    Md5Info,
    OperationDetail,
    Output,
    SmartCoverParams,
    WorkflowRef,
    callback_body,
    parse_time,
)
from smartcover.receiver import TaskFinish, WorkflowFinish, parse

NOON = parse_time("2026-01-05T12:00:00+0800")
DETAIL = JobsDetail(
    job_id="j1",
    state="Success",
    creation_time=NOON,
    start_time=NOON,
    end_time=NOON,
    queue_id="p1",
    input=JobInput(bucket_id="b-1", object="in/猫.mp4", region="r", cos_headers=(CosHeader(key="Size", value="5"),)),
    operation=OperationDetail(
        smart_cover=SmartCoverParams(sent=(("Count", "1"),)),
        output=Output(region="r", bucket="b-1", object="o-${number}.jpg"),
        user_data=" 77 ",
        job_level=1,
        object_names=("o-0.jpg",),
        output_bucket="b-1",
        output_region="r",
        md5s=(Md5Info(md5="0" * 32, object_name="o-0.jpg"),),
    ),
    workflow=WorkflowRef(name="SmartCover_1", run_id="i1", workflow_id="w1", workflow_name="n"),
)
SMALLEST = b'{"EventName":"TaskFinish","JobsDetail":{"JobId":"j1","State":"Success"}}'


def task(body: bytes, content_type: str | None = None) -> JobsDetail:
    found = parse(body, content_type)
    assert isinstance(found, TaskFinish)
    return found.jobs_detail


@pytest.mark.parametrize("format", ["XML", "JSON"])
@pytest.mark.parametrize("array", [False, True])
def test_what_the_server_writes_is_read_as_the_same_value(format: str, array: bool) -> None:
    body, content_type = callback_body(DETAIL, format, json_jobs_detail_array=array, md5_info=True)  # type: ignore[arg-type]
    assert task(body, content_type) == DETAIL


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/xml", "application/json; charset=gbk"])
def test_the_body_decides_and_not_the_content_type(content_type: str | None) -> None:
    for format in ("XML", "JSON"):
        body, _ = callback_body(DETAIL, format, md5_info=True)
        assert task(b"\xef\xbb\xbf\n" + body, content_type) == DETAIL


def test_left_out_nodes_are_empty_and_lists_stay_lists() -> None:
    for body in (
        SMALLEST,
        b"<Response><EventName>TaskFinish</EventName><JobsDetail><JobId>j1</JobId><State>Success</State>"
        b"<Input/><Operation><MediaResult/></Operation><Workflow/></JobsDetail></Response>",
    ):
        found = task(body)
        assert (found.code, found.message, found.queue_id, found.tag) == ("", "", "", "")
        assert (found.creation_time, found.start_time, found.workflow) == (None, None, None)
        assert found.input == JobInput()
        assert found.operation == OperationDetail()
        assert found.operation.object_names == ()


def test_a_single_node_reads_like_a_repeated_one() -> None:
    document = json.loads(callback_body(DETAIL, "JSON", md5_info=True)[0])
    job = document["JobsDetail"]
    output_file = job["Operation"]["MediaResult"]["OutputFile"]
    job["Input"]["CosHeaders"] = job["Input"]["CosHeaders"][0]
    output_file["ObjectName"] = output_file["ObjectName"][0]
    output_file["Md5Info"] = output_file["Md5Info"][0]
    job["Workflow"] = [job["Workflow"]]
    assert task(json.dumps(document).encode()) == DETAIL


def test_numbers_and_null_in_json_are_taken_as_text() -> None:
    document = json.loads(callback_body(DETAIL, "JSON", md5_info=True)[0])
    document["JobsDetail"]["Operation"]["SmartCover"]["Count"] = 1
    document["JobsDetail"]["Operation"]["JobLevel"] = 1
    document["JobsDetail"]["Message"] = None
    document["JobsDetail"]["Progress"] = 100
    assert task(json.dumps(document).encode()) == DETAIL.model_copy(update={"progress": 100})


def test_options_of_another_sender_are_not_judged() -> None:
    body = SMALLEST.replace(
        b'"Success"', b'"Success","Operation":{"SmartCover":{"Count":"20","Format":"AVIF","Width":"9000"}}'
    )
    params = task(body).operation.smart_cover
    assert params is not None
    assert (params.count, params.format, params.width) == (20, "avif", 9000)


def test_times_are_aware_and_a_dash_is_none() -> None:
    body = SMALLEST.replace(b'"Success"', b'"Failed","CreationTime":"2022-06-30T15:29:42+0800","StartTime":"-"')
    found = task(body)
    assert found.creation_time == datetime(2022, 6, 30, 7, 29, 42, tzinfo=UTC)
    assert found.creation_time is not None
    assert found.creation_time.utcoffset() == timedelta(hours=8)
    assert found.start_time is None


def test_a_failed_job_has_no_covers() -> None:
    found = parse(SMALLEST.replace(b'"Success"', b'"Failed","Code":"NoVideoStream"'))
    assert isinstance(found, TaskFinish)
    assert not found.succeeded
    assert found.object_names == ()
    assert found.jobs_detail.code == "NoVideoStream"


@pytest.mark.documented
def test_the_end_of_a_workflow_run_is_read() -> None:
    body = (
        b"<Response><EventName>WorkflowFinish</EventName><WorkflowExecution><WorkflowId>w1</WorkflowId>"
        b"<WorkflowName>n</WorkflowName><RunId>i1</RunId><State>Success</State><BucketId>b-1</BucketId>"
        b"<Object>in/a.mp4</Object><CreateTime>2022-08-09 14:54:17+0800</CreateTime>"
        b"<CosHeaders><Key>Size</Key><Value>5</Value></CosHeaders>"
        b"<Tasks><Type>SmartCover</Type><Createtime>2022-08-09 14:54:18+0800</Createtime><EndTime>-</EndTime>"
        b"<State>Success</State><JobId>j1</JobId><Name>SmartCover_1</Name></Tasks></WorkflowExecution></Response>"
    )
    found = parse(body)
    assert isinstance(found, WorkflowFinish)
    assert found.succeeded
    assert found.create_time == datetime(2022, 8, 9, 6, 54, 17, tzinfo=UTC)
    assert found.cos_headers == (CosHeader(key="Size", value="5"),)
    [only] = found.tasks
    assert (only.type, only.name, only.job_id, only.end_time) == ("SmartCover", "SmartCover_1", "j1", None)
    assert only.create_time == datetime(2022, 8, 9, 6, 54, 18, tzinfo=UTC)
    as_json = (
        b'{"EventName":"WorkflowFinish","WorkflowExecution":{"RunId":"i1","State":"Failed",'
        b'"Tasks":{"JobId":"j1"},"CosHeaders":[]}}'
    )
    again = parse(as_json)
    assert isinstance(again, WorkflowFinish)
    assert [entry.job_id for entry in again.tasks] == ["j1"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "neither XML nor a JSON object"),
        (b"hello", "neither XML nor a JSON object"),
        (b"[]", "neither XML nor a JSON object"),
        (b"{}", "EventName is missing"),
        (b"<Request/>", "must be Response"),
        (b"<Response/>", "must be Response"),
        (b"<Response>x</Response>", "must be Response"),
        (b"{", "not JSON"),
        (b"<Response>", "not well-formed"),
        (SMALLEST.replace(b"TaskFinish", b"Other"), "EventName is 'Other'"),
        (SMALLEST.replace(b'{"JobId":"j1","State":"Success"}', b'"x"'), "JobsDetail is 'x'"),
        (SMALLEST.replace(b'{"JobId":"j1","State":"Success"}', b"[]"), "given 0 times"),
        (SMALLEST.replace(b'{"JobId":"j1","State":"Success"}', b"[{},{}]"), "given 2 times"),
        (SMALLEST.replace(b'{"JobId":"j1","State":"Success"}', b"[[{}]]"), "list of lists"),
        (SMALLEST.replace(b'"JobId":"j1",', b""), "JobId is missing"),
        (SMALLEST.replace(b'"Success"', b'""'), "State is missing"),
        (SMALLEST.replace(b'"j1"', b'{"a":"b"}'), "JobId holds child nodes"),
        (SMALLEST.replace(b'"Success"', b'"Success","EndTime":"2022-06-30T15:29:42"'), "is not a time"),
        (SMALLEST.replace(b'"Success"', b'"Success","Operation":{"SmartCover":{"Count":"x"}}'), "Count is 'x'"),
        (b'{"EventName":"WorkflowFinish"}', "WorkflowExecution is missing"),
    ],
)
def test_anything_else_is_a_malformed_callback(body: bytes, message: str) -> None:
    with pytest.raises(MalformedCallback, match=message):
        parse(body, "text/html")


def test_a_body_over_the_limit_is_refused() -> None:
    for body in (SMALLEST, b"<Response>" + b" " * 100):
        with pytest.raises(MalformedCallback, match="the limit is 50"):
            parse(body, max_bytes=50)


def test_reading_is_fast_enough_for_a_busy_receiver() -> None:
    # The promise is 10,000 in 10 s of one core; a tenth of them leaves room for a slow machine.
    bodies = [callback_body(DETAIL, format)[0] for format in ("XML", "JSON")]
    start = time.process_time()
    for _ in range(500):
        for body in bodies:
            parse(body)
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("format", ["XML", "JSON"])
def test_numbers_of_an_emitter_that_knows_floating_point_only_are_read(format: str) -> None:
    """Java writes a double of 5 as 5.0, and so does JSON made of one."""
    if format == "XML":
        body = (
            b"<Response><EventName>TaskFinish</EventName><JobsDetail><JobId>j1</JobId><State>Success</State>"
            b"<Progress>100.0</Progress><Operation><JobLevel>1.00</JobLevel><SmartCover><Count>5.0</Count>"
            b"<Width> 1280.0 </Width></SmartCover></Operation></JobsDetail></Response>"
        )
    else:
        body = (
            b'{"EventName":"TaskFinish","JobsDetail":{"JobId":"j1","State":"Success","Progress":100.0,"Operation":'
            b'{"JobLevel":1.00,"SmartCover":{"Count":5.0,"Width":" 1280.0 "}}}}'
        )
    detail = task(body)
    cover = detail.operation.smart_cover
    assert cover is not None
    assert (detail.progress, detail.operation.job_level, cover.count, cover.width) == (100, 1, 5, 1280)


@pytest.mark.parametrize("text", ["5.5", "5.", ".0", "-5.0", "5e0", "0x5", "5,0", "five", "NaN", "5.0.0", "\u0665"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    for place in ('"Progress":%s', '"Operation":{"JobLevel":%s}', '"Operation":{"SmartCover":{"Count":%s}}'):
        body = SMALLEST.decode().replace('"JobId"', place % f'"{text}"' + ',"JobId"')
        with pytest.raises(MalformedCallback, match="whole number"):
            parse(body.encode())

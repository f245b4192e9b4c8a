"""
Writing what the job API answers and what callbacks carry.

Two orders of the same nodes are the vendor's: answers in the order of its tables, callbacks alphabetical as in its
examples (with `CosHeaders` after `Region`). Empty nodes are written as such; JSON leaves them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from smartcover.protocol.codes import CODES
from smartcover.protocol.json_codec import to_json
from smartcover.protocol.messages import (
    COVER_NODES,
    SUCCEEDED,
    CallbackFormat,
    JobInput,
    JobsDetail,
    OperationDetail,
    Output,
    SmartCoverParams,
)
from smartcover.protocol.times import CHINA_STANDARD_TIME, format_time
from smartcover.protocol.xml_codec import Tree, to_xml

XML_CONTENT_TYPE = "application/xml"
JSON_CONTENT_TYPE = "application/json"

_ERROR_DECLARATION = b"<?xml version='1.0' encoding='utf-8' ?>\n"


def task_finish(
    detail: JobsDetail,
    *,
    zone: tzinfo = CHINA_STANDARD_TIME,
    json_jobs_detail_array: bool = False,
    md5_info: bool = False,
) -> dict[str, Tree]:
    """
    Build the TaskFinish callback of a finished job.

    A failed job has neither MediaInfo nor MediaResult: there is no file to tell about.

    Args:
        json_jobs_detail_array: Make JobsDetail a one-element array, as an older page of the vendor shows for JSON;
            XML is the same either way.
        md5_info: Fill `Md5Info`, which the document leaves empty, with the MD5 of each cover.
    """
    job: dict[str, Tree] = {
        "Code": detail.code,
        "CreationTime": format_time(detail.creation_time, zone),
        "EndTime": format_time(detail.end_time, zone),
        "Input": _input(detail.input),
        "JobId": detail.job_id,
        "Message": detail.message,
        "Operation": _callback_operation(detail, md5_info),
        "QueueId": detail.queue_id,
        "StartTime": format_time(detail.start_time, zone),
        "State": detail.state,
        "Tag": detail.tag,
    }
    if detail.workflow is not None:
        job["Workflow"] = {
            "Name": detail.workflow.name,
            "RunId": detail.workflow.run_id,
            "WorkflowId": detail.workflow.workflow_id,
            "WorkflowName": detail.workflow.workflow_name,
        }
    return {"Response": {"EventName": "TaskFinish", "JobsDetail": [job] if json_jobs_detail_array else job}}


def callback_body(
    detail: JobsDetail,
    format: CallbackFormat,
    *,
    zone: tzinfo = CHINA_STANDARD_TIME,
    json_jobs_detail_array: bool = False,
    md5_info: bool = False,
) -> tuple[bytes, str]:
    """Write the TaskFinish callback; gives the exact bytes to store and send, and their Content-Type."""
    as_json = format == "JSON"
    tree = task_finish(detail, zone=zone, json_jobs_detail_array=json_jobs_detail_array and as_json, md5_info=md5_info)
    return (to_json(tree), JSON_CONTENT_TYPE) if as_json else (to_xml(tree), XML_CONTENT_TYPE)


def jobs_response(
    details: Sequence[JobsDetail],
    non_exist_job_ids: Sequence[str] = (),
    *,
    zone: tzinfo = CHINA_STANDARD_TIME,
    next_token: str | None = None,
) -> dict[str, Tree]:
    """
    Build the answer to a submit or a query.

    Unknown ids go into one comma-joined node: the SDKs disagree about repeated ones and all can read this.

    Args:
        next_token: Where a list goes on; None when this is no list, empty at its end.
    """
    response: dict[str, Tree] = {"JobsDetail": [_answer_job(detail, zone) for detail in details]}
    if non_exist_job_ids:
        response["NonExistJobIds"] = ",".join(non_exist_job_ids)
    if next_token is not None:
        response["NextToken"] = next_token
    return {"Response": response}


def error_document(code: str, message: str, resource: str, request_id: str, *, trace_id: str | None = None) -> bytes:
    """
    Write the `Error` document.

    None of its nodes is ever empty: the Python SDK reports `Unknown` for the code if one of them is.
    """
    known = CODES.get(code)
    error: dict[str, Tree] = {
        "Code": code or "InternalError",
        "Message": message or (known.meaning if known else code) or "Something went wrong.",
        "Resource": resource or "/",
        "RequestId": request_id or "-",
    }
    if trace_id:
        error["TraceId"] = trace_id
    return _ERROR_DECLARATION + to_xml({"Error": error})


def _answer_job(detail: JobsDetail, zone: tzinfo) -> Tree:
    return {
        "Code": detail.code,
        "Message": detail.message,
        "JobId": detail.job_id,
        "State": detail.state,
        "CreationTime": format_time(detail.creation_time, zone),
        "StartTime": format_time(detail.start_time, zone),
        "EndTime": format_time(detail.end_time, zone),
        "QueueId": detail.queue_id,
        "Tag": detail.tag,
        "Input": _input(detail.input),
        "Operation": _answer_operation(detail),
    }


def _answer_operation(detail: JobsDetail) -> Tree:
    operation = detail.operation
    tree: dict[str, Tree] = {"Tag": detail.tag} if detail.multi else {}
    tree |= _template(operation)
    if operation.smart_cover is not None:
        tree["SmartCover"] = _cover(operation.smart_cover)
    output = operation.output
    tree["Output"] = {"Region": output.region, "Bucket": output.bucket, "Object": output.object}
    if detail.state == SUCCEEDED:
        tree |= _media(operation, md5_info=False)
    return tree | _user_data(operation) | _level(operation)


def _callback_operation(detail: JobsDetail, md5_info: bool) -> Tree:
    operation = detail.operation
    tree: dict[str, Tree] = {}
    if detail.state == SUCCEEDED:
        tree |= _media(operation, md5_info=md5_info)
    tree["Output"] = _callback_output(operation.output)
    if operation.smart_cover is not None:
        tree["SmartCover"] = dict(sorted(operation.smart_cover.sent))
    return tree | _template(operation) | _user_data(operation) | _level(operation)


def _media(operation: OperationDetail, *, md5_info: bool) -> dict[str, Tree]:
    md5s: list[Tree] = [{"Md5": entry.md5, "ObjectName": entry.object_name} for entry in operation.md5s]
    return {
        "MediaInfo": {"Format": "", "Stream": {"Audio": "", "Subtitle": "", "Video": ""}},
        "MediaResult": {
            "OutputFile": {
                "Bucket": operation.output.bucket if operation.output_bucket is None else operation.output_bucket,
                "Md5Info": md5s if md5_info and md5s else "",
                "ObjectName": list(operation.object_names),
                "ObjectPrefix": "",
                "Region": operation.output.region if operation.output_region is None else operation.output_region,
            }
        },
    }


def _input(source: JobInput) -> Tree:
    tree: dict[str, Tree] = {"BucketId": source.bucket_id, "Object": source.object, "Region": source.region}
    if source.cos_headers:
        tree["CosHeaders"] = [{"Key": header.key, "Value": header.value} for header in source.cos_headers]
    return tree


def _callback_output(output: Output) -> Tree:
    return {"Bucket": output.bucket, "Object": output.object, "Region": output.region}


def _cover(params: SmartCoverParams) -> Tree:
    # In the order of the documents, because a store may not keep the order sent.
    return {node: text for node in COVER_NODES if (text := params.text(node)) is not None}


def _template(operation: OperationDetail) -> dict[str, Tree]:
    if operation.template_id is None:
        return {}
    return {"TemplateId": operation.template_id, "TemplateName": operation.template_name or ""}


def _user_data(operation: OperationDetail) -> dict[str, Tree]:
    return {} if operation.user_data is None else {"UserData": operation.user_data}


def _level(operation: OperationDetail) -> dict[str, Tree]:
    return {} if operation.job_level is None else {"JobLevel": str(operation.job_level)}

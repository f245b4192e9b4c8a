"""
From the bytes of a callback to a typed value.

Senders differ: XML or JSON, `JobsDetail` as an object or as an array of one, single nodes where others repeat, nodes
left out when empty. All of these read the same. Whatever cannot be read is MalformedCallback, for any bytes at all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import ValidationError

from smartcover.errors import BadParameter, MalformedBody, MalformedCallback
from smartcover.protocol import (
    MAX_INTEGER,
    SUCCEEDED,
    UNKNOWN_TIME,
    CosHeader,
    Fields,
    JobInput,
    JobsDetail,
    Md5Info,
    OperationDetail,
    Output,
    SmartCoverParams,
    WorkflowRef,
    parse_json,
    parse_time,
    parse_xml,
    shown,
)
from smartcover.receiver.models import TaskFinish, WorkflowFinish, WorkflowTask

MAX_CALLBACK_BYTES: Final = 1 << 20


def parse(
    body: bytes, content_type: str | None = None, *, max_bytes: int = MAX_CALLBACK_BYTES
) -> TaskFinish | WorkflowFinish:
    """
    Read a callback.

    The first character of the body tells XML from JSON; the Content-Type is only repeated in the error, because
    senders and what stands between are careless with it.

    Raises:
        MalformedCallback: For anything that is not a TaskFinish or WorkflowFinish.
    """
    try:
        response = _response(body, content_type, max_bytes)
        event = response.required_text("EventName").strip()
        if event == "TaskFinish":
            return TaskFinish(jobs_detail=_jobs_detail(response))
        if event == "WorkflowFinish":
            return _workflow_finish(response.required_child("WorkflowExecution"))
    except (MalformedBody, BadParameter) as error:
        raise MalformedCallback(error.public) from error
    except ValidationError as error:
        raise MalformedCallback("The callback does not have the documented form", detail=str(error)) from error
    raise MalformedCallback(f"EventName is {shown(event)}; only TaskFinish and WorkflowFinish are known")


def _response(body: bytes, content_type: str | None, max_bytes: int) -> Fields:
    start = body[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"{":
        return Fields(parse_json(body, max_bytes=max_bytes), "")
    if start != b"<":
        raise MalformedBody(f"The body is neither XML nor a JSON object (Content-Type: {shown(content_type or '')})")
    [(root, tree)] = parse_xml(body, max_bytes=max_bytes).items()
    if root != "Response" or not isinstance(tree, dict):
        raise MalformedBody(f"The root node is {shown(root)}; it must be Response with child nodes")
    return Fields(tree, "")


def _jobs_detail(response: Fields) -> JobsDetail:
    jobs = response.children("JobsDetail")
    if len(jobs) != 1:
        raise BadParameter(f"JobsDetail is given {len(jobs)} times; a callback tells of one job")
    job = jobs[0]
    return JobsDetail(
        code=job.text("Code") or "",
        message=job.text("Message") or "",
        job_id=job.required_text("JobId"),
        state=job.required_text("State"),
        creation_time=_time(job, "CreationTime"),
        start_time=_time(job, "StartTime"),
        end_time=_time(job, "EndTime"),
        queue_id=job.text("QueueId") or "",
        tag=job.text("Tag") or "",
        input=_input(job.child("Input")),
        operation=_operation(job.child("Operation")),
        workflow=_workflow(job),
        progress=job.integer("Progress", 0, MAX_INTEGER, with_zeros=True),
    )


def _input(fields: Fields | None) -> JobInput:
    if fields is None:
        return JobInput()
    return JobInput(
        bucket_id=fields.text("BucketId") or "",
        object=fields.text("Object") or "",
        region=fields.text("Region") or "",
        cos_headers=_headers(fields),
    )


def _headers(fields: Fields) -> tuple[CosHeader, ...]:
    return tuple(
        CosHeader(key=header.text("Key") or "", value=header.text("Value") or "")
        for header in fields.children("CosHeaders")
        if header.names()
    )


def _operation(fields: Fields | None) -> OperationDetail:
    if fields is None:
        return OperationDetail()
    cover = fields.child("SmartCover")
    result = fields.child("MediaResult")
    output_file = None if result is None else result.child("OutputFile")
    detail = OperationDetail(
        smart_cover=None if cover is None else SmartCoverParams.read(cover, check_ranges=False),
        template_id=fields.text("TemplateId"),
        template_name=fields.text("TemplateName"),
        output=_output(fields.child("Output")),
        user_data=fields.text("UserData"),
        job_level=fields.integer("JobLevel", 0, MAX_INTEGER, with_zeros=True),
    )
    if output_file is None:
        return detail
    return detail.model_copy(
        update={
            "object_names": output_file.texts("ObjectName"),
            "output_bucket": output_file.text("Bucket"),
            "output_region": output_file.text("Region"),
            "md5s": _md5s(output_file),
        }
    )


def _output(fields: Fields | None) -> Output:
    if fields is None:
        return Output()
    return Output(
        region=fields.text("Region") or "", bucket=fields.text("Bucket") or "", object=fields.text("Object") or ""
    )


def _md5s(output_file: Fields) -> tuple[Md5Info, ...]:
    return tuple(
        Md5Info(md5=entry.text("Md5") or "", object_name=entry.text("ObjectName") or "")
        for entry in output_file.children("Md5Info")
        if entry.names()
    )


def _workflow(job: Fields) -> WorkflowRef | None:
    workflows = [entry for entry in job.children("Workflow") if entry.names()]
    if not workflows:
        return None
    fields = workflows[0]
    return WorkflowRef(
        name=fields.text("Name") or "",
        run_id=fields.text("RunId") or "",
        workflow_id=fields.text("WorkflowId") or "",
        workflow_name=fields.text("WorkflowName") or "",
    )


def _workflow_finish(fields: Fields) -> WorkflowFinish:
    return WorkflowFinish(
        run_id=fields.required_text("RunId"),
        state=fields.required_text("State"),
        workflow_id=fields.text("WorkflowId") or "",
        workflow_name=fields.text("WorkflowName") or "",
        bucket_id=fields.text("BucketId") or "",
        object=fields.text("Object") or "",
        create_time=_time(fields, "CreateTime"),
        cos_headers=_headers(fields),
        tasks=tuple(_task(task) for task in fields.children("Tasks") if task.names()),
    )


def _task(fields: Fields) -> WorkflowTask:
    return WorkflowTask(
        type=fields.text("Type") or "",
        name=fields.text("Name") or "",
        job_id=fields.text("JobId") or "",
        state=fields.text("State") or "",
        # The vendor's table and its example spell the node differently.
        create_time=_time(fields, "CreateTime") or _time(fields, "Createtime"),
        start_time=_time(fields, "StartTime"),
        end_time=_time(fields, "EndTime"),
        template_id=fields.text("TemplateId"),
        template_name=fields.text("TemplateName"),
        code=fields.text("Code") or SUCCEEDED,
        message=fields.text("Message") or "",
        object_names=_task_objects(fields),
    )


def _task_objects(fields: Fields) -> tuple[str, ...]:
    result = fields.child("ResultInfo")
    if result is None:
        return ()
    names = (entry.text("ObjectName") for entry in result.children("ObjectInfo") if entry.names())
    return tuple(name for name in names if name is not None)


def _time(fields: Fields, name: str) -> datetime | None:
    text = fields.text(name)
    if text is None or text.strip() in ("", UNKNOWN_TIME):
        return None
    return parse_time(text)

"""Writing what the workflow calls answer, and the WorkflowFinish callback, in the orders of the vendor's pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from smartcover.protocol.answers import JSON_CONTENT_TYPE, XML_CONTENT_TYPE
from smartcover.protocol.json_codec import to_json
from smartcover.protocol.messages import CallbackFormat, CosHeader
from smartcover.protocol.times import CHINA_STANDARD_TIME, UNKNOWN_TIME, format_time
from smartcover.protocol.xml_codec import Tree, to_xml


@dataclass(frozen=True, slots=True)
class WorkflowDetail:
    """A workflow as the outside sees it; `topology` is the tree as sent."""

    workflow_id: str
    name: str
    state: str
    bucket_id: str
    create_time: datetime
    update_time: datetime
    topology: dict[str, Tree]


@dataclass(frozen=True, slots=True)
class TaskDetail:
    """One task of a run: `name` is its node. `code` and `message` tell of a failure."""

    type: str
    name: str
    job_id: str
    state: str
    create_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    code: str = "Success"
    message: str = ""
    template_id: str | None = None
    template_name: str | None = None
    object_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run of a workflow as the outside sees it."""

    run_id: str
    workflow_id: str
    workflow_name: str
    bucket_id: str
    object: str
    state: str
    create_time: datetime
    topology: dict[str, Tree] = field(default_factory=dict)
    cos_headers: tuple[CosHeader, ...] = ()
    tasks: tuple[TaskDetail, ...] = ()


def workflow_response(
    request_id: str, detail: WorkflowDetail, *, zone: tzinfo = CHINA_STANDARD_TIME
) -> dict[str, Tree]:
    """Build the answer to a create or an update."""
    return {"Response": {"RequestId": request_id, "MediaWorkflow": _workflow(detail, zone)}}


def workflow_list(
    request_id: str,
    details: Sequence[WorkflowDetail],
    *,
    total: int,
    page_number: int,
    page_size: int,
    unknown_ids: Sequence[str] = (),
    zone: tzinfo = CHINA_STANDARD_TIME,
) -> dict[str, Tree]:
    """Build a page of workflows; ids that name none are listed one node each."""
    response: dict[str, Tree] = {
        "RequestId": request_id,
        "TotalCount": str(total),
        "PageNumber": str(page_number),
        "PageSize": str(page_size),
        "MediaWorkflowList": [_workflow(detail, zone) for detail in details],
    }
    if unknown_ids:
        response["NonExistIDs"] = list(unknown_ids)
    return {"Response": response}


def workflow_switched(request_id: str, workflow_id: str) -> dict[str, Tree]:
    """Build the answer to an activation or a pause."""
    return {"Response": {"RequestId": request_id, "WorkflowId": workflow_id}}


def workflow_deleted(request_id: str, workflow_id: str) -> dict[str, Tree]:
    """Build the answer to a deletion."""
    return {"Response": {"RequestId": request_id, "WorkflowId": workflow_id}}


def workflow_triggered(request_id: str, run_id: str) -> dict[str, Tree]:
    """Build the answer to a triggering call: the instance is the run."""
    return {"Response": {"RequestId": request_id, "InstanceId": run_id}}


def run_list(
    runs: Sequence[RunDetail], *, request_id: str, next_token: str, zone: tzinfo = CHINA_STANDARD_TIME
) -> dict[str, Tree]:
    """Build a page of runs. The vendor's table and its example name the time differently, so both names are there."""
    entries: list[Tree] = [
        {
            "RunId": run.run_id,
            "WorkflowId": run.workflow_id,
            "State": run.state,
            "CreateTime": format_time(run.create_time, zone),
            "CreationTime": format_time(run.create_time, zone),
            "Object": run.object,
        }
        for run in runs
    ]
    return {"Response": {"RequestId": request_id, "WorkflowExecutionList": entries, "NextToken": next_token}}


def run_response(request_id: str, run: RunDetail, *, zone: tzinfo = CHINA_STANDARD_TIME) -> dict[str, Tree]:
    """Build the answer that describes one run; its name stands there under both of the vendor's names."""
    return {
        "Response": {
            "RequestId": request_id,
            "WorkflowExecution": {
                "WorkflowId": run.workflow_id,
                "Name": run.workflow_name,
                "WorkflowName": run.workflow_name,
                "RunId": run.run_id,
                "CreateTime": _with_colon(format_time(run.create_time, zone)),
                "Object": run.object,
                "State": run.state,
                "Topology": run.topology,
                "Tasks": [_answer_task(task, zone) for task in run.tasks],
            },
        }
    }


def workflow_finish(run: RunDetail, *, zone: tzinfo = CHINA_STANDARD_TIME) -> dict[str, Tree]:
    """Build the WorkflowFinish callback. Its times have a space where all others have a T."""
    execution: dict[str, Tree] = {
        "WorkflowId": run.workflow_id,
        "WorkflowName": run.workflow_name,
        "RunId": run.run_id,
        "State": run.state,
        "BucketId": run.bucket_id,
        "Object": run.object,
        "CreateTime": _with_space(run.create_time, zone),
    }
    if run.cos_headers:
        execution["CosHeaders"] = [{"Key": header.key, "Value": header.value} for header in run.cos_headers]
    execution["Tasks"] = [_callback_task(task, zone) for task in run.tasks]
    return {"Response": {"EventName": "WorkflowFinish", "WorkflowExecution": execution}}


def workflow_finish_body(
    run: RunDetail, format: CallbackFormat, *, zone: tzinfo = CHINA_STANDARD_TIME
) -> tuple[bytes, str]:
    """Write the WorkflowFinish callback; gives the exact bytes to store and send, and their Content-Type."""
    tree = workflow_finish(run, zone=zone)
    return (to_json(tree), JSON_CONTENT_TYPE) if format == "JSON" else (to_xml(tree), XML_CONTENT_TYPE)


def _workflow(detail: WorkflowDetail, zone: tzinfo) -> Tree:
    return {
        "Name": detail.name,
        "State": detail.state,
        "WorkflowId": detail.workflow_id,
        "BucketId": detail.bucket_id,
        "CreateTime": format_time(detail.create_time, zone),
        "UpdateTime": format_time(detail.update_time, zone),
        "Topology": detail.topology,
    }


def _answer_task(task: TaskDetail, zone: tzinfo) -> Tree:
    return {
        "Type": task.type,
        "JobId": task.job_id,
        "CreateTime": _with_colon(format_time(task.create_time, zone)),
        "Name": task.name,
        "State": task.state,
        "StartTime": _with_colon(format_time(task.start_time, zone)),
        "EndTime": _with_colon(format_time(task.end_time, zone)),
        "Code": task.code,
        "Message": task.message,
    }


def _callback_task(task: TaskDetail, zone: tzinfo) -> Tree:
    tree: dict[str, Tree] = {
        "Type": task.type,
        "CreateTime": _with_space(task.create_time, zone),
        "StartTime": _with_space(task.start_time, zone),
        "EndTime": _with_space(task.end_time, zone),
        "State": task.state,
        "JobId": task.job_id,
        "Name": task.name,
    }
    if task.template_id is not None:
        tree |= {"TemplateId": task.template_id, "TemplateName": task.template_name or ""}
    if task.object_names:
        names: list[Tree] = [{"ObjectName": name, "Code": "Success"} for name in task.object_names]
        tree["ResultInfo"] = {"ObjectCount": str(len(names)), "ObjectInfo": names}
    if task.code != "Success":
        tree |= {"Code": task.code, "Message": task.message}
    return tree


def _with_space(moment: datetime | None, zone: tzinfo) -> str:
    return format_time(moment, zone).replace("T", " ")


def _with_colon(text: str) -> str:
    return text if text == UNKNOWN_TIME else f"{text[:-2]}:{text[-2:]}"

"""
Batches on the wire: `POST /inventorytriggerjob`, read into typed values, and the answers about batches.

A batch does one thing to many objects. Its Input says which, in one of four ways; its Operation what, as a job would
say it or by naming workflows. Both are kept as the trees that were sent, because they are echoed so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final, Literal

from smartcover.errors import BadParameter, MalformedBody, MissingBody
from smartcover.protocol.fields import Fields, shown
from smartcover.protocol.job_request import check_placeholders, read_callback, read_output, read_word
from smartcover.protocol.messages import (
    JOB_LEVELS,
    MAX_USER_DATA_CHARACTERS,
    TAG,
    CallbackRequest,
    OperationRequest,
    SmartCoverParams,
)
from smartcover.protocol.names import key_fault
from smartcover.protocol.times import CHINA_STANDARD_TIME, format_time, parse_time
from smartcover.protocol.xml_codec import MAX_BODY_BYTES, Tree, parse_xml

MAX_WORKFLOWS: Final = 20
_SOURCES: Final = ("Prefix", "UrlFile", "Manifest", "Object")
_NAME: Final = re.compile(r"[\w\-—]{1,128}")
_SECONDS: Final = re.compile(r"[0-9]{1,10}", re.ASCII)

BatchSource = Literal["Prefix", "UrlFile", "Manifest", "Object"]
BatchKind = Literal["Job", "Workflow"]


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """
    A batch as a client asks for it.

    `place` is the prefix (without a leading slash), or the key of the file or object, as `source` says. `since` and
    `until` are times of upload, None without a limit. A `Job` batch has `operation`, `queue_id` and `callback`; a
    `Workflow` batch has `workflow_ids`.
    """

    name: str
    kind: BatchKind
    source: BatchSource
    place: str
    input_tree: dict[str, Tree]
    operation_tree: dict[str, Tree]
    since: datetime | None = None
    until: datetime | None = None
    workflow_ids: tuple[str, ...] = ()
    operation: OperationRequest | None = None
    queue_id: str | None = None
    callback: CallbackRequest = field(default_factory=CallbackRequest)


@dataclass(frozen=True, slots=True)
class BatchDetail:
    """A batch as the outside sees it; `code` and `message` tell of a failure."""

    batch_id: str
    name: str
    kind: str
    state: str
    create_time: datetime
    input_tree: dict[str, Tree]
    operation_tree: dict[str, Tree]
    start_time: datetime | None = None
    end_time: datetime | None = None
    code: str = "Success"
    message: str = ""


def parse_batch(body: bytes, *, max_bytes: int = MAX_BODY_BYTES) -> BatchRequest:
    """
    Read the body of a batch.

    Raises:
        MissingBody: If the body is empty.
        MalformedBody: If it is not XML with the root `Request`, or too large.
        BadParameter: If a node is missing or outside its range; the text names it.
    """
    if not body.strip():
        raise MissingBody
    [(root, tree)] = parse_xml(body, max_bytes=max_bytes).items()
    if root != "Request":
        raise MalformedBody(f"The root node is {shown(root)}; it must be Request")
    request = Fields(tree if isinstance(tree, dict) else {}, "Request")
    name = request.required_text("Name").strip()
    if _NAME.fullmatch(name) is None:
        raise BadParameter(f"Request.Name is {shown(name)}; give at most 128 letters, digits, '-', '—' and '_'")
    operations = request.children("Operation")
    if len(operations) != 1:
        raise BadParameter(f"Request.Operation is given {len(operations)} times; a batch does one thing")
    operation = operations[0]
    workflow_ids = _workflow_ids(operation)
    asked: BatchKind | None = request.choice("Type", ("Job", "Workflow"))
    kind: BatchKind = asked or ("Workflow" if workflow_ids else "Job")
    if kind == "Workflow" and not workflow_ids:
        raise BadParameter("Request.Operation.WorkflowIds is missing or empty; a Workflow batch needs it")
    source_fields = request.required_child("Input")
    source, place = _source(source_fields)
    since, until = _window(operation, source)
    return BatchRequest(
        name=name,
        kind=kind,
        source=source,
        place=place,
        input_tree=source_fields.tree,
        operation_tree=operation.tree,
        since=since,
        until=until,
        workflow_ids=workflow_ids if kind == "Workflow" else (),
        operation=_operation(operation) if kind == "Job" else None,
        queue_id=read_word(operation, "QueueId") if kind == "Job" else None,
        callback=read_callback(operation) if kind == "Job" else CallbackRequest(),
    )


def batch_response(request_id: str, detail: BatchDetail, *, zone: tzinfo = CHINA_STANDARD_TIME) -> dict[str, Tree]:
    """Build the answer that shows one batch."""
    return {"Response": {"RequestId": request_id, "JobsDetail": _detail(detail, zone)}}


def batch_missing(request_id: str, batch_id: str) -> dict[str, Tree]:
    """Build the answer about an id that names no batch: no error, as with jobs."""
    return {"Response": {"RequestId": request_id, "NonExistJobId": batch_id}}


def batch_list(
    request_id: str, details: Sequence[BatchDetail], *, next_token: str, zone: tzinfo = CHINA_STANDARD_TIME
) -> dict[str, Tree]:
    """Build a page of batches."""
    entries: list[Tree] = [_detail(detail, zone) for detail in details]
    return {"Response": {"RequestId": request_id, "JobsDetail": entries, "NextToken": next_token}}


def _detail(detail: BatchDetail, zone: tzinfo) -> Tree:
    return {
        "Code": detail.code,
        "Type": detail.kind,
        "Message": detail.message,
        "Name": detail.name,
        "JobId": detail.batch_id,
        "State": detail.state,
        "CreationTime": format_time(detail.create_time, zone),
        "StartTime": format_time(detail.start_time, zone),
        "EndTime": format_time(detail.end_time, zone),
        "Input": detail.input_tree,
        "Operation": detail.operation_tree,
    }


def _source(fields: Fields) -> tuple[BatchSource, str]:
    named = [name for name in _SOURCES if name in fields.names()]
    given = [name for name in named if fields.text(name)] or named  # an empty Prefix alone means every key
    if len(given) != 1:
        raise BadParameter(f"{fields.path} has {len(given)} of {', '.join(_SOURCES)}; give exactly one")
    name = given[0]
    if name == "Prefix":
        return "Prefix", (fields.text(name) or "").removeprefix("/")
    key = fields.required_text(name).removeprefix("/")
    fault = key_fault(key)
    if fault is not None:
        raise BadParameter(f"{fields.path_of(name)} cannot name an object: {fault}")
    return name, key


def _window(operation: Fields, source: BatchSource) -> tuple[datetime | None, datetime | None]:
    interval = operation.child("TimeInterval")
    if interval is None:
        return None, None
    since, until = _moment(interval, "Start"), _moment(interval, "End")
    if since is not None and until is not None and since > until:
        raise BadParameter(f"{interval.path} ends before it starts; exchange Start and End")
    if source != "Prefix":
        return None, None  # the vendor's own examples send one with a manifest, where it means nothing
    return since, until


def _moment(fields: Fields, name: str) -> datetime | None:
    text = fields.text(name)
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()):
        return datetime.fromtimestamp(int(text), UTC)
    try:
        return parse_time(text)
    except BadParameter as error:
        raise BadParameter(f"{fields.path_of(name)}: {error.public}") from error


def _workflow_ids(operation: Fields) -> tuple[str, ...]:
    words = [word.strip() for word in (operation.text("WorkflowIds") or "").split(",")]
    ids = tuple(dict.fromkeys(word for word in words if word))
    if len(ids) > MAX_WORKFLOWS:
        raise BadParameter(f"{operation.path_of('WorkflowIds')} names {len(ids)}; give at most {MAX_WORKFLOWS}")
    return ids


def _operation(fields: Fields) -> OperationRequest:
    tag = fields.text("Tag")
    if tag is None or tag.strip() != TAG:
        raise BadParameter(f"{fields.path_of('Tag')} is {shown(tag or '')}; only {TAG} is done here")
    for name in ("SmartCover", "TemplateId"):
        if fields.tree.get(name):  # where a job has it; left unread it would be missed in every cover of the batch
            raise BadParameter(f"{fields.path_of(name)} has no effect in a batch; put it into {fields.path}.JobParam")
    params_fields = fields.child("JobParam")
    cover = None if params_fields is None else params_fields.child("SmartCover")
    params = None if cover is None else SmartCoverParams.read(cover)
    template_id = None if params_fields is None else read_word(params_fields, "TemplateId")
    output = read_output(fields)
    if template_id is None:
        count = (params or SmartCoverParams()).count
        check_placeholders(count, output.object, fields.path_of("Output.Object"))
    level = fields.integer("JobLevel", JOB_LEVELS[0], JOB_LEVELS[-1])
    return OperationRequest(
        tag=TAG,
        smart_cover=params,
        output=output,
        user_data=fields.printable_ascii("UserData", MAX_USER_DATA_CHARACTERS),
        job_level=level or 0,
        job_level_sent=level is not None,
        template_id=template_id,
    )

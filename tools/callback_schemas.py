"""
The formal description of both callbacks, made from the models that the server writes and the receiver reads with.

One tree says where on the wire each field of a model stands; `schemas` writes it as an XSD, as JSON Schemas and as
an OpenAPI document of webhooks. A field of a model that stands nowhere fails the making, so none is forgotten.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from lxml import etree
from pydantic import BaseModel

from smartcover.protocol import (
    CosHeader,
    JobInput,
    JobsDetail,
    Md5Info,
    OperationDetail,
    Output,
    SmartCoverParams,
    WorkflowRef,
)
from smartcover.receiver import TaskFinish, WorkflowFinish, WorkflowTask

XS: Final = "http://www.w3.org/2001/XMLSchema"
_TIME: Final = r"-|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}[+\-][0-9]{4}"
_NUMBER: Final = r"[0-9]{1,9}"

#: Fields that no callback of ours shows, with the reason.
NOT_WRITTEN: Final[Mapping[tuple[str, str], str]] = {
    ("JobsDetail", "multi"): "a mark of answers",
    ("JobsDetail", "progress"): "read from other senders only",
}

Kind = Literal["text", "time", "number", "empty"]


@dataclass(frozen=True, slots=True)
class Node:
    """
    A node of the wire: a leaf that holds a field, or a container.

    Args:
        field: (model, field) that a leaf holds, or that a repeated or single container fills.
        least: 0 when the node may be missing in XML; in JSON a node that may be empty is missing then.
        filled: Whether it is never empty.
        many: Whether it repeats.
        fixed: The one word that it holds.
        counts: Whether it counts other nodes, and holds no field therefore.
    """

    name: str
    field: tuple[type[BaseModel], str] | None = None
    children: tuple[Node, ...] | None = None
    least: int = 1
    filled: bool = False
    many: bool = False
    fixed: str | None = None
    counts: bool = False

    @property
    def kind(self) -> Kind:
        """What a leaf holds, by the annotation of its field."""
        if self.field is None:
            return "number" if self.counts else "empty"
        model, name = self.field
        held = set(_scalars(model.model_fields[name].annotation))
        return "time" if datetime in held else "number" if int in held else "text"


def _scalars(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, tuple, typing.Annotated):
        for part in typing.get_args(annotation):
            yield from _scalars(part)
    else:
        yield annotation


def _leaf(name: str, model: type[BaseModel], field: str, **more: Any) -> Node:
    return Node(name, (model, field), **more)


_HEADERS: Final = (_leaf("Key", CosHeader, "key", filled=True), _leaf("Value", CosHeader, "value"))

_SMART_COVER: Final = tuple(
    Node(name, (SmartCoverParams, "sent"), least=0)
    for name in ("Count", "DeleteDuplicates", "Format", "Height", "Width")
)

_OPERATION: Final = (
    Node(
        "MediaInfo",
        children=(Node("Format"), Node("Stream", children=(Node("Audio"), Node("Subtitle"), Node("Video")))),
        least=0,
    ),
    Node(
        "MediaResult",
        children=(
            Node(
                "OutputFile",
                children=(
                    _leaf("Bucket", OperationDetail, "output_bucket"),
                    Node(
                        "Md5Info",
                        (OperationDetail, "md5s"),
                        (
                            _leaf("Md5", Md5Info, "md5", least=0, filled=True),
                            _leaf("ObjectName", Md5Info, "object_name", least=0, filled=True),
                        ),
                        least=0,
                        many=True,
                    ),
                    _leaf("ObjectName", OperationDetail, "object_names", filled=True, many=True),
                    Node("ObjectPrefix"),
                    _leaf("Region", OperationDetail, "output_region"),
                ),
            ),
        ),
        least=0,
    ),
    Node(
        "Output",
        (OperationDetail, "output"),
        (_leaf("Bucket", Output, "bucket"), _leaf("Object", Output, "object"), _leaf("Region", Output, "region")),
    ),
    Node("SmartCover", (OperationDetail, "smart_cover"), _SMART_COVER, least=0),
    _leaf("TemplateId", OperationDetail, "template_id", least=0),
    _leaf("TemplateName", OperationDetail, "template_name", least=0),
    _leaf("UserData", OperationDetail, "user_data", least=0),
    _leaf("JobLevel", OperationDetail, "job_level", least=0, filled=True),
)

TASK_FINISH: Final = Node(
    "Response",
    children=(
        Node("EventName", (TaskFinish, "event_name"), fixed="TaskFinish", filled=True),
        Node(
            "JobsDetail",
            (TaskFinish, "jobs_detail"),
            (
                _leaf("Code", JobsDetail, "code", filled=True),
                _leaf("CreationTime", JobsDetail, "creation_time", filled=True),
                _leaf("EndTime", JobsDetail, "end_time", filled=True),
                Node(
                    "Input",
                    (JobsDetail, "input"),
                    (
                        _leaf("BucketId", JobInput, "bucket_id"),
                        _leaf("Object", JobInput, "object"),
                        _leaf("Region", JobInput, "region"),
                        Node("CosHeaders", (JobInput, "cos_headers"), _HEADERS, least=0, many=True),
                    ),
                ),
                _leaf("JobId", JobsDetail, "job_id", filled=True),
                _leaf("Message", JobsDetail, "message"),
                Node("Operation", (JobsDetail, "operation"), _OPERATION),
                _leaf("QueueId", JobsDetail, "queue_id"),
                _leaf("StartTime", JobsDetail, "start_time", filled=True),
                _leaf("State", JobsDetail, "state", filled=True),
                _leaf("Tag", JobsDetail, "tag", filled=True),
                Node(
                    "Workflow",
                    (JobsDetail, "workflow"),
                    (
                        _leaf("Name", WorkflowRef, "name"),
                        _leaf("RunId", WorkflowRef, "run_id"),
                        _leaf("WorkflowId", WorkflowRef, "workflow_id"),
                        _leaf("WorkflowName", WorkflowRef, "workflow_name"),
                    ),
                    least=0,
                ),
            ),
            filled=True,
        ),
    ),
)

WORKFLOW_FINISH: Final = Node(
    "Response",
    children=(
        Node("EventName", (WorkflowFinish, "event_name"), fixed="WorkflowFinish", filled=True),
        Node(
            "WorkflowExecution",
            children=(
                _leaf("WorkflowId", WorkflowFinish, "workflow_id"),
                _leaf("WorkflowName", WorkflowFinish, "workflow_name"),
                _leaf("RunId", WorkflowFinish, "run_id", filled=True),
                _leaf("State", WorkflowFinish, "state", filled=True),
                _leaf("BucketId", WorkflowFinish, "bucket_id"),
                _leaf("Object", WorkflowFinish, "object"),
                _leaf("CreateTime", WorkflowFinish, "create_time", filled=True),
                Node("CosHeaders", (WorkflowFinish, "cos_headers"), _HEADERS, least=0, many=True),
                Node(
                    "Tasks",
                    (WorkflowFinish, "tasks"),
                    (
                        _leaf("Type", WorkflowTask, "type", filled=True),
                        _leaf("CreateTime", WorkflowTask, "create_time", filled=True),
                        _leaf("StartTime", WorkflowTask, "start_time", filled=True),
                        _leaf("EndTime", WorkflowTask, "end_time", filled=True),
                        _leaf("State", WorkflowTask, "state", filled=True),
                        _leaf("JobId", WorkflowTask, "job_id"),
                        _leaf("Name", WorkflowTask, "name"),
                        _leaf("TemplateId", WorkflowTask, "template_id", least=0),
                        _leaf("TemplateName", WorkflowTask, "template_name", least=0),
                        Node(
                            "ResultInfo",
                            children=(
                                Node("ObjectCount", counts=True, filled=True),
                                Node(
                                    "ObjectInfo",
                                    children=(
                                        _leaf("ObjectName", WorkflowTask, "object_names", filled=True),
                                        Node("Code", (WorkflowTask, "code"), filled=True),
                                    ),
                                    many=True,
                                ),
                            ),
                            least=0,
                        ),
                        _leaf("Code", WorkflowTask, "code", least=0, filled=True),
                        _leaf("Message", WorkflowTask, "message", least=0),
                    ),
                    least=0,
                    many=True,
                ),
            ),
            filled=True,
        ),
    ),
)

MODELS: Final = (
    TaskFinish,
    WorkflowFinish,
    WorkflowTask,
    JobsDetail,
    JobInput,
    OperationDetail,
    Output,
    SmartCoverParams,
    Md5Info,
    CosHeader,
    WorkflowRef,
)


def schemas() -> Mapping[str, str]:
    """
    Make every file of docs/schemas: name to text.

    Raises:
        ValueError: If a field of a model has no place in the tree.
    """
    check_complete()
    return {
        "schemas/callbacks.xsd": xsd(),
        "schemas/task-finish.schema.json": _json(json_schema(TASK_FINISH, "TaskFinish")),
        "schemas/workflow-finish.schema.json": _json(json_schema(WORKFLOW_FINISH, "WorkflowFinish")),
        "schemas/webhooks.openapi.json": _json(openapi()),
    }


def check_complete() -> None:
    """Hold the tree against the models."""
    placed = {
        (node.field[0].__name__, node.field[1])
        for tree in (TASK_FINISH, WORKFLOW_FINISH)
        for node in _walk(tree)
        if node.field is not None
    }
    missing = {(model.__name__, field) for model in MODELS for field in model.model_fields} - placed - set(NOT_WRITTEN)
    if missing:
        raise ValueError(f"tools/callback_schemas.py says nothing of {sorted(missing)}")


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children or ():
        yield from _walk(child)


def xsd() -> str:
    """Write the XSD of both callbacks; they share the root, so what it holds is a choice."""
    root = etree.Element(f"{{{XS}}}schema", nsmap={"xs": XS})
    root.addprevious(etree.Comment(" Made by `make docs`. The callbacks of smartcover, as XML. "))
    _restricted(root, "Filled", "xs:minLength", "1")
    _restricted(root, "Time", "xs:pattern", _TIME)
    _restricted(root, "Number", "xs:pattern", _NUMBER)
    _restricted(root, "Empty", "xs:maxLength", "0")
    response = _sub(root, "xs:element", name="Response")
    sequence = _sub(_sub(response, "xs:complexType"), "xs:sequence")
    event = _sub(sequence, "xs:element", name="EventName")
    words = _sub(_sub(event, "xs:simpleType"), "xs:restriction", base="xs:string")
    # Both have one root, and XSD cannot tie the event's word to what follows: the JSON Schemas and the receiver do.
    choice = _sub(sequence, "xs:choice")
    for tree in (TASK_FINISH, WORKFLOW_FINISH):
        name, content = tree.children or ()
        _sub(words, "xs:enumeration", value=name.fixed or "")
        _element(choice, content)
    return etree.tostring(root.getroottree(), pretty_print=True, encoding="unicode")


def _sub(parent: Any, tag: str, **attributes: str) -> Any:
    return etree.SubElement(parent, f"{{{XS}}}{tag.removeprefix('xs:')}", attributes)


def _restricted(parent: Any, name: str, facet: str, value: str) -> None:
    kind = _sub(parent, "xs:simpleType", name=name)
    _sub(_sub(kind, "xs:restriction", base="xs:string"), facet, value=value)


def _element(parent: Any, node: Node) -> None:
    attributes = {"name": node.name}
    if node.least == 0:
        attributes["minOccurs"] = "0"
    if node.many:
        attributes["maxOccurs"] = "unbounded"
    if node.children is None:
        kinds = {"time": "Time", "number": "Number", "empty": "Empty"}
        attributes["type"] = kinds.get(node.kind, "Filled" if node.filled else "xs:string")
        _sub(parent, "xs:element", **attributes)
        return
    element = _sub(parent, "xs:element", **attributes)
    sequence = _sub(_sub(element, "xs:complexType"), "xs:sequence")
    for child in node.children:
        _element(sequence, child)


def json_schema(tree: Node, title: str) -> dict[str, Any]:
    """
    Write the JSON Schema of one callback.

    A scalar is a string, a repeated node an array, and a node that is empty in XML is missing. Unknown nodes are
    allowed: a later version may add some.
    """
    schema = _object(tree)
    detail = schema["properties"].get("JobsDetail")
    if detail is not None:
        one_in_array = {"type": "array", "items": detail, "minItems": 1, "maxItems": 1}
        schema["properties"]["JobsDetail"] = {"anyOf": [detail, one_in_array]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


def _object(node: Node) -> dict[str, Any]:
    children = [child for child in node.children or () if child.kind != "empty" or child.children is not None]
    # A container stays although it is empty; a text that may be empty may be missing.
    required = [child.name for child in children if child.least and (child.filled or child.children is not None)]
    properties = {child.name: _value(child) for child in children}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    return schema


def _value(node: Node) -> dict[str, Any]:
    value = _object(node) if node.children is not None else _scalar(node)
    return {"type": "array", "items": value} if node.many else value


def _scalar(node: Node) -> dict[str, Any]:
    if node.fixed is not None:
        return {"const": node.fixed}
    pattern = {"time": _TIME, "number": _NUMBER}.get(node.kind)
    if pattern is not None:
        return {"type": "string", "pattern": f"^(?:{pattern})$".replace(r"\-", "-")}
    return {"type": "string", "minLength": 1} if node.filled else {"type": "string"}


def openapi() -> dict[str, Any]:
    """Write the OpenAPI 3.1 document of what a receiver is sent and what its answers mean."""
    header = {"in": "header", "schema": {"type": "string"}}
    signed = "only when the server has a signing secret"
    parameters = [
        {**header, "name": "webhook-id", "required": True, "description": "The delivery; the same on every try."},
        {**header, "name": "webhook-timestamp", "description": f"Seconds since 1970 of this try; {signed}."},
        {**header, "name": "webhook-signature", "description": f"`v1,` and base64, one or several; {signed}."},
    ]
    responses = {
        "2XX": {"description": "Delivered."},
        "410": {"description": "The receiver wants no more tries of this delivery."},
        "429": {"description": "Tried again later; Retry-After may stretch the wait to twice the schedule's step."},
        "default": {"description": "Tried again later. Redirects are not followed."},
    }
    trees = {"TaskFinish": TASK_FINISH, "WorkflowFinish": WORKFLOW_FINISH}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Callbacks of smartcover",
            "version": "1",
            "description": "Sent at least once and in no order; XML bodies are described by callbacks.xsd.",
        },
        "webhooks": {
            name[0].lower() + name[1:]: {
                "post": {
                    "operationId": f"receive{name}",
                    "summary": "A job has ended." if name == "TaskFinish" else "A workflow run has ended.",
                    "parameters": parameters,
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/xml": {"schema": {"type": "string", "description": "See callbacks.xsd."}},
                            "application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}},
                        },
                    },
                    "responses": responses,
                }
            }
            for name in trees
        },
        "components": {
            "schemas": {
                name: {key: value for key, value in json_schema(tree, name).items() if key != "$schema"}
                for name, tree in trees.items()
            }
        },
    }


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

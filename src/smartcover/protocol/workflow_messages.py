"""
Workflows on the wire: what a client defines, read into typed values and refused where we would not keep the promise.

A definition is kept as the tree that was sent, because it is echoed so; `read_topology` gives its meaning. The only
topology done here is Start → SmartCover nodes → End; every refusal names the node.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from smartcover.errors import BadParameter, MalformedBody, MissingBody
from smartcover.protocol.ext_filter import ExtFilter
from smartcover.protocol.fields import Fields, shown
from smartcover.protocol.job_request import (
    check_placeholders,
    check_url,
    read_message_queue,
    read_output,
    read_word,
)
from smartcover.protocol.messages import (
    CALLBACK_FORMATS,
    CALLBACK_TYPES,
    JOB_LEVELS,
    MAX_USER_DATA_CHARACTERS,
    TAG,
    CallbackFormat,
    CallbackType,
    Message,
    MessageQueueTarget,
    Output,
    SmartCoverParams,
)
from smartcover.protocol.names import expand_name
from smartcover.protocol.xml_codec import MAX_BODY_BYTES, Tree, parse_xml

TASK_FINISH: Final = "TaskFinish"
WORKFLOW_FINISH: Final = "WorkflowFinish"
#: Words of `NotifyConfig.Event`; the last is the name that older pages give TaskFinish.
_EVENTS: Final = {"taskfinish": TASK_FINISH, "workflowfinish": WORKFLOW_FINISH, "transcodingfinish": TASK_FINISH}

ACTIVE: Final = "Active"
PAUSED_WORKFLOW: Final = "Paused"
MAX_COVER_NODES: Final = 16
_NAME: Final = re.compile(r"[\w\-—]{1,128}")
_COVER_NODE: Final = re.compile(r"SmartCover\w{0,100}", re.ASCII)
_START, _END = "Start", "End"


class NotifyRequest(Message):
    """
    `NotifyConfig` of a workflow: where its runs and their jobs report.

    `on` is false when State says Off: then nothing is reported, also not to the queue's address.
    """

    on: bool
    url: str | None = None
    type: CallbackType = "Url"
    mq: MessageQueueTarget | None = None
    format: CallbackFormat = "XML"
    events: tuple[str, ...] = (TASK_FINISH, WORKFLOW_FINISH)


class CoverNode(Message):
    """One SmartCover node: what a run does with its object. A `template_id` goes before `smart_cover`."""

    name: str
    smart_cover: SmartCoverParams | None = None
    template_id: str | None = None
    output: Output
    user_data: str | None = None
    job_level: int = 0
    job_level_sent: bool = False


class Topology(Message):
    """What a workflow reacts to and does. `object_prefix` has no leading slash; empty it means every key."""

    queue_id: str | None
    object_prefix: str
    ext_filter: ExtFilter
    notify: NotifyRequest | None
    nodes: tuple[CoverNode, ...]


@dataclass(frozen=True, slots=True)
class WorkflowRequest:
    """A workflow as a client defines it; `tree` is the Topology node as sent."""

    name: str
    state: Literal["Active", "Paused"]
    tree: dict[str, Tree]
    topology: Topology


def parse_workflow(body: bytes, *, max_bytes: int = MAX_BODY_BYTES) -> WorkflowRequest:
    """
    Read the body of a create or an update.

    Raises:
        MissingBody: If the body is empty.
        MalformedBody: If it is not XML with the root `Request`, or too large.
        BadParameter: If a node is missing, out of range, or not done here; the text names it.
    """
    if not body.strip():
        raise MissingBody
    [(root, tree)] = parse_xml(body, max_bytes=max_bytes).items()
    if root != "Request":
        raise MalformedBody(f"The root node is {shown(root)}; it must be Request")
    workflow = Fields(tree if isinstance(tree, dict) else {}, "").required_child("MediaWorkflow")
    name = workflow.required_text("Name").strip()
    if _NAME.fullmatch(name) is None:
        raise BadParameter(
            f"{workflow.path_of('Name')} is {shown(name)}; give at most 128 letters, digits, '-', '—' and '_'"
        )
    state: Literal["Active", "Paused"] = workflow.choice("State", ("Active", "Paused")) or "Paused"
    topology_tree = workflow.required_child("Topology").tree
    return WorkflowRequest(name=name, state=state, tree=topology_tree, topology=read_topology(topology_tree))


def read_topology(tree: dict[str, Tree]) -> Topology:
    """
    Read a Topology node.

    Raises:
        BadParameter: As `parse_workflow` does.
    """
    topology = Fields(tree, "Topology")
    nodes = topology.required_child("Nodes")
    names = [name for name in nodes.names() if name not in (_START, _END)]
    for name in names:
        _check_node(nodes, name)
    if not names:
        raise BadParameter(f"{nodes.path} has no {TAG} node; give at least one, such as {TAG}_1")
    if len(names) > MAX_COVER_NODES:
        raise BadParameter(f"{nodes.path} has {len(names)} {TAG} nodes; give at most {MAX_COVER_NODES}")
    _check_dependencies(topology.required_child("Dependencies"), names)
    start = nodes.required_child(_START)
    start.choice("Type", (_START,))
    source = start.required_child("Input")
    if "ObjectPrefix" not in source.names():
        raise BadParameter(f"{source.path_of('ObjectPrefix')} is missing; give a prefix of keys, or / for all")
    sampling = source.child("SamplingConfig")
    if sampling is not None and sampling.choice("State", ("On", "Off")) == "On":
        raise BadParameter(f"{sampling.path} is On, and sampling is not done here; leave it out")
    ext_filter = source.child("ExtFilter")
    return Topology(
        queue_id=read_word(source, "QueueId"),
        object_prefix=(source.text("ObjectPrefix") or "").removeprefix("/"),
        ext_filter=ExtFilter() if ext_filter is None else ExtFilter.read(ext_filter),
        notify=_notify(source.child("NotifyConfig")),
        nodes=tuple(_cover_node(nodes.required_child(name), name) for name in names),
    )


def feeds_itself(topology: Topology, bucket: str) -> str | None:
    """
    Name the node whose covers would be inputs of the same workflow, were they not recognised; None without one.

    That takes an output in the workflow's own bucket, under its prefix, with an extension that its filter accepts.
    """
    for node in topology.nodes:
        pattern = node.output.object.lstrip("/")
        head, placeholder, _ = pattern.partition("${")
        prefix = topology.object_prefix
        under = head.startswith(prefix) or (bool(placeholder) and prefix.startswith(head))
        extension = (node.smart_cover or SmartCoverParams()).format
        sample = expand_name(
            pattern,
            number=0,
            ext=extension,
            job_id="j",
            run_id="i",
            input_key=f"{prefix}video.mp4",
        )
        accepted = topology.ext_filter.accepts(sample, f"image/{extension}")
        if node.output.bucket == bucket and under and accepted:
            return node.name
    return None


def _check_node(nodes: Fields, name: str) -> None:
    kind = nodes.required_child(name).text("Type")
    path = nodes.path_of(name)
    if kind is not None and kind.strip().lower() != TAG.lower():
        raise BadParameter(f"{path}.Type is {shown(kind)}; only {TAG} nodes between Start and End are done here")
    if kind is None or _COVER_NODE.fullmatch(name) is None:
        raise BadParameter(f"{path} is no {TAG} node; name it {TAG}_… and give it the Type {TAG}")


def _check_dependencies(dependencies: Fields, names: list[str]) -> None:
    """Hold the arrows against the one form done here: Start to every node, every node to End."""
    for name in dependencies.names():
        if name not in (_START, *names):
            raise BadParameter(f"{dependencies.path_of(name)} is no node of Topology.Nodes; leave it out or add it")
    reached = _successors(dependencies, _START)
    for name in reached:
        if name not in names:
            raise BadParameter(f"{dependencies.path_of(_START)} names {shown(name)}, which is no {TAG} node")
    for name in names:
        if name not in reached:
            raise BadParameter(f"Topology.Nodes.{name} is not reached from Start; name it in Dependencies.Start")
        followers = _successors(dependencies, name)
        if followers != [_END]:
            raise BadParameter(
                f"{dependencies.path_of(name)} is {shown(','.join(followers))}; only End may follow a {TAG} node here"
            )


def _successors(dependencies: Fields, name: str) -> list[str]:
    words = [word.strip() for word in dependencies.required_text(name).split(",")]
    return list(dict.fromkeys(word for word in words if word))


def _notify(fields: Fields | None) -> NotifyRequest | None:
    if fields is None or not any(fields.names()):
        return None
    url = fields.text("Url")
    url = url.strip() if url else None
    state = fields.choice("State", ("On", "Off"))
    if state == "Off":
        return NotifyRequest(on=False)
    if state is None and not url and fields.text("Type") is None:
        return None
    kind = fields.choice("Type", CALLBACK_TYPES) or "Url"
    if kind == "Url":
        if not url:
            raise BadParameter(f"{fields.path_of('Url')} is missing or empty; give the address of the receiver")
        check_url(url, fields.path_of("Url"))
    return NotifyRequest(
        on=True,
        url=url,
        type=kind,
        mq=read_message_queue(fields) if kind == "TDMQ" else None,
        format=fields.choice("ResultFormat", CALLBACK_FORMATS) or "XML",
        events=_events(fields),
    )


def _events(fields: Fields) -> tuple[str, ...]:
    text = fields.text("Event")
    words = [word.strip() for word in (text or f"{TASK_FINISH},{WORKFLOW_FINISH}").split(",") if word.strip()]
    unknown = [word for word in words if word.lower() not in _EVENTS]
    if unknown:
        raise BadParameter(
            f"{fields.path_of('Event')} holds {shown(unknown[0])}; give {TASK_FINISH}, {WORKFLOW_FINISH} or both"
        )
    return tuple(dict.fromkeys(_EVENTS[word.lower()] for word in words))


def _cover_node(fields: Fields, name: str) -> CoverNode:
    operation = fields.required_child("Operation")
    cover = operation.child("SmartCover")
    params = None if cover is None else SmartCoverParams.read(cover)
    template_id = read_word(operation, "TemplateId")
    output = read_output(operation)
    if template_id is None:
        count = (params or SmartCoverParams()).count
        check_placeholders(count, output.object, operation.path_of("Output.Object"))
    level = operation.integer("JobLevel", JOB_LEVELS[0], JOB_LEVELS[-1])
    return CoverNode(
        name=name,
        smart_cover=params,
        template_id=template_id,
        output=output,
        user_data=operation.printable_ascii("UserData", MAX_USER_DATA_CHARACTERS),
        job_level=level or 0,
        job_level_sent=level is not None,
    )

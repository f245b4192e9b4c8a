"""Reading a workflow: what is done here is read, anything else is refused with the name of its node."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import BadParameter, RequestError
from smartcover.protocol import ExtFilter, Fields, Tree, extension_of, feeds_itself, parse_workflow, to_xml

BUCKET = "test-1250000000"


def node(**operation: Any) -> dict[str, Tree]:
    output: dict[str, Tree] = {"Region": "r", "Bucket": BUCKET, "Object": "out/${RunId}/${Number}.jpg"}
    return {"Type": "SmartCover", "Operation": {"Output": output, **operation}}


def body(**changes: Any) -> bytes:
    """Write a good workflow, with nodes replaced by path: `Start__Input__ObjectPrefix="x"`; None takes one out."""
    start: dict[str, Tree] = {"Type": "Start", "Input": {"QueueId": "p1", "ObjectPrefix": "/in/"}}
    workflow: dict[str, Any] = {
        "Name": "demo",
        "Topology": {
            "Dependencies": {"Start": "SmartCover_1", "SmartCover_1": "End"},
            "Nodes": {"Start": start, "SmartCover_1": node()},
        },
    }
    for path, value in changes.items():
        *steps, last = path.split("__")
        place = workflow
        for step in steps:
            place = place.setdefault(step, {})
        if value is None:
            del place[last]
        else:
            place[last] = value
    return to_xml({"Request": {"MediaWorkflow": workflow}})


NODES, INPUT = "Topology__Nodes__", "Topology__Nodes__Start__Input__"


def test_a_workflow_is_read() -> None:
    read = parse_workflow(body())
    assert (read.name, read.state, read.topology.object_prefix, read.topology.queue_id) == (
        "demo",
        "Paused",
        "in/",
        "p1",
    )
    assert [entry.name for entry in read.topology.nodes] == ["SmartCover_1"]
    assert read.topology.notify is None
    assert read.tree["Dependencies"] == {"Start": "SmartCover_1", "SmartCover_1": "End"}


def test_several_nodes_start_side_by_side() -> None:
    changes = {
        "Topology__Dependencies": {"Start": "SmartCover_1, SmartCover_b", "SmartCover_b": "End", "SmartCover_1": "End"},
        f"{NODES}SmartCover_b": node(UserData="u", JobLevel="2", TemplateId="t1"),
    }
    first, second = parse_workflow(body(**changes)).topology.nodes
    assert (first.name, first.smart_cover, first.template_id) == ("SmartCover_1", None, None)
    assert (second.user_data, second.job_level, second.template_id) == ("u", 2, "t1")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"Name": ""}, "MediaWorkflow.Name"),
        ({"Name": "no spaces"}, "MediaWorkflow.Name"),
        ({"Name": "x" * 129}, "MediaWorkflow.Name"),
        ({"State": "Off"}, "MediaWorkflow.State"),
        ({"Topology": None}, "Topology"),
        ({f"{NODES}SmartCover_1": None}, "Topology.Nodes"),
        ({f"{NODES}Snapshot_1": {"Type": "Snapshot"}}, "Topology.Nodes.Snapshot_1"),
        ({f"{NODES}Cover": node()}, "Topology.Nodes.Cover"),
        ({f"{NODES}SmartCover_2": node()}, "Topology.Nodes.SmartCover_2"),
        ({"Topology__Dependencies__SmartCover_1": "SmartCover_1"}, "Topology.Dependencies.SmartCover_1"),
        ({"Topology__Dependencies__SmartCover_1": None}, "Topology.Dependencies.SmartCover_1"),
        ({"Topology__Dependencies__Start": "SmartCover_1,Gone"}, "Gone"),
        ({"Topology__Dependencies__Other": "End"}, "Topology.Dependencies.Other"),
        ({f"{INPUT}ObjectPrefix": None}, "Topology.Nodes.Start.Input.ObjectPrefix"),
        ({f"{INPUT}SamplingConfig": {"State": "On"}}, "SamplingConfig"),
        ({f"{INPUT}NotifyConfig": {"State": "On"}}, "NotifyConfig.Url"),
        ({f"{INPUT}NotifyConfig": {"Url": "ftp://x"}}, "NotifyConfig.Url"),
        ({f"{INPUT}NotifyConfig": {"Url": "http://x", "Event": "Nothing"}}, "NotifyConfig.Event"),
        ({f"{INPUT}ExtFilter": {"State": "On", "Video": "yes"}}, "ExtFilter.Video"),
        ({f"{INPUT}ExtFilter": {"State": "On", "Custom": "true"}}, "ExtFilter.CustomExts"),
        ({f"{INPUT}ExtFilter": {"State": "On", "Custom": "true", "CustomExts": "/".join("abcdefghijk")}}, "CustomExts"),
        ({f"{NODES}SmartCover_1__Operation__Output": None}, "SmartCover_1.Operation.Output"),
        ({f"{NODES}SmartCover_1__Operation__Output__Object": "one.jpg"}, "SmartCover_1.Operation.Output.Object"),
        ({f"{NODES}SmartCover_1__Operation__SmartCover": {"Count": "11"}}, "SmartCover_1.Operation.SmartCover.Count"),
        ({f"{NODES}SmartCover_1__Operation__UserData": "中"}, "SmartCover_1.Operation.UserData"),
    ],
)
def test_what_is_not_done_here_is_refused_by_its_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BadParameter) as refused:
        parse_workflow(body(**changes))
    assert named in refused.value.public


def test_a_repeated_name_in_dependencies_is_refused() -> None:
    twice = body().replace(b"<SmartCover_1>End</SmartCover_1>", b"<SmartCover_1>End</SmartCover_1>" * 2)
    with pytest.raises(BadParameter, match="given 2 times"):
        parse_workflow(twice)


@pytest.mark.parametrize(
    ("config", "on", "events"),
    [
        ({"Url": "http://r/cb", "Event": "TaskFinish"}, True, ("TaskFinish",)),
        ({"Url": "http://r/cb"}, True, ("TaskFinish", "WorkflowFinish")),
        ({"State": "on", "Url": "http://r/cb", "Event": "workflowfinish"}, True, ("WorkflowFinish",)),
        ({"Url": "http://r/cb", "Event": "TransCodingFinish,TaskFinish"}, True, ("TaskFinish",)),
    ],
)
def test_an_address_without_a_state_is_switched_on(config: dict[str, Tree], on: bool, events: tuple[str, ...]) -> None:
    notify = parse_workflow(body(**{f"{INPUT}NotifyConfig": config})).topology.notify
    assert notify is not None
    assert (notify.on, notify.events, notify.format) == (on, events, "XML")


def test_notifying_may_be_switched_off_or_left_to_the_queue() -> None:
    off = parse_workflow(body(**{f"{INPUT}NotifyConfig": {"State": "Off", "Url": "http://r/"}})).topology.notify
    assert off is not None
    assert not off.on
    assert parse_workflow(body(**{f"{INPUT}NotifyConfig": ""})).topology.notify is None


def accepts(key: str, content_type: str = "", **flags: str) -> bool:
    return ExtFilter.read(Fields(dict(flags), "ExtFilter")).accepts(key, content_type)


@pytest.mark.parametrize(
    ("flags", "key", "content_type", "accepted"),
    [
        ({}, "a.MP4", "", True),
        ({}, "a.txt", "video/mp4", False),
        ({}, "mp4", "", False),
        ({}, "dir.mp4/name", "", False),
        ({"State": "Off", "AllFile": "true"}, "a.txt", "", False),
        ({"State": "on"}, "a.mov", "", True),
        ({"State": "On", "Audio": "TRUE"}, "a.mp3", "", True),
        ({"State": "On", "Audio": "true"}, "a.mp4", "", False),
        ({"State": "On", "Image": "true"}, "a.JPG", "", True),
        ({"State": "On", "AllFile": "true"}, "anything", "", True),
        ({"State": "On", "AllFile": "true"}, "folder/", "", False),
        ({"State": "On", "Custom": "true", "CustomExts": "mp4/.MXF"}, "a.mxf", "", True),
        ({"State": "On", "Custom": "true", "CustomExts": "mxf"}, "a.mp4", "", False),
        ({"State": "On", "Custom": "false", "CustomExts": "mxf"}, "a.mxf", "", False),
        ({"State": "On", "ContentType": "true"}, "no-extension", "video/mp4", True),
        ({"State": "On", "ContentType": "true"}, "no-extension", "text/plain", False),
    ],
)
def test_the_filter_takes_what_it_says(flags: dict[str, str], key: str, content_type: str, accepted: bool) -> None:
    assert accepts(key, content_type, **flags) is accepted


def test_an_extension_is_what_follows_the_last_dot_of_the_name() -> None:
    assert [extension_of(key) for key in ("a/b.tar.GZ", "a.b/c", ".mp4", "x.", "")] == ["gz", "", "", "", ""]


@pytest.mark.parametrize(
    ("prefix", "pattern", "ext_filter", "loops"),
    [
        ("in/", "out/${Number}.jpg", {"State": "On", "AllFile": "true"}, False),
        ("in/", "in/covers/${Number}.jpg", {"State": "On", "AllFile": "true"}, True),
        ("in/", "in/covers/${Number}.jpg", {"State": "On", "Image": "true"}, True),
        ("in/", "in/covers/${Number}.jpg", {}, False),
        ("", "${Number}.jpg", {"State": "On", "Custom": "true", "CustomExts": "jpg"}, True),
        ("in/", "${InputPath}/${Number}.${Ext}", {"State": "On", "AllFile": "true"}, True),
    ],
)
def test_a_workflow_that_would_feed_itself_is_seen(
    prefix: str, pattern: str, ext_filter: dict[str, Tree], loops: bool
) -> None:
    changes: dict[str, Any] = {f"{INPUT}ObjectPrefix": prefix, f"{INPUT}ExtFilter": ext_filter}
    changes[f"{NODES}SmartCover_1__Operation__Output__Object"] = pattern
    topology = parse_workflow(body(**changes)).topology
    assert feeds_itself(topology, BUCKET) == ("SmartCover_1" if loops else None)
    assert feeds_itself(topology, "other-1") is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_workflow_or_a_refusal(data: bytes) -> None:
    try:
        parse_workflow(data)
    except RequestError:
        return


TEXTS = st.sampled_from(["", "Start", "End", "SmartCover_1", "On", "true", "x,y", "${Number}.jpg", "http://r/"])
WORDS = ("Name", "Topology", "Dependencies", "Nodes", "Start", "SmartCover_1", "Type", "Input", "Operation", "Output")
MORE_WORDS = ("ObjectPrefix", "NotifyConfig", "ExtFilter", "State", "Object", "Bucket", "Region", "Event", "Url")
NAMES = st.sampled_from((*WORDS, *MORE_WORDS))
TREES = st.recursive(TEXTS, lambda inner: st.dictionaries(NAMES, inner, max_size=5), max_leaves=30)


@given(TREES)
def test_any_tree_is_a_workflow_or_a_refusal(tree: Tree) -> None:
    try:
        parse_workflow(to_xml({"Request": {"MediaWorkflow": tree}}))
    except RequestError:
        return

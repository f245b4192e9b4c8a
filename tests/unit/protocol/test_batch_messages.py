"""Reading a batch: one source, one thing to do, and a message that names what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import BadParameter, MalformedBody, MissingBody, RequestError
from smartcover.protocol import Tree, parse_batch, to_xml

OUTPUT: dict[str, Tree] = {"Region": "r", "Bucket": "b-1", "Object": "o/${InventoryTriggerJobId}/${Number}.jpg"}


def body(**changes: Any) -> bytes:
    request: dict[str, Any] = {
        "Name": "stock",
        "Input": {"Prefix": "/in/"},
        "Operation": {"Tag": "SmartCover", "Output": OUTPUT},
    }
    return to_xml({"Request": {name: value for name, value in (request | changes).items() if value is not None}})


def operation(**changes: Any) -> dict[str, Any]:
    return {"Tag": "SmartCover", "Output": OUTPUT} | changes


def test_empty_options_outside_job_param_count_as_absent() -> None:
    read = parse_batch(body(Operation=operation(SmartCover="", TemplateId="")))
    assert read.operation is not None
    assert (read.operation.smart_cover, read.operation.template_id) == (None, None)


def test_a_batch_of_jobs_is_read() -> None:
    job_param = {"SmartCover": {"Count": "2"}, "TemplateId": "t1"}
    read = parse_batch(body(Operation=operation(JobParam=job_param, QueueId="p1", CallBack="no", JobLevel="1")))
    assert (read.name, read.kind, read.source, read.place) == ("stock", "Job", "Prefix", "in/")
    assert read.operation is not None
    assert (read.operation.params.count, read.operation.template_id, read.operation.job_level) == (2, "t1", 1)
    assert (read.queue_id, read.callback.suppressed) == ("p1", True)
    assert (read.since, read.until, read.workflow_ids) == (None, None, ())


def test_workflow_ids_make_a_batch_of_workflows() -> None:
    read = parse_batch(body(Operation={"WorkflowIds": "w1, w2,w1"}, Input={"Object": "/a b.mp4"}))
    assert (read.kind, read.workflow_ids, read.operation) == ("Workflow", ("w1", "w2"), None)
    assert (read.source, read.place) == ("Object", "a b.mp4")


def test_a_window_is_read_as_times_or_seconds() -> None:
    interval = {"Start": "1577836800", "End": "2020-01-01T08:00:01+0800"}
    read = parse_batch(body(Operation=operation(TimeInterval=interval)))
    assert (read.since, read.until) == (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, 0, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize("given", [{"Manifest": "inv/manifest.json"}, {"UrlFile": "urls.txt"}, {"Object": "a.mp4"}])
def test_a_window_beside_another_input_than_a_prefix_changes_nothing(given: dict[str, str]) -> None:
    interval = {"Start": "2002-02-16T10:45:12+0800", "End": "2022-05-16T10:45:12+0800"}
    read = parse_batch(body(Input=given, Operation=operation(TimeInterval=interval)))
    assert (read.since, read.until) == (None, None)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ({"Manifest": "", "UrlFile": "", "Prefix": "in/", "Object": ""}, ("Prefix", "in/")),
        ({"Manifest": "", "UrlFile": "urls.txt", "Prefix": ""}, ("UrlFile", "urls.txt")),
        ({"Prefix": ""}, ("Prefix", "")),
    ],
)
def test_empty_inputs_count_as_absent_but_for_a_prefix_that_stands_alone(
    source: dict[str, str], found: tuple[str, str]
) -> None:
    read = parse_batch(body(Input=source))
    assert (read.source, read.place) == found


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"Name": None}, "Request.Name"),
        ({"Name": "a b"}, "Request.Name"),
        ({"Input": None}, "Request.Input"),
        ({"Input": ""}, "exactly one"),
        ({"Input": {"Manifest": ""}}, "Manifest"),
        ({"Input": {"Manifest": "", "Prefix": ""}}, "exactly one"),
        ({"Input": {"Object": "x" * 851}}, "Object"),
        ({"Operation": None}, "Request.Operation"),
        ({"Operation": operation(Tag=None)}, "Tag"),
        ({"Operation": operation(SmartCover={"Count": "1"})}, "Request.Operation.JobParam"),
        ({"Operation": operation(TemplateId="t1")}, "Request.Operation.JobParam"),
        ({"Operation": operation(Output={**OUTPUT, "Object": "one.jpg"})}, "Output.Object"),
        ({"Operation": operation(TimeInterval={"Start": "99999999999"})}, "TimeInterval.Start"),
        ({"Operation": operation(TimeInterval={"Start": "2", "End": "1"})}, "TimeInterval"),
        ({"Operation": {"WorkflowIds": ",".join(f"w{n}" for n in range(21))}}, "WorkflowIds"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], named: str) -> None:
    if isinstance(changes.get("Operation"), dict):
        changes["Operation"] = {name: value for name, value in changes["Operation"].items() if value is not None}
    with pytest.raises(BadParameter) as refused:
        parse_batch(body(**changes))
    assert named in refused.value.public


def test_no_body_and_another_root_are_refused() -> None:
    with pytest.raises(MissingBody):
        parse_batch(b" ")
    with pytest.raises(MalformedBody):
        parse_batch(b"<Batch/>")


WORDS = ("Name", "Type", "Input", "Prefix", "Object", "Operation", "Tag", "Output", "TimeInterval", "Start", "End")
TEXTS = st.sampled_from(["", "Job", "SmartCover", "a", "12", "9999999999", "2001-01-01T00:00:00z", "w1,w2"])
TREES = st.recursive(
    TEXTS, lambda inner: st.dictionaries(st.sampled_from(WORDS), inner | st.lists(inner, max_size=2), max_size=5)
)


@given(st.dictionaries(st.sampled_from(WORDS), TREES))
def test_any_tree_is_a_batch_or_a_refusal(tree: dict[str, Tree]) -> None:
    try:
        parse_batch(to_xml({"Request": tree}))
    except RequestError:
        return


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_a_refusal(data: bytes) -> None:
    try:
        parse_batch(data)
    except RequestError:
        return

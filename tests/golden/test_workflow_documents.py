"""The exact bytes of the WorkflowFinish callback and of the answers about workflows, and that a receiver reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest

from smartcover.protocol import (
    CosHeader,
    RunDetail,
    TaskDetail,
    Tree,
    WorkflowDetail,
    parse_time,
    run_list,
    run_response,
    to_xml,
    workflow_deleted,
    workflow_finish_body,
    workflow_list,
    workflow_response,
    workflow_switched,
    workflow_triggered,
)
from smartcover.receiver import WorkflowFinish, parse

Compare = Callable[[str, bytes], None]
BEGAN = parse_time("2022-08-09T14:54:17+0800")
ENDED = parse_time("2022-08-09T06:54:42Z")

TOPOLOGY: dict[str, Tree] = {
    "Dependencies": {"Start": "SmartCover_1,SmartCover_2", "SmartCover_1": "End", "SmartCover_2": "End"},
    "Nodes": {
        "Start": {"Type": "Start", "Input": {"QueueId": "p1", "ObjectPrefix": "in/"}},
        "SmartCover_1": {"Type": "SmartCover", "Operation": {"Output": {"Object": "out/${RunId}/${Number}.jpg"}}},
        "SmartCover_2": {"Type": "SmartCover", "Operation": {"TemplateId": "t1"}},
    },
}
TASK = TaskDetail(
    type="SmartCover",
    name="SmartCover_1",
    job_id="j23c11e1e17b011edaab4ab15ec33d076",
    state="Success",
    create_time=BEGAN,
    start_time=BEGAN,
    end_time=ENDED,
    object_names=("out/i1/0.jpg", "out/i1/1.jpg"),
)
BY_TEMPLATE = replace(
    TASK,
    name="SmartCover_2",
    template_id="t07740e32081b44ad7a0aea03adcffd54a",
    template_name="cards",
    object_names=("x",),
)
BROKEN = replace(TASK, state="Failed", code="NoVideoStream", message="The file holds no video stream.", object_names=())
RUN = RunDetail(
    run_id="i166ee19017b011eda8a5525400c540df",
    workflow_id="web6ac56c1ef54dbfa44d7f4103203be9",
    workflow_name="workflow-3",
    bucket_id="test-1234567890",
    object="in/猫 & <dog>.mp4",
    state="Success",
    create_time=BEGAN,
    topology=TOPOLOGY,
    cos_headers=(
        CosHeader(key="Content-Type", value="video/mp4"),
        CosHeader(key="x-cos-request-id", value="NjJiZDYwYTFfNjUzYTYyNjRfZjEwZl8xMmZhYzY5"),
    ),
    tasks=(TASK, BY_TEMPLATE),
)
FAILED = replace(RUN, state="Failed", tasks=(BROKEN,), cos_headers=())
WORKFLOW = WorkflowDetail(
    workflow_id=RUN.workflow_id,
    name="workflow-3",
    state="Active",
    bucket_id=RUN.bucket_id,
    create_time=BEGAN,
    update_time=ENDED,
    topology=TOPOLOGY,
)


@pytest.mark.parametrize("form", ["XML", "JSON"])
@pytest.mark.parametrize(("name", "run"), [("finish", RUN), ("failed", FAILED)])
def test_the_end_of_a_run(golden: Compare, name: str, run: RunDetail, form: Literal["XML", "JSON"]) -> None:
    body, content_type = workflow_finish_body(run, form)
    assert content_type == f"application/{form.lower()}"
    golden(f"workflow-{name}.{form.lower()}", body)
    read = parse(body, content_type)
    assert isinstance(read, WorkflowFinish)
    assert (read.run_id, read.workflow_id, read.workflow_name) == (run.run_id, run.workflow_id, run.workflow_name)
    assert (read.state, read.object, read.bucket_id) == (run.state, run.object, run.bucket_id)
    assert read.create_time == BEGAN
    assert read.cos_headers == run.cos_headers
    for task, sent in zip(read.tasks, run.tasks, strict=True):
        assert (task.type, task.name, task.job_id, task.state) == (sent.type, sent.name, sent.job_id, sent.state)
        assert (task.create_time, task.start_time, task.end_time) == (BEGAN, BEGAN, ENDED)
        assert (task.template_id, task.template_name) == (sent.template_id, sent.template_name)
        assert (task.code, task.message, task.object_names) == (sent.code, sent.message, sent.object_names)


ANSWERS = {
    "one": workflow_response("r", WORKFLOW),
    "list": workflow_list("r", [WORKFLOW], total=1, page_number=1, page_size=10, unknown_ids=("w1", "w2")),
    "switched": workflow_switched("r", "w1"),
    "deleted": workflow_deleted("r", "w1"),
    "triggered": workflow_triggered("r", "i1"),
    "runs": run_list([RUN], request_id="r", next_token="12"),
    "run": run_response("r", replace(RUN, state="Running", tasks=(BROKEN, replace(TASK, end_time=None)))),
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_answers_about_workflows(golden: Compare, name: str) -> None:
    golden(f"answer-workflow-{name}.xml", to_xml(ANSWERS[name]))

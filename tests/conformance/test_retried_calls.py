"""A call that an SDK marks as sent again, because it got no answer, starts nothing a second time."""

from __future__ import annotations

import pytest

from tests.edge_server import BUCKET, REGION, RunningEdge, build, exchange

pytestmark = pytest.mark.ours
RETRY = {"x-cos-sdk-retry": "true"}
OUTPUT = f"<Output><Region>{REGION}</Region><Bucket>{BUCKET}</Bucket><Object>o${{number}}</Object></Output>"


def ask(edge: RunningEdge, target: str, node: str, *, body: str = "", **headers: dict[str, str]) -> str:
    return exchange(edge.port, build("POST", target, body=body.encode(), **headers), method="POST").node(node)  # type: ignore[arg-type]


WORKFLOW = (
    "<Request><MediaWorkflow><Name>n</Name><State>Active</State><Topology>"
    "<Dependencies><Start>SmartCover_1</Start><SmartCover_1>End</SmartCover_1></Dependencies><Nodes>"
    "<Start><Input><ObjectPrefix>in/</ObjectPrefix></Input></Start>"
    f"<SmartCover_1><Type>SmartCover</Type><Operation>{OUTPUT}</Operation></SmartCover_1>"
    "</Nodes></Topology></MediaWorkflow></Request>"
)


def test_a_workflow_sent_again_is_not_there_twice(edge: RunningEdge) -> None:
    first = ask(edge, "/workflow", "WorkflowId", body=WORKFLOW)
    assert ask(edge, "/workflow", "WorkflowId", body=WORKFLOW, headers=RETRY) == first
    other = WORKFLOW.replace("in/", "elsewhere/")
    assert ask(edge, "/workflow", "WorkflowId", body=other, headers=RETRY) != first
    assert ask(edge, "/workflow", "WorkflowId", body=WORKFLOW) != first


def test_a_template_sent_again_is_not_there_twice(edge: RunningEdge) -> None:
    body = "<Request><Tag>SmartCover</Tag><Name>n</Name><SmartCover><Count>2</Count></SmartCover></Request>"
    first = ask(edge, "/template", "TemplateId", body=body)
    assert ask(edge, "/template", "TemplateId", body=body, headers=RETRY) == first
    other = body.replace("2", "3")
    assert ask(edge, "/template", "TemplateId", body=other, headers=RETRY) != first
    assert ask(edge, "/template", "TemplateId", body=body) != first


def test_a_trigger_sent_again_gives_the_first_run(edge: RunningEdge) -> None:
    target = f"/triggerworkflow?workflowId={ask(edge, '/workflow', 'WorkflowId', body=WORKFLOW)}&object="
    first = ask(edge, f"{target}a.mp4", "InstanceId")
    assert ask(edge, f"{target}a.mp4", "InstanceId", headers=RETRY) == first
    assert ask(edge, f"{target}b.mp4", "InstanceId", headers=RETRY) != first
    assert ask(edge, f"{target}a.mp4", "InstanceId") != first


def test_a_batch_sent_again_gives_the_first_batch(edge: RunningEdge) -> None:
    def body(prefix: str) -> str:
        operation = f"<Operation><Tag>SmartCover</Tag>{OUTPUT}</Operation>"
        return f"<Request><Name>n</Name><Input><Prefix>{prefix}</Prefix></Input>{operation}</Request>"

    first = ask(edge, "/inventorytriggerjob", "JobId", body=body("a/"))
    assert ask(edge, "/inventorytriggerjob", "JobId", body=body("a/"), headers=RETRY) == first
    assert ask(edge, "/inventorytriggerjob", "JobId", body=body("b/"), headers=RETRY) != first
    assert ask(edge, "/inventorytriggerjob", "JobId", body=body("a/")) != first


def test_a_cancel_sent_again_is_no_error(edge: RunningEdge) -> None:
    body = f"<Request><Tag>SmartCover</Tag><Input><Object>a</Object></Input><Operation>{OUTPUT}</Operation></Request>"
    target = f"/jobs/{ask(edge, '/jobs', 'JobId', body=body)}?cancel"
    assert exchange(edge.port, build("PUT", target)).status == 200
    assert exchange(edge.port, build("PUT", target, headers=RETRY)).status == 200
    assert exchange(edge.port, build("PUT", target)).code == "InvalidArgument"


def test_an_upload_sent_again_is_told_to_the_store_as_one(edge: RunningEdge) -> None:
    copied = {"x-cos-copy-source": f"{BUCKET}.cos.{REGION}.myqcloud.com/in/a"}
    for headers in ({}, copied):
        for mark in ({}, RETRY):
            assert (
                exchange(
                    edge.port, build("PUT", "/in/a", body=b"" if headers else b"x", headers={**headers, **mark})
                ).status
                == 200
            )
        first, again = (event for event, _ in edge.store.events[-2:])
        assert (first.name, first.retried_within_seconds, again.retried_within_seconds) == (again.name, None, 60.0)

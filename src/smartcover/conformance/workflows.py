"""Flows of workflows, their runs, and batches."""

from __future__ import annotations

from typing import Final

from smartcover.conformance.bench import Bench, Flow, equal, expect, ok, refused
from smartcover.protocol import TAG, Tree


def _topology(bench: Bench) -> dict[str, Tree]:
    return {
        "Dependencies": {"Start": "SmartCover_1", "SmartCover_1": "End"},
        "Nodes": {
            "Start": {"Type": "Start", "Input": {"ObjectPrefix": f"{bench.place}in/"}},
            "SmartCover_1": {
                "Type": "SmartCover",
                "Operation": {"SmartCover": {"Count": "2"}, "Output": bench.output("${RunId}/${Number}.jpg")},
            },
        },
    }


def _made(bench: Bench) -> str:
    wish: dict[str, Tree] = {"Name": "conformance_1", "State": "Paused", "Topology": _topology(bench)}
    made = ok(bench.client.ci("POST", "/workflow", body={"MediaWorkflow": wish}))
    workflow_id = made.text("Response/MediaWorkflow/WorkflowId")
    bench.afterwards(lambda: bench.client.ci("DELETE", f"/workflow/{workflow_id}"))
    bench.afterwards(lambda: bench.client.ci("PUT", f"/workflow/{workflow_id}", query={"paused": ""}))
    equal("State", made.text("Response/MediaWorkflow/State"), "Paused")
    return workflow_id


def workflow(bench: Bench) -> None:
    workflow_id = _made(bench)
    place = f"/workflow/{workflow_id}"
    wish: dict[str, Tree] = {"Name": "conformance_2", "State": "Paused", "Topology": _topology(bench)}
    changed = ok(bench.client.ci("PUT", place, body={"MediaWorkflow": wish}))
    equal("Name", changed.text("Response/MediaWorkflow/Name"), "conformance_2")
    switched = ok(bench.client.ci("PUT", place, query={"active": ""}))
    expect(bool(switched.body), "?active was answered with an empty body, which the Python SDK cannot read")
    listed = ok(bench.client.ci("GET", "/workflow", query={"ids": workflow_id, "name": ""}))
    equal("State", listed.texts("Response/MediaWorkflowList/State"), ["Active"])
    refused(bench.client.ci("DELETE", place), 400)
    ok(bench.client.ci("PUT", place, query={"paused": ""}))
    equal("what was deleted", ok(bench.client.ci("DELETE", place)).text("Response/WorkflowId"), workflow_id)


def run(bench: Bench) -> None:
    workflow_id = _made(bench)
    key = f"{bench.place}in/a b.mp4"
    begun = ok(bench.client.ci("POST", "/triggerworkflow", query={"workflowId": workflow_id, "object": key}))
    run_id = begun.text("Response/InstanceId")
    described = ok(bench.client.ci("GET", f"/workflowexecution/{run_id}"))
    for name, wanted in (("RunId", run_id), ("WorkflowId", workflow_id), ("Object", key)):
        equal(name, described.text(f"Response/WorkflowExecution/{name}"), wanted)
    for job_id in described.texts("Response/WorkflowExecution/Tasks/JobId"):
        bench.cancel_afterwards(job_id)
    listed = ok(bench.client.ci("GET", "/workflowexecution", query={"workflowId": workflow_id}))
    equal("the list of runs", listed.texts("Response/WorkflowExecutionList/RunId"), [run_id])


def batch(bench: Bench) -> None:
    operation: dict[str, Tree] = {
        "Tag": TAG,
        "JobParam": {"SmartCover": {"Count": "2"}},
        "Output": bench.output("${InventoryTriggerJobId}-${InputName}-${Number}.jpg"),
    }
    wish: dict[str, Tree] = {
        "Name": "conformance",
        "Type": "Job",
        "Input": {"Prefix": f"{bench.place}no such folder/"},
        "Operation": operation,
    }
    begun = ok(bench.client.ci("POST", "/inventorytriggerjob", body=wish))
    batch_id = begun.text("Response/JobsDetail/JobId")
    place = f"/inventorytriggerjob/{batch_id}"
    bench.afterwards(lambda: bench.client.ci("PUT", place, query={"cancel": ""}))
    described = ok(bench.client.ci("GET", place))
    equal("JobId", described.text("Response/JobsDetail/JobId"), batch_id)
    query = {"type": "Job", "orderByTime": "Desc", "size": "10", "nextToken": ""}
    listed = ok(bench.client.ci("GET", "/inventorytriggerjob", query=query))
    expect(batch_id in listed.texts("Response/JobsDetail/JobId"), "the list of batches does not hold the new one")
    ok(bench.client.ci("PUT", place, query={"cancel": ""}), 200, 400)  # an empty one may be over already


FLOWS: Final = (
    Flow(
        "a workflow is made, changed, switched, listed and deleted",
        "documented",
        (
            "POST /workflow",
            "PUT /workflow/<id>",
            "PUT /workflow/<id>?active|paused",
            "GET /workflow",
            "DELETE /workflow/<id>",
        ),
        workflow,
    ),
    Flow(
        "a workflow is triggered and its run described and listed",
        "documented",
        ("POST /triggerworkflow", "GET /workflowexecution", "GET /workflowexecution/<id>"),
        run,
    ),
    Flow(
        "a batch is begun, described, listed and cancelled",
        "documented",
        (
            "POST /inventorytriggerjob",
            "GET /inventorytriggerjob/<id>",
            "GET /inventorytriggerjob",
            "PUT /inventorytriggerjob/<id>?cancel",
        ),
        batch,
    ),
)

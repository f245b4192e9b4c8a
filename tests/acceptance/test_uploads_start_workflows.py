"""
An upload that was answered starts its workflow, once, whatever is killed in between.

Real processes and the official SDK: the whole process group is killed right after the answer to an upload, so that
some kills fall between the answer and the start of the run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from smartcover.receiver import TaskFinish, WorkflowFinish, parse
from tests.acceptance.test_nothing_accepted_is_lost import BUCKET, REGION, Service, client_of
from tests.clips import small_clip

LEAST_KILLS, MOST_KILLS = 3, 12


class Receiver:
    """Keeps every callback as read, and its bytes."""

    def __init__(self) -> None:
        self.read: list[TaskFinish | WorkflowFinish] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.read.append(parse(body, self.headers["Content-Type"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/cb"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ends(self) -> list[WorkflowFinish]:
        return [read for read in self.read if isinstance(read, WorkflowFinish)]

    def tasks(self) -> list[TaskFinish]:
        return [read for read in self.read if isinstance(read, TaskFinish)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.server.shutdown()
    listening.server.server_close()


def define(client: Any, callback: str) -> str:
    """Define an active workflow whose covers go under its own prefix; give its id."""
    output = {"Region": REGION, "Bucket": BUCKET, "Object": "in/covers/${RunId}/${InputName}-${Number}.${Ext}"}
    notify = {"Url": callback, "Type": "Url", "Event": "TaskFinish,WorkflowFinish", "ResultFormat": "JSON"}
    topology = {
        "Dependencies": {"Start": "SmartCover_1", "SmartCover_1": "End"},
        "Nodes": {
            "Start": {"Type": "Start", "Input": {"ObjectPrefix": "/in/", "NotifyConfig": notify}},
            "SmartCover_1": {
                "Type": "SmartCover",
                "Operation": {"SmartCover": {"Format": "png", "Count": "2"}, "Output": output, "UserData": "77"},
            },
        },
    }
    body = {"MediaWorkflow": {"Name": "on-upload", "State": "Active", "Topology": topology}}
    return str(client.ci_create_workflow(Bucket=BUCKET, Body=body)["MediaWorkflow"]["WorkflowId"])


def runs_of(client: Any, workflow_id: str) -> list[dict[str, str]]:
    answer = client.ci_list_workflowexecution(Bucket=BUCKET, WorkflowId=workflow_id, Size=100)
    entries = answer.get("WorkflowExecutionList") or []
    return entries if isinstance(entries, list) else [entries]


@pytest.mark.timeout(300)
def test_an_upload_that_was_answered_starts_its_workflow_once(
    service: Service, receiver: Receiver, tmp_path: Path
) -> None:
    clip = small_clip(tmp_path / "clip.mp4", seconds=1).read_bytes()
    service.start()
    workflow_id = define(client_of(service), receiver.url)
    keys: list[str] = []
    caught = False
    while len(keys) < LEAST_KILLS or (not caught and len(keys) < MOST_KILLS):
        key = f"in/中 {len(keys)}.mp4"
        answer = client_of(service).put_object(
            Bucket=BUCKET, Key=key, Body=clip, ContentType="video/mp4", Metadata={"x-cos-meta-id": str(len(keys))}
        )
        assert answer["ETag"]
        service.kill()
        keys.append(key)
        started = {event["object"] for event in service.events() if event["event"] == "run started"}
        caught = caught or key not in started
        service.start()
    assert caught, "no kill fell between the answer to an upload and the start of its run"

    client = client_of(service)
    finished = {"Success", "Failed", "Cancel"}

    def all_done() -> bool:
        runs = runs_of(client, workflow_id)
        return {run["Object"] for run in runs} >= set(keys) and all(run["State"] in finished for run in runs)

    service.wait_until(all_done, 120, "runs are missing or do not end")
    service.wait_until(lambda: len(receiver.ends()) >= len(keys), 60, "callbacks are missing")
    runs = runs_of(client, workflow_id)
    assert sorted(run["Object"] for run in runs) == sorted(keys), "an upload started no run or two"
    assert {run["State"] for run in runs} == {"Success"}
    run_ids = {run["RunId"]: run["Object"] for run in runs}

    # At least once: a kill may repeat a callback, and never make one up.
    assert {end.run_id for end in receiver.ends()} == set(run_ids)
    for end in receiver.ends():
        number = keys.index(end.object)
        assert (end.state, end.workflow_name, end.object) == ("Success", "on-upload", run_ids[end.run_id])
        headers = {header.key: header.value for header in end.cos_headers}
        assert headers.pop("x-cos-request-id")
        assert headers == {
            "Content-Type": "video/mp4",
            "EventName": "cos:ObjectCreated:Put",
            "Size": str(len(clip)),
            "x-cos-meta-id": str(number),
        }
        (task,) = end.tasks
        assert task.object_names == tuple(f"in/covers/{end.run_id}/中 {number}-{index}.png" for index in range(2))
    for done in receiver.tasks():
        detail = done.jobs_detail
        assert detail.workflow is not None
        assert (detail.workflow.name, detail.workflow.workflow_id) == ("SmartCover_1", workflow_id)
        assert run_ids[detail.workflow.run_id] == detail.input.object
        assert detail.operation.user_data == "77"
    covers = client.list_objects(Bucket=BUCKET, Prefix="in/covers/", MaxKeys=1000)["Contents"]
    assert len(covers) == 2 * len(keys), "a cover is missing, or started a run of its own"


@pytest.mark.timeout(200)
def test_a_batch_makes_covers_of_what_is_there_already_through_a_kill(
    service: Service, receiver: Receiver, tmp_path: Path
) -> None:
    clip = small_clip(tmp_path / "clip.mp4", seconds=1).read_bytes()
    service.start()
    client = client_of(service)
    keys = [f"stock/{number}.mp4" for number in range(4)]
    for key in keys:
        client.put_object(Bucket=BUCKET, Key=key, Body=clip)
    output = {"Region": REGION, "Bucket": BUCKET, "Object": "covers/${InventoryTriggerJobId}/${InputName}.${Ext}"}
    operation = {"Tag": "SmartCover", "JobParam": {"SmartCover": {"Count": "1"}}, "Output": output}
    body = {"Name": "stock", "Type": "Job", "Input": {"Prefix": "stock/"}}
    body |= {"Operation": operation | {"CallBack": receiver.url}}
    detail = client.ci_create_inventory_trigger_jobs(Bucket=BUCKET, JobBody=body)["JobsDetail"]
    batch_id = (detail[0] if isinstance(detail, list) else detail)["JobId"]
    service.kill()
    service.start()
    service.wait_until(lambda: len({done.jobs_detail.job_id for done in receiver.tasks()}) >= len(keys), 90, "no end")
    assert {done.jobs_detail.input.object for done in receiver.tasks()} == set(keys)
    names = {name for done in receiver.tasks() for name in done.object_names}
    assert names == {f"covers/{batch_id}/{number}.jpg" for number in range(len(keys))}

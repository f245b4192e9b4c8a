"""Workflows, runs and uploads on a real PostgreSQL, with the use cases and the loop that start runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from smartcover import callbacks
from smartcover.errors import QueueFull, UnknownRun, UnknownWorkflow, WorkflowActive
from smartcover.ledger import (
    JobResult,
    JobState,
    Ledger,
    NewDelivery,
    NewUpload,
    NotifyConfig,
    QueueState,
    Run,
    RunFilter,
    RunState,
    Workflow,
    WorkflowContent,
    WorkflowState,
)
from smartcover.protocol import parse_workflow, to_xml
from smartcover.receiver import TaskFinish, WorkflowFinish, parse
from smartcover.service import trigger_workflow
from smartcover.storage import BucketInfo, LocalStore, UploadEvent
from smartcover.worker import TriggerLoop
from tests.postgres import cluster

BUCKET = "flow-1250000000"
REGION = "ap-chongqing"
RECEIVER = "http://receiver.example/cb"


def new_id(letter: str) -> str:
    return letter + uuid4().hex


def owed_by(run: Run) -> Sequence[NewDelivery]:
    owed = callbacks.workflow_finish_delivery(run, delivery_id=new_id("d"), zone_offset_minutes=480)
    return [owed] if owed else []


@pytest.fixture(scope="module")
def dsn() -> str:
    return cluster().make_database()


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=6) as opened:
        await opened.execute(
            "TRUNCATE jobs, queues, deliveries, delivery_attempts, workflows, workflow_runs, upload_events, "
            "own_outputs, batches, templates, unbound_buckets, buckets, objects, uploads, upload_parts, garbage CASCADE"
        )
        yield opened


@pytest.fixture
async def ledger(dsn: str, pool: Any) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(dsn, pool_size=8, when_run_ends=owed_by)
    await opened.default_queue(BUCKET)
    yield opened
    await opened.close()


@pytest.fixture
async def store(pool: Any, tmp_path: Path) -> LocalStore:
    made = LocalStore(tmp_path, pool, reserve_bytes=0)
    await made.create_bucket(BUCKET, REGION)
    return made


@pytest.fixture
async def bucket(store: LocalStore) -> BucketInfo:
    return await store.bucket(BUCKET)


def content(
    *,
    nodes: int = 1,
    state: WorkflowState = WorkflowState.ACTIVE,
    events: str = "TaskFinish,WorkflowFinish",
    **more: Any,
) -> WorkflowContent:
    """Make a workflow on in/ that reports to RECEIVER unless told otherwise."""
    names = [f"SmartCover_{number}" for number in range(1, nodes + 1)]
    operation = {
        "SmartCover": {"Count": "2", "Format": "png"},
        "Output": {"Region": REGION, "Bucket": BUCKET, "Object": "out/${RunId}/${InputName}-${Number}.${Ext}"},
        "UserData": "77",
    } | more.pop("operation", {})
    source = {"ObjectPrefix": "in/"} | more.pop("source", {})
    if events:
        source["NotifyConfig"] = {"Url": RECEIVER, "Event": events, "ResultFormat": "JSON"}
    tree: Any = {
        "Dependencies": {"Start": ",".join(names), **dict.fromkeys(names, "End")},
        "Nodes": {
            "Start": {"Type": "Start", "Input": source},
            **{name: {"Type": "SmartCover", "Operation": operation} for name in names},
        },
    }
    body = to_xml({"Request": {"MediaWorkflow": {"Name": "flow", "State": state.value, "Topology": tree}}})
    request = parse_workflow(body)
    return WorkflowContent(request.name, state, request.topology.object_prefix, request.tree)


async def add(ledger: Ledger, **more: Any) -> Workflow:
    return await ledger.workflows.add(new_id("w"), BUCKET, content(**more))


async def once(data: bytes = b"video") -> AsyncIterator[bytes]:
    yield data


async def upload(store: LocalStore, key: str = "in/clip.mp4", request_id: str = "r1", **headers: str) -> None:
    event = UploadEvent("cos:ObjectCreated:Put", request_id)
    kept = {"content-type": "video/mp4"} | {name.replace("_", "-"): text for name, text in headers.items()}
    await store.put(BUCKET, key, once(), headers=kept, event=event)


async def start_all(ledger: Ledger, store: LocalStore) -> None:
    loop = TriggerLoop(ledger, store, new_id=new_id)
    while await loop.start_one():
        continue


async def runs(ledger: Ledger, **wanted: Any) -> list[Run]:
    page = await ledger.workflows.runs(BUCKET, RunFilter(**wanted), limit=1000)
    return [await ledger.workflows.run(BUCKET, run.run_id) for run in page.runs]


async def finish(ledger: Ledger, count: int = 1, *, well: bool = True) -> None:
    """Do the next jobs, as a worker would."""
    for claim in await ledger.claim_jobs("test", limit=count, lease_seconds=60):
        async with ledger.finishing(claim) as finishing:
            state = JobState.SUCCESS if well else JobState.FAILED
            final = replace(finishing.job, state=state, ended_at=finishing.ended_at)
            owed = callbacks.task_finish_delivery(
                final, delivery_id=new_id("d"), zone_offset_minutes=480, json_array=False, md5_info=False
            )
            if well:
                await finishing.succeed(JobResult(covers=()), [owed] if owed else [])
            else:
                await finishing.fail("InputUnreadable", "broken", [owed] if owed else [])


async def callbacks_sent(ledger: Ledger) -> list[TaskFinish | WorkflowFinish]:
    return [parse(delivery.body) for delivery in reversed(await ledger.deliveries())]


# Definitions


async def test_a_workflow_is_kept_as_it_was_sent(ledger: Ledger) -> None:
    added = await add(ledger)
    found = await ledger.workflows.workflow(added.workflow_id, BUCKET)
    assert found == added
    assert list(found.content.topology["Nodes"]) == ["Start", "SmartCover_1"]  # the order of the nodes too


async def test_an_active_workflow_is_neither_changed_nor_deleted(ledger: Ledger) -> None:
    added = await add(ledger)
    changed = content(nodes=2, state=WorkflowState.PAUSED)
    with pytest.raises(WorkflowActive, match="pause it first"):
        await ledger.workflows.replace(added.workflow_id, BUCKET, changed)
    with pytest.raises(WorkflowActive):
        await ledger.workflows.remove(added.workflow_id, BUCKET)
    await ledger.workflows.set_state(added.workflow_id, BUCKET, WorkflowState.PAUSED)
    assert (await ledger.workflows.replace(added.workflow_id, BUCKET, changed)).content == changed
    await ledger.workflows.remove(added.workflow_id, BUCKET)
    with pytest.raises(UnknownWorkflow):
        await ledger.workflows.workflow(added.workflow_id, BUCKET)


async def test_another_buckets_workflow_is_unknown(ledger: Ledger) -> None:
    added = await add(ledger)
    for ask in (
        ledger.workflows.workflow(added.workflow_id, "other-1"),
        ledger.workflows.set_state(added.workflow_id, "other-1", WorkflowState.PAUSED),
        ledger.workflows.replace(added.workflow_id, "other-1", added.content),
        ledger.workflows.remove(added.workflow_id, "other-1"),
    ):
        with pytest.raises(UnknownWorkflow):
            await ask
    with pytest.raises(UnknownRun):
        await ledger.workflows.run("other-1", new_id("i"))


# Uploads


async def test_an_upload_starts_one_run_with_a_task_for_each_node(ledger: Ledger, store: LocalStore) -> None:
    workflow = await add(ledger, nodes=2)
    await upload(store, x_cos_meta_id="42")
    await start_all(ledger, store)
    (run,) = await runs(ledger)
    assert (run.workflow_id, run.workflow_name, run.object_key) == (workflow.workflow_id, "flow", "in/clip.mp4")
    assert run.state is RunState.RUNNING
    assert [task.spec.workflow.node_name for task in run.tasks if task.spec.workflow] == [
        "SmartCover_1",
        "SmartCover_2",
    ]
    assert run.cos_headers == (
        ("Content-Type", "video/mp4"),
        ("x-cos-request-id", "r1"),
        ("EventName", "cos:ObjectCreated:Put"),
        ("Size", "5"),
        ("x-cos-meta-id", "42"),
    )
    task = run.tasks[0]
    assert (task.spec.covers.count, task.spec.covers.format, task.spec.user_data) == (2, "png", "77")
    assert task.spec.cos_headers == run.cos_headers


async def test_waiting_tasks_of_a_run_show_pause_while_their_queue_is_paused(
    ledger: Ledger, store: LocalStore, pool: Any
) -> None:
    await add(ledger)
    await upload(store)
    await start_all(ledger, store)
    for queue_state, shown in (("Paused", JobState.PAUSE), ("Active", JobState.SUBMITTED)):
        await pool.execute("UPDATE queues SET state = $1", queue_state)
        (run,) = await runs(ledger)
        assert [task.state for task in run.tasks] == [shown]
        assert run.state is RunState.RUNNING


@pytest.mark.parametrize(("key", "started"), [("in/a.mp4", 1), ("in/a.txt", 0), ("out/a.mp4", 0), ("in/", 0)])
async def test_prefix_and_filter_decide(ledger: Ledger, store: LocalStore, key: str, started: int) -> None:
    await add(ledger)
    await upload(store, key)
    await start_all(ledger, store)
    assert len(await runs(ledger)) == started


async def test_a_workflow_that_is_paused_later_still_owes_its_run(ledger: Ledger, store: LocalStore) -> None:
    workflow = await add(ledger)
    await upload(store)
    await ledger.workflows.set_state(workflow.workflow_id, BUCKET, WorkflowState.PAUSED)
    await upload(store, request_id="r2")
    await start_all(ledger, store)
    assert len(await runs(ledger)) == 1


async def test_an_event_told_twice_starts_one_run(ledger: Ledger, store: LocalStore) -> None:
    await add(ledger)
    event = NewUpload("s3:1", BUCKET, "in/a.mp4", "cos:ObjectCreated:Put", 5, "e", "r", outside=True)
    assert await ledger.workflows.note_uploads([event, event]) == 1
    await start_all(ledger, store)
    assert await ledger.workflows.note_uploads([event]) == 0
    await start_all(ledger, store)
    assert len(await runs(ledger)) == 1


async def test_many_loops_at_once_start_each_run_once(ledger: Ledger, store: LocalStore) -> None:
    await add(ledger)
    for number in range(20):
        await upload(store, f"in/{number}.mp4", request_id=f"r{number}")
    await asyncio.gather(*(start_all(ledger, store) for _ in range(4)))
    assert sorted(run.object_key for run in await runs(ledger)) == sorted(f"in/{number}.mp4" for number in range(20))


async def test_our_own_covers_start_nothing_whoever_tells_of_them(ledger: Ledger, store: LocalStore) -> None:
    await add(ledger, source={"ExtFilter": {"State": "On", "AllFile": "true"}})
    await ledger.workflows.note_outputs([(BUCKET, "in/cover.jpg", "md5")])
    told = NewUpload("s3:1", BUCKET, "in/cover.jpg", "cos:ObjectCreated:Put", 5, "md5", "r", outside=True)
    await ledger.workflows.note_uploads([told])
    await start_all(ledger, store)
    assert await runs(ledger) == []
    await upload(store, "in/cover.jpg", request_id="r2")  # through our own API it can only be a client's
    await start_all(ledger, store)
    assert len(await runs(ledger)) == 1


async def test_an_upload_waits_while_its_queue_is_full(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    await add(ledger)
    await pool.execute("UPDATE queues SET max_size = 1")
    for number in range(2):
        await upload(store, f"in/{number}.mp4", request_id=f"r{number}")
    await start_all(ledger, store)
    assert len(await runs(ledger)) == 1
    await finish(ledger)
    await pool.execute("UPDATE upload_events SET next_at = smartcover_now()")
    await start_all(ledger, store)
    assert len(await runs(ledger)) == 2


async def test_an_upload_in_an_unbound_bucket_starts_nothing(ledger: Ledger, store: LocalStore) -> None:
    await add(ledger)
    await ledger.bindings.unbind(BUCKET)
    await upload(store)
    await start_all(ledger, store)
    assert await runs(ledger) == []


async def test_an_upload_that_is_our_own_fault_is_given_up_in_the_end(
    ledger: Ledger, store: LocalStore, pool: Any
) -> None:
    await add(ledger)
    await pool.execute("UPDATE workflows SET topology = '{}'")  # no version writes that
    await upload(store)
    loop = TriggerLoop(ledger, store, new_id=new_id)
    tries = 0
    while await loop.start_one():
        tries += 1
        await pool.execute("UPDATE upload_events SET next_at = smartcover_now()")
    assert 1 < tries <= 20


# Templates, queues, calls


async def test_a_run_keeps_the_template_as_it_was_at_its_start(ledger: Ledger, store: LocalStore) -> None:
    template_id = new_id("t")
    await ledger.templates.add(
        template_id, BUCKET, tag="SmartCover", name="cards", smart_cover={"Count": "4", "Format": "webp"}, most=9
    )
    await add(ledger, operation={"TemplateId": template_id})
    await upload(store)
    await start_all(ledger, store)
    await ledger.templates.delete(BUCKET, template_id)
    await upload(store, "in/later.mp4", request_id="r2")
    await start_all(ledger, store)
    later, first = (run.tasks[0].spec for run in await runs(ledger))
    assert (first.covers.count, first.covers.format, first.template_name) == (4, "webp", "cards")
    assert first.fault is None
    assert later.fault is not None
    assert template_id in later.fault


async def test_a_workflow_without_an_address_of_its_own_reports_to_its_queues(
    ledger: Ledger, store: LocalStore
) -> None:
    queue = await ledger.default_queue(BUCKET)
    notify = NotifyConfig(on=True, url="http://queue.example/", kind="Url", events=("TaskFinish", "WorkflowFinish"))
    await ledger.queues.change(BUCKET, queue.queue_id, name="q", state=QueueState.ACTIVE, notify_config=notify)
    await add(ledger, events="")
    await upload(store)
    await start_all(ledger, store)
    await finish(ledger)
    assert [delivery.target.url for delivery in await ledger.deliveries()] == ["http://queue.example/"] * 2


async def test_a_call_starts_a_run_of_any_object_and_a_named_call_only_one(
    ledger: Ledger, store: LocalStore, bucket: BucketInfo
) -> None:
    workflow = await add(ledger, state=WorkflowState.PAUSED)
    await store.put(BUCKET, "elsewhere/a", once(), headers={"content-type": "video/mp4", "x-cos-meta-a": "1"})

    async def call(start_key: str) -> Run:
        return await trigger_workflow(
            ledger.workflows,
            store,
            bucket,
            workflow.workflow_id,
            "elsewhere/a",
            start_key=start_key,
            request_id="r",
            new_id=new_id,
        )

    first = await call("key:1")
    assert first.cos_headers == (
        ("Content-Type", "video/mp4"),
        ("x-cos-request-id", "r"),
        ("Size", "5"),
        ("x-cos-meta-a", "1"),
    )
    assert (await call("key:1")).run_id == first.run_id
    assert (await call("key:2")).run_id != first.run_id
    assert len(await runs(ledger)) == 2


async def test_a_call_into_a_full_queue_is_refused(
    ledger: Ledger, store: LocalStore, bucket: BucketInfo, pool: Any
) -> None:
    workflow = await add(ledger, nodes=2)
    await pool.execute("UPDATE queues SET max_size = 1")
    with pytest.raises(QueueFull):
        await trigger_workflow(
            ledger.workflows, store, bucket, workflow.workflow_id, "a", start_key="k", request_id="r", new_id=new_id
        )
    assert await runs(ledger) == []


# Ends


async def test_a_run_ends_with_its_last_job_and_says_so_once(ledger: Ledger, store: LocalStore) -> None:
    await add(ledger, nodes=2)
    await upload(store)
    await start_all(ledger, store)
    await finish(ledger)
    assert (await runs(ledger))[0].state is RunState.RUNNING
    await finish(ledger)
    (run,) = await runs(ledger)
    assert run.state is RunState.SUCCESS
    assert run.ended_at == max(task.ended_at for task in run.tasks if task.ended_at)
    first, second, end = await callbacks_sent(ledger)
    assert isinstance(first, TaskFinish)
    assert isinstance(second, TaskFinish)
    assert first.jobs_detail.workflow is not None
    assert first.jobs_detail.workflow.run_id == run.run_id
    assert isinstance(end, WorkflowFinish)
    assert (end.run_id, end.state, [task.state for task in end.tasks]) == (run.run_id, "Success", ["Success"] * 2)
    assert [header.key for header in end.cos_headers] == ["Content-Type", "x-cos-request-id", "EventName", "Size"]


async def test_jobs_that_end_at_once_end_their_run_once(ledger: Ledger, store: LocalStore) -> None:
    await add(ledger, nodes=8)
    await upload(store)
    await start_all(ledger, store)
    claims = await ledger.claim_jobs("test", limit=8, lease_seconds=60)

    async def end(claim: Any) -> None:
        async with ledger.finishing(claim) as finishing:
            await finishing.succeed(JobResult(covers=()), [])

    await asyncio.gather(*(end(claim) for claim in claims))
    (run,) = await runs(ledger)
    assert run.state is RunState.SUCCESS
    assert len(await ledger.deliveries()) == 1


@pytest.mark.parametrize("events", ["TaskFinish", "WorkflowFinish", "TaskFinish,WorkflowFinish"])
async def test_only_what_event_names_is_told(ledger: Ledger, store: LocalStore, events: str) -> None:
    await add(ledger, events=events)
    await upload(store)
    await start_all(ledger, store)
    await finish(ledger)
    assert [sent.event_name for sent in await callbacks_sent(ledger)] == events.split(",")


async def test_a_run_is_failed_from_its_first_failure_on(ledger: Ledger, store: LocalStore) -> None:
    await add(ledger, nodes=2)
    await upload(store)
    await start_all(ledger, store)
    await finish(ledger, well=False)
    (run,) = await runs(ledger)
    assert (run.state, run.ended_at) == (RunState.FAILED, None)
    await finish(ledger)
    (run,) = await runs(ledger)
    assert run.state is RunState.FAILED
    assert run.ended_at is not None
    end = (await callbacks_sent(ledger))[-1]
    assert isinstance(end, WorkflowFinish)
    assert end.state == "Failed"


async def test_cancelling_its_jobs_cancels_a_run_without_a_callback(ledger: Ledger, store: LocalStore) -> None:
    await add(ledger, nodes=2)
    await upload(store)
    await start_all(ledger, store)
    (run,) = await runs(ledger)
    for task in run.tasks:
        await ledger.cancel(BUCKET, task.job_id)
    (run,) = await runs(ledger)
    assert run.state is RunState.CANCEL
    assert run.ended_at is not None
    assert await ledger.deliveries() == []


async def test_a_run_whose_last_job_is_cancelled_after_a_failure_ends_as_failed(
    ledger: Ledger, store: LocalStore
) -> None:
    await add(ledger, nodes=2, events="WorkflowFinish")
    await upload(store)
    await start_all(ledger, store)
    await finish(ledger, well=False)
    (run,) = await runs(ledger)
    await ledger.cancel(BUCKET, run.tasks[1].job_id)
    (end,) = await callbacks_sent(ledger)
    assert isinstance(end, WorkflowFinish)
    assert [task.state for task in end.tasks] == ["Failed", "Cancel"]


# Lists


async def test_runs_are_listed_page_by_page(ledger: Ledger, store: LocalStore) -> None:
    workflow = await add(ledger)
    for number in range(7):
        await upload(store, f"in/{number}.mp4", request_id=f"r{number}")
    await start_all(ledger, store)
    for oldest_first in (False, True):
        seen: list[str] = []
        after = None
        while True:
            wanted = RunFilter(workflow_id=workflow.workflow_id, oldest_first=oldest_first)
            page = await ledger.workflows.runs(BUCKET, wanted, after=after, limit=3)
            seen += [run.object_key for run in page.runs]
            after = page.next_position
            if after is None:
                break
        expected = [f"in/{number}.mp4" for number in range(7)]
        assert seen == (expected if oldest_first else expected[::-1])
    assert [run.object_key for run in await runs(ledger, object_part="3.mp")] == ["in/3.mp4"]
    assert await runs(ledger, states=frozenset({RunState.SUCCESS})) == []
    assert await runs(ledger, workflow_id=new_id("w")) == []


async def test_old_events_are_forgotten_and_waiting_ones_are_not(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    await add(ledger)
    await upload(store)
    await start_all(ledger, store)
    await upload(store, request_id="r2")
    await ledger.workflows.note_outputs([(BUCKET, "x", "e")])
    await pool.execute("UPDATE upload_events SET consumed_at = consumed_at - interval '1 day', created_at = 'epoch'")
    await pool.execute("UPDATE own_outputs SET written_at = written_at - interval '1 day'")
    assert await ledger.workflows.forget_old(older_than_seconds=3600) == 2
    assert await ledger.workflows.forget_old(older_than_seconds=3600) == 0
    await start_all(ledger, store)
    assert len(await runs(ledger)) == 2

"""Batches on a real PostgreSQL: each object of a source is started once, whatever happens in between."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smartcover.errors import StorageUnavailable, UnknownBatch
from smartcover.ledger import Batch, BatchFilter, BatchState, Ledger, RunFilter, RunState
from smartcover.protocol import Tree, parse_batch, to_xml
from smartcover.service import BatchReader, create_batch
from smartcover.storage import LocalStore
from smartcover.worker import BatchLoop
from tests.contracts.test_ledger_workflows import BUCKET, REGION, add, bucket, dsn, ledger, new_id, pool, store

__all__ = ["bucket", "dsn", "ledger", "pool", "store"]


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def put(store: LocalStore, *keys: str, data: bytes = b"x") -> None:
    for key in keys:
        await store.put(BUCKET, key, once(data), headers={})


def body(source: dict[str, Tree], operation: dict[str, Tree] | None = None, kind: str = "Job") -> bytes:
    if operation is None:
        output: dict[str, Tree] = {
            "Region": REGION,
            "Bucket": BUCKET,
            "Object": "out/${InventoryTriggerJobId}/${InputName}-${Number}.jpg",
        }
        operation = {"Tag": "SmartCover", "JobParam": {"SmartCover": {"Count": "2"}}, "Output": output}
    return to_xml({"Request": {"Name": "stock", "Type": kind, "Input": source, "Operation": operation}})


async def start(
    ledger: Ledger,
    store: LocalStore,
    source: dict[str, Tree],
    operation: dict[str, Tree] | None = None,
    kind: str = "Job",
) -> str:
    """Accept a batch, and give its id."""
    batch = await create_batch(
        ledger,
        store,
        await store.bucket(BUCKET),
        parse_batch(body(source, operation, kind)),
        new_id=new_id,
        check_callback=lambda _: None,
        check_output=lambda _: None,
    )
    assert batch.state is BatchState.SUBMITTED
    return batch.new.batch_id


async def work(ledger: Ledger, store: LocalStore) -> None:
    loop = BatchLoop(ledger, store, new_id=new_id)
    while await loop.work_on_one(asyncio.Event()):
        continue


async def keys_started(pool: Any, batch_id: str) -> list[str]:
    rows = await pool.fetch("SELECT spec ->> 'object_key' AS key FROM jobs WHERE batch_id = $1 ORDER BY seq", batch_id)
    return [row["key"] for row in rows]


async def batch_of(ledger: Ledger, batch_id: str) -> Batch:
    return await ledger.batches.batch(BUCKET, batch_id)


async def test_each_video_under_a_prefix_gets_a_job(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    await put(store, *(f"in/{number:03}.mp4" for number in range(250)), "in/notes.txt", "other/a.mp4", "in/中 +.mov")
    batch_id = await start(ledger, store, {"Prefix": "/in/"})
    await work(ledger, store)
    batch = await batch_of(ledger, batch_id)
    assert (batch.state, batch.seen, batch.started) == (BatchState.SUCCESS, 252, 251)
    expected = [*(f"in/{number:03}.mp4" for number in range(250)), "in/中 +.mov"]
    assert await keys_started(pool, batch_id) == expected
    (claim,) = await ledger.claim_jobs("test", limit=1, lease_seconds=60)
    assert (claim.job.spec.batch_id, claim.job.spec.covers.count) == (batch_id, 2)


async def test_a_batch_goes_on_where_a_dead_worker_left_it(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    await put(store, *(f"in/{number}.mp4" for number in range(10)))
    batch_id = await start(ledger, store, {"Prefix": "in/"})
    claimed = await ledger.batches.claim(lease_seconds=0.0)
    assert claimed is not None
    reader = BatchReader(claimed, store, ledger.workflows, new_id=new_id)
    step = await reader.step(4)
    assert await ledger.batches.advance(batch_id, reader.marker, step, lease_seconds=0.0)
    await reader.close()  # and the worker dies
    await work(ledger, store)
    assert await keys_started(pool, batch_id) == [f"in/{number}.mp4" for number in range(10)]


async def test_two_workers_on_one_batch_start_no_object_twice(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    await put(store, *(f"in/{number}.mp4" for number in range(8)))
    batch_id = await start(ledger, store, {"Prefix": "in/"})
    claimed = [await ledger.batches.claim(lease_seconds=0.0) for _ in range(2)]
    readers = [BatchReader(batch, store, ledger.workflows, new_id=new_id) for batch in claimed if batch is not None]
    steps = [await reader.step(3) for reader in readers]
    outcomes = await asyncio.gather(
        *(
            ledger.batches.advance(batch_id, reader.marker, step, lease_seconds=0.0)
            for reader, step in zip(readers, steps, strict=True)
        )
    )
    assert sorted(outcomes) == [False, True]
    await work(ledger, store)
    assert Counter(await keys_started(pool, batch_id)) == Counter(f"in/{number}.mp4" for number in range(8))


async def test_the_window_is_of_upload_times_and_ends_with_the_batch(
    ledger: Ledger, store: LocalStore, pool: Any
) -> None:
    await put(store, "in/old.mp4", "in/new.mp4")
    await pool.execute("UPDATE objects SET last_modified = '2020-01-01T00:00:00Z' WHERE key = 'in/old.mp4'")

    async def started(interval: dict[str, Tree]) -> list[str]:
        operation = parse_operation() | {"TimeInterval": interval}
        batch_id = await start(ledger, store, {"Prefix": "in/"}, operation)
        await put(store, "in/later.mp4")
        await work(ledger, store)
        await store.delete(BUCKET, "in/later.mp4")
        return await keys_started(pool, batch_id)

    assert await started({}) == ["in/new.mp4", "in/old.mp4"]
    assert await started({"Start": "2021-01-01T00:00:00+0800"}) == ["in/new.mp4"]
    assert await started({"End": "2021-01-01T00:00:00z"}) == ["in/old.mp4"]
    assert await started({"Start": "1577836800", "End": "1577836801"}) == ["in/old.mp4"]


def parse_operation() -> dict[str, Tree]:
    output: dict[str, Tree] = {"Region": REGION, "Bucket": BUCKET, "Object": "o/${Number}"}
    return {"Tag": "SmartCover", "Output": output}


async def test_a_url_file_names_its_objects_a_line_each(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    host = f"{BUCKET}.cos.{REGION}.myqcloud.com"
    lines = [
        f"https://{host}/in/a%20%E4%B8%AD.mp4",
        "",
        f"http://127.0.0.1:8460/{BUCKET}/in/b.mp4?q-sign-algorithm=sha1",
        "https://other-1.cos.r.myqcloud.com/in/c.mp4",
        "no url",
        f"https://{host}/in/no-extension",
    ]
    await put(store, "lists/urls.txt", data="\r\n".join(lines).encode())
    batch_id = await start(ledger, store, {"UrlFile": "lists/urls.txt"})
    await work(ledger, store)
    assert await keys_started(pool, batch_id) == ["in/a 中.mp4", "in/b.mp4", "in/no-extension"]
    assert (await batch_of(ledger, batch_id)).seen == len(lines)


@pytest.mark.parametrize(
    "named", ["inv/manifest.json", f"https://{BUCKET}.cos.ap-chongqing.myqcloud.com/inv/manifest.json"]
)
async def test_an_inventory_is_read_row_by_row_and_resumed(
    ledger: Ledger, store: LocalStore, pool: Any, named: str
) -> None:
    def rows(start: int) -> bytes:
        lines = [f'"{BUCKET}","in/{number}+x.mp4","7"' for number in range(start, start + 5)]
        return gzip.compress("\n".join([*lines, '"other-1","in/z.mp4","7"', '"x"', ""]).encode())

    await put(store, "inv/1.csv.gz", data=rows(0))
    await put(store, "inv/2.csv.gz", data=rows(5))
    manifest = {
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": [{"key": "inv/1.csv.gz"}, {"key": "inv/2.csv.gz"}],
    }
    await put(store, "inv/manifest.json", data=json.dumps(manifest).encode())
    batch_id = await start(ledger, store, {"Manifest": named})
    while True:  # a new worker for every step
        await pool.execute("UPDATE batches SET next_at = smartcover_now() WHERE ended_at IS NULL")
        claimed = await ledger.batches.claim(lease_seconds=0.0)
        if claimed is None:
            break
        reader = BatchReader(claimed, store, ledger.workflows, new_id=new_id)
        step = await reader.step(3)
        assert await ledger.batches.advance(batch_id, reader.marker, step, lease_seconds=0.0)
        await reader.close()
    assert await keys_started(pool, batch_id) == [f"in/{number} x.mp4" for number in range(10)]
    assert (await batch_of(ledger, batch_id)).state is BatchState.SUCCESS


@pytest.mark.parametrize(
    ("source", "data", "code"),
    [
        ("UrlFile", None, "NoSuchKey"),
        ("Manifest", None, "NoSuchKey"),
        ("Manifest", b"nonsense", "InvalidArgument"),
        ("Manifest", b'{"files": []}', "InvalidArgument"),
        ("Manifest", b'{"files": [{"key": "gone.csv"}]}', "NoSuchKey"),
        ("Manifest", b'{"fileFormat": "Parquet", "files": [{"key": "a"}]}', "InvalidArgument"),
        ("UrlFile", b"x" * 20_000, "InvalidArgument"),
    ],
)
async def test_a_list_that_cannot_be_read_fails_the_batch(
    ledger: Ledger, store: LocalStore, source: str, data: bytes | None, code: str
) -> None:
    if data is not None:
        await put(store, "list", data=data)
    batch_id = await start(ledger, store, {source: "list"})
    await work(ledger, store)
    batch = await batch_of(ledger, batch_id)
    assert (batch.state, batch.code) == (BatchState.FAILED, code)
    assert "list" in batch.message or "gone" in batch.message


async def test_a_file_replaced_in_between_fails_the_batch(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    await put(store, "list", data=b"http://h/a.mp4\nhttp://h/b.mp4\n")
    batch_id = await start(ledger, store, {"UrlFile": "list"})
    claimed = await ledger.batches.claim(lease_seconds=0.0)
    assert claimed is not None
    reader = BatchReader(claimed, store, ledger.workflows, new_id=new_id)
    assert await ledger.batches.advance(batch_id, "", await reader.step(1), lease_seconds=0.0)
    await reader.close()
    await put(store, "list", data=b"http://h/c.mp4\n")
    await work(ledger, store)
    assert "replaced" in (await batch_of(ledger, batch_id)).message
    assert await keys_started(pool, batch_id) == ["a.mp4"]


async def test_one_object_needs_no_extension(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    batch_id = await start(ledger, store, {"Object": "in/clip"})
    await work(ledger, store)
    assert await keys_started(pool, batch_id) == ["in/clip"]


async def test_workflows_run_on_what_their_filters_accept(ledger: Ledger, store: LocalStore) -> None:
    videos = await add(ledger)
    music = await add(ledger, nodes=2, source={"ExtFilter": {"State": "On", "Audio": "true"}})
    await put(store, "in/a.mp4", "in/b.mp3", "in/c.txt")
    ids = f"{videos.workflow_id},{music.workflow_id}"
    batch_id = await start(ledger, store, {"Prefix": ""}, {"WorkflowIds": ids}, "Workflow")
    await work(ledger, store)
    runs = (await ledger.workflows.runs(BUCKET, RunFilter(batch_id=batch_id), limit=100)).runs
    assert {(run.workflow_id, run.object_key) for run in runs} == {
        (videos.workflow_id, "in/a.mp4"),
        (music.workflow_id, "in/b.mp3"),
    }
    assert (await batch_of(ledger, batch_id)).started == 2


async def test_a_full_queue_holds_a_batch_and_loses_nothing(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    await put(store, *(f"in/{number}.mp4" for number in range(7)))
    await pool.execute("UPDATE queues SET max_size = 3")
    batch_id = await start(ledger, store, {"Prefix": "in/"})
    await work(ledger, store)
    assert len(await keys_started(pool, batch_id)) == 3
    for _ in range(3):
        for job_id in [row["job_id"] for row in await pool.fetch("SELECT job_id FROM jobs WHERE state = 'Submitted'")]:
            await ledger.cancel(BUCKET, job_id)
        await pool.execute("UPDATE batches SET next_at = smartcover_now() WHERE ended_at IS NULL")
        await work(ledger, store)
    assert await keys_started(pool, batch_id) == [f"in/{number}.mp4" for number in range(7)]
    assert (await batch_of(ledger, batch_id)).state is BatchState.SUCCESS


async def test_cancelling_stops_a_batch_and_what_it_has_started(ledger: Ledger, store: LocalStore, pool: Any) -> None:
    workflow = await add(ledger)
    await put(store, *(f"in/{number}.mp4" for number in range(7)))
    operation: dict[str, Tree] = {"WorkflowIds": workflow.workflow_id}
    batch_id = await start(ledger, store, {"Prefix": "in/"}, operation, "Workflow")
    claimed = await ledger.batches.claim(lease_seconds=0.0)
    assert claimed is not None
    reader = BatchReader(claimed, store, ledger.workflows, new_id=new_id)
    assert await ledger.batches.advance(batch_id, "", await reader.step(4), lease_seconds=0.0)
    await reader.close()
    (running,) = await ledger.claim_jobs("test", limit=1, lease_seconds=60)
    for _ in range(2):
        await ledger.batches.cancel(BUCKET, batch_id)
    await work(ledger, store)
    assert (await batch_of(ledger, batch_id)).state is BatchState.CANCEL
    assert {row["state"] for row in await pool.fetch("SELECT state FROM jobs")} == {"Cancel"}
    assert ledger.cancelled_jobs == 4, "each of them once, although the batch was cancelled twice"
    runs = (await ledger.workflows.runs(BUCKET, RunFilter(batch_id=batch_id), limit=100)).runs
    assert len(runs) == 4
    assert {run.state for run in runs} == {RunState.CANCEL}
    assert await ledger.renew([running.lease_token], lease_seconds=60) == frozenset()
    with pytest.raises(UnknownBatch):
        await ledger.batches.cancel(BUCKET, new_id("b"))


async def test_batches_are_listed_with_every_filter(ledger: Ledger, store: LocalStore) -> None:
    workflow = await add(ledger)
    ids = [await start(ledger, store, {"Object": f"{number}.mp4"}) for number in range(3)]
    ids.append(await start(ledger, store, {"Object": "a.mp4"}, {"WorkflowIds": workflow.workflow_id}, kind="Workflow"))

    async def listed(limit: int = 10, after: tuple[datetime, int] | None = None, **wanted: Any) -> list[str]:
        page = await ledger.batches.page(BUCKET, BatchFilter(**wanted), limit=limit, after=after)
        return [batch.new.batch_id for batch in page.batches]

    assert await listed() == ids[::-1]
    assert await listed(oldest_first=True) == ids
    assert await listed(kind="Workflow") == [ids[3]]
    assert await listed(workflow_id=workflow.workflow_id) == [ids[3]]
    assert await listed(batch_id=ids[1]) == [ids[1]]
    assert await listed(name_part="oc") == ids[::-1]
    assert await listed(states=frozenset({BatchState.FAILED})) == []
    first = await ledger.batches.batch(BUCKET, ids[0])
    assert await listed(until=first.created_at) == [ids[0]]
    assert await listed(since=first.created_at + timedelta(microseconds=1)) == ids[:0:-1]
    page = await ledger.batches.page(BUCKET, BatchFilter(), limit=3)
    assert page.next_position is not None
    assert await listed(after=page.next_position) == [ids[0]]


# Many objects

MANY = 100_000


async def add_many(pool: Any, count: int) -> None:
    """Put rows of objects without bytes: a batch only lists them."""
    await pool.execute(
        "INSERT INTO objects (bucket, key, blob, size_bytes, etag, crc64, headers) "
        "SELECT $1, 'in/' || lpad(n::text, 6, '0') || '.mp4', gen_random_uuid(), 1, 'e', 0, '{}' "
        "FROM generate_series(1, $2::int) AS n",
        BUCKET,
        count,
    )
    await pool.execute("UPDATE queues SET max_size = 10000000")


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_hundred_thousand_objects_are_started_once_in_flat_memory_whatever_is_killed(
    ledger: Ledger, store: LocalStore, pool: Any, dsn: str, tmp_path: Path
) -> None:
    await add_many(pool, MANY)
    batch_id = await start(ledger, store, {"Prefix": "in/"})
    kills = 0
    while kills < 6:
        command = [sys.executable, "-m", "tests.contracts.test_ledger_batches", dsn, str(tmp_path)]
        worker = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        begun = (await batch_of(ledger, batch_id)).seen
        deadline = time.monotonic() + 120
        while (await batch_of(ledger, batch_id)).seen < begun + 3000:
            assert worker.poll() is None, "the worker ended by itself"
            assert time.monotonic() < deadline, "the worker does not get on"
            await asyncio.sleep(0.05)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        kills += 1
        await pool.execute("UPDATE batches SET next_at = smartcover_now() WHERE ended_at IS NULL")
    assert (await batch_of(ledger, batch_id)).state is BatchState.RUNNING

    tracemalloc.start()
    await work(ledger, store)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 32 << 20
    batch = await batch_of(ledger, batch_id)
    assert (batch.state, batch.seen, batch.started) == (BatchState.SUCCESS, MANY, MANY)
    started = await pool.fetchrow("SELECT count(*) AS jobs, count(DISTINCT spec ->> 'object_key') AS keys FROM jobs")
    assert (started["jobs"], started["keys"]) == (MANY, MANY)


async def work_for_ever(dsn: str, root: Path) -> None:
    import asyncpg

    opened = await Ledger.connect(dsn, pool_size=4)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=4) as connections:
        await BatchLoop(opened, LocalStore(root, connections), new_id=new_id).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(work_for_ever(sys.argv[1], Path(sys.argv[2])))


class Away(LocalStore):
    """Lists nothing while it is away; the rest of it is there."""

    asked = 0
    away = True

    async def list(self, *arguments: Any, **named: Any) -> Any:
        self.asked += 1
        if self.away:
            raise StorageUnavailable
        return await super().list(*arguments, **named)


async def test_a_batch_whose_list_is_never_read_fails_when_the_wait_is_over(
    ledger: Ledger, store: LocalStore, pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartcover.worker.patience._SHORTEST_WAIT_SECONDS", 0.2)
    await put(store, "in/a.mp4")
    away = Away(tmp_path / "objects", pool)
    loop = BatchLoop(ledger, away, new_id=new_id, storage_wait_seconds=0.5)
    batch_id = await start(ledger, store, {"Prefix": "in/"})
    async with asyncio.timeout(20):
        while (batch := await batch_of(ledger, batch_id)).state in (BatchState.SUBMITTED, BatchState.RUNNING):
            await loop.work_on_one(asyncio.Event())
            await asyncio.sleep(0.02)
    assert (batch.state, batch.code) == (BatchState.FAILED, "ServiceUnavailable")
    assert batch.message.startswith("gave up Input.Prefix in/ after 1 seconds of tries")
    assert away.asked == 4


async def test_a_batch_that_goes_on_is_as_patient_as_at_its_start(
    ledger: Ledger, store: LocalStore, pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartcover.worker.patience._SHORTEST_WAIT_SECONDS", 0.01)
    await put(store, "in/a.mp4")
    away = Away(tmp_path / "objects", pool)
    loop = BatchLoop(ledger, away, new_id=new_id)
    batch_id = await start(ledger, store, {"Prefix": "in/"})
    await loop.work_on_one(asyncio.Event())
    assert await ledger.batches.held_up_seconds(batch_id) == 0.01
    away.away = False
    async with asyncio.timeout(20):
        while (await batch_of(ledger, batch_id)).state is not BatchState.SUCCESS:
            await loop.work_on_one(asyncio.Event())
    assert await ledger.batches.held_up_seconds(batch_id) == 0

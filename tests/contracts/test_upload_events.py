"""An upload and the event of it are stored together; what we publish ourselves is no upload."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from smartcover.errors import DigestMismatch
from smartcover.ledger import Ledger, NewUpload
from smartcover.storage import LocalStore, UploadEvent
from tests.objects_database import Pool, object_dsn, object_pool

__all__ = ["object_dsn", "object_pool"]

BUCKET = "test-1"


@pytest.fixture
async def store(object_pool: Pool, tmp_path: Path) -> LocalStore:
    await object_pool.execute("TRUNCATE workflows, upload_events")
    made = LocalStore(tmp_path, object_pool, reserve_bytes=0)
    await made.create_bucket(BUCKET, "r")
    return made


async def add_workflow(pool: Pool, workflow_id: str, prefix: str, state: str = "Active", bucket: str = BUCKET) -> None:
    await pool.execute(
        "INSERT INTO workflows (workflow_id, bucket, name, state, object_prefix, topology) "
        "VALUES ($1, $2, 'n', $3, $4, '{}')",
        workflow_id,
        bucket,
        state,
        prefix,
    )


async def events(pool: Pool) -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch("SELECT * FROM upload_events ORDER BY seq")]


async def once(data: bytes = b"hello") -> AsyncIterator[bytes]:
    yield data


def event(name: str, request_id: str) -> UploadEvent:
    return UploadEvent(f"cos:ObjectCreated:{name}", request_id)


async def test_every_way_of_uploading_leaves_its_event(store: LocalStore, object_pool: Pool) -> None:
    await add_workflow(object_pool, "w1", "in/")
    headers = {"content-type": "video/mp4", "x-cos-meta-id": "7"}
    await store.put(BUCKET, "in/a", once(), headers=headers, event=event("Put", "r1"))
    await store.copy(BUCKET, "in/a", BUCKET, "in/b", headers=None, event=event("Copy", "r2"))
    upload = await store.start_upload(BUCKET, "in/c", headers={})
    part = await store.put_part(BUCKET, "in/c", upload.upload_id, 1, once())
    for request_id in ("r3", "r4"):  # the second completion answers as the first and is no event
        await store.complete_upload(
            BUCKET,
            "in/c",
            upload.upload_id,
            [(1, part.etag)],
            event=event("CompleteMultipartUpload", request_id),
        )
    found = await events(object_pool)
    assert [(row["event_id"], row["key"], row["name"]) for row in found] == [
        ("cos:r1", "in/a", "cos:ObjectCreated:Put"),
        ("cos:r2", "in/b", "cos:ObjectCreated:Copy"),
        ("cos:r3", "in/c", "cos:ObjectCreated:CompleteMultipartUpload"),
    ]
    assert json.loads(found[0]["headers"]) == headers
    assert (found[0]["size_bytes"], found[0]["etag"]) == (5, "5d41402abc4b2a76b9719d911017c592")


async def test_an_upload_owes_a_run_to_workflows_that_wait_for_it_now(store: LocalStore, object_pool: Pool) -> None:
    await add_workflow(object_pool, "w1", "in/")
    await add_workflow(object_pool, "w2", "")
    await add_workflow(object_pool, "w3", "in/", state="Paused")
    await add_workflow(object_pool, "w4", "other/")
    await add_workflow(object_pool, "w5", "in/", bucket="other-1")
    await store.put(BUCKET, "in/a", once(), headers={}, event=event("Put", "r1"))
    await object_pool.execute("UPDATE workflows SET state = 'Paused'")
    await store.put(BUCKET, "in/b", once(), headers={}, event=event("Put", "r2"))
    assert [(row["key"], row["workflow_ids"]) for row in await events(object_pool)] == [("in/a", ["w1", "w2"])]


async def test_what_we_publish_is_no_upload(store: LocalStore, object_pool: Pool) -> None:
    await add_workflow(object_pool, "w1", "")
    staged = await store.stage(BUCKET, "in/cover.jpg", b"jpeg", headers={})
    await store.publish([staged])
    assert await events(object_pool) == []


async def test_an_upload_that_fails_leaves_no_event(store: LocalStore, object_pool: Pool) -> None:
    await add_workflow(object_pool, "w1", "")
    with pytest.raises(DigestMismatch):
        await store.put(BUCKET, "a", once(), headers={}, content_md5=b"0" * 16, event=event("Put", "r1"))
    assert await events(object_pool) == []


async def told(ledger: Ledger, event_id: str, etag: str = "5d41402abc4b2a76b9719d911017c592") -> int:
    upload = NewUpload(event_id, BUCKET, "in/a", "cos:ObjectCreated:Put", 5, etag, "-", outside=True)
    return await ledger.workflows.note_uploads([upload])


async def started(ledger: Ledger) -> list[str]:
    """Take all that is stored, and give what would start runs."""
    found: list[str] = []
    while True:
        async with ledger.workflows.taking_upload() as taken:
            if taken is None:
                return found
            if not await taken.is_own_upload():
                found.append(taken.upload.event.event_id)


@pytest.fixture
async def ledger(object_dsn: str) -> AsyncIterator[Ledger]:
    opened = await Ledger.connect(object_dsn, pool_size=4)
    yield opened
    await opened.close()


@pytest.mark.parametrize("taken_between", [False, True])
@pytest.mark.parametrize("store_first", [False, True])
async def test_an_upload_that_the_store_tells_of_too_starts_runs_once(
    store: LocalStore, object_pool: Pool, ledger: Ledger, store_first: bool, taken_between: bool
) -> None:
    await add_workflow(object_pool, "w1", "in/")
    began: list[str] = []
    for ours in (not store_first, store_first):
        if ours:
            await store.put(BUCKET, "in/a", once(), headers={}, event=event("Put", "r1"))
        else:
            assert await told(ledger, "s3:1") == 1
        if taken_between:
            began += await started(ledger)
    began += await started(ledger)
    assert began == (["s3:1"] if store_first and taken_between else ["cos:r1"])


async def test_the_same_bytes_sent_again_start_runs_again(store: LocalStore, object_pool: Pool, ledger: Ledger) -> None:
    await add_workflow(object_pool, "w1", "in/")
    for number in (1, 2):
        await store.put(BUCKET, "in/a", once(), headers={}, event=event("Put", f"r{number}"))
        await told(ledger, f"s3:{number}")
    await told(ledger, "s3:3")  # the same bytes, put into the store behind our back
    assert sorted(await started(ledger)) == ["cos:r1", "cos:r2", "s3:3"]


async def test_an_upload_that_an_sdk_sends_again_is_told_of_once(store: LocalStore, object_pool: Pool) -> None:
    await add_workflow(object_pool, "w1", "in/")
    number = 0

    async def put(data: bytes, how: str = "Put", *, again: bool = True) -> int:
        nonlocal number
        number += 1
        what = UploadEvent(f"cos:ObjectCreated:{how}", f"r{number}", 60.0 if again else None)
        await store.put(BUCKET, "in/a", once(data), headers={}, event=what)
        return len(await events(object_pool))

    assert await put(b"one") == 1, "the first try did not come through"
    assert await put(b"one") == 1
    assert await put(b"one", again=False) == 2, "what no SDK marks is a new upload"
    assert await put(b"two") == 3
    assert await put(b"one") == 4, "others came in between"
    assert await put(b"one", how="Copy") == 5
    await object_pool.execute("UPDATE upload_events SET created_at = created_at - interval '61 s'")
    assert await put(b"one", how="Copy") == 6, "no SDK waits for so long"


async def test_an_upload_sent_again_while_the_first_is_still_stored_is_told_of_once(
    store: LocalStore, object_pool: Pool
) -> None:
    await add_workflow(object_pool, "w1", "in/")
    first = UploadEvent("cos:ObjectCreated:Put", "r1")
    second = UploadEvent("cos:ObjectCreated:Put", "r2", retried_within_seconds=60.0)
    async with object_pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE upload_events IN EXCLUSIVE MODE")  # holds the first up before its event
        slow = asyncio.create_task(store.put(BUCKET, "in/a", once(), headers={}, event=first))
        await asyncio.sleep(0.3)
        retried = asyncio.create_task(store.put(BUCKET, "in/a", once(), headers={}, event=second))
        await asyncio.sleep(0.3)
    await asyncio.gather(slow, retried)
    assert [row["request_id"] for row in await events(object_pool)] == ["r1"]


async def test_other_bytes_or_another_day_are_another_upload(
    store: LocalStore, object_pool: Pool, ledger: Ledger
) -> None:
    await add_workflow(object_pool, "w1", "in/")
    await store.put(BUCKET, "in/a", once(), headers={}, event=event("Put", "r1"))
    await told(ledger, "s3:1", etag="other")
    await object_pool.execute("UPDATE upload_events SET created_at = created_at - interval '1 day'")
    await told(ledger, "s3:2")
    assert sorted(await started(ledger)) == ["cos:r1", "s3:1", "s3:2"]

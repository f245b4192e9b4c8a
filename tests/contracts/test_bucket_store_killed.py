"""A process killed while it stores objects leaves whole objects, and nothing on the disk that a sweep does not find."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from smartcover.storage import LocalStore
from tests.objects_database import Pool

B = "test-1"

#: Puts, replaces, copies, joins, publishes and deletes as fast as it can; says each finished step.
WRITER = """
import asyncio, hashlib, os, sys
from pathlib import Path
import asyncpg
from smartcover.errors import ObjectMissing
from smartcover.storage import LocalStore

async def body(data):
    for at in range(0, len(data), 300_000):
        yield data[at : at + 300_000]

async def work(store, name):
    for step in range(10**9):
        data = os.urandom(1 + step * 7919 % 2_500_000)
        key = f"{name}-{step % 5}"
        await store.put("test-1", key, body(data), headers={"x-cos-meta-md5": hashlib.md5(data).hexdigest()})
        print(key, hashlib.md5(data).hexdigest(), flush=True)
        upload = await store.start_upload("test-1", key + "-joined", headers={})
        parts = [await store.put_part("test-1", upload.key, upload.upload_id, n, body(data)) for n in (1, 2)]
        await store.complete_upload("test-1", upload.key, upload.upload_id, [(p.number, p.etag) for p in parts])
        await store.copy("test-1", key, "test-1", key + "-copy", headers=None)
        staged = [await store.stage("test-1", f"{name}-pair-{side}", data[:99], headers={}) for side in "ab"]
        await store.publish(staged)
        await store.delete("test-1", f"{name}-{(step + 2) % 5}-copy")

async def main(dsn, root):
    async with asyncpg.create_pool(dsn, min_size=1, max_size=6) as pool:
        store = LocalStore(Path(root), pool, reserve_bytes=0)
        await asyncio.gather(*[work(store, name) for name in "abc"])

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_writer_leaves_whole_objects_and_no_lost_files(
    object_dsn: str, object_pool: Pool, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path, object_pool, reserve_bytes=0)
    bucket = await store.create_bucket(B, "local")
    rng = random.Random(20)
    for _ in range(4):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, object_dsn, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), 60)
        await asyncio.sleep(rng.uniform(0.1, 0.8))
        process.send_signal(signal.SIGKILL)
        said: dict[str, list[str]] = {}
        for line in (await process.stdout.read()).decode().splitlines():
            key, _, digest = line.partition(" ")
            if len(digest) == 32:  # the last line may be cut
                said.setdefault(key, []).append(digest)
        assert await process.wait() == -signal.SIGKILL
        await check_objects(store, said)

        owned = {row["blob"] for row in await object_pool.fetch("SELECT blob FROM objects")}
        owned |= {row["blob"] for row in await object_pool.fetch("SELECT blob FROM upload_parts")}
        listed = {row["blob"] for row in await object_pool.fetch("SELECT blob FROM garbage")}
        assert owned <= files(tmp_path) <= owned | listed

    await store.sweep(bucket.created_at + timedelta(days=40))
    await store.sweep(bucket.created_at + timedelta(days=40))  # what the first took from old uploads
    owned = {row["blob"] for row in await object_pool.fetch("SELECT blob FROM objects")}
    assert files(tmp_path) == owned
    assert await object_pool.fetchval("SELECT count(*) FROM garbage") == 0
    assert len(owned) > 10


async def check_objects(store: LocalStore, said: dict[str, list[str]]) -> None:
    """Each object is whole, and none is older than the last version that the writer said was stored."""
    pairs: dict[str, str] = {}
    page = await store.list(B)
    assert page.next_marker is None
    for info in page.objects:
        async with store.read(B, info.key) as (read_info, stream):
            data = b"".join([block async for block in stream])
        assert len(data) == read_info.size_bytes
        digest = hashlib.md5(data).hexdigest()
        if "x-cos-meta-md5" in info.headers:
            assert digest == info.headers["x-cos-meta-md5"]
        assert digest not in said.get(info.key, [])[:-1], f"{info.key} fell back to an older version"
        if "-pair-" in info.key:
            name, _, side = info.key.rpartition("-")
            assert pairs.setdefault(name, digest) == digest, f"{info.key}: {side} was published alone"
    assert set(said) <= {info.key for info in page.objects}


def files(root: Path) -> set[UUID]:
    return {UUID(name) for _, _, names in os.walk(root) for name in names}

"""The schema grows by steps that lose nothing, that break off cleanly, and that older processes survive."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from smartcover import ledger as ledger_room
from smartcover.errors import LedgerError, LedgerUnavailable, SettingsError
from smartcover.ledger import JobResult, JobState, Ledger, check_schema, expected_revision, upgrade
from smartcover.ledger.revisions import known_revisions
from tests.postgres import SERVERS, cluster

BUCKET = "grown-1250000000"


def config(connection: Connection | None = None) -> Config:
    found = Config()
    found.set_main_option("script_location", str(Path(ledger_room.__file__).with_name("migrations")))
    found.set_main_option("path_separator", "os")
    found.attributes["connection"] = connection
    return found


#: Oldest first.
REVISIONS = [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


@pytest.fixture(params=SERVERS)
def dsn(request: pytest.FixtureRequest) -> str:
    """A database without a schema."""
    return cluster(request.param).make_empty_database()


async def upgrade_to(dsn: str, revision: str) -> None:
    """Bring the database to an earlier schema, as an earlier version of smartcover would have."""

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(dsn)

    def work(connection: Connection) -> None:
        command.upgrade(config(connection), revision)
        connection.commit()

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(work)
    await engine.dispose()


@contextlib.asynccontextmanager
async def session(dsn: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def revision_of(dsn: str) -> str | None:
    async with session(dsn) as connection:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return found


async def columns(dsn: str) -> dict[tuple[str, str], tuple[str, bool]]:
    """Give each column's type, and whether a row may be added without naming it."""
    async with session(dsn) as connection:
        rows = await connection.fetch(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type, "
            "       NOT a.attnotnull OR a.atthasdef OR a.attidentity <> '' AS optional "
            "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace "
            "  AND c.relname <> 'alembic_version' AND a.attnum > 0 AND NOT a.attisdropped"
        )
    return {(row["relname"], row["attname"]): (row["type"], row["optional"]) for row in rows}


def test_the_steps_form_one_line_and_their_files_are_named_after_them() -> None:
    scripts = {script.revision: script for script in ScriptDirectory.from_config(config()).walk_revisions()}
    assert sorted(REVISIONS) == REVISIONS
    assert [scripts[revision].down_revision for revision in REVISIONS] == [None, *REVISIONS[:-1]]
    assert all(Path(script.path).name.startswith(f"{revision}_") for revision, script in scripts.items())
    assert expected_revision() == REVISIONS[-1]
    assert known_revisions() == set(REVISIONS), "they are read off the names of the files"


async def test_an_empty_database_comes_to_the_newest_schema_and_stays_there(dsn: str) -> None:
    with pytest.raises(SettingsError, match=r"at nothing .*smartcover db upgrade"):
        await check_schema(dsn)
    await upgrade(dsn)
    await check_schema(dsn)
    before = await columns(dsn)
    await upgrade(dsn)
    assert await columns(dsn) == before
    assert before


async def test_processes_that_start_together_upgrade_once(dsn: str) -> None:
    await asyncio.gather(*(upgrade(dsn) for _ in range(5)))
    await check_schema(dsn)
    async with session(dsn) as connection:
        assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
        assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


@pytest.mark.parametrize("revision", REVISIONS[:-1])
async def test_an_older_schema_is_refused_with_the_command_that_helps(dsn: str, revision: str) -> None:
    await upgrade_to(dsn, revision)
    with pytest.raises(SettingsError, match=rf"at {revision} .*needs {REVISIONS[-1]}; run smartcover db upgrade"):
        await check_schema(dsn)


@pytest.mark.parametrize("use", [check_schema, upgrade])
async def test_a_schema_of_a_newer_version_is_refused_and_left_alone(dsn: str, use: Callable[[str], Any]) -> None:
    await upgrade(dsn)
    async with session(dsn) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = await columns(dsn)
    with pytest.raises(SettingsError, match=r"at 9999, which this version does not know"):
        await use(dsn)
    assert await revision_of(dsn) == "9999"
    assert await columns(dsn) == before


@pytest.mark.parametrize("revision", REVISIONS[:-1])
async def test_jobs_and_callbacks_of_every_earlier_schema_go_on(dsn: str, revision: str) -> None:
    await upgrade_to(dsn, revision)
    async with session(dsn) as connection:
        await connection.execute(OLD_ROWS)
    await upgrade(dsn)
    ledger = await Ledger.connect(dsn, pool_size=2)
    try:
        jobs = await ledger.jobs(BUCKET, ["j-waits", "j-runs", "j-done", "j-cancelled"])
        assert {name: job.state for name, job in jobs.items()} == {
            "j-waits": JobState.SUBMITTED,
            "j-runs": JobState.RUNNING,
            "j-done": JobState.SUCCESS,
            "j-cancelled": JobState.CANCEL,
        }
        done = jobs["j-done"]
        assert done.result is not None
        assert (done.result.covers[0].key, done.spec.covers.count, done.spec.user_data) == ("out/0.jpg", 2, "7 🎬")
        assert await ledger.sweep() == 1, "the lease of what ran has run out"
        taken = await ledger.claim_jobs("worker-1", limit=9, lease_seconds=30)
        assert {claim.job.job_id: claim.job.attempt for claim in taken} == {"j-waits": 1, "j-runs": 3}
        for claim in taken:
            async with ledger.finishing(claim) as finishing:
                await finishing.succeed(JobResult(covers=()), [])
        (owed,) = await ledger.claim_deliveries(limit=9, lease_seconds=30, per_destination=4)
        assert (owed.delivery_id, owed.body, owed.tries) == ("d-owed", b"<Response/>\x00", 4)
        assert [attempt.report.http_status for attempt in await ledger.attempts("d-owed")] == [500]
    finally:
        await ledger.close()


@pytest.mark.parametrize(("old", "new"), list(itertools.pairwise(REVISIONS)))
async def test_processes_of_the_version_before_can_go_on_after_a_step(dsn: str, old: str, new: str) -> None:
    """Their statements name no new column and still read the old ones, so old stay and new may be left out."""
    await upgrade_to(dsn, old)
    before = await columns(dsn)
    await upgrade_to(dsn, new)
    after = await columns(dsn)
    assert {name: after.get(name) for name in before} == before
    tables = {table for table, _ in before}
    demanded = [name for name, (_, optional) in after.items() if name not in before and not optional]
    assert [name for name in demanded if name[0] in tables] == []


async def test_a_step_that_fails_leaves_the_schema_as_it_was(dsn: str) -> None:
    await upgrade_to(dsn, "0002")
    async with session(dsn) as connection:
        await connection.execute("CREATE TABLE submissions (of_somebody text)")  # stands in the way of 0003, half-way
    before = await columns(dsn)
    with pytest.raises(LedgerError) as caught:
        await upgrade(dsn)
    assert not isinstance(caught.value, LedgerUnavailable), "trying again would not help"
    assert "submissions" in (caught.value.detail or "")
    assert (await revision_of(dsn), await columns(dsn)) == ("0002", before)
    async with session(dsn) as connection:
        await connection.execute("DROP TABLE submissions")
    async with asyncio.timeout(30):  # nobody holds the lock any more
        await upgrade(dsn)
    await check_schema(dsn)


async def test_an_upgrade_that_is_cut_off_is_done_by_the_next(dsn: str) -> None:
    await upgrade_to(dsn, "0002")
    before = await columns(dsn)
    async with session(dsn) as blocker, session(dsn) as watcher:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("LOCK TABLE jobs IN ACCESS SHARE MODE")  # 0003 waits for it, in its middle
        going = asyncio.create_task(upgrade(dsn))
        async with asyncio.timeout(30):
            while not await watcher.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%ALTER TABLE jobs%'"
            ):
                await asyncio.sleep(0.01)
        with pytest.raises(LedgerUnavailable):
            await going
        await transaction.rollback()
    assert (await revision_of(dsn), await columns(dsn)) == ("0002", before)
    async with asyncio.timeout(30):
        await upgrade(dsn)
    await check_schema(dsn)


WRITE = """
INSERT INTO deliveries (delivery_id, job_id, bucket, target, destination, content_type, body)
VALUES ($1, 'j-done', 'grown-1250000000', '{"url": "http://receiver.example/cb"}', 'http://receiver.example:80',
        'application/xml', 'x')
"""


async def until_an_index_waits(watcher: Any) -> int:
    """Wait until an upgrade stands in the building of an index, and give its process."""
    async with asyncio.timeout(30):
        while True:
            pid = await watcher.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
                "AND query LIKE '%CREATE INDEX%'"
            )
            if pid is not None:
                return int(pid)
            await asyncio.sleep(0.01)


async def invalid_indexes(dsn: str) -> list[str]:
    async with session(dsn) as connection:
        rows = await connection.fetch("SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid")
    return [row["name"] for row in rows]


async def indexes(dsn: str) -> dict[str, str]:
    async with session(dsn) as connection:
        rows = await connection.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    return {row["indexname"]: row["indexdef"] for row in rows}


@pytest.mark.parametrize("revision", ["0004", "0006", "0007"])
async def test_writers_do_not_wait_for_the_building_of_an_index(dsn: str, revision: str) -> None:
    """An open transaction of a writer holds up the build; a build that locks the table would hold up all others."""
    await upgrade_to(dsn, revision)
    async with session(dsn) as old, session(dsn) as writer, session(dsn) as watcher:
        await old.execute(OLD_ROWS)
        transaction = old.transaction()
        await transaction.start()
        await old.execute(WRITE, "d-open")
        going = asyncio.create_task(upgrade(dsn))
        await until_an_index_waits(watcher)
        await writer.execute("SET lock_timeout = '2s'")
        for number in range(20):
            await writer.execute(WRITE, f"d-{number}")
        assert not going.done()
        await transaction.commit()
        async with asyncio.timeout(60):
            await going
        assert await watcher.fetchval("SELECT count(*) FROM deliveries") == 22
    await check_schema(dsn)
    assert await invalid_indexes(dsn) == []


@pytest.mark.parametrize("revision", ["0004", "0006", "0007"])
async def test_an_index_whose_building_was_cut_off_is_built_anew(dsn: str, revision: str) -> None:
    await upgrade_to(dsn, revision)
    async with session(dsn) as old, session(dsn) as watcher:
        await old.execute(OLD_ROWS)
        transaction = old.transaction()
        await transaction.start()
        await old.execute(WRITE, "d-open")
        going = asyncio.create_task(upgrade(dsn))
        pid = await until_an_index_waits(watcher)
        await watcher.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(LedgerUnavailable):
            await going
        await transaction.commit()
    assert await invalid_indexes(dsn) != []
    assert await revision_of(dsn) == revision
    async with asyncio.timeout(60):
        await upgrade(dsn)
    await check_schema(dsn)
    assert await invalid_indexes(dsn) == []
    fresh = cluster().make_database()
    assert await indexes(dsn) == await indexes(fresh)


async def test_busy_writers_lose_nothing_while_the_schema_is_brought_up_from_far_behind(dsn: str) -> None:
    await upgrade_to(dsn, "0004")
    async with session(dsn) as old:
        await old.execute(OLD_ROWS)
        await old.execute(
            "INSERT INTO deliveries (delivery_id, job_id, bucket, target, destination, content_type, body) "
            "SELECT 'd-old-' || n, 'j-done', 'grown-1250000000', '{}', 'http://receiver.example:80', 'text/xml', 'x' "
            "FROM generate_series(1, 50000) AS n"
        )
    done = asyncio.Event()

    async def write(name: str) -> int:
        async with session(dsn) as connection:
            await connection.execute("SET lock_timeout = '5s'")
            for number in itertools.count():
                if done.is_set():
                    return number
                await connection.execute(WRITE, f"d-{name}-{number}")
        raise AssertionError

    writers = [asyncio.create_task(write(name)) for name in ("one", "two", "three")]
    try:
        async with asyncio.timeout(90):
            await upgrade(dsn)
    finally:
        done.set()
    written = sum(await asyncio.gather(*writers))
    assert written > 50
    async with session(dsn) as connection:
        assert await connection.fetchval("SELECT count(*) FROM deliveries") == 50_001 + written
    await check_schema(dsn)
    assert await invalid_indexes(dsn) == []


async def test_a_database_that_does_not_answer_is_told_apart_from_a_wrong_schema(tmp_path: Path) -> None:
    nowhere = f"postgresql://nobody:none@/none?host={tmp_path}"
    for use in (check_schema, upgrade):
        with pytest.raises(LedgerUnavailable):
            await use(nowhere)


#: Rows of the oldest schema: the columns of 0001, and in JSON only what has no default; old rows may lack the rest.
OLD_ROWS = """
INSERT INTO queues (queue_id, bucket, name, is_default) VALUES ('p-old', 'grown-1250000000', 'queue', true);
INSERT INTO jobs (
    job_id, bucket, region, queue_id, tag, spec, callback, state, attempt, worker_id, lease_token, lease_until,
    ended_at, result
)
SELECT id, 'grown-1250000000', 'ap-chongqing', 'p-old', 'SmartCover',
    '{"object_key": "in/a.mp4", "output": {"region": "ap-chongqing", "bucket": "grown-1250000000",
      "object_pattern": "out/${Number}.jpg"}, "covers": {"count": 2}, "user_data": "7 🎬"}',
    '{"url": "http://receiver.example/cb"}', state, attempt,
    CASE WHEN state = 'Running' THEN 'worker-0' END,
    CASE WHEN state = 'Running' THEN gen_random_uuid() END,
    CASE WHEN state = 'Running' THEN now() - interval '1 minute' END,
    CASE WHEN state IN ('Success', 'Cancel') THEN now() END,
    CASE WHEN state = 'Success' THEN '{"covers": [{"key": "out/0.jpg", "md5": "d41d8", "size_bytes": 10,
      "width_px": 64, "height_px": 36, "seconds": 1.5, "score": 0.7}]}'::json END
FROM (VALUES
    ('j-waits', 'Submitted', 0), ('j-runs', 'Running', 2), ('j-done', 'Success', 1), ('j-cancelled', 'Cancel', 0)
) AS old (id, state, attempt);
INSERT INTO deliveries (delivery_id, job_id, bucket, target, destination, content_type, body, tries)
VALUES ('d-owed', 'j-done', 'grown-1250000000', '{"url": "http://receiver.example/cb"}',
        'http://receiver.example:80', 'application/xml', '\\x3c526573706f6e73652f3e00', 3);
INSERT INTO delivery_attempts (delivery_id, number, started_at, outcome, duration_seconds, http_status)
VALUES ('d-owed', 3, now(), 'http', 0.1, 500);
"""

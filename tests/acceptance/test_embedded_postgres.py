"""The embedded PostgreSQL comes up again whatever killed it, and belongs to one process at a time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest

from smartcover.errors import SettingsError
from smartcover.ledger import EmbeddedPostgres, identity

pytestmark = pytest.mark.timeout(180)

KEEPER = """
import asyncio, sys
from pathlib import Path
from smartcover.ledger import EmbeddedPostgres

async def main():
    postgres = EmbeddedPostgres(Path(sys.argv[1]))
    print(await postgres.start(), postgres.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        await asyncio.sleep(0.02)
    return condition()


async def remember(dsn: str, value: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS memory (value int)")
        await connection.execute("INSERT INTO memory VALUES ($1)", value)
    finally:
        connection.terminate()


async def remembered(dsn: str) -> list[int]:
    connection = await asyncpg.connect(dsn)
    try:
        return [row["value"] for row in await connection.fetch("SELECT value FROM memory ORDER BY value")]
    finally:
        connection.terminate()


@contextlib.asynccontextmanager
async def started(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(folder)
    try:
        await postgres.start()
        yield postgres
    finally:
        await postgres.stop()


@contextlib.contextmanager
def keeper(folder: Path):  # type: ignore[no-untyped-def] # a generator of (process, dsn, pid)
    """Another process that owns the folder's database."""
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        dsn, pid = process.stdout.readline().split()
        yield process, dsn, int(pid)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def test_what_was_committed_is_there_after_a_stop_and_a_start(tmp_path: Path) -> None:
    folder = tmp_path / "a b 名字" / ("long" * 30)
    async with started(folder) as postgres:
        await remember(postgres.dsn, 1)
        sockets = Path(postgres.dsn.partition("host=")[2].replace("%2F", "/"))
        assert sockets.is_dir()
        assert sockets.stat().st_mode & 0o077 == 0
    assert not sockets.exists()
    async with started(folder) as postgres:
        assert await remembered(postgres.dsn) == [1]


@pytest.mark.parametrize("left", [None, b"", b"\0" * 48, b"4711", b"a" * 48], ids=repr)
async def test_a_password_that_was_lost_or_is_another_one_costs_no_data(tmp_path: Path, left: bytes | None) -> None:
    """As after a power cut, or when folders of two installations were mixed."""
    async with started(tmp_path) as postgres:
        await remember(postgres.dsn, 1)
    password = tmp_path / "password"
    if left is None:
        password.unlink()
    else:
        password.write_bytes(left)
    for _ in range(2):
        async with started(tmp_path) as postgres:
            assert await remembered(postgres.dsn) == [1]
            assert await remembered(EmbeddedPostgres.dsn_in_use(tmp_path) or "") == [1]
    assert password.stat().st_mode & 0o077 == 0 or left == b"a" * 48


async def test_the_password_is_on_the_disk_before_the_cluster_is_made_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, str]] = []
    sync = os.fsync

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        held = path.read_text() if path.is_file() else " ".join(inside.name for inside in path.iterdir())
        synced.append((path.name, held))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    async with started(tmp_path / "data"):
        password = (tmp_path / "data/password").read_text()
    (draft, written), (folder, _names) = synced[:2]
    assert draft.startswith("password.")
    assert written == password
    assert folder == "data"
    assert "password" in synced[1][1].split()
    assert "cluster" not in synced[1][1].split()
    assert "cluster" in synced[2][1].split()


async def test_the_log_of_a_server_that_runs_for_long_stays_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smartcover.ledger.embedded._LOG_LOOK_SECONDS", 0.1)
    monkeypatch.setattr("smartcover.ledger.server_log._LIMIT_BYTES", 20_000)
    log, aside = tmp_path / "postgres.log", tmp_path / "postgres.log.1"
    sizes = []
    async with started(tmp_path) as postgres:
        connection = await asyncpg.connect(postgres.dsn)
        for number in range(400):
            await connection.execute(f"DO $$ BEGIN RAISE WARNING 'line {number} {'x' * 400}'; END $$")
            await asyncio.sleep(0.01)
            sizes.append(log.stat().st_size)
        assert await eventually(lambda: log.stat().st_size < 20_000)
        await connection.execute("DO $$ BEGIN RAISE WARNING 'the last line'; END $$")
        await connection.close()
    assert max(sizes) < 120_000
    assert "line " in aside.read_text()
    assert aside.stat().st_size < 120_000
    assert "the last line" in log.read_text()
    assert "\0" not in log.read_text()


async def test_a_killed_server_is_started_again_under_the_same_address(tmp_path: Path) -> None:
    async with started(tmp_path) as postgres:
        dsn, pid = postgres.dsn, postgres.pid
        assert pid is not None
        await remember(dsn, 1)
        os.kill(pid, signal.SIGKILL)
        assert await eventually(lambda: postgres.pid != pid)
        for _ in range(200):
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                assert await remembered(dsn) == [1]
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the server did not come back within 10 seconds")
        assert postgres.dsn == dsn


@pytest.mark.skipif(sys.platform != "linux", reason="a parent's death is told to children on Linux only")
async def test_a_server_does_not_outlive_its_parent(tmp_path: Path) -> None:
    with keeper(tmp_path) as (process, dsn, pid):
        await remember(dsn, 1)
        process.kill()
        assert await eventually(lambda: not alive(pid)), "the server runs on after its parent was killed"
    async with started(tmp_path) as postgres:
        assert await remembered(postgres.dsn) == [1]


async def test_an_orphan_is_stopped_before_a_new_server_starts(tmp_path: Path) -> None:
    async with started(tmp_path) as postgres:
        await remember(postgres.dsn, 1)
        programs = postgres._programs
    mode = identity.choose_identity().mode
    orphan_maker = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,"
        " stderr=subprocess.DEVNULL, start_new_session=True)\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    sockets = tmp_path / "sockets-of-the-orphan"
    server = [str(programs / "postgres"), f"-D{tmp_path / 'cluster'}", "-clisten_addresses=", f"-k{sockets}"]
    untied = [sys.executable, "-I", "-c", _UNTIED, str(identity.LAUNCHER), mode, *server]
    maker = subprocess.Popen(
        [sys.executable, "-c", orphan_maker, *untied],
        stdout=subprocess.PIPE,
        text=True,
    )
    sockets.mkdir()
    assert maker.stdout is not None
    pid = int(maker.stdout.readline())
    maker.kill()
    maker.wait()
    maker.stdout.close()
    note = tmp_path / "cluster" / "postmaster.pid"
    assert await eventually(note.exists), "the orphan did not start"
    assert alive(pid)
    async with started(tmp_path) as postgres:
        assert not alive(pid)
        assert await remembered(postgres.dsn) == [1]


#: Runs the launcher without its tie to the parent's life.
_UNTIED = """
import ctypes, os, runpy, sys
launcher, mode, *command = sys.argv[1:]
space = runpy.run_path(launcher)
if mode == "namespace":
    space["enter_user_namespace"]()
os.execv(command[0], command)
"""


async def test_a_folder_in_use_is_refused_and_goes_on(tmp_path: Path) -> None:
    with keeper(tmp_path) as (_, dsn, pid):
        with pytest.raises(SettingsError, match="in use by another smartcover"):
            await EmbeddedPostgres(tmp_path).start()
        await remember(dsn, 1)
        assert alive(pid)


async def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    draft = tmp_path / "cluster.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18\n")
    async with started(tmp_path) as postgres:
        await remember(postgres.dsn, 1)
    assert not draft.exists()


async def test_a_note_with_the_number_of_another_process_is_no_reason_not_to_start(tmp_path: Path) -> None:
    async with started(tmp_path) as postgres:
        await remember(postgres.dsn, 1)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "cluster" / "postmaster.pid").write_text(f"{stranger.pid}\n{tmp_path / 'cluster'}\n1\n0\n\n\n")
        async with started(tmp_path) as postgres:
            assert await remembered(postgres.dsn) == [1]
        assert stranger.poll() is None, "a stranger was killed"
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_cluster_of_another_major_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("15\n")
    with pytest.raises(SettingsError, match=r"PostgreSQL 15.*pg_dump"):
        await EmbeddedPostgres(tmp_path).start()


async def test_sockets_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    with keeper(tmp_path) as (process, dsn, _):
        left = Path(dsn.partition("host=")[2].replace("%2F", "/"))
        process.kill()
        process.wait()
    assert left.is_dir()
    async with started(tmp_path):
        assert not left.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
class TestRootWithoutUserNamespaces:
    """Where the kernel allows no user namespaces, the database runs as the user nobody."""

    @pytest.fixture(autouse=True)
    def no_namespaces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(identity, "_namespaces_work", lambda: False)

    async def test_the_database_runs_as_nobody_with_a_copy_of_what_it_may_not_reach(self, tmp_path: Path) -> None:
        for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            parent.chmod(0o755)
        async with started(tmp_path / "data") as postgres:
            await remember(postgres.dsn, 1)
            assert postgres.pid is not None
            assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0

    async def test_a_folder_that_nobody_may_not_enter_is_named(self, tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        with pytest.raises(SettingsError, match="cannot be entered by user nobody"):
            await EmbeddedPostgres(closed / "data").start()

    async def test_a_cluster_changes_hands_between_the_two_ways(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            parent.chmod(0o755)
        async with started(tmp_path / "data") as postgres:
            await remember(postgres.dsn, 1)
        monkeypatch.undo()
        async with started(tmp_path / "data") as postgres:
            assert await remembered(postgres.dsn) == [1]


@pytest.mark.slow
async def test_a_server_killed_again_and_again_is_back_within_seconds(tmp_path: Path) -> None:
    async with started(tmp_path) as postgres:
        await remember(postgres.dsn, 1)
        for _ in range(3):
            pid = postgres.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    assert await remembered(postgres.dsn) == [1]
                    break
                assert time.monotonic() - killed < 60, "a second or two on an idle machine"
                await asyncio.sleep(0.02)
            assert postgres.pid != pid


async def test_a_start_that_is_given_up_leaves_no_process_and_no_sockets(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    start = asyncio.create_task(postgres.start())
    assert await eventually(lambda: bool(list(tmp_path.glob("cluster.new-*/PG_VERSION")))), "initdb did not begin"
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not Path((tmp_path / "sockets").read_text()).exists()
    assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if _names(p, tmp_path)]
    async with started(tmp_path) as postgres:
        await remember(postgres.dsn, 1)


def _names(cmdline: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return str(folder).encode() in cmdline.read_bytes() and alive(int(cmdline.parent.name))
    return False


async def test_a_folder_that_was_moved_serves_on(tmp_path: Path) -> None:
    async with started(tmp_path / "before") as postgres:
        await remember(postgres.dsn, 1)
    (tmp_path / "before").rename(tmp_path / "after")
    (tmp_path / "link").symlink_to(tmp_path / "after")
    async with started(tmp_path / "link") as postgres:
        assert await remembered(postgres.dsn) == [1]


async def test_a_relative_folder_is_taken_from_where_the_process_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with started(Path("data")) as postgres:
        await remember(postgres.dsn, 1)
    assert (tmp_path / "data" / "cluster" / "PG_VERSION").exists()


async def test_a_folder_that_is_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(SettingsError, match="another --data"):
        await EmbeddedPostgres(tmp_path / "data").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
async def test_an_ordinary_user_starts_it(tmp_path: Path) -> None:
    """As nobody, with whatever Python that user may run and the packages of this run."""
    folder = Path("/tmp") / f"smartcover-nobody-{os.getpid()}"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    script = (
        "import asyncio, pathlib, sys\n"
        "from smartcover.ledger import EmbeddedPostgres\n"
        "async def main():\n"
        "    postgres = EmbeddedPostgres(pathlib.Path(sys.argv[1]) / 'data')\n"
        "    await postgres.start()\n"
        "    print(pathlib.Path(f'/proc/{postgres.pid}').stat().st_uid)\n"
        "    await postgres.stop()\n"
        "asyncio.run(main())\n"
    )
    try:
        for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
            command = [python, "-c", script, str(folder)]
            environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            try:
                ran = subprocess.run(
                    command,
                    user=65534,
                    group=65534,
                    extra_groups=[],
                    env=environment,
                    cwd="/",
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
            except PermissionError:
                continue
            except FileNotFoundError:
                continue
            if "ModuleNotFoundError" in ran.stderr or "PermissionError" in ran.stderr:
                continue
            assert (ran.returncode, ran.stdout.strip()) == (0, "65534"), ran.stderr
            return
        pytest.skip("the user nobody can run neither this Python nor its packages")
    finally:
        shutil.rmtree(folder)


def test_a_disk_that_is_full_or_read_only_at_the_start_is_told_in_one_line(tmp_path: Path) -> None:
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("mounts a small file system")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(small)], check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")

    def said(*words: str) -> str:
        bare = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
        command = [sys.executable, "-m", "smartcover", *words]
        ran = subprocess.run(command, env=bare, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 1, ran.stderr
        (line,) = [line for line in ran.stderr.splitlines() if not line.startswith("{")]
        return line

    try:
        asyncio.run(_start_once(small / "used"))
        filler = small / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 65536)
        for data in ("used", "new"):
            assert re.search(
                r"No space left on device.*; make room|disk is full \(0 MiB free", said(*_serve(small / data))
            )
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        for words in (
            _serve(small / "used"),
            _serve(small / "new"),
            ("callbacks", "list", "--data", str(small / "used")),
        ):
            assert re.search(r"Read-only file system.*; mount it so that it can be written", said(*words))
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def _serve(data: Path) -> tuple[str, ...]:
    return ("serve", "--port", "0", "--data", str(data))


async def _start_once(data: Path) -> None:
    async with started(data / "postgres"):
        pass


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts a small file system")
async def test_a_full_disk_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(small)], check=False)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        async with started(small / "data") as postgres:
            await remember(postgres.dsn, 1)
            filler = small / "filler"
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(b"\0" * 65536)
            kept = [1]
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                for value in range(2, 3000):
                    await remember(postgres.dsn, value)
                    kept.append(value)
            filler.unlink()
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    found = await remembered(postgres.dsn)
                    break
                assert time.monotonic() < deadline, "the server did not come back when there was room again"
                await asyncio.sleep(0.1)
            assert found[: len(kept)] == kept
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)

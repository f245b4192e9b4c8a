"""
Whatever can fail does, again and again, under a thousand jobs; the invariants hold.

Real processes of every role, real PostgreSQL, real videos among stand-ins (`tests/chaos/worker.py`). Nothing is
asserted but what docs/invariants.md promises: no accepted job is lost, each comes to one end and to the one that its
video lets it, each callback owed arrives, no queue runs more than its limit, and the covers that can be fetched are
those that the job's end tells of. A failure prints the stories of the jobs that broke a promise.

    SMARTCOVER_CHAOS_SEED=7 python -m pytest -m slow tests/chaos -s     the same dice again
    SMARTCOVER_CHAOS_JOBS=5000 …                                        a longer run
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.chaos.faults import CuttingProxy, Disk, FlaggedDisk, ShakyStore, SmallDisk, can_mount
from tests.chaos.record import Record
from tests.chaos.run import Fault, Faults, Run, freeze_one_of, kill_one_of, strike_a_decoder
from tests.chaos.videos import write_videos
from tests.chaos.worker import FULL_DISK
from tests.fleet import Client, Member, Receiver, environment
from tests.moto_server import fresh, options_of, running_moto
from tests.postgres import Cluster
from tests.server_postgres import ServerPostgres, descendants, free_port
from tests.store_proxy import proxy_to

BUCKETS = {"chaos-1250000000": 3, "havoc-1250000000": 2}
#: What the promise speaks of: so many jobs, and no fewer kills.
JOBS, KILLS = int(os.environ.get("SMARTCOVER_CHAOS_JOBS") or 1000), 24

Say = Callable[[str], None]


@pytest.fixture
def dice() -> Random:
    """The run's dice; their seed is told, and can be given."""
    seed = int(os.environ.get("SMARTCOVER_CHAOS_SEED") or secrets.randbelow(1 << 32))
    print(f"\nSMARTCOVER_CHAOS_SEED={seed}")
    return Random(seed)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return write_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Disk]]:
    """The folder of the objects, and how it gets full: on a small disk of its own where that can be made."""
    folder = tmp_path / "objects"
    if not can_mount():
        folder.mkdir()
        yield folder, FlaggedDisk(tmp_path / "disk-is-full")
        return
    small = SmallDisk(folder, size_mebibytes=160)
    yield folder, small
    small.close()


@contextlib.contextmanager
def running_fleet(
    folder: Path, surroundings: Mapping[str, str], *, workers: int
) -> Iterator[tuple[list[Client], list[Member]]]:
    """Run an API, workers and a dispatcher, with the buckets made."""
    port = free_port()
    members = [
        Member("api", ["api", f"--port={port}"], surroundings, folder),
        *(
            Member(f"worker-{number}", ["worker"], surroundings, folder, module="tests.chaos.worker")
            for number in range(workers)
        ),
        Member("dispatcher", ["dispatcher"], surroundings, folder),
    ]
    try:
        for member in members:
            member.start()
        for member in members:
            deadline = time.monotonic() + 60
            while not member.ready:
                assert time.monotonic() < deadline, member.tail()
                time.sleep(0.05)
        yield [Client(port, bucket) for bucket in BUCKETS], members
    finally:
        for member in members:
            member.kill()


def surroundings_of(dsn: str, storage: str, disk: Disk | None = None, **settings: str) -> dict[str, str]:
    common = {"BUCKETS": ",".join(BUCKETS), "WORKER_CONCURRENCY": "2", "JOB_TIMEOUT_SECONDS": "30"}
    injected = {FULL_DISK: str(disk.flag)} if isinstance(disk, FlaggedDisk) else {}
    return environment(dsn, storage, **common, JOB_MEMORY_BYTES=str(512 << 20), **settings) | injected


def fleet_kills(members: list[Member], dice: Random) -> dict[str, Fault]:
    api, workers, dispatchers = members[:1], members[1:-1], members[-1:]
    return {
        "api killed": kill_one_of(api, dice),
        "worker killed": kill_one_of(workers, dice),
        "dispatcher killed": kill_one_of(dispatchers, dice),
    }


def fleet_faults(members: list[Member], dice: Random) -> dict[str, Fault]:
    workers = members[1:-1]
    return {
        "worker frozen": freeze_one_of(workers, dice, seconds=4.5),
        "decoder killed": strike_a_decoder(workers, signal.SIGKILL),
        "decoder hangs": strike_a_decoder(workers, signal.SIGSTOP),
    }


def disk_is_full(disk: Disk, dice: Random) -> Fault:
    def fault() -> None:
        with disk.full():
            time.sleep(dice.uniform(0.5, 2))

    return fault


def clock_jumps(record: Record, dice: Random, cut: Callable[[], None]) -> Fault:
    """Let the clock that all times come from jump by about an hour, to and fro by some seconds when it did before."""

    def fault() -> None:
        # Only new connections see it: for a while the clocks of the fleet differ by an hour.
        offset = dice.choice((3600, 3580, 3590))
        record.rows(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET smartcover.clock_offset = %L', current_database(), "
            f"'{offset} s'); END $$"
        )
        cut()

    return fault


def terminate_connections(record: Record) -> None:
    record.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'smartcover'")


def kill_embedded(postgres: Cluster) -> bool:
    """Kill the embedded server and all its processes; its owner brings it back."""
    pid = postgres.embedded.pid if postgres.embedded is not None else None
    if pid is None or not Path(f"/proc/{pid}").exists():
        return False
    for one in (pid, *descendants(pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    return True


def server_kills(server: ServerPostgres, dice: Random) -> dict[str, Fault]:
    def crash() -> None:
        server.crash()
        time.sleep(dice.uniform(0, 1))
        server.start()

    return {"server killed": crash}


def server_faults(server: ServerPostgres, proxy: CuttingProxy, record: Record, dice: Random) -> dict[str, Fault]:
    """Give what goes wrong between the fleet, its database server and its clock."""

    def restart() -> None:
        server.stop()
        time.sleep(dice.uniform(0, 1))
        server.start()

    return {
        "server restarted": restart,
        "connections terminated": lambda: terminate_connections(record),
        "connections cut": proxy.cut,
        "network stalled": lambda: proxy.stall(dice.uniform(0.5, 4)),
        "clock jumped": clock_jumps(record, dice, proxy.cut),
    }


@pytest.fixture
def aloud(capsys: pytest.CaptureFixture[str]) -> Say:
    """Say what a long run came to, also where it passes and nobody asked for output."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", flush=True)

    return say


def run_and_judge(run: Run, *, seconds: float, say: Say = print) -> None:
    began = time.monotonic()
    try:
        for bucket, limit in BUCKETS.items():
            run.record.rows("UPDATE queues SET max_concurrent = $1 WHERE bucket = $2", limit, bucket)
        for client in run.clients:
            for name, content in run.videos.items():
                client.insist(partial(client.put, name, content))
        run.go(seconds=seconds)
        run.judge()
    except BaseException:
        if keep := os.environ.get("SMARTCOVER_CHAOS_KEEP"):
            logs = shutil.ignore_patterns("objects")
            shutil.copytree(run.members[0].log.parent, keep, dirs_exist_ok=True, ignore=logs)
        raise
    finally:
        say(f"{time.monotonic() - began:.0f} s: {run.summary()}")


@contextlib.contextmanager
def receiving(dice: Random, *, failing: float = 0.05) -> Iterator[Receiver]:
    receiver = Receiver(dice=Random(dice.random()), failing=failing)
    with contextlib.closing(receiver):
        yield receiver


@contextlib.contextmanager
def server_behind_a_proxy() -> Iterator[tuple[ServerPostgres, CuttingProxy]]:
    server = ServerPostgres()
    with contextlib.closing(server), contextlib.closing(CuttingProxy(server.port)) as proxy:
        yield server, proxy


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_jobs_outlive_kills_of_every_process_and_of_the_embedded_database(
    dice: Random, videos: dict[str, bytes], tmp_path: Path, disk: tuple[Path, Disk], aloud: Say
) -> None:
    postgres = Cluster("embedded")
    dsn = postgres.make_database()
    record = Record(dsn)
    surroundings = surroundings_of(dsn, f"file:{disk[0]}", disk[1])
    try:
        with receiving(dice) as receiver, running_fleet(tmp_path, surroundings, workers=3) as (clients, members):
            kills = fleet_kills(members, dice) | {"database killed": lambda: kill_embedded(postgres)}
            others = fleet_faults(members, dice) | {
                "disk full": disk_is_full(disk[1], dice),
                "clock jumped": clock_jumps(record, dice, lambda: terminate_connections(record)),
            }
            faults = Faults(kills, KILLS, others, rounds=2)
            run_and_judge(Run(dice, clients, members, record, receiver, videos, faults, JOBS), seconds=1500, say=aloud)
    finally:
        postgres.stop()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_jobs_outlive_a_failing_server_network_clock_and_disk(
    dice: Random, videos: dict[str, bytes], tmp_path: Path, disk: tuple[Path, Disk], aloud: Say
) -> None:
    with server_behind_a_proxy() as (server, proxy), receiving(dice) as receiver:
        record = Record(server.dsn())
        surroundings = surroundings_of(server.dsn(port=proxy.port), f"file:{disk[0]}", disk[1])
        with running_fleet(tmp_path, surroundings, workers=3) as (clients, members):
            kills = fleet_kills(members, dice) | server_kills(server, dice)
            others = fleet_faults(members, dice) | server_faults(server, proxy, record, dice)
            faults = Faults(kills, KILLS, others | {"disk full": disk_is_full(disk[1], dice)}, rounds=2)
            run_and_judge(Run(dice, clients, members, record, receiver, videos, faults, JOBS), seconds=1500, say=aloud)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_jobs_outlive_a_store_that_refuses_breaks_off_and_dawdles(
    dice: Random, videos: dict[str, bytes], tmp_path: Path, aloud: Say
) -> None:
    with (
        server_behind_a_proxy() as (server, proxy),
        receiving(dice) as receiver,
        running_moto() as moto,
        proxy_to(moto) as store_proxy,
    ):
        fresh(moto, "everything")
        store = ShakyStore(store_proxy, Random(dice.random()), failing=0.02)
        record = Record(server.dsn())
        reach = options_of(store_proxy.url)
        surroundings = surroundings_of(
            server.dsn(port=proxy.port),
            "s3://everything/chaos",
            S3_ENDPOINT=store_proxy.url,
            S3_REGION=str(reach.region),
            S3_ACCESS_KEY_ID=str(reach.access_key_id),
            S3_SECRET_ACCESS_KEY=str(reach.secret_access_key),
            S3_PATH_STYLE="true",
            S3_ALLOW_HTTP="true",
        )
        with running_fleet(tmp_path, surroundings, workers=3) as (clients, members):
            kills = fleet_kills(members, dice) | server_kills(server, dice)
            others = fleet_faults(members, dice) | {
                "store refuses": store.errors,
                "store breaks off": store.cuts,
                "store dawdles": store.slow,
                "connections cut": proxy.cut,
            }
            faults = Faults(kills, KILLS, others, rounds=2)
            run_and_judge(Run(dice, clients, members, record, receiver, videos, faults, JOBS), seconds=1500, say=aloud)
        aloud(f"{store.failed} requests to the store failed or were late")


@pytest.mark.timeout(240)
def test_a_few_jobs_outlive_a_kill_of_each_process_a_full_disk_and_a_jump_of_the_clock(
    dice: Random, tmp_path: Path
) -> None:
    objects, disk = tmp_path / "objects", FlaggedDisk(tmp_path / "disk-is-full")
    videos = write_videos(tmp_path, huge=False)
    with server_behind_a_proxy() as (server, proxy), receiving(dice, failing=0.2) as receiver:
        record = Record(server.dsn())
        surroundings = surroundings_of(server.dsn(port=proxy.port), f"file:{objects}", disk)
        with running_fleet(tmp_path, surroundings, workers=2) as (clients, members):
            kills = fleet_kills(members, dice) | server_kills(server, dice)
            others = {
                "disk full": disk_is_full(disk, dice),
                "connections cut": proxy.cut,
                "clock jumped": clock_jumps(record, dice, proxy.cut),
            }
            faults = Faults(kills, 6, others)
            run_and_judge(Run(dice, clients, members, record, receiver, videos, faults, jobs=40), seconds=180)

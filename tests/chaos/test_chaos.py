"""
Whatever can fail does, again and again, under a thousand jobs; the invariants hold.

Real processes of every role, real videos, real PostgreSQL. Nothing is asserted but what docs/invariants.md promises:
no accepted job is lost, each comes to one end, each callback owed arrives, no queue runs more than its limit, and
nothing is published but what the job's end tells of. A failure prints the stories of the jobs that broke a promise.

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
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.chaos.faults import CuttingProxy, SmallDisk, can_mount
from tests.chaos.record import Record
from tests.chaos.run import Fault, Run, freeze_one_of, kill_one_of, strike_a_decoder
from tests.chaos.videos import write_videos
from tests.fleet import Client, Member, Receiver, environment
from tests.postgres import Cluster
from tests.server_postgres import ServerPostgres, descendants, free_port

BUCKETS = {"chaos-1250000000": 3, "havoc-1250000000": 2}
WORKERS = 3


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
def objects(tmp_path: Path) -> Iterator[tuple[Path, SmallDisk | None]]:
    """The folder of the objects: on a small disk of its own where that can be made."""
    folder = tmp_path / "objects"
    if not can_mount():
        folder.mkdir()
        yield folder, None
        return
    disk = SmallDisk(folder, size_mebibytes=160)
    yield folder, disk
    disk.close()


@contextlib.contextmanager
def running_fleet(folder: Path, surroundings: dict[str, str]) -> Iterator[tuple[list[Client], list[Member]]]:
    """Run an API, workers and a dispatcher, with the buckets and their limits set."""
    port = free_port()
    members = [Member("api", ["api", f"--port={port}"], surroundings, folder)]
    members += [Member(f"worker-{number}", ["worker"], surroundings, folder) for number in range(WORKERS)]
    members.append(Member("dispatcher", ["dispatcher"], surroundings, folder))
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


def surroundings_of(dsn: str, objects: Path) -> dict[str, str]:
    return environment(
        dsn,
        f"file:{objects}",
        BUCKETS=",".join(BUCKETS),
        WORKER_CONCURRENCY="2",
        JOB_TIMEOUT_SECONDS="15",
        JOB_MEMORY_BYTES=str(512 << 20),
    )


def prepare(record: Record, clients: list[Client], videos: dict[str, bytes]) -> None:
    for bucket, limit in BUCKETS.items():
        record.rows("UPDATE queues SET max_concurrent = $1 WHERE bucket = $2", limit, bucket)
    for client in clients:
        for name, content in videos.items():
            client.put(name, content)


def fleet_faults(members: list[Member], dice: Random) -> dict[str, Fault]:
    """Give the faults that need nothing but the fleet; whatever kills comes first in the run's count."""
    api, workers, dispatchers = members[:1], members[1:-1], members[-1:]
    return {
        "api killed": kill_one_of(api, dice),
        "worker killed": kill_one_of(workers, dice),
        "another worker killed": kill_one_of(workers, dice),
        "dispatcher killed": kill_one_of(dispatchers, dice),
        "worker frozen": freeze_one_of(workers, dice, seconds=4.5),
        "decoder killed": strike_a_decoder(workers, signal.SIGKILL),
        "decoder hangs": strike_a_decoder(workers, signal.SIGSTOP),
    }


def finish(run: Run, *, seconds: float) -> None:
    began = time.monotonic()
    try:
        run.go(seconds=seconds)
        run.judge()
    except BaseException:
        if keep := os.environ.get("SMARTCOVER_CHAOS_KEEP"):
            shutil.copytree(run.members[0].log.parent, keep, dirs_exist_ok=True)
        raise
    finally:
        print(f"{time.monotonic() - began:.0f} s: {run.summary()}", flush=True)


def how_many(jobs: int) -> int:
    return int(os.environ.get("SMARTCOVER_CHAOS_JOBS") or jobs)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_jobs_outlive_kills_of_every_process_and_of_the_embedded_database(
    dice: Random, videos: dict[str, bytes], tmp_path: Path, objects: tuple[Path, SmallDisk | None]
) -> None:
    postgres = Cluster("embedded")
    receiver = Receiver(dice=Random(dice.random()), failing=0.05)
    dsn = postgres.make_database()
    record = Record(dsn)
    embedded = postgres.embedded
    assert embedded is not None

    def kill_the_database() -> bool:
        pid = embedded.pid
        if pid is None:
            return False
        for one in (pid, *descendants(pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        return True

    try:
        with running_fleet(tmp_path, surroundings_of(dsn, objects[0])) as (clients, members):
            prepare(record, clients, videos)
            faults = fleet_faults(members, dice) | {
                "database killed": kill_the_database,
                "database killed again": kill_the_database,
            }
            run = Run(dice, clients, members, record, receiver, videos, faults, how_many(500), kills=20)
            finish(run, seconds=1500)
    finally:
        receiver.close()
        postgres.stop()


def server_faults(
    server: ServerPostgres, proxy: CuttingProxy, record: Record, disk: SmallDisk | None, dice: Random
) -> dict[str, Fault]:
    """Give what goes wrong between the fleet, its database server, its clock and its disk."""

    def restart() -> None:
        server.stop()
        time.sleep(dice.uniform(0, 1))
        server.start()

    def crash() -> None:
        server.crash()
        time.sleep(dice.uniform(0, 1))
        server.start()

    def terminate() -> None:
        record.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'smartcover'")

    def clock_jumps() -> None:
        # Only new connections see it: for a while the clocks of the fleet differ by an hour.
        record.rows(f"ALTER DATABASE smartcover SET smartcover.clock_offset = '{dice.choice((3600, 3580, 3590))} s'")
        proxy.cut()

    def disk_is_full() -> bool:
        if disk is None:
            return False
        with disk.full():
            time.sleep(dice.uniform(0.5, 2))
        return True

    return {
        "server restarted": restart,
        "server crashed": crash,
        "connections terminated": terminate,
        "connections cut": proxy.cut,
        "network stalled": lambda: proxy.stall(dice.uniform(0.5, 4)),
        "clock jumped": clock_jumps,
        "disk full": disk_is_full,
    }


def run_on_a_server(
    dice: Random,
    videos: dict[str, bytes],
    folder: Path,
    objects: tuple[Path, SmallDisk | None],
    *,
    jobs: int,
    kills: int,
    seconds: float,
    only: tuple[str, ...] = (),
) -> None:
    server = ServerPostgres()
    proxy = CuttingProxy(server.port)
    receiver = Receiver(dice=Random(dice.random()), failing=0.05)
    try:
        record = Record(server.dsn())
        surroundings = surroundings_of(server.dsn(port=proxy.port), objects[0])
        with running_fleet(folder, surroundings) as (clients, members):
            prepare(record, clients, videos)
            faults = fleet_faults(members, dice) | server_faults(server, proxy, record, objects[1], dice)
            chosen = {name: fault for name, fault in faults.items() if not only or name in only}
            finish(Run(dice, clients, members, record, receiver, videos, chosen, jobs, kills), seconds=seconds)
    finally:
        receiver.close()
        proxy.close()
        server.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_jobs_outlive_a_failing_server_network_clock_and_disk(
    dice: Random, videos: dict[str, bytes], tmp_path: Path, objects: tuple[Path, SmallDisk | None]
) -> None:
    run_on_a_server(dice, videos, tmp_path, objects, jobs=how_many(1000), kills=28, seconds=1500)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_few_jobs_outlive_a_kill_of_each_process_and_a_crash_of_the_server(dice: Random, tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    small = write_videos(tmp_path, huge=False)
    only = ("api killed", "worker killed", "dispatcher killed", "server crashed", "connections cut", "decoder killed")
    run_on_a_server(
        dice, small, tmp_path, (tmp_path / "objects", None), jobs=40, kills=len(only), seconds=200, only=only
    )

"""Four worker processes on one database are one cluster: limits, priorities, pauses and cancels hold for all."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.chaos.record import Record
from tests.clips import small_clip
from tests.fleet import Client, Member, Receiver, decoders, environment, eventually
from tests.postgres import cluster
from tests.server_postgres import free_port

BUCKET = "cluster-1250000000"
LIMIT = 3
JOBS = 40
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class ManyWorkers:
    """The fleet of this file, with a record of what its database saw."""

    def __init__(self, folder: Path) -> None:
        dsn = cluster("embedded").make_database()
        self.record = Record(dsn)
        self.receiver = Receiver()
        port = free_port()
        surroundings = environment(
            dsn,
            f"file:{folder / 'objects'}",
            BUCKETS=BUCKET,
            QUEUE_MAX_CONCURRENT=str(LIMIT),
            WORKER_CONCURRENCY="2",
            LEASE_SECONDS="15",
        )
        self.api = Member("api", ["api", f"--port={port}"], surroundings, folder)
        self.workers = [Member(f"worker-{number}", ["worker"], surroundings, folder) for number in range(4)]
        self.dispatcher = Member("dispatcher", ["dispatcher"], surroundings, folder)
        self.members = [self.api, *self.workers, self.dispatcher]
        self.client = Client(port, BUCKET)
        for member in self.members:
            member.start()
        eventually(lambda: all(member.ready for member in self.members), 90, "the fleet does not start")
        clip = small_clip(folder / "clip.mp4", seconds=3)
        self.client.put("clip.mp4", clip.read_bytes())
        self.record.start()

    def turn(self, state: str) -> None:
        """Set the queue's state over HTTP."""
        queue_id = self.record.rows("SELECT queue_id FROM queues WHERE bucket = $1", BUCKET)[0]["queue_id"]
        document = f"<Request><Name>q</Name><QueueID>{queue_id}</QueueID><State>{state}</State><NotifyConfig><State>Off"
        self.client.call("PUT", f"/queue/{queue_id}", f"{document}</State></NotifyConfig></Request>".encode())

    def submit(self, number: int, level: int = 0) -> str:
        return self.client.submit(
            "clip.mp4", f"out/{number}/${{Number}}.jpg", self.receiver.url, token=f"n{number}", level=level
        )

    def starts(self) -> list[str]:
        started = self.record.rows("SELECT job_id FROM recorded WHERE new = 'Running' ORDER BY seq")
        return [row["job_id"] for row in started]

    def close(self) -> None:
        self.record.stop()
        for member in self.members:
            member.kill()
        self.receiver.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[ManyWorkers]:
    made = ManyWorkers(tmp_path)
    yield made
    made.close()


def most_at_once(workers: list[Member]) -> int:
    """Tell from the workers' own logs how many jobs were between their start and their covers at one moment."""
    moments = []
    for worker in workers:
        for event in worker.events():
            change = {"job started": 1, "covers written": -1}.get(event["event"], 0)
            moments.append((event["timestamp"], change))
    at_once = most = 0
    for _, change in sorted(moments):
        at_once += change
        most = max(most, at_once)
    return most


def test_four_workers_keep_a_queues_limit_its_order_and_its_pause(fleet: ManyWorkers) -> None:
    fleet.turn("Paused")
    levels = {fleet.submit(number, level=number % 2 * 2): number % 2 * 2 for number in range(JOBS)}
    time.sleep(2)
    assert fleet.starts() == [], "a paused queue starts nothing"

    fleet.turn("Active")
    eventually(lambda: fleet.record.finished >= 10, 300, "the queue does not start again")
    fleet.turn("Paused")
    paused_at = datetime.now(UTC)
    time.sleep(4)
    (late,) = fleet.record.rows(
        "SELECT count(*) FROM recorded WHERE new = 'Running' AND at > $1", paused_at + timedelta(seconds=2)
    )
    assert late["count"] == 0, "a job started over two seconds after its queue was paused"
    assert fleet.record.finished < JOBS, "nothing was left to start: the pause was not put to the test"

    fleet.turn("Active")
    eventually(lambda: fleet.record.finished == JOBS, 450, "jobs are left")
    eventually(lambda: fleet.record.unfinished() == [], 60, "callbacks are left")
    order = [levels[job_id] for job_id in fleet.starts()]
    assert len(order) == JOBS, "no job was started twice"
    assert order == sorted(order, reverse=True), "a job of a low level started before one of a high level"
    assert not fleet.record.excesses
    assert not fleet.record.overlaps()
    assert max(fleet.record.most_running.values()) == LIMIT, "the limit was never reached, so nothing was shown"
    assert 2 <= most_at_once(fleet.workers) <= LIMIT
    assert sum(any(e["event"] == "job started" for e in worker.events()) for worker in fleet.workers) >= 2
    assert fleet.record.broken(levels, [], fleet.receiver) == {}
    print(f"{JOBS} jobs, most at once {fleet.record.most_running} in {fleet.record.looks} looks")


def test_a_cancel_reaches_a_running_job_and_its_decoder_is_gone_within_two_seconds(fleet: ManyWorkers) -> None:
    job_id = fleet.submit(0)
    caught: list[int] = []
    deadline = time.monotonic() + 60
    while not caught and time.monotonic() < deadline:
        caught = [pid for worker in fleet.workers for pid in decoders(worker)]
    (decoder,) = caught
    os.kill(decoder, signal.SIGSTOP)  # it would never come to its end
    (row,) = fleet.record.rows("SELECT state FROM jobs WHERE job_id = $1", job_id)
    assert row["state"] == "Running"
    fleet.client.cancel(job_id)
    answered_at = time.monotonic()
    eventually(lambda: not Path(f"/proc/{decoder}").exists(), 10, "the decoder of a cancelled job lives on")
    seconds = time.monotonic() - answered_at
    assert seconds < 2, f"the decoder ended {seconds:.1f} s after the cancel was answered"
    other = fleet.submit(1)
    eventually(lambda: fleet.record.finished == 2, 60, "the worker takes no other job")
    eventually(lambda: fleet.record.unfinished() == [], 60, "callbacks are left")
    states = {row["job_id"]: row["state"] for row in fleet.record.rows("SELECT * FROM jobs")}
    assert states == {job_id: "Cancel", other: "Success"}
    assert fleet.record.broken([job_id, other], [job_id], fleet.receiver) == {}

"""
Two hosts, and the network between them goes silent in the middle of jobs: nothing is lost and nothing is done twice.

Network namespaces stand for the hosts. Host A has PostgreSQL, the S3 store, the API and the dispatcher; host B has a
worker. Packets between them vanish without a word, as behind a switch that lost its table: no end of the connection
is told anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.record import Record
from tests.clips import small_clip
from tests.fleet import Client, Member, Receiver, environment, eventually
from tests.server_postgres import ServerPostgres, free_port

BUCKET = "hosts-1250000000"
#: What host B must have noticed its loss within; TCP by itself would take a quarter of an hour.
NOTICED_SECONDS = 60
OUTSIDE, A_OUTSIDE, A, B = "10.213.1.1", "10.213.1.2", "10.213.2.1", "10.213.2.2"
NOBODY = "02:00:00:00:00:99"
AWAY = {"cannot claim jobs", "cannot renew leases", "cannot sweep", "the connection for wake-ups is away; trying again"}


def ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True)


class Hosts:
    """Two network namespaces with a wire between them, and a wire from the test to host A."""

    def __init__(self) -> None:
        mark = f"{os.getpid() % 100_000}"
        self.a, self.b, self._wire = f"sc-a{mark}", f"sc-b{mark}", f"sc{mark}"

    def make(self) -> None:
        for name in (self.a, self.b):
            ip(f"netns add {name}")
            ip(f"-n {name} link set lo up")
        ip(f"link add {self._wire} type veth peer name outside netns {self.a}")
        ip(f"-n {self.a} link add to-b type veth peer name to-a netns {self.b}")
        ip(f"addr add {OUTSIDE}/24 dev {self._wire}")
        ip(f"link set {self._wire} up")
        for name, device, address in ((self.a, "outside", A_OUTSIDE), (self.a, "to-b", A), (self.b, "to-a", B)):
            ip(f"-n {name} addr add {address}/24 dev {device}")
            ip(f"-n {name} link set {device} up")

    def on(self, name: str) -> list[str]:
        return ["ip", "netns", "exec", name]

    def cut(self) -> None:
        """Send what one host says to the other to an address that nobody has."""
        ip(f"-n {self.a} neigh replace {B} lladdr {NOBODY} nud permanent dev to-b")
        ip(f"-n {self.b} neigh replace {A} lladdr {NOBODY} nud permanent dev to-a")

    def mend(self) -> None:
        ip(f"-n {self.a} neigh del {B} dev to-b")
        ip(f"-n {self.b} neigh del {A} dev to-a")

    def close(self) -> None:
        for name in (self.a, self.b):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self._wire], check=False, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the program ip (package iproute2)")
    made = Hosts()
    try:
        try:
            made.make()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine makes no network namespaces: {error.stderr!r}")
        yield made
    finally:
        made.close()


@pytest.fixture
def store(hosts: Hosts) -> Iterator[str]:
    """An S3 store on host A; gives its address as both hosts see it."""
    port = free_port()
    process = subprocess.Popen(
        [*hosts.on(hosts.a), sys.executable, "-m", "moto.server", "-H", "0.0.0.0", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def made() -> bool:
        wish = urllib.request.Request(f"http://{A_OUTSIDE}:{port}/{BUCKET}", method="PUT")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(wish, timeout=5).close()
            return True
        return False

    try:
        eventually(made, 60, "the S3 store does not start")
        yield f"http://{A}:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_host_cut_off_in_mid_job_loses_nothing_and_works_again_without_a_restart(
    hosts: Hosts, store: str, tmp_path: Path
) -> None:
    server = ServerPostgres(f"{A_OUTSIDE},{A}", before=hosts.on(hosts.a))
    receiver = Receiver(OUTSIDE)
    record = Record(server.dsn())
    port = free_port()
    surroundings = environment(
        server.dsn(A),
        "s3://",
        BUCKETS=BUCKET,
        CALLBACK_ALLOW=OUTSIDE,
        WORKER_CONCURRENCY="2",
        S3_ENDPOINT=store,
        S3_REGION="us-east-1",
        S3_ACCESS_KEY_ID="key",
        S3_SECRET_ACCESS_KEY="secret",
        S3_PATH_STYLE="true",
        S3_ALLOW_HTTP="true",
    )

    def member(host: str, name: str, *arguments: str) -> Member:
        return Member(name, arguments, surroundings, tmp_path, before=hosts.on(host))

    api = member(hosts.a, "api", "api", f"--host={A_OUTSIDE}", f"--port={port}")
    dispatcher = member(hosts.a, "dispatcher", "dispatcher")
    there, here = member(hosts.b, "worker-b", "worker"), member(hosts.a, "worker-a", "worker")
    client = Client(port, BUCKET, host=A_OUTSIDE)

    def submit(numbers: range) -> list[str]:
        return [
            client.insist(
                partial(client.submit, "clip.mp4", f"out/{n}/${{Number}}.jpg", receiver.url, token=f"n{n}", count=2)
            )
            for n in numbers
        ]

    def holders(job_ids: list[str]) -> set[str]:
        rows = record.rows("SELECT worker_id FROM recorded WHERE job_id = ANY($1) AND new = 'Running'", job_ids)
        return {row["worker_id"] for row in rows}

    try:
        for one in (api, dispatcher, there):
            one.start(wait_seconds=90)
        clip = small_clip(tmp_path / "clip.mp4", seconds=6, width_px=320, height_px=180)
        client.put("clip.mp4", clip.read_bytes())
        record.start()
        jobs = submit(range(30))
        eventually(lambda: record.finished >= 3, 90, "the worker on host B does nothing")
        hosts.cut()
        cut_at, said = time.monotonic(), there.log.stat().st_size
        held = [row["job_id"] for row in record.rows("SELECT job_id FROM jobs WHERE state = 'Running'")]
        assert held, "the cut fell between jobs"
        (worker_b,) = holders(jobs)
        pid_b = there.pid

        here.start(wait_seconds=90)
        eventually(lambda: any(event["event"] in AWAY for event in there.events(said)), NOTICED_SECONDS, "B hangs")
        noticed_seconds = time.monotonic() - cut_at
        eventually(lambda: record.finished == len(jobs), 150, lambda: f"host A does not go on:\n{here.tail()}")
        taken_over = record.rows("SELECT attempt FROM jobs WHERE job_id = ANY($1)", held)
        assert all(row["attempt"] >= 2 for row in taken_over), "what B held was started again elsewhere"
        cut_seconds = time.monotonic() - cut_at

        hosts.mend()
        mended_at = time.monotonic()
        here.stop()
        later = submit(range(30, 40))
        eventually(lambda: record.finished == len(jobs + later), 120, lambda: f"B does not work again:\n{there.tail()}")
        again_seconds = time.monotonic() - mended_at
        assert holders(later) == {worker_b}
        assert (there.pid, there.starts) == (pid_b, 1), "B works again without a restart"
        eventually(lambda: record.unfinished() == [], 60, "callbacks are left")
        print(
            f"\ncut for {cut_seconds:.0f} s with {len(held)} jobs held; noticed after {noticed_seconds:.0f} s; "
            f"10 jobs more on B within {again_seconds:.0f} s of the mend"
        )
        wrong = record.broken(jobs + later, [], receiver)
        stories = "\n".join(
            f"{job_id} {wrong[job_id]}\n{record.story(job_id, [there, here], receiver)}" for job_id in wrong
        )
        assert not wrong, stories
        for row in record.rows("SELECT result FROM jobs"):
            for cover in json.loads(row["result"])["covers"]:
                image = client.call("GET", f"/{cover['key']}", service="cos")
                assert hashlib.md5(image).hexdigest() == cover["md5"], "an object is another than the job's end tells"
    finally:
        record.stop()
        for one in (there, here, dispatcher, api):
            one.kill()
        receiver.close()
        server.close()

"""
The product's promise under SIGKILL: every accepted job ends once, every callback owed arrives.

Real processes, real PostgreSQL, the official SDK as the client. The whole process group is killed at random moments
and, as the server's own log shows, while a job is running, after covers were written and before the job was
finished, and while a receiver holds a delivery open.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from qcloud_cos import CosConfig, CosS3Client

from tests.clips import small_clip

JOBS = 50
BUCKET = "kill-1250000000"
REGION = "ap-chongqing"
FINAL = {"Success", "Failed", "Cancel"}


class Receiver:
    """Counts callbacks by job; can hold a delivery open so that a kill falls inside it."""

    def __init__(self) -> None:
        self.states: dict[str, set[str]] = {}
        self.deliveries: Counter[str] = Counter()
        self.jobs_of_delivery: dict[str, set[str]] = {}
        self.hold = threading.Event()
        self.held = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.hold.is_set():
                    receiver.held.set()
                    time.sleep(5)  # unanswered: the sender is dead long before
                    return
                detail = ET.fromstring(body).find("JobsDetail")
                assert detail is not None
                job_id, state = str(detail.findtext("JobId")), str(detail.findtext("State"))
                receiver.states.setdefault(job_id, set()).add(state)
                receiver.deliveries[self.headers["webhook-id"]] += 1
                receiver.jobs_of_delivery.setdefault(self.headers["webhook-id"], set()).add(job_id)
                with contextlib.suppress(OSError):
                    self.send_response(200)
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/cb"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Service:
    """`smartcover serve` on one folder, killed and started again as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log.jsonl"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None
        self.kills = 0

    def start(self) -> None:
        environment = {
            **os.environ,
            "SMARTCOVER_SECRET_ID": "AKIDTEST",
            "SMARTCOVER_SECRET_KEY": "SECRETTEST",
            "SMARTCOVER_BUCKETS": BUCKET,
            "SMARTCOVER_REGION": REGION,
            "SMARTCOVER_CALLBACK_ALLOW": "127.0.0.1",
            "SMARTCOVER_CALLBACK_SCHEDULE": ",".join(["0.5"] * 60),
            "SMARTCOVER_LEASE_SECONDS": "2",
            "SMARTCOVER_JOB_MAX_ATTEMPTS": "50",
            "SMARTCOVER_LOG_FORMAT": "json",
        }
        for name in ("SMARTCOVER_DATABASE_URL", "SMARTCOVER_STORAGE"):
            environment.pop(name, None)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "smartcover", "serve", f"--data={self.folder / 'data'}", f"--port={self.port}"],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until(self.answers, 60, "the server does not answer")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"serve ended with {self.process.returncode}:\n{self.tail()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return probe.recv(64).startswith(b"HTTP/1.1 200")
        return False

    def kill(self) -> None:
        """SIGKILL the whole process group: the server, its database and its decoders."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()

    def events(self, start: int = 0) -> list[dict[str, Any]]:
        """Read the whole log lines after byte `start`."""
        with self.log.open("rb") as log:
            log.seek(start)
            lines = log.read().split(b"\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def wait_until(self, condition: Callable[[], bool], seconds: float, complaint: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{complaint}; the log ends:\n{self.tail()}"
            time.sleep(0.02)

    def kill_when_newest_event_is(self, name: str, seconds: float) -> bool:
        """Kill as soon as some job's newest log line is `name`; tell whether the log still says so afterwards."""
        start = self.log.stat().st_size
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if any(event["event"] == name for event in self.events(start)):
                self.kill()
                newest = {e["job_id"]: e["event"] for e in self.events(start) if "job_id" in e}
                return name in newest.values()
            time.sleep(0.001)
        pytest.fail(f"no job came to {name!r} within {seconds} s; the log ends:\n{self.tail()}")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()


def client_of(service: Service) -> Any:
    return CosS3Client(
        CosConfig(
            Region=REGION,
            SecretId="AKIDTEST",
            SecretKey="SECRETTEST",
            Scheme="http",
            Domain=f"127.0.0.1:{service.port}/{BUCKET}",
        )
    )


def submit(client: Any, number: int, callback: str) -> str:
    job = {
        "Tag": "SmartCover",
        "Input": {"Object": "in/clip.mp4"},
        "Operation": {
            "SmartCover": {"Format": "jpg", "Count": "2"},
            "Output": {"Region": REGION, "Bucket": BUCKET, "Object": f"out/{number}/${{Number}}.jpg"},
        },
        "CallBack": callback,
    }
    answer = client.ci_create_media_jobs(Bucket=BUCKET, Jobs=job, Lst={}, ContentType="application/xml")
    detail = answer["JobsDetail"]
    first = detail[0] if isinstance(detail, list) else detail
    assert first["State"] == "Submitted"
    return str(first["JobId"])


def states_of(client: Any, job_ids: list[str]) -> dict[str, str]:
    states = {}
    for start in range(0, len(job_ids), 25):
        answer = client.ci_get_media_jobs(Bucket=BUCKET, JobIDs=",".join(job_ids[start : start + 25]))
        detail = answer["JobsDetail"]
        for job in detail if isinstance(detail, list) else [detail]:
            states[job["JobId"]] = job["State"]
    return states


@pytest.mark.timeout(420)
def test_no_kill_loses_an_accepted_job_or_a_callback_owed(service: Service, receiver: Receiver, tmp_path: Path) -> None:
    clip = small_clip(tmp_path / "clip.mp4", seconds=2)
    dice = random.Random(20220630)
    service.start()
    client = client_of(service)
    client.put_object(Bucket=BUCKET, Key="in/clip.mp4", Body=clip.read_bytes())
    accepted = [submit(client, number, receiver.url) for number in range(JOBS // 2)]

    time.sleep(dice.uniform(0.1, 1.0))
    service.kill()
    service.start()
    accepted += [submit(client_of(service), number, receiver.url) for number in range(JOBS // 2, JOBS)]
    assert len(set(accepted)) == JOBS

    assert service.kill_when_newest_event_is("job started", 60), "the kill must fall while a job is running"
    service.start()

    caught = False
    for _ in range(10):
        caught = service.kill_when_newest_event_is("covers written", 60)
        service.start()
        if caught:
            break
    assert caught, "no kill fell between the covers and the end of their job"

    receiver.hold.set()
    service.wait_until(receiver.held.is_set, 60, "no delivery began")
    service.kill()
    receiver.hold.clear()
    service.start()

    time.sleep(dice.uniform(0.1, 1.5))
    service.kill()
    service.start()

    client = client_of(service)
    service.wait_until(lambda: FINAL.issuperset(states_of(client, accepted).values()), 180, "jobs are left unfinished")
    states = states_of(client, accepted)
    assert states == dict.fromkeys(accepted, "Success")
    service.wait_until(lambda: set(receiver.states) >= set(accepted), 60, "callbacks are missing")
    assert set(receiver.states) == set(accepted), "a callback came for a job that nobody submitted"
    assert all(seen == {"Success"} for seen in receiver.states.values()), "a job reported two ends"
    assert all(len(jobs) == 1 for jobs in receiver.jobs_of_delivery.values()), "a delivery id was used twice"
    assert len(receiver.jobs_of_delivery) == JOBS, "a job owed more than one delivery"
    listed = client.list_objects(Bucket=BUCKET, Prefix="out/", MaxKeys=1000)["Contents"]
    assert {item["Key"] for item in listed} == {f"out/{n}/{i}.jpg" for n in range(JOBS) for i in range(2)}
    assert service.kills >= 5

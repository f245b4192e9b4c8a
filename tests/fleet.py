"""
A fleet of real processes on one database and one store, a client that insists, and a receiver of callbacks.

Members are `smartcover api`, `worker` and `dispatcher` as an operator runs them. A test may kill and freeze each and
start it again; whatever else ends one is a fault of the product.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from smartcover.protocol import RequestFacts, sign

T = TypeVar("T")

REGION = "ap-chongqing"
SECRET_ID, SECRET_KEY = "AKIDTEST", "SECRETTEST"


def environment(dsn: str, storage: str, **settings: str) -> dict[str, str]:
    """Give what every member needs, quick to notice the dead; `settings` are written without their prefix."""
    bare = {name: text for name, text in os.environ.items() if not name.startswith("SMARTCOVER_")}
    chosen = {
        "DATABASE_URL": dsn,
        "DATABASE_POOL_SIZE": "6",
        "STORAGE": storage,
        "SECRET_ID": SECRET_ID,
        "SECRET_KEY": SECRET_KEY,
        "REGION": REGION,
        "CALLBACK_ALLOW": "127.0.0.1",
        "CALLBACK_SCHEDULE": ",".join(["0.5"] * 100),
        "CALLBACK_TIMEOUT_SECONDS": "3",
        "LEASE_SECONDS": "3",
        "JOB_MAX_ATTEMPTS": "50",
        "LOG_FORMAT": "json",
        **settings,
    }
    return bare | {f"SMARTCOVER_{name}": text for name, text in chosen.items()}


class Member:
    """
    One process of the fleet, started again and again under one name and with one log.

    Args:
        before: Put before its command, such as `ip netns exec NAME`.
        module: What stands for the command line of smartcover.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        surroundings: Mapping[str, str],
        folder: Path,
        *,
        before: Sequence[str] = (),
        module: str = "smartcover",
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.jsonl"
        self._said = folder / f"{name}.out"
        self._command = [*before, sys.executable, "-m", module, *arguments]
        self._surroundings = dict(surroundings)
        self._lock = threading.RLock()
        self._killed = False
        self._process: subprocess.Popen[bytes] | None = None
        #: Ends that nobody asked for, of a process that had been ready before.
        self.faults: list[str] = []
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        with self._lock:
            return None if self._process is None or self._process.poll() is not None else self._process.pid

    @property
    def ready(self) -> bool:
        """Whether the running process has said that it is ready."""
        with contextlib.suppress(OSError):
            return self.pid is not None and self._said.stat().st_size > 0
        return False

    def start(self, *, wait_seconds: float = 0.0) -> None:
        """Start the process, and wait until it is ready if a time is given."""
        with self._lock, self.log.open("ab") as log, self._said.open("wb") as said:
            self._process = subprocess.Popen(self._command, env=self._surroundings, stdout=said, stderr=log)
            self._killed = False
            self.starts += 1
        deadline = time.monotonic() + wait_seconds
        while wait_seconds and not self.ready:
            assert self.pid is not None, f"{self.name} does not start:\n{self.tail()}"
            assert time.monotonic() < deadline, f"{self.name} is not ready after {wait_seconds} s:\n{self.tail()}"
            time.sleep(0.05)

    def kill(self) -> bool:
        """Kill the process with SIGKILL; tells whether there was one."""
        with self._lock:
            if self.pid is None or self._process is None:
                return False
            self._killed = True
            self._process.kill()
            self._process.wait()
            return True

    def signal(self, number: signal.Signals) -> None:
        """Send a signal that does not end it."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._process is not None:
                self._process.send_signal(number)

    def stop(self) -> None:
        """Ask the process to end, and make it."""
        with self._lock:
            if self._process is None:
                return
            self._killed = True
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def keep_up(self) -> None:
        """Do what a supervisor does: start it again if it ended; note the end if it was ready and nobody killed it."""
        with self._lock:
            if self._process is None or self._process.poll() is None:
                return
            if not self._killed and self._said.stat().st_size > 0:
                self.faults.append(f"{self.name} ended by itself with {self._process.returncode}:\n{self.tail()}")
            self.start()

    def events(self, start: int = 0) -> Iterator[dict[str, Any]]:
        """Read its whole log lines from byte `start` on."""
        if not self.log.exists():
            return
        with self.log.open("rb") as log:
            log.seek(start)
            lines = log.read().split(b"\n")[:-1]
        for line in lines:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event | {"member": self.name}

    def traces(self) -> list[str]:
        """Give the traces of errors that it had no words for."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        told = [str(event["exception"]) for event in self.events() if "exception" in event]
        return told + re.findall(r"^Traceback .*(?:\n(?!\{).*)*", text, re.MULTILINE)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


def decoders(member: Member) -> list[int]:
    """List the decoder's processes of a worker: the children of its fork server."""
    found = []
    for child in _children(member.pid):
        command = Path(f"/proc/{child}/cmdline")
        with contextlib.suppress(OSError):
            if b"forkserver" in command.read_bytes():
                found += _children(child)
    return found


def _children(pid: int | None) -> list[int]:
    """List the children of all threads of a process; each thread lists its own."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, listed.read_text().split())
    return found


class Refused(Exception):
    """The server answered, and not with 200."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body[:300]!r}")
        self.status = status


@dataclass(frozen=True)
class Client:
    """A client of one API process. Every call is signed and goes over a connection of its own."""

    port: int
    bucket: str
    host: str = "127.0.0.1"

    def call(
        self, method: str, target: str, body: bytes = b"", *, service: str = "ci", headers: Mapping[str, str] = {}
    ) -> bytes:
        """
        Send one call and give the body of a 2xx answer.

        Raises:
            OSError, http.client.HTTPException: If there was no whole answer; the call may have been heard.
            Refused: If the answer is another one.
        """
        path, _, query = target.partition("?")
        host = f"{self.bucket}.{service}.{REGION}.myqcloud.com"
        sent = {"Host": host, "Content-Length": str(len(body)), "Content-Type": "application/xml", **headers}
        facts = RequestFacts(method, path.encode(), query.encode(), [(n.encode(), v.encode()) for n, v in sent.items()])
        start = int(time.time()) - 60
        sent["Authorization"] = sign(
            facts,
            secret_id=SECRET_ID,
            secret_key=SECRET_KEY,
            start_seconds=start,
            end_seconds=start + 660,
            header_names=("host", "content-length"),
        ).authorization
        connection = http.client.HTTPConnection(self.host, self.port, timeout=40)
        try:
            connection.request(method, target, body, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, content)
        return content

    def put(self, key: str, body: bytes) -> None:
        self.call("PUT", f"/{key}", body, service="cos")

    def submit(self, source: str, output: str, callback: str, *, token: str, count: int = 1, level: int = 0) -> str:
        """Submit one job and give its id, as `call` does."""
        document = (
            f"<Request><Tag>SmartCover</Tag><Input><Object>{source}</Object></Input><Operation>"
            f"<SmartCover><Format>jpg</Format><Count>{count}</Count></SmartCover>"
            f"<Output><Region>{REGION}</Region><Bucket>{self.bucket}</Bucket><Object>{output}</Object></Output>"
            f"<JobLevel>{level}</JobLevel></Operation><CallBack>{callback}</CallBack></Request>"
        )
        answer = self.call("POST", "/jobs", document.encode(), headers={"x-smartcover-idempotency-key": token})
        job_id = ET.fromstring(answer).findtext("JobsDetail/JobId")
        assert job_id, answer
        return job_id

    def cancel(self, job_id: str) -> None:
        self.call("PUT", f"/jobs/{job_id}?cancel")

    def get(self, key: str) -> bytes:
        return self.call("GET", f"/{key}", service="cos")

    def insist(self, call: Callable[[], T], failures: list[Exception] | None = None, *, seconds: float = 120.0) -> T:
        """
        Make a call until it is answered well, as a careful client does; a submit needs one key for all its tries.

        Args:
            failures: Gets what the tries before met.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                return call()
            except (OSError, http.client.HTTPException) as error:
                failure: Exception = error
            except Refused as refused:
                if refused.status < 500:
                    raise
                failure = refused
            assert time.monotonic() < deadline, f"no call was answered well within {seconds} s; the last: {failure!r}"
            if failures is not None:
                failures.append(failure)
            time.sleep(0.1)


@dataclass
class Received:
    """What came under one webhook-id."""

    bodies: set[bytes] = field(default_factory=set)
    times: int = 0
    answered: int = 0


class Receiver:
    """
    Takes callbacks and tells them apart by webhook-id.

    Args:
        dice: Decides which tries are answered 500 or not at all.
        failing: The share of tries that are.
    """

    def __init__(self, host: str = "127.0.0.1", *, dice: Random | None = None, failing: float = 0.0) -> None:
        self.received: dict[str, Received] = {}
        lock, numbers, received = threading.Lock(), dice or Random(0), self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    fails = numbers.random() < failing
                    silent = fails and numbers.random() < 0.2
                    one = received.setdefault(self.headers["webhook-id"], Received())
                    one.bodies.add(body)
                    one.times += 1
                    one.answered += not fails
                if not silent:
                    with contextlib.suppress(OSError):
                        self.send_response(500 if fails else 200)
                        self.send_header("Content-Length", "0")
                        self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{host}:{self.server.server_address[1]}/cb"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def jobs(self) -> Counter[str]:
        """Count deliveries, not tries, by the job that they tell of; only those that were answered with 200."""
        return Counter(job_of(next(iter(one.bodies)))[0] for one in list(self.received.values()) if one.answered)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def job_of(body: bytes) -> tuple[str, str]:
    """Read the job and its state out of a callback."""
    detail = ET.fromstring(body).find("JobsDetail")
    assert detail is not None, body
    return str(detail.findtext("JobId")), str(detail.findtext("State"))


def eventually(condition: Any, seconds: float, complaint: str | Callable[[], str]) -> None:
    """Wait until a condition holds, looked at a few times a second, or fail with the complaint as it is by then."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint if isinstance(complaint, str) else complaint()
        time.sleep(0.1)

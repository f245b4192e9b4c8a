"""A real HTTP edge on a real socket over a store and ledger in memory, and a client that sends what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import uvicorn

from smartcover.api import EdgeConfig, create_app, edge_protocol
from smartcover.errors import AlreadyFinished, BadParameter, UnknownJob, UnknownQueue
from smartcover.ledger import Job, JobState, NewJob, NotifyConfig, Queue
from smartcover.protocol import RequestFacts, sign
from smartcover.storage import MemoryStore

SECRET_ID = "AKIDTEST"
SECRET_KEY = "SECRETTEST"
BUCKET = "test-1250000000"
REGION = "ap-chongqing"
QUEUE_ID = "p" + "0" * 32
CI_HOST = f"{BUCKET}.ci.{REGION}.myqcloud.com"
COS_HOST = f"{BUCKET}.cos.{REGION}.myqcloud.com"
BLOCKED_CALLBACK_HOST = "10.0.0.1"


class Keys:
    """One key pair."""

    def secret_of(self, secret_id: str) -> Sequence[str] | None:
        return [SECRET_KEY] if secret_id == SECRET_ID else None


@dataclass
class MemoryLedger:
    """Jobs in a dict, with the promises of the ledger that the edge relies on; nothing ever runs them."""

    stored: dict[str, Job] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)

    async def submit(self, jobs: Sequence[NewJob]) -> tuple[Job, ...]:
        rows = tuple(
            Job(
                job_id=new.job_id,
                seq=len(self.stored) + number,
                bucket=new.bucket,
                region=new.region,
                queue_id=new.queue_id,
                tag=new.tag,
                state=JobState.SUBMITTED,
                spec=new.spec,
                callback=new.callback,
                attempt=0,
                created_at=datetime.now(UTC),
            )
            for number, new in enumerate(jobs)
        )
        self.stored |= {job.job_id: job for job in rows}
        return rows

    async def jobs(self, bucket: str, job_ids: Sequence[str]) -> Mapping[str, Job]:
        found = (self.stored.get(job_id) for job_id in job_ids)
        return {job.job_id: job for job in found if job is not None and job.bucket == bucket}

    async def cancel(self, bucket: str, job_id: str) -> Job:
        job = (await self.jobs(bucket, [job_id])).get(job_id)
        if job is None:
            raise UnknownJob
        if job.state.final:
            raise AlreadyFinished
        self.stored[job_id] = replace(job, state=JobState.CANCEL, ended_at=datetime.now(UTC))
        return self.stored[job_id]

    async def default_queue(self, bucket: str) -> Queue:
        now = datetime.now(UTC)
        return self.queues.setdefault(
            bucket, Queue(QUEUE_ID, bucket, "queue-1", "Active", 10, 10000, NotifyConfig(), now, now)
        )

    async def queue(self, bucket: str, queue_id: str) -> Queue:
        queue = self.queues.get(bucket)
        if queue is None or queue.queue_id != queue_id:
            raise UnknownQueue
        return queue

    async def ping(self) -> None:
        return None


def refuse_blocked(url: str) -> None:
    """Stand in for the callback policy: one address is blocked."""
    if BLOCKED_CALLBACK_HOST in url:
        raise BadParameter(f"CallBack is {url!r}, which is private; allow it with SMARTCOVER_CALLBACK_ALLOW")


@dataclass
class RunningEdge:
    """An edge that listens on 127.0.0.1."""

    port: int
    store: MemoryStore
    ledger: MemoryLedger
    config: EdgeConfig
    server: uvicorn.Server

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        """Wait until no connection is left; tell whether that came about in time."""
        deadline = time.monotonic() + timeout_seconds
        while self.server.server_state.connections:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


@contextlib.contextmanager
def running_edge(config: EdgeConfig | None = None, *, ledger: MemoryLedger | None = None) -> Iterator[RunningEdge]:
    """Serve an edge from a thread of its own, with one bucket, until the block ends."""
    config = config or EdgeConfig(region=REGION)
    store, ledger = MemoryStore(), ledger or MemoryLedger()
    asyncio.run(store.create_bucket(BUCKET, REGION))
    asyncio.run(ledger.default_queue(BUCKET))
    listener = socket.create_server(("127.0.0.1", 0))
    application = create_app(ledger=ledger, store=store, keys=Keys(), config=config, check_callback=refuse_blocked)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            http=edge_protocol(config),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=config.max_header_bytes,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline, "the edge did not start"
        time.sleep(0.01)
    try:
        yield RunningEdge(listener.getsockname()[1], store, ledger, config, server)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    closed: bool
    names: tuple[str, ...] = ()

    def node(self, name: str) -> str:
        """Give the text of the first node of that name."""
        match = re.search(rf"<{name}>([^<]*)</{name}>", self.body.decode())
        assert match is not None, f"no {name} in {self.body!r}"
        return match[1]

    @property
    def code(self) -> str:
        """The Code of an error document."""
        return self.node("Code")


def authorization(
    method: str,
    raw_target: str,
    headers: Mapping[str, str],
    *,
    bucket_in_path: str | None = None,
    start: int | None = None,
    seconds: int = 600,
    secret_key: str = SECRET_KEY,
    secret_id: str = SECRET_ID,
    header_names: Sequence[str] = ("host",),
) -> str:
    """Sign a request as the SDKs do."""
    path, _, query = raw_target.partition("?")
    if "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    start = int(time.time()) - 60 if start is None else start
    facts = RequestFacts(
        method=method,
        raw_path=path.encode(),
        raw_query=query.encode(),
        headers=[(name.encode(), value.encode()) for name, value in headers.items()],
        bucket=bucket_in_path,
    )
    return sign(
        facts,
        secret_id=secret_id,
        secret_key=secret_key,
        start_seconds=start,
        end_seconds=start + seconds,
        header_names=header_names,
    ).authorization


def build(
    method: str,
    target: str,
    *,
    host: str = COS_HOST,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    signed: bool = True,
    bucket_in_path: str | None = None,
) -> bytes:
    """Write a request, signed unless told otherwise."""
    sent = {"Host": host, **(headers or {})}
    if body is not None:
        sent.setdefault("Content-Length", str(len(body)))
    if signed:
        sent["Authorization"] = authorization(method, target, sent, bucket_in_path=bucket_in_path)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


class Connection:
    """A socket to the edge; reads one answer at a time."""

    def __init__(self, port: int, timeout_seconds: float = 5.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds)
        self._buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are; a server that has closed already is no error here."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def finish_sending(self) -> None:
        """Close our half of the connection and go on listening."""
        self._socket.shutdown(socket.SHUT_WR)

    def reply(self, *, method: str = "GET") -> Reply:
        """Read one answer within the timeout."""
        head = self._until(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(status_line.split(" ")[1])
        if status == 100:
            return Reply(100, headers, b"", False)
        size = 0 if method == "HEAD" or status in (204, 304) else int(headers.get("content-length", "0"))
        while len(self._buffer) < size:
            self._more()
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        names = tuple(line.partition(":")[0] for line in lines)
        return Reply(status, headers, body, headers.get("connection", "").lower() == "close", names)

    def at_end(self) -> bool:
        """Wait for the server to close; tell whether it did so within the timeout."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(mark)
        return head

    def _more(self) -> None:
        data = self._socket.recv(1 << 16)
        assert data, f"the server closed the connection after {self._buffer!r}"
        self._buffer += data


def exchange(port: int, request: bytes, *, method: str = "GET") -> Reply:
    """Send one request on a connection of its own and read the answer."""
    with Connection(port) as connection:
        connection.send(request)
        return connection.reply(method=method)

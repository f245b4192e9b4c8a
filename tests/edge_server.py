"""A real HTTP edge on a socket, over a store in memory and a real ledger, and a client that sends what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import re
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import uvicorn

from smartcover.api import EdgeConfig, HttpMetrics, Probes, check_database, check_store, create_app, edge_protocol
from smartcover.errors import BadParameter
from smartcover.ledger import CallbackTarget, Database, Job, Ledger, QueueLimits
from smartcover.protocol import RequestFacts, sign
from smartcover.service import Access, SecretMaker, full_access
from smartcover.storage import MemoryStore
from tests.postgres import cluster

T = TypeVar("T")

SECRET_ID = "AKIDTEST"
SECRET_KEY = "SECRETTEST"
BUCKET = "test-1250000000"
REGION = "ap-chongqing"
CI_HOST = f"{BUCKET}.ci.{REGION}.myqcloud.com"
COS_HOST = f"{BUCKET}.cos.{REGION}.myqcloud.com"
BLOCKED_CALLBACK_HOST = "10.0.0.1"


class Keys:
    """One key pair that may do everything, and those of teams: each with what it may do and its secrets in force."""

    def __init__(self) -> None:
        self.teams: dict[str, tuple[Access, list[str]]] = {}

    def secret_of(self, secret_id: str) -> Sequence[str] | None:
        if secret_id == SECRET_ID:
            return [SECRET_KEY]
        return self.teams[secret_id][1] if secret_id in self.teams else None

    def access_of(self, secret_id: str) -> Access:
        if secret_id == SECRET_ID:
            return full_access(SECRET_ID)
        return self.teams[secret_id][0] if secret_id in self.teams else Access(secret_id)


def refuse_blocked(target: CallbackTarget) -> None:
    """Stand in for the callback policy: one address is blocked, and there is no broker."""
    if target.kind == "TDMQ":
        raise BadParameter("this server has no broker; set SMARTCOVER_BROKER_URL")
    if BLOCKED_CALLBACK_HOST in (target.url or ""):
        raise BadParameter(f"CallBack is {target.url!r}, which is private; allow it with SMARTCOVER_CALLBACK_ALLOW")


@dataclass
class RunningEdge:
    """An edge that listens on 127.0.0.1, over a store in memory and a ledger in a database of its own."""

    port: int
    store: MemoryStore
    ledger: Ledger
    config: EdgeConfig
    server: uvicorn.Server
    queue_id: str
    loop: asyncio.AbstractEventLoop
    keys: Keys

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something with the store or the ledger, on the loop that they live on."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def job(self, job_id: str) -> Job:
        """Give a job as the ledger holds it."""
        return self.run(self.ledger.job(job_id))

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        """Wait until no connection is left; tell whether that came about in time."""
        deadline = time.monotonic() + timeout_seconds
        while self.server.server_state.connections:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


@contextlib.contextmanager
def running_edge(
    config: EdgeConfig | None = None,
    *,
    queue_limits: QueueLimits | None = None,
    make_ledger: Callable[[Database], Ledger] | None = None,
    metrics: HttpMetrics | None = None,
    page: Callable[[], bytes] = bytes,
) -> Iterator[RunningEdge]:
    """Serve an edge from a thread of its own, with one bucket, until the block ends."""
    config = config or EdgeConfig(region=REGION)
    dsn = cluster().make_database()
    store = MemoryStore()
    keys = Keys()
    listener = socket.create_server(("127.0.0.1", 0))
    started: queue.Queue[RunningEdge | BaseException] = queue.Queue()

    async def shown() -> bytes:
        return page()

    async def serve() -> None:
        database = await Database.connect(dsn, pool_size=8)
        ledger = make_ledger(database) if make_ledger else Ledger(database, queue_limits=queue_limits or QueueLimits())
        await store.create_bucket(BUCKET, REGION)
        waiting = await ledger.default_queue(BUCKET)
        application = create_app(
            ledger=ledger,
            store=store,
            keys=keys,
            config=config,
            check_callback=refuse_blocked,
            probes=Probes({"database": check_database(ledger), "storage": check_store(store)}, shown),
            metrics=metrics,
            secret_maker=SecretMaker(["a master secret of the tests"]),
        )
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
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        port = listener.getsockname()[1]
        started.put(
            RunningEdge(port, store, ledger, config, server, waiting.queue_id, asyncio.get_running_loop(), keys)
        )
        await task
        await ledger.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            started.put(error)
            raise

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    edge = started.get(timeout=60)
    if isinstance(edge, BaseException):
        raise edge
    try:
        yield edge
    finally:
        edge.server.should_exit = True
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


#: How long requests here stay valid: many are written when the tests are collected, long before the last one runs.
DAY_SECONDS = 86_400


def authorization(
    method: str,
    raw_target: str,
    headers: Mapping[str, str],
    *,
    bucket_in_path: str | None = None,
    start: int | None = None,
    seconds: int = DAY_SECONDS,
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
    secret_id: str = SECRET_ID,
    secret_key: str = SECRET_KEY,
) -> bytes:
    """Write a request, signed unless told otherwise."""
    sent = {"Host": host, **(headers or {})}
    if body is not None:
        sent.setdefault("Content-Length", str(len(body)))
    if signed:
        sent["Authorization"] = authorization(
            method, target, sent, bucket_in_path=bucket_in_path, secret_id=secret_id, secret_key=secret_key
        )
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

"""A role that starts before its database waits for it; what waiting does not mend ends the start at once."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.server_postgres import ServerPostgres, free_port

pytestmark = pytest.mark.timeout(240)

ROLES = ("api", "worker", "dispatcher")
BUCKET = "early-1250000000"


class Role:
    """A role started as an operator starts it, ready or not."""

    def __init__(self, folder: Path, role: str, dsn: str, **settings: str) -> None:
        self.port = free_port()
        self.log = folder / f"{role}.log"
        bare = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
        own = {
            "SMARTCOVER_DATABASE_URL": dsn,
            "SMARTCOVER_STORAGE": f"file:{folder / 'objects'}",
            "SMARTCOVER_SECRET_ID": "AKIDTEST",
            "SMARTCOVER_SECRET_KEY": "SECRETTEST",
            "SMARTCOVER_BUCKETS": BUCKET,
            "SMARTCOVER_LOG_FORMAT": "json",
        }
        port = "port" if role == "api" else "metrics-port"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "smartcover", role, f"--{port}={self.port}"],
                env={**bare, **own, **settings},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def get(self, path: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def says(self, path: str, status: int) -> bool:
        try:
            return self.get(path)[0] == status
        except OSError:
            return False

    def events(self) -> list[dict[str, str]]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def waits(self) -> bool:
        return any(line["event"] == "waiting for the database" for line in self.events())

    def ends(self, within_seconds: float) -> tuple[int, str]:
        """Give the exit code and the one line that an operator reads."""
        code = self.process.wait(within_seconds)
        said = [line for line in self.log.read_text().splitlines() if not line.startswith("{")]
        assert len(said) <= 1, self.log.read_text()
        return code, "".join(said)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Role]]:
    running: list[Role] = []

    def start(role: str, dsn: str, **settings: str) -> Role:
        running.append(Role(tmp_path, role, dsn, **settings))
        return running[-1]

    yield start
    for role in running:
        role.close()


@pytest.fixture(scope="module")
def server() -> Iterator[ServerPostgres]:
    made = ServerPostgres()
    yield made
    made.close()


def until(condition: Callable[[], bool], role: Role, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert role.process.poll() is None, role.log.read_text()
        assert time.monotonic() < deadline, role.log.read_text()
        time.sleep(0.05)


def test_roles_started_before_their_database_say_so_and_work_once_it_answers(
    server: ServerPostgres, started: Callable[..., Role]
) -> None:
    server.stop()
    roles = [started(role, server.dsn()) for role in ROLES]
    for role in roles:
        until(role.waits, role)
        until(lambda role=role: role.says("/readyz", 503), role)  # type: ignore[misc]
        assert role.get("/healthz") == (200, b"ok\n"), "a process that waits lives"
        assert b"smartcover_database_up 0.0" in role.get("/metrics")[1]
        (first, *_) = (line for line in role.events() if line["event"] == "waiting for the database")
        assert f"127.0.0.1:{server.port}/smartcover" in first["error"]
        assert "password" not in role.log.read_text()
    status, body = roles[0].get("/healthz", host=f"{BUCKET}.cos.local.myqcloud.com")
    assert (status, b"<Code>ServiceUnavailable</Code>" in body) == (503, True), "an object may be called healthz"
    server.start()
    for role in roles:
        until(lambda role=role: role.says("/readyz", 200), role)  # type: ignore[misc]
        assert "the database is there" in [line["event"] for line in role.events()]


class Door:
    """Lets the first connections through to a server, then none until it is opened again."""

    def __init__(self, to_port: int, first: int) -> None:
        self._to_port, self._left, self.turned_away = to_port, first, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def open(self) -> None:
        self._left = 1_000_000

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # closing it would leave the wait for one more client going on
        self._serving.join(10)
        self._listener.close()
        for end in self._open:
            end.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._left <= 0:
                self.turned_away += 1
                client.close()
                continue
            self._left -= 1
            there = socket.create_connection(("127.0.0.1", self._to_port))
            self._open += [client, there]
            for source, sink in ((client, there), (there, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_a_database_that_goes_away_in_the_middle_of_the_start_is_waited_for(
    server: ServerPostgres, started: Callable[..., Role], first: int
) -> None:
    door = Door(server.port, first)
    try:
        api = started("api", server.dsn(port=door.port))
        until(lambda: door.turned_away >= 2, api)
        assert api.process.poll() is None
        door.open()
        until(lambda: api.says("/readyz", 200), api)
    finally:
        door.close()


def test_the_wait_ends_after_its_time_with_the_reason(started: Callable[..., Role]) -> None:
    dsn = f"postgresql://smartcover:hidden@127.0.0.1:{free_port()}/smartcover"
    before = time.monotonic()
    code, said = started("worker", dsn, SMARTCOVER_DATABASE_WAIT_SECONDS="3").ends(30)
    assert code == 1
    assert time.monotonic() - before > 3
    assert "does not answer" in said
    assert "waited for 3 s (SMARTCOVER_DATABASE_WAIT_SECONDS)" in said
    assert "hidden" not in said


def test_no_wait_is_a_setting_too(started: Callable[..., Role]) -> None:
    dsn = f"postgresql://smartcover:hidden@127.0.0.1:{free_port()}/smartcover"
    role = started("dispatcher", dsn, SMARTCOVER_DATABASE_WAIT_SECONDS="0")
    code, said = role.ends(30)
    assert (code, role.waits()) == (1, False)
    assert "does not answer" in said


def test_a_role_that_waits_is_stopped_by_a_signal_at_once(started: Callable[..., Role]) -> None:
    role = started("worker", f"postgresql://smartcover:hidden@127.0.0.1:{free_port()}/smartcover")
    until(role.waits, role)
    role.process.send_signal(signal.SIGTERM)
    before = time.monotonic()
    assert role.ends(10)[0] == 0
    assert time.monotonic() - before < 3
    assert role.events()[-1]["event"] == "stopped"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda dsn: dsn.replace(urlsplit(dsn).password or "?", "wrong"), "password authentication failed"),
        (lambda dsn: dsn.replace("//smartcover:", "//nobody:"), "nobody"),
        (lambda dsn: dsn.replace("/smartcover?", "/nothing?"), 'database "nothing" does not exist'),
        (lambda dsn: dsn.replace("sslmode=disable", "sslmode=nonsense"), "sslmode"),
        (lambda dsn: dsn.replace("/smartcover?", "/postgres?"), "smartcover db upgrade"),
        (lambda dsn: dsn.replace("postgresql://", "mysql://"), "SMARTCOVER_DATABASE_URL"),
    ],
    ids=["password", "user", "database", "option", "schema", "scheme"],
)
@pytest.mark.parametrize("role", ["api", "worker"])
def test_what_waiting_does_not_mend_ends_the_start_at_once(
    server: ServerPostgres, started: Callable[..., Role], role: str, change: Callable[[str], str], said: str
) -> None:
    running = started(role, change(server.dsn()))
    code, line = running.ends(20)
    assert (code, running.waits()) == (1, False)
    assert said in line
    assert (urlsplit(server.dsn()).password or "?") not in line


def test_an_upgrade_waits_for_the_database_too(tmp_path: Path, server: ServerPostgres) -> None:
    server.stop()
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
    with (tmp_path / "upgrade.log").open("wb") as log:
        upgrading = subprocess.Popen(
            [sys.executable, "-m", "smartcover", "db", "upgrade"],
            env={**bare, "SMARTCOVER_DATABASE_URL": server.dsn(), "SMARTCOVER_LOG_FORMAT": "json"},
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 30
        while "waiting for the database" not in (tmp_path / "upgrade.log").read_text():
            assert time.monotonic() < deadline, (tmp_path / "upgrade.log").read_text()
            time.sleep(0.05)
        server.start()
        said, _ = upgrading.communicate(timeout=60)
        assert upgrading.returncode == 0
        assert said.startswith(b"the schema is at ")
    finally:
        upgrading.kill()
        upgrading.wait()


def test_commands_of_the_operator_do_not_wait(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SMARTCOVER_")}
    dsn = f"postgresql://smartcover:hidden@127.0.0.1:{free_port()}/smartcover"
    before = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "smartcover", "callbacks", "list"],
        env={**bare, "SMARTCOVER_DATABASE_URL": dsn},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "does not answer" in ended.stderr
    assert time.monotonic() - before < 20

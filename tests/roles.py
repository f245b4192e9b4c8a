"""`smartcover api`, `worker` and `dispatcher` as processes of their own on one database and one store; a receiver."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from qcloud_cos import CosConfig, CosS3Client


class Receiver:
    """Keeps the bodies of callbacks and answers 200; while `held` is set it waits before that."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self.let_go = threading.Event()
        self.bodies: list[bytes] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver.held.is_set():
                    receiver.let_go.wait(60)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/cb"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Roles:
    """The processes of one installation; `log_of` reads what a role wrote."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SMARTCOVER_", "AWS_"))},
            "SMARTCOVER_SECRET_ID": "AKIDTEST",
            "SMARTCOVER_SECRET_KEY": "SECRETTEST",
            "SMARTCOVER_CALLBACK_ALLOW": "127.0.0.1",
            "SMARTCOVER_CALLBACK_SCHEDULE": ",".join(["0.5"] * 20),
            "SMARTCOVER_LOG_FORMAT": "json",
            **environment,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = _free_port()
        self._pages: dict[str, int] = {}

    def start(self, role: str, name: str | None = None, **settings: str) -> None:
        """Start a process of the role; a second one of it needs a name, and may be told other settings."""
        name = name or role
        self._pages[name] = self.port if role == "api" else _free_port()
        port = "port" if role == "api" else "metrics-port"
        said = "answers at" if role == "api" else "is ready"
        words = self._folder / f"{name}.out"
        before = words.read_text().count(said) if words.exists() else 0
        with (self._folder / f"{name}.log").open("ab") as log, words.open("ab") as out:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "smartcover", role, f"--{port}={self._pages[name]}"],
                env={**self._environment, **settings},
                stdout=out,
                stderr=log,
            )
        self.wait_until(lambda: words.read_text().count(said) > before, f"{name} does not start")

    def port_of(self, name: str) -> int:
        """Give the port on which a process shows its pages."""
        return self._pages[name]

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log_of(self, role: str) -> list[dict[str, Any]]:
        lines = (self._folder / f"{role}.log").read_bytes().split(b"\n")
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def wait_until(self, condition: Callable[[], object], complaint: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            ends = "\n".join(path.read_text(errors="replace")[-3000:] for path in self._folder.glob("*.log"))
            for role, process in self.processes.items():
                assert process.poll() is None, f"{role} ended with {process.returncode}:\n{ends}"
            assert time.monotonic() < deadline, f"{complaint}; the logs end:\n{ends}"
            time.sleep(0.05)

    def client(self, region: str) -> Any:
        return CosS3Client(
            CosConfig(
                Region=region,
                SecretId="AKIDTEST",
                SecretKey="SECRETTEST",
                Scheme="http",
                IP="127.0.0.1",
                Port=self.port,
            )
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def installation(folder: Path, environment: Mapping[str, str]) -> Iterator[Roles]:
    """Run the API, a worker and a dispatcher."""
    roles = Roles(folder, environment)
    try:
        for role in ("api", "worker", "dispatcher"):
            roles.start(role)
        yield roles
    finally:
        roles.stop()

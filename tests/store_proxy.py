"""A proxy in front of a store, for tests: it notes every request, and can delay, refuse or cut off answers."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: `sent_bytes` is what its answer's body held."""

    method: str
    path: str
    headers: dict[str, str]
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """
    What happens instead of a good answer: a status, with a code of S3 if one is given, or a body cut off after so many
    bytes; after a delay.

    `pause_seconds` is a silence in the middle of the body.
    """

    status: int | None = None
    cut_after: int | None = None
    delay_seconds: float = 0.0
    pause_seconds: float = 0.0
    code: str = ""


@dataclass(slots=True)
class Proxy:
    """`fault_of` is asked for each request with its number; None lets it through."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    fault_of: Callable[[int, Asked], Fault | None] = lambda number, asked: None


@contextlib.contextmanager
def proxy_to(address: str, bucket: str | None = None) -> Iterator[Proxy]:
    """Run a proxy to the store at `address`; with `bucket` the proxy's own host stands for that bucket of the store."""
    proxy = Proxy()
    there = urlsplit(address).netloc
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            with lock:
                number = len(proxy.asked)
                proxy.asked.append(asked)
            fault = proxy.fault_of(number, asked) or Fault()
            time.sleep(fault.delay_seconds)
            if fault.status is not None:
                why = f"<Error><Code>{fault.code}</Code></Error>".encode() if fault.code else b""
                self.send_response(fault.status)
                self.send_header("Content-Length", str(len(why)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(why)
                return
            connection = http.client.HTTPConnection(there, timeout=30)
            path = self.path if bucket is None else f"/{bucket}{self.path}"
            connection.request(self.command, path, body=body, headers=dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            with lock:
                proxy.asked[number] = Asked(asked.method, asked.path, asked.headers, len(content))
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            if self.command != "HEAD":
                said = content[: fault.cut_after] if fault.cut_after is not None else content
                half = len(said) // 2 if fault.pause_seconds else 0
                self.wfile.write(said[:half])
                self.wfile.flush()
                time.sleep(fault.pause_seconds)
                self.wfile.write(said[half:])
            if fault.cut_after is not None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Let a client that went away go; any other one sees that its connection ends."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()

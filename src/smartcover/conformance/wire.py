"""A small signed HTTP client, on purpose none of the SDKs: what it sends is all there is to know of it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, urlsplit

from smartcover.errors import MalformedBody, Mismatch, ServerUnreachable, SettingsError
from smartcover.protocol import RequestFacts, Tree, parse_xml, sign, to_xml

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
TIMEOUT_SECONDS: Final = 60.0
_CLOUD: Final = ".myqcloud.com"

Service: TypeAlias = Literal["ci", "cos"]


@dataclass(frozen=True, slots=True)
class Server:
    """
    The server under test and who asks it.

    Args:
        url: `http://host:port` of any server, or an address below myqcloud.com, which is then asked by its own names.
        bucket_in_path: For servers that do not take the bucket from the Host header.
    """

    url: str
    bucket: str
    region: str
    secret_id: str
    secret_key: str
    bucket_in_path: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise SettingsError(f"The URL is {self.url!r}; give http://host:port of a server, without a path")

    def host(self, service: Service) -> str:
        """Name the Host header of a call."""
        if self.bucket_in_path:
            return urlsplit(self.url).netloc
        return f"{self.bucket}.{service}.{self.region}{_CLOUD}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came; header names are in lower case."""

    call: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def tree(self) -> dict[str, Tree]:
        """
        Read the body as a document.

        Raises:
            Mismatch: If it is none.
        """
        try:
            return parse_xml(self.body, max_bytes=MAX_ANSWER_BYTES)
        except MalformedBody as error:
            raise Mismatch(f"{self.call} was answered {self.status} with no XML: {self.body[:200]!r}") from error

    def nodes(self, path: str) -> list[Tree]:
        """Give all nodes at a path such as `Response/JobsDetail/JobId`, in order; none is an empty list."""
        found: list[Tree] = [self.tree]
        for name in path.split("/"):
            below = [tree[name] for tree in found if isinstance(tree, dict) and name in tree]
            found = [tree for entry in below for tree in (entry if isinstance(entry, list) else [entry])]
        return found

    def texts(self, path: str) -> list[str]:
        """Give the texts at a path."""
        return [tree for tree in self.nodes(path) if isinstance(tree, str)]

    def text(self, path: str) -> str:
        """
        Give the one text at a path.

        Raises:
            Mismatch: If there is none, or more.
        """
        found = self.texts(path)
        if len(found) != 1:
            raise Mismatch(f"{self.call}: {path} stands {len(found)} times in the answer: {self.body[:500]!r}")
        return found[0]


@dataclass(frozen=True, slots=True)
class Client:
    """Sends signed calls to one server, each on a connection of its own; `now` gives unix seconds."""

    server: Server
    now: Callable[[], float]

    def ci(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Tree] | bytes | None = None,
        secret_id: str | None = None,
        secret_key: str | None = None,
    ) -> Answer:
        """Send a call of CI; a mapping becomes a Request document. Other keys than the server's may sign it."""
        content = body if isinstance(body, bytes) or body is None else to_xml({"Request": dict(body)})
        headers = {} if content is None else {"Content-Type": "application/xml"}
        return self._send("ci", method, path, query, content, headers, secret_id, secret_key)

    def cos(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send an object call, or a bucket call when the key is empty."""
        return self._send("cos", method, f"/{quote(key, safe='/~')}", query, body, headers or {}, None, None)

    def _send(
        self,
        service: Service,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str],
        secret_id: str | None,
        secret_key: str | None,
    ) -> Answer:
        server = self.server
        raw_path = f"/{server.bucket}{path}" if server.bucket_in_path else path
        raw_query = "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in (query or {}).items())
        sent = {"Host": server.host(service), **headers}
        if body is not None or method in ("PUT", "POST", "DELETE"):
            sent["Content-Length"] = str(len(body or b""))
        start = int(self.now()) - 60
        sent["Authorization"] = sign(
            RequestFacts(
                method=method,
                raw_path=raw_path.encode(),
                raw_query=raw_query.encode(),
                headers=[(name.encode(), text.encode()) for name, text in sent.items()],
                bucket=server.bucket if server.bucket_in_path else None,
            ),
            secret_id=secret_id or server.secret_id,
            secret_key=secret_key or server.secret_key,
            start_seconds=start,
            end_seconds=start + 660,
            header_names=("host", "content-length"),
        ).authorization
        target = raw_path + (f"?{raw_query}" if raw_query else "")
        return self._exchange(service, method, target, sent, body)

    def _exchange(
        self, service: Service, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        parts = urlsplit(self.server.url)
        host = self.server.host(service) if (parts.hostname or "").endswith(_CLOUD) else parts.hostname or ""
        connection = (
            http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT_SECONDS, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_SECONDS)
        )
        call = f"{method} {target[:200]}"
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, text in headers.items():
                connection.putheader(name, text)
            connection.endheaders(body)
            reply = connection.getresponse()
            content = reply.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(f"{call} got no answer from {host}: {error!r}") from error
        finally:
            connection.close()
        if len(content) > MAX_ANSWER_BYTES:
            raise Mismatch(f"{call} was answered with more than {MAX_ANSWER_BYTES} bytes")
        return Answer(call, reply.status, {name.lower(): text for name, text in reply.getheaders()}, content)

"""A client of the service over real HTTP: signed as the SDKs sign, connections kept open as theirs are."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from smartcover.protocol import RequestFacts, sign, to_xml

BUCKET: Final = "bench-1250000000"
REGION: Final = "ap-chongqing"
SECRET_ID: Final = "AKIDbenchmark"
SECRET_KEY: Final = "a secret of this benchmark only"
OBJECT: Final = "in/video.mp4"
_JOB_ID: Final = re.compile(rb"<JobId>(j[0-9a-f]{32})</JobId>")


class Client:
    """Sends signed calls; open it with `async with`. The key pair is the one that the node was started with."""

    def __init__(self, url: str, secret_id: str = SECRET_ID, secret_key: str = SECRET_KEY) -> None:
        self._url = url
        self._keys = (secret_id, secret_key)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent")
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(
        self, service: str, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        """Send a call and give the answer's body; anything but 200 is an error."""
        host = f"{BUCKET}.{service}.{REGION}.myqcloud.com"
        raw_query = "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in (query or {}).items())
        headers = {"Host": host, "Content-Length": str(len(body)), "Content-Type": "application/xml"}
        now = int(time.time())
        headers["Authorization"] = sign(
            RequestFacts(
                method=method,
                raw_path=path.encode(),
                raw_query=raw_query.encode(),
                headers=[(name.encode(), text.encode()) for name, text in headers.items()],
                bucket=None,
            ),
            secret_id=self._keys[0],
            secret_key=self._keys[1],
            start_seconds=now - 60,
            end_seconds=now + 600,
            header_names=("host", "content-length"),
        ).authorization
        url = URL(f"{self._url}{path}" + (f"?{raw_query}" if raw_query else ""), encoded=True)
        async with self._session.request(method, url, headers=headers, data=body) as answer:
            content = await answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} was answered {answer.status}: {content[:500]!r}")
        return content

    async def put_object(self) -> None:
        """Upload the input object that all jobs name."""
        await self.call("cos", "PUT", f"/{OBJECT}", body=b"no video, and nobody will look")

    async def submit(self, callback: str) -> str:
        """Submit one job and give its id: it is committed then."""
        output = {"Region": REGION, "Bucket": BUCKET, "Object": "out/${jobid}/cover-${number}.jpg"}
        request = {
            "Tag": "SmartCover",
            "Input": {"Object": OBJECT},
            "Operation": {"SmartCover": {"Format": "jpg", "Count": "3"}, "Output": output, "UserData": "benchmark"},
            "CallBack": callback,
        }
        found = _JOB_ID.search(await self.call("ci", "POST", "/jobs", body=to_xml({"Request": request})))
        assert found is not None
        return found[1].decode()

"""
Our own pages beside the wire of CI and COS: liveness, readiness and metrics.

On the API's port they answer only when the Host names no bucket and the request carries no signature, so that no
object key is shadowed. A process without an API serves them alone, with `create_probes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from smartcover.api.call import Answer, content_type
from smartcover.errors import BucketMissing, SmartCoverError
from smartcover.ledger import Ledger, require_usable_schema
from smartcover.storage import BucketStore

Check = Callable[[], Awaitable[None]]
"""Returns if all is well, and raises a `SmartCoverError` that says what is not."""

#: A name that every store can look up and none holds: asking for it is the cheapest question.
_PROBE_BUCKET: Final = "readyz-probe"
#: Version 0.0.4 of the text format, which every scraper reads.
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: What has not answered by then is away; probes of load balancers do not wait longer.
_CHECK_SECONDS: Final = 5.0


async def _nothing() -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class Probes:
    """What the pages show: a check for each part that must be well, by name, and what the process counts."""

    checks: Mapping[str, Check]
    metrics: Callable[[], Awaitable[bytes]] = _nothing


OwnPage = Callable[[Probes], Awaitable[Answer]]


def check_database(ledger: Ledger) -> Check:
    """Make the check that the database answers, with a schema that this version can use."""
    return lambda: require_usable_schema(ledger.database)


def check_store(store: BucketStore) -> Check:
    """Make the check that the object store answers, and that its part of the database does."""

    async def ask() -> None:
        with contextlib.suppress(BucketMissing):
            await store.bucket(_PROBE_BUCKET)
        await store.check()

    return ask


async def healthz(_probes: Probes) -> Answer:
    """Tell that this process answers."""
    return Answer(headers=(content_type("text/plain; charset=utf-8"),), body=b"ok\n")


async def readyz(probes: Probes) -> Answer:
    """Tell what each check says, as JSON; 503 if one is not well."""
    states = await asyncio.gather(*map(_state, probes.checks.values()))
    ready = all(state == "ok" for state in states)
    told = {"ready": ready, **dict(zip(probes.checks, states, strict=True))}
    return Answer(200 if ready else 503, (content_type("application/json"),), json.dumps(told).encode() + b"\n")


async def metrics(probes: Probes) -> Answer:
    """Give what this process counts, for Prometheus."""
    return Answer(headers=(content_type(_METRICS_TYPE),), body=await probes.metrics())


OWN_PAGES: Final[Mapping[bytes, OwnPage]] = MappingProxyType(
    {b"/healthz": healthz, b"/readyz": readyz, b"/metrics": metrics}
)
"""Raw path to page; the console joins here."""


def create_probes(probes: Probes) -> ASGIApp:
    """Make the application that shows these pages and nothing else."""

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        page = OWN_PAGES.get(scope["path"].encode())
        if page is None or scope["method"] not in ("GET", "HEAD"):
            shown = ", ".join(path.decode() for path in OWN_PAGES)
            answer = Answer(404, (content_type("text/plain; charset=utf-8"),), f"here are: {shown}\n".encode())
        else:
            answer = await page(probes)
        body = answer.body if isinstance(answer.body, bytes) else b""
        headers = [*answer.headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return application


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except SmartCoverError as error:
        return error.public
    except TimeoutError:
        return f"no answer within {_CHECK_SECONDS:g} seconds"
    return "ok"

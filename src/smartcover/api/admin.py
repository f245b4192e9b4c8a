"""
The admin API: what the operator's own programs ask of jobs, deliveries and queues, as JSON with an OpenAPI description.

It lies below `/admin/v1` and wants a key pair with the right admin by HTTP Basic (SecretId as user, SecretKey as
password), and shows what belongs to the buckets of that key pair. The login is checked, and the body's size, before
anything of a request is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Body, FastAPI, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Receive, Scope, Send

from smartcover.api.admin_keys import add_keys
from smartcover.api.edge import Edge
from smartcover.api.login import SCOPE_KEY, Login, check_login, read_login
from smartcover.errors import BadParameter, SmartCoverError, UnknownJob
from smartcover.ledger import (
    Attempt,
    Delivery,
    DeliveryFilter,
    DeliveryState,
    Job,
    Queue,
    QueueLimits,
)
from smartcover.protocol import http_status
from smartcover.service import Access, Right, create_queue

PREFIX: Final = "/admin/v1"

_MOST_BODY_BYTES: Final = 256 * 1024
_MOST_ROWS: Final = 1000


class Redelivery(BaseModel):
    """Which deliveries to send again: some by id, or all that fit the conditions."""

    model_config = ConfigDict(extra="forbid")

    delivery_ids: list[str] | None = Field(None, max_length=_MOST_ROWS)
    job_id: str | None = None
    state: DeliveryState | None = None
    destination: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Limits(BaseModel):
    """How many jobs of a queue may run and wait."""

    model_config = ConfigDict(extra="forbid")

    max_concurrent: int = Field(ge=1, le=10_000)
    max_size: int = Field(ge=1, le=100_000_000)


class NewQueue(BaseModel):
    """A queue to make; without limits it gets those of the settings."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=128)
    limits: Limits | None = None


def create_admin(edge: Edge, version: str) -> ASGIApp:
    """Make the admin API; the application gives it requests for paths below `PREFIX` whose Host names no bucket."""
    app = FastAPI(
        title="smartcover admin API",
        version=version,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )

    @app.exception_handler(SmartCoverError)
    async def refuse(_request: Request, error: SmartCoverError) -> JSONResponse:
        return JSONResponse({"code": error.code, "message": error.public}, http_status(error.code))

    _add_jobs(app, edge)
    _add_deliveries(app, edge)
    _add_queues(app, edge)
    add_keys(app, edge)
    return _Gate(app, edge)


def _add_jobs(app: FastAPI, edge: Edge) -> None:
    @app.get(f"{PREFIX}/jobs/{{job_id}}", tags=["jobs"])
    async def describe_job(job_id: str, access: Login) -> dict[str, Any]:
        """Describe a job: its covers with time, score and reasons, and the deliveries it owes."""
        job = await edge.ledger.job(job_id)
        if not access.covers(job.bucket):
            raise UnknownJob(f"job {job_id!r} does not exist")  # as the ledger says of an id that was never given
        owed = await edge.ledger.deliveries(job_id=job_id)
        return {**_job(job), "deliveries": [_delivery(delivery) for delivery in owed]}


def _add_deliveries(app: FastAPI, edge: Edge) -> None:
    @app.get(f"{PREFIX}/deliveries", tags=["deliveries"])
    async def list_deliveries(
        access: Login,
        job_id: str | None = None,
        state: DeliveryState | None = None,
        destination: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: Annotated[int | None, Query(ge=1, description="`next` of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_ROWS)] = 100,
    ) -> dict[str, Any]:
        """List deliveries, newest first; `next` goes on where this page ends, null at the end."""
        _check_times(since, until)
        found = await edge.ledger.deliveries(
            job_id=job_id,
            state=state,
            destination=destination,
            since=since,
            until=until,
            before=before,
            limit=limit,
            buckets=_buckets_of(access),
        )
        following = found[-1].seq if len(found) == limit else None
        return {"deliveries": [_delivery(delivery) for delivery in found], "next": following}

    @app.get(f"{PREFIX}/deliveries/{{delivery_id}}", tags=["deliveries"])
    async def describe_delivery(delivery_id: str, access: Login) -> dict[str, Any]:
        """Describe a delivery with the bytes owed and every try so far."""
        delivery = await edge.ledger.delivery(delivery_id)
        if not access.covers(delivery.bucket):
            raise BadParameter(f"delivery {delivery_id!r} does not exist")
        attempts = await edge.ledger.attempts(delivery_id)
        return {
            **_delivery(delivery),
            "body": delivery.body.decode("utf-8", errors="replace"),
            "attempts": [_attempt(attempt) for attempt in attempts],
        }

    @app.post(f"{PREFIX}/deliveries/redeliver", tags=["deliveries"])
    async def redeliver(wanted: Annotated[Redelivery, Body()], access: Login) -> dict[str, int]:
        """Send deliveries again, with the same id and bytes: one more try each, beside what was tried before."""
        _check_times(wanted.since, wanted.until)
        conditions = DeliveryFilter(
            wanted.job_id, wanted.state, wanted.destination, wanted.since, wanted.until, _buckets_of(access)
        )
        return {"redelivered": await edge.ledger.redeliver(delivery_ids=wanted.delivery_ids, wanted=conditions)}


def _add_queues(app: FastAPI, edge: Edge) -> None:
    @app.get(f"{PREFIX}/buckets/{{bucket}}/queues", tags=["queues"])
    async def list_queues(bucket: str, access: Login, skip: Annotated[int, Query(ge=0)] = 0) -> dict[str, Any]:
        """List the queues of a bucket."""
        access.require_bucket(bucket)
        known = await edge.store.bucket(bucket)
        page = await edge.ledger.queues.page(known.name, skip=skip, limit=_MOST_ROWS)
        return {"queues": [_queue(queue) for queue in page.queues], "total": page.total}

    @app.post(f"{PREFIX}/buckets/{{bucket}}/queues", status_code=201, tags=["queues"])
    async def make_queue(bucket: str, wanted: Annotated[NewQueue, Body()], access: Login) -> dict[str, Any]:
        """Make one more queue for a bucket."""
        access.require_bucket(bucket)
        known = await edge.store.bucket(bucket)
        if len(wanted.name.encode()) > 128:
            raise BadParameter(f"name has {len(wanted.name.encode())} bytes; give at most 128")
        return _queue(await create_queue(edge.ledger.queues, known, wanted.name, _limits(wanted.limits)))

    @app.put(f"{PREFIX}/buckets/{{bucket}}/queues/{{queue_id}}/limits", tags=["queues"])
    async def limit_queue(
        bucket: str, queue_id: str, limits: Annotated[Limits, Body()], access: Login
    ) -> dict[str, Any]:
        """Change how many jobs of a queue may run and wait; those that run or wait already stay."""
        access.require_bucket(bucket)
        wanted = QueueLimits(max_concurrent=limits.max_concurrent, max_size=limits.max_size)
        return _queue(await edge.ledger.queues.set_limits(bucket, queue_id, wanted))


class _Gate:
    """Lets a request through only with a key pair that holds the right admin, and a body of known, small size."""

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self._app = app
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        fields = {name.lower(): value for name, value in headers}
        try:
            access = self._access(fields.get(b"authorization", b""))
            if access is not None:
                access.require(Right.ADMIN)
        except SmartCoverError as error:
            refusal = JSONResponse(
                {"code": error.code, "message": error.public}, http_status(error.code), {"connection": "close"}
            )
            await refusal(scope, receive, send)
            return
        if access is None:
            refusal = JSONResponse(
                {"code": "AccessDenied", "message": "log in with SecretId and SecretKey by HTTP Basic"},
                401,
                {"www-authenticate": 'Basic realm="smartcover admin"', "connection": "close"},
            )
            await refusal(scope, receive, send)
            return
        scope[SCOPE_KEY] = access
        length = fields.get(b"content-length", b"0")
        if b"transfer-encoding" in fields or not length.isdigit() or int(length) > _MOST_BODY_BYTES:
            text = f"give a body of at most {_MOST_BODY_BYTES} bytes with its Content-Length"
            refusal = JSONResponse({"code": "EntityTooLarge", "message": text}, 400, {"connection": "close"})
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _access(self, header: bytes) -> Access | None:
        login = read_login(header)
        return None if login is None else check_login(self._edge.keys, *login)


def _check_times(*times: datetime | None) -> None:
    for time in times:
        if time is not None and time.tzinfo is None:
            raise BadParameter(f"{time.isoformat()} names no zone; write 2026-01-05T10:00:00Z or …+08:00")


def _buckets_of(access: Access) -> tuple[str, ...] | None:
    return None if access.everywhere else access.buckets


def _limits(limits: Limits | None) -> QueueLimits | None:
    return None if limits is None else QueueLimits(max_concurrent=limits.max_concurrent, max_size=limits.max_size)


def _job(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "bucket": job.bucket,
        "queue_id": job.queue_id,
        "state": job.state.value,
        "code": job.code,
        "message": job.message,
        "attempt": job.attempt,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "object_key": job.spec.object_key,
        "result": None if job.result is None else asdict(job.result),
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "delivery_id": delivery.delivery_id,
        "job_id": delivery.job_id,
        "bucket": delivery.bucket,
        "kind": delivery.target.kind,
        "url": delivery.target.url,
        "destination": delivery.destination,
        "content_type": delivery.content_type,
        "state": delivery.state.value,
        "reason": delivery.reason,
        "tries": delivery.tries,
        "next_at": delivery.next_at,
        "created_at": delivery.created_at,
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    report = asdict(attempt.report)
    report["answer_head"] = attempt.report.answer_head.decode("utf-8", errors="replace")
    return {"number": attempt.number, "started_at": attempt.started_at, **report}


def _queue(queue: Queue) -> dict[str, Any]:
    return {
        "queue_id": queue.queue_id,
        "bucket": queue.bucket,
        "name": queue.name,
        "state": queue.state,
        "max_concurrent": queue.max_concurrent,
        "max_size": queue.max_size,
    }

"""What one page of a list costs over signed HTTP, when there are two million jobs: first and deep, by every filter."""

from __future__ import annotations

import itertools
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import asyncpg

from benchmarks.service.client import BUCKET, SECRET_ID, SECRET_KEY, Client
from benchmarks.service.node import Node, load, node, percentile
from benchmarks.service.seed import BATCH, RARE_OBJECT, RARE_WORKFLOW, WORKFLOW, seed
from smartcover.protocol import write_token

_REPEATS = 5
_WANTED_MS = 20.0

Case = tuple[str, str, dict[str, str]]


async def lists(jobs: int, size: int, most_shown: int) -> None:
    """Seed, ask for every kind of page several times in turn, and print the slowest."""
    async with node() as running:
        began = time.perf_counter()
        await seed(running.dsn, jobs)
        print(f"{jobs} jobs seeded in {time.perf_counter() - began:.0f} s, {load()}", flush=True)
        await measure(running, size, most_shown)


async def measure(running: Node, size: int, most_shown: int) -> None:
    """Ask a seeded node for every kind of page."""
    running.start_api()
    cases = [(path, kind, query | _size(kind, size)) for path, kind, query in await _cases(running)]
    spent: list[list[float]] = [[] for _ in cases]
    async with Client(running.url) as client, aiohttp.ClientSession() as session:
        for _ in range(_REPEATS):
            for case, times in zip(cases, spent, strict=True):
                times.append(await _ask(running, client, session, case))
    slowest = sorted(zip(spent, cases, strict=True), key=lambda entry: percentile(entry[0], 0.5), reverse=True)
    slow = sum(1000 * percentile(times, 0.5) > _WANTED_MS for times in spent)
    everything = [1000 * value for times in spent for value in times]
    print(
        f"{len(cases)} pages of {size}, each asked for {_REPEATS} times: median {percentile(everything, 0.5):.1f} ms, "
        f"p95 {percentile(everything, 0.95):.1f} ms; {slow} with a median over {_WANTED_MS:g} ms; {load()}"
    )
    for times, (path, _, query) in slowest[:most_shown]:
        print(f"  {1000 * percentile(times, 0.5):7.1f} ms (most {1000 * max(times):.1f})  {path}?{urlencode(query)}")


def _size(kind: str, size: int) -> dict[str, str]:
    return {"size" if kind == "ci" else "limit": str(size)}


async def _ask(running: Node, client: Client, session: aiohttp.ClientSession, case: Case) -> float:
    path, kind, query = case
    began = time.perf_counter()
    if kind == "ci":
        await client.call("ci", "GET", path, query)
    else:
        login = "Basic " + b64encode(f"{SECRET_ID}:{SECRET_KEY}".encode()).decode()
        async with session.get(f"{running.url}{path}", params=query, headers={"Authorization": login}) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} was answered {answer.status}: {content[:300]!r}")
    return time.perf_counter() - began


async def _cases(running: Node) -> list[Case]:
    connection = await asyncpg.connect(running.dsn)
    cases = (
        list(await _job_cases(connection)) + list(await _batch_cases(connection)) + list(await _run_cases(connection))
    )
    cases += list(await _delivery_cases(connection))
    await connection.close()
    return cases


def _combined(path: str, choices: list[list[dict[str, str]]]) -> Iterator[Case]:
    for chosen in itertools.product(*choices):
        query: dict[str, str] = {}
        for part in chosen:
            query |= part
        yield path, "ci", query


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


async def _deep(connection: Any, table: str) -> tuple[str, str, str]:
    """Give the position in the middle of a table, and the two times around a tenth of it."""
    middle = await connection.fetchrow(
        f"SELECT created_at, seq FROM {table} WHERE bucket = $1 AND seq > (SELECT max(seq) / 2 FROM {table}) "
        "ORDER BY seq LIMIT 1",
        BUCKET,
    )
    bounds = await connection.fetchrow(
        f"SELECT min(created_at) + 0.4 * (max(created_at) - min(created_at)) AS low, "
        f"min(created_at) + 0.6 * (max(created_at) - min(created_at)) AS high FROM {table}"
    )
    return write_token(middle["created_at"], middle["seq"]), _day(bounds["low"]), _day(bounds["high"])


async def _job_cases(connection: Any) -> Iterator[Case]:
    token, low, high = await _deep(connection, "jobs")
    return _combined(
        "/jobs",
        [
            [{}, {"nextToken": token}],
            [{"orderByTime": "Desc"}, {"orderByTime": "Asc"}],
            [{}, *({"states": state} for state in ("Submitted", "Running", "Failed", "Pause", "Success,Cancel"))],
            [{}, {"startCreationTime": low, "endCreationTime": high}],
            [
                {},
                {"queueId": "p" + "1" * 32},
                {"queueId": "p" + "2" * 32},
                {"tag": "SmartCover"},
                {"tag": "Transcode"},
                {"workflowId": WORKFLOW},
                {"workflowId": RARE_WORKFLOW},
                {"inventoryTriggerJobId": BATCH},
                {"inputObject": RARE_OBJECT},
                {"queueId": "p" + "1" * 32, "workflowId": WORKFLOW},
                {"queueId": "p" + "2" * 32, "workflowId": RARE_WORKFLOW, "tag": "SmartCover"},
                {"queueId": "p" + "1" * 32, "inventoryTriggerJobId": BATCH, "inputObject": RARE_OBJECT},
            ],
        ],
    )


async def _batch_cases(connection: Any) -> Iterator[Case]:
    token, low, high = await _deep(connection, "batches")
    return _combined(
        "/inventorytriggerjob",
        [
            [{}, {"nextToken": token}],
            [{"orderByTime": "Desc"}, {"orderByTime": "Asc"}],
            [{}, {"states": "Failed"}, {"states": "Running"}],
            [{}, {"startCreationTime": low, "endCreationTime": high}],
            [
                {},
                {"type": "Job"},
                {"workflowId": WORKFLOW},
                {"workflowId": RARE_WORKFLOW},
                {"jobId": BATCH},
                {"name": "batch 7"},
                {"name": "no such name"},
            ],
        ],
    )


async def _run_cases(connection: Any) -> Iterator[Case]:
    token, low, high = await _deep(connection, "workflow_runs")
    return _combined(
        "/workflowexecution",
        [
            [{}, {"nextToken": token}],
            [{"orderByTime": "Desc"}, {"orderByTime": "Asc"}],
            [{}, {"states": "Failed"}, {"states": "Running"}, {"states": "Cancel"}],
            [{}, {"startCreationTime": low, "endCreationTime": high}],
            [
                {"workflowId": WORKFLOW},
                {"workflowId": RARE_WORKFLOW},
                {"jobId": BATCH, "workflowId": WORKFLOW},
                {"workflowId": WORKFLOW, "name": "77.mp4"},
                {"workflowId": WORKFLOW, "name": "no such object"},
            ],
        ],
    )


async def _delivery_cases(connection: Any) -> Iterator[Case]:
    row = await connection.fetchrow(
        "SELECT max(seq) / 2 AS middle, max(created_at) - interval '1 day' AS day FROM deliveries"
    )
    job_id = await connection.fetchval("SELECT job_id FROM deliveries LIMIT 1")
    choices: list[list[Mapping[str, str]]] = [
        [{}, {"before": str(row["middle"])}],
        [{}, {"state": "delivered"}, {"state": "exhausted"}, {"state": "pending"}],
        [
            {},
            {"destination": "receiver1.example:80"},
            {"destination": "rare.example:80"},
            {"destination": "none.example:80"},
            {"job_id": job_id},
        ],
        [{}, {"since": row["day"].isoformat()}, {"until": row["day"].isoformat()}],
    ]
    return (
        ("/admin/v1/deliveries", "admin", {name: text for part in chosen for name, text in part.items()})
        for chosen in itertools.product(*choices)
    )

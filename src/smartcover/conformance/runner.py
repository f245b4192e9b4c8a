"""Runs flows one after the other and tells what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from smartcover.conformance import jobs, objects, refusals, settings_of_buckets, workflows
from smartcover.conformance.bench import Bench, Flow, Mark, expect, ok
from smartcover.conformance.wire import Client, Server
from smartcover.errors import ConformanceError, NotTried

FLOWS: Final[Sequence[Flow]] = (
    *objects.FLOWS,
    *jobs.FLOWS,
    *settings_of_buckets.FLOWS,
    *workflows.FLOWS,
    *refusals.FLOWS,
)

State: TypeAlias = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one flow; `reason` is empty when it went well."""

    flow: str
    mark: Mark
    state: State
    reason: str
    calls: Sequence[str]


def try_flows(
    server: Server, *, video: bytes | None, run_id: str, now: Callable[[], float], wait_seconds: float = 120.0
) -> Iterator[Outcome]:
    """
    Run every flow against a server and yield its outcome as soon as it is known.

    The bucket is made when it is not there, and deleted again. Objects, templates and workflows that flows make are
    deleted, and jobs and batches cancelled, also after a failure; what could not be cleaned up is the last outcome.

    Args:
        run_id: Sets this run's objects apart from all others: `conformance-<run_id>/…`.
        now: Gives unix seconds.

    Raises:
        ServerUnreachable: If not even the bucket can be asked for.
        Mismatch: If the bucket is not there and cannot be made, or the keys are refused.
    """
    client = Client(server, now)
    made = _made_bucket(client)
    bench = Bench(client, f"conformance-{run_id}/", video, wait_seconds)
    for flow in FLOWS:
        try:
            flow.run(bench)
        except NotTried as error:
            yield Outcome(flow.name, flow.mark, "skipped", error.public, flow.calls)
        except ConformanceError as error:
            yield Outcome(flow.name, flow.mark, "failed", error.public, flow.calls)
        else:
            yield Outcome(flow.name, flow.mark, "ok", "", flow.calls)
        finally:
            bench.clean_up()
    if made:
        bench.afterwards(lambda: client.cos("DELETE"))
        bench.clean_up()
    if bench.forgotten:
        yield Outcome("what flows made is gone again", "ours", "failed", "; ".join(bench.forgotten), ())


def _made_bucket(client: Client) -> bool:
    there = client.cos("HEAD")
    expect(
        there.status in (200, 404),
        f"HEAD of the bucket {client.server.bucket} was answered {there.status}; check the keys and the address",
    )
    if there.status == 404:
        ok(client.cos("PUT"))
    return there.status == 404

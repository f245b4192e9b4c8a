"""What an operator relies on, shown on real processes: pages of each role, readiness, an orderly stop, and the log."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from smartcover.protocol import RequestFacts, sign
from tests.clips import small_clip
from tests.installed import BUCKET, REGION, installed, value
from tests.roles import Receiver
from tests.server_postgres import ServerPostgres

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    listening = Receiver()
    yield listening
    listening.close()


def test_every_role_counts_its_part_of_a_job_that_worked_and_one_that_failed(
    tmp_path: Path, receiver: Receiver
) -> None:
    clip = small_clip(tmp_path / "clip.mp4", seconds=2)
    with installed(tmp_path, "api", "worker", "dispatcher") as here:
        for role in ("api", "worker", "dispatcher"):
            here.roles.wait_until(partial(here.says, role, 200), f"{role} does not become ready")
            assert here.get(role, "/healthz") == (200, "ok\n")
        assert set(here.ready("worker")[1]) == {"ready", "database", "storage", "engine", "process"}
        assert set(here.ready("dispatcher")[1]) == {"ready", "database", "process"}
        here.roles.client(REGION).put_object(Bucket=BUCKET, Key="in/clip.mp4", Body=clip.read_bytes())
        good, bad = here.submit("in/clip.mp4", receiver.url), here.submit("in/none.mp4", receiver.url)
        here.roles.wait_until(lambda: len(receiver.bodies) == 2, "the callbacks do not come")
        here.roles.wait_until(
            lambda: value(here.metrics("dispatcher"), "smartcover_callback_deliveries_total", state="delivered") == 2,
            "the deliveries are not counted",
        )
        here.roles.wait_until(
            lambda: value(here.metrics("worker"), "smartcover_worker_busy_slots") == 0, "the worker does not rest"
        )

        worker = here.metrics("worker")
        assert value(worker, "smartcover_jobs_finished_total", state="Success", code="Success") == 1
        assert value(worker, "smartcover_jobs_finished_total", state="Failed", code="NoSuchKey") == 1
        assert value(worker, "smartcover_job_wait_seconds_count") == 2
        assert value(worker, "smartcover_job_run_seconds_count", state="Success") == 1
        for step in ("open", "look", "score", "networks", "closer", "render", "publish"):
            assert value(worker, "smartcover_engine_step_seconds_count", step=step) == 1
        assert value(worker, "smartcover_video_read_bytes_total") > 0
        assert value(worker, "smartcover_database_pool_size", pool="ledger") == 5
        assert value(worker, "process_resident_memory_bytes") > 0
        edge = here.metrics("api")
        assert value(edge, "smartcover_http_requests_total", route="/jobs", method="POST", status="200") == 2
        assert value(edge, "smartcover_http_requests_total", route="object", method="PUT", status="200") == 1
        assert value(edge, "smartcover_build_info") == 1

        for role in ("worker", "dispatcher"):
            for line in here.roles.log_of(role):
                if "job" in line["event"] and line["event"] not in ("waiting for running jobs",):
                    assert line.get("job_id") in (good, bad), f"a line about a job does not say which: {line}"
                if "callback" in line["event"]:
                    assert line.get("delivery_id"), f"a line about a delivery does not say which: {line}"
                    assert line.get("job_id") in (good, bad), line
        assert {line.get("job_id") for line in here.roles.log_of("worker")} >= {good, bad}
        assert len({line.get("delivery_id") for line in here.roles.log_of("dispatcher")} - {None}) == 2


def test_each_way_a_job_can_end_is_counted_once(tmp_path: Path) -> None:
    clip = small_clip(tmp_path / "clip.mp4", seconds=2)
    with installed(tmp_path, "api") as here:
        assert value(here.metrics("api"), "smartcover_jobs_cancelled_total") == 0
        client = here.roles.client(REGION)
        client.put_object(Bucket=BUCKET, Key="in/clip.mp4", Body=clip.read_bytes())
        jobs = [here.submit(key, "no") for key in ("in/clip.mp4", "in/none.mp4", "in/clip.mp4", "in/clip.mp4")]
        for job_id in jobs[2:]:
            client.ci_cancel_jobs(Bucket=BUCKET, JobID=job_id)
        here.roles.start("worker")
        ends = ["Success", "Failed", "Cancel", "Cancel"]
        here.roles.wait_until(lambda: [here.job(job_id)["State"] for job_id in jobs] == ends, "the jobs do not end")
        here.roles.wait_until(
            lambda: value(here.metrics("worker"), "smartcover_jobs_finished_total") == 2, "an end is not counted"
        )
        worker = here.metrics("worker")
        assert value(worker, "smartcover_jobs_finished_total", state="Success") == 1
        assert value(worker, "smartcover_jobs_finished_total", state="Failed") == 1
        assert value(here.metrics("api"), "smartcover_jobs_cancelled_total") == 2
        assert value(worker, "smartcover_jobs_cancelled_total") == 0, "who cancels counts"


def test_readiness_goes_with_the_database_and_comes_back_by_itself(tmp_path: Path) -> None:
    server = ServerPostgres()
    names = ("api", "worker", "dispatcher")
    try:
        with installed(tmp_path, *names, SMARTCOVER_DATABASE_URL=server.dsn()) as here:
            server.stop()
            for role in names:
                here.roles.wait_until(partial(here.says, role, 503), f"{role} still says ready")
                assert here.ready(role)[1]["database"] != "ok"
                assert here.get(role, "/healthz")[0] == 200, "a database that is away is no reason to kill the process"
            here.roles.wait_until(
                lambda: value(here.metrics("worker"), "smartcover_database_up") == 0, "the metrics do not tell"
            )
            assert not any(name == "smartcover_jobs" for name, _ in here.metrics("worker")), "old numbers are none"
            server.start()
            for role in names:
                here.roles.wait_until(partial(here.says, role, 200), f"{role} does not become ready")
    finally:
        server.close()


def test_a_stopping_worker_lets_a_running_job_end_and_says_that_it_is_stopping(
    tmp_path: Path, receiver: Receiver
) -> None:
    with installed(tmp_path, "api", "worker", SMARTCOVER_SHUTDOWN_GRACE_SECONDS="100") as here:
        job_id = here.submit_clip(receiver.url)
        decoder = here.freeze_decoder("worker")
        here.terminate("worker")
        here.roles.wait_until(lambda: here.ready("worker")[0] == 503, "a stopping worker says that it is ready")
        assert here.ready("worker")[1]["process"] == "the process is stopping"
        os.kill(decoder, signal.SIGCONT)
        assert here.exit_of("worker") == 0
        assert here.job(job_id)["State"] == "Success"
        events = [line["event"] for line in here.roles.log_of("worker")]
        assert events.index("stopping") < events.index("job succeeded") < events.index("stopped")


@pytest.mark.parametrize("signals", [1, 2])
def test_what_a_stop_does_not_wait_for_is_handed_back_at_once_and_runs_elsewhere(
    tmp_path: Path, receiver: Receiver, signals: int
) -> None:
    """One signal and a short grace, or two signals and a grace of ten minutes; the lease would hold for an hour."""
    grace = "1" if signals == 1 else "600"
    settings = {"SMARTCOVER_SHUTDOWN_GRACE_SECONDS": grace, "SMARTCOVER_LEASE_SECONDS": "3600"}
    with installed(tmp_path, "api", "worker", **settings) as here:
        job_id = here.submit_clip(receiver.url)
        here.freeze_decoder("worker")
        here.roles.start("worker", "another")
        here.terminate("worker")
        if signals == 2:
            here.roles.wait_until(lambda: here.ready("worker")[0] == 503, "the first signal was not heard")
            here.terminate("worker")
        assert here.exit_of("worker") == 0
        here.roles.wait_until(lambda: here.job(job_id)["State"] == "Success", "nobody took the job")
        (back,) = (line for line in here.roles.log_of("worker") if line["event"] == "job handed back")
        assert (back["job_id"], back["reason"]) == (job_id, "stopping")
        ran = [line for line in here.roles.log_of("another") if line["event"] == "job succeeded"]
        assert [(line["job_id"], line["attempt"]) for line in ran] == [(job_id, 1)], "handing back costs no attempt"


def test_a_stopping_dispatcher_records_the_delivery_in_flight(tmp_path: Path, receiver: Receiver) -> None:
    receiver.held.set()
    with installed(tmp_path, "api", "worker", "dispatcher") as here:
        job_id = here.submit_clip(receiver.url)
        here.roles.wait_until(lambda: receiver.bodies, "the delivery does not begin")
        here.terminate("dispatcher")
        here.roles.wait_until(lambda: here.ready("dispatcher")[0] == 503, "the signal was not heard")
        receiver.let_go.set()
        assert here.exit_of("dispatcher") == 0
        (line,) = (line for line in here.roles.log_of("dispatcher") if line["event"] == "callback delivered")
        assert line["job_id"] == job_id
        here.roles.start("dispatcher", "another")
        here.roles.wait_until(
            lambda: value(here.metrics("another"), "smartcover_deliveries_pending") == 0, "it is still owed"
        )
        assert len(receiver.bodies) == 1, "what was delivered was sent again"


def test_a_stopping_api_ends_the_requests_under_way_and_takes_no_more(tmp_path: Path) -> None:
    with installed(tmp_path, "api") as here:
        body = b"x" * 100_000
        address = ("127.0.0.1", here.roles.port)
        with socket.create_connection(address, 30) as wire:
            wire.sendall(_signed_put("in/slow.bin", body))
            wire.sendall(body[:50_000])
            here.roles.wait_until(
                lambda: value(here.metrics("api"), "smartcover_http_requests_in_flight") >= 2, "the upload is not seen"
            )
            here.terminate("api")
            here.roles.wait_until(lambda: _refused(address), "a stopping API takes new connections")
            wire.sendall(body[50_000:])
            assert wire.makefile("rb").readline().split()[1] == b"200"
        assert here.exit_of("api") == 0
        here.roles.start("api")
        head = here.roles.client(REGION).head_object(Bucket=BUCKET, Key="in/slow.bin")
        assert int(head["Content-Length"]) == len(body)


def _refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 5).close()
    except ConnectionError:
        return True
    return False


def _signed_put(key: str, body: bytes) -> bytes:
    now = int(time.time())
    host = f"{BUCKET}.cos.{REGION}.myqcloud.com"
    facts = RequestFacts(
        method="PUT", raw_path=f"/{key}".encode(), raw_query=b"", headers=[(b"host", host.encode())], bucket=None
    )
    signed = sign(facts, secret_id="AKIDTEST", secret_key="SECRETTEST", start_seconds=now, end_seconds=now + 600)
    lines = (
        f"PUT /{key} HTTP/1.1",
        f"Host: {host}",
        f"Authorization: {signed.authorization}",
        f"Content-Length: {len(body)}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()

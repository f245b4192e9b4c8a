"""A video that its store never gives fails its job some day, and calls back; an outage that ends before fails none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clips import small_clip
from tests.installed import installed, value
from tests.moto_server import fresh, running_moto
from tests.roles import Receiver
from tests.store_proxy import Asked, Fault, Proxy, proxy_to

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with running_moto() as server:
        fresh(server, "everything")
        with proxy_to(server) as made:
            yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def never(number: int, asked: Asked) -> Fault | None:
    return Fault(status=503) if asked.method == "GET" and "bad.mp4" in asked.path else None


def test_a_video_that_its_store_never_gives_fails_its_job_when_the_wait_is_over_and_holds_up_no_other(
    proxy: Proxy, receiver: Receiver, tmp_path: Path
) -> None:
    settings = {
        "SMARTCOVER_STORAGE": "s3://everything/p",
        "SMARTCOVER_S3_ENDPOINT": proxy.url,
        "SMARTCOVER_S3_REGION": "us-east-1",
        "SMARTCOVER_S3_ACCESS_KEY_ID": "key",
        "SMARTCOVER_S3_SECRET_ACCESS_KEY": "secret",
        "SMARTCOVER_S3_PATH_STYLE": "true",
        "SMARTCOVER_S3_ALLOW_HTTP": "true",
        "SMARTCOVER_STORAGE_WAIT_SECONDS": "25",
    }
    with installed(tmp_path, "api", "worker", "dispatcher", **settings) as here:
        clip = small_clip(tmp_path / "clip.mp4").read_bytes()
        for key in ("in/bad.mp4", "in/clip.mp4"):
            here.roles.client("local").put_object(Bucket="ops-1250000000", Key=key, Body=clip)
        proxy.fault_of = never
        bad = here.submit("in/bad.mp4", receiver.url)
        good = here.submit("in/clip.mp4", receiver.url, "out/good-${Number}.jpg")
        here.roles.wait_until(lambda: here.job(good)["State"] == "Success", "a job waits behind one that cannot end")
        assert here.job(bad)["State"] in ("Submitted", "Running"), "it is tried again, after a while"
        here.roles.wait_until(lambda: here.job(bad)["State"] == "Failed", "the job is tried for ever", 120)
        job = here.job(bad)
        assert job["Code"] == "ServiceUnavailable"
        assert re.match(
            r"gave up object in/bad\.mp4 of bucket ops-1250000000 after [1-9]\d seconds of tries", job["Message"]
        )
        assert "127.0.0.1" not in json.dumps(job)
        here.roles.wait_until(lambda: len(receiver.bodies) == 2, "the callbacks do not come")
        assert b"<Code>ServiceUnavailable</Code>" in receiver.bodies[1]
        metrics = here.metrics("worker")
        assert value(metrics, "smartcover_jobs_handed_back_total", reason="unavailable") >= 1
        assert value(metrics, "smartcover_jobs_finished_total", state="Failed", code="ServiceUnavailable") == 1

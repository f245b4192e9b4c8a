"""
The whole service on an S3 store: API, worker and dispatcher as processes of their own, the official SDK as the client.

An upload lands in the store under its own key, a job's covers too, and the callback comes when they are there.
"""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clips import small_clip
from tests.moto_server import client_of, fresh, keys_in, running_moto
from tests.postgres import cluster
from tests.roles import Receiver, installation

BUCKET = "videos-1250000000"
REGION = "ap-chongqing"
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_moto() as address:
        yield address


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("storage", "store_bucket", "root"),
    [("s3://everything/some/prefix", "everything", f"some/prefix/{BUCKET}/"), ("s3://", BUCKET, "")],
)
def test_an_upload_becomes_covers_in_the_store_and_then_a_callback(
    server: str, receiver: Receiver, tmp_path: Path, storage: str, store_bucket: str, root: str
) -> None:
    fresh(server, "everything", BUCKET)
    video = small_clip(tmp_path / "clip.mp4").read_bytes()
    environment = {
        "SMARTCOVER_DATABASE_URL": cluster().make_database(),
        "SMARTCOVER_STORAGE": storage,
        "SMARTCOVER_S3_ENDPOINT": server,
        "SMARTCOVER_S3_REGION": "us-east-1",
        "SMARTCOVER_S3_ACCESS_KEY_ID": "key",
        "SMARTCOVER_S3_SECRET_ACCESS_KEY": "secret",
        "SMARTCOVER_S3_PATH_STYLE": "true",
        "SMARTCOVER_S3_ALLOW_HTTP": "true",
        "SMARTCOVER_BUCKETS": BUCKET,
        "SMARTCOVER_REGION": REGION,
    }
    store = client_of(server)
    with installation(tmp_path, environment) as roles:
        client = roles.client(REGION)
        client.put_object(Bucket=BUCKET, Key="in/clip one.mp4", Body=video)
        assert store.get_object(Bucket=store_bucket, Key=f"{root}in/clip one.mp4")["Body"].read() == video
        client.ci_create_media_jobs(
            Bucket=BUCKET,
            Jobs={
                "Tag": "SmartCover",
                "Input": {"Object": "in/clip one.mp4"},
                "Operation": {
                    "SmartCover": {"Format": "jpg", "Count": "2"},
                    "Output": {"Region": REGION, "Bucket": BUCKET, "Object": "out/cover-${Number}.jpg"},
                },
                "CallBack": receiver.url,
            },
            Lst={},
            ContentType="application/xml",
        )
        roles.wait_until(lambda: receiver.bodies, "no callback came")
        detail = ET.fromstring(receiver.bodies[0]).find("JobsDetail")
        assert detail is not None
        assert (detail.findtext("State"), detail.findtext("Message")) == ("Success", "")
        for number in range(2):
            there = store.get_object(Bucket=store_bucket, Key=f"{root}out/cover-{number}.jpg")
            image = there["Body"].read()
            assert image.startswith(b"\xff\xd8")
            assert there["ContentType"] == "image/jpeg"
            answer = client.get_object(Bucket=BUCKET, Key=f"out/cover-{number}.jpg")
            assert answer["Body"].get_raw_stream().read() == image
            assert answer["ETag"] == f'"{hashlib.md5(image, usedforsecurity=False).hexdigest()}"'
        wanted = [f"{root}{key}" for key in ("in/clip one.mp4", "out/cover-0.jpg", "out/cover-1.jpg")]
        roles.wait_until(lambda: keys_in(server, store_bucket) == wanted, "something else is left in the store")
        (ended,) = [line for line in roles.log_of("worker") if line["event"] == "job succeeded"]
        assert 0 < ended["bytes_read"] <= 2 * len(video)

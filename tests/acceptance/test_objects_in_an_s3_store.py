"""
The whole service on an S3 store: API, worker and dispatcher as processes of their own, the official SDK as the client.

An upload lands in the store under its own key, a job's covers too, and the callback comes when they are there.
"""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from qcloud_cos import CosServiceError

from tests.clips import small_clip
from tests.moto_server import client_of, fresh, keys_in, running_moto
from tests.postgres import cluster
from tests.roles import Receiver, Roles, installation

BUCKET = "videos-1250000000"
REGION = "ap-chongqing"
TOKEN = "a token of ours"
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


def environment_of(server: str, storage: str) -> dict[str, str]:
    return {
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
        "SMARTCOVER_EVENTS_TOKEN": TOKEN,
    }


PLACES = pytest.mark.parametrize(
    ("storage", "store_bucket", "root"),
    [("s3://everything/some/prefix", "everything", f"some/prefix/{BUCKET}/"), ("s3://", BUCKET, "")],
)


@PLACES
def test_an_upload_becomes_covers_in_the_store_and_then_a_callback(
    server: str, receiver: Receiver, tmp_path: Path, storage: str, store_bucket: str, root: str
) -> None:
    fresh(server, "everything", BUCKET)
    video = small_clip(tmp_path / "clip.mp4").read_bytes()
    environment = environment_of(server, storage)
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


def kill(roles: Roles, name: str) -> None:
    process = roles.processes.pop(name)
    process.kill()
    process.wait()


def test_neither_a_lost_bucket_nor_a_store_that_is_away_keeps_the_api_from_starting(tmp_path: Path) -> None:
    """Other buckets go on, and what was accepted can be asked for; a bucket that never was there is said at once."""
    lost = "lost-1250000000"
    with running_moto() as server:
        fresh(server, BUCKET, lost)
        environment = environment_of(server, "s3://") | {"SMARTCOVER_BUCKETS": f"{lost},{BUCKET}"}
        roles = Roles(tmp_path, environment)
        try:
            roles.start("api")
            kill(roles, "api")
            client_of(server).delete_bucket(Bucket=lost)
            roles.start("api")
            client = roles.client(REGION)
            client.put_object(Bucket=BUCKET, Key="v.mp4", Body=b"bytes")
            for bucket in (lost, BUCKET):
                assert client.ci_get_media_queue(Bucket=bucket)["TotalCount"] == "1"
            with pytest.raises(CosServiceError) as refused:
                client.put_object(Bucket=lost, Key="v.mp4", Body=b"bytes")
            assert refused.value.get_error_code() == "NoSuchBucket"
            kill(roles, "api")
            with pytest.raises(AssertionError, match="The store has no bucket 'never-1250000000'; make it there first"):
                roles.start("api", "refused", SMARTCOVER_BUCKETS="never-1250000000")
            kill(roles, "refused")
        finally:
            roles.stop()
    try:
        roles.start("api")
        assert roles.client(REGION).ci_get_media_queue(Bucket=BUCKET)["TotalCount"] == "1"
        with pytest.raises(urllib.error.HTTPError) as unready:
            urllib.request.urlopen(f"http://127.0.0.1:{roles.port}/readyz", timeout=60)
        assert unready.value.code == 503
        unready.value.close()
    finally:
        roles.stop()


def told_by(server: str, queue_url: str) -> list[bytes]:
    """Take all notifications that the store has put into its queue."""
    queue = client_of(server, "sqs")
    told: list[bytes] = []
    while messages := queue.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            told.append(message["Body"].encode())
            queue.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return told


def post(roles: Roles, body: bytes) -> dict[str, int]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{roles.port}/events/s3",
        data=body,
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        counts: dict[str, int] = json.loads(answer.read())
    return counts


@PLACES
def test_what_the_store_tells_of_starts_each_workflow_once(
    server: str, receiver: Receiver, tmp_path: Path, storage: str, store_bucket: str, root: str
) -> None:
    fresh(server, "everything", BUCKET)
    store, queue = client_of(server), client_of(server, "sqs")
    queue_url = queue.create_queue(QueueName="events")["QueueUrl"]
    arn = queue.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    store.put_bucket_notification_configuration(
        Bucket=store_bucket,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]},
    )
    told_by(server, queue_url)  # the event that AWS sends at set-up
    video = small_clip(tmp_path / "clip.mp4").read_bytes()
    with installation(tmp_path, environment_of(server, storage)) as roles:
        client = roles.client(REGION)
        output = {"Region": REGION, "Bucket": BUCKET, "Object": "in/covers/${RunId}-${Number}.jpg"}
        client.ci_create_workflow(
            Bucket=BUCKET,
            Body={
                "MediaWorkflow": {
                    "Name": "covers",
                    "State": "Active",
                    "Topology": {
                        "Dependencies": {"Start": "SmartCover_1", "SmartCover_1": "End"},
                        "Nodes": {
                            "Start": {"Type": "Start", "Input": {"ObjectPrefix": "in/"}},
                            "SmartCover_1": {
                                "Type": "SmartCover",
                                "Operation": {"SmartCover": {"Format": "jpg", "Count": "1"}, "Output": output},
                            },
                        },
                    },
                }
            },
            ContentType="application/xml",
        )

        def runs() -> list[str]:
            said = [line for line in roles.log_of("worker") if line["event"] == "run started"]
            return sorted(line["object"] for line in said)

        def covers(count: int) -> bool:
            return sum(key.startswith(f"{root}in/covers/") for key in keys_in(server, store_bucket)) == count

        # Through our API, and told of by the store as well; the second time after the run has started.
        client.put_object(Bucket=BUCKET, Key="in/ours 1.mp4", Body=video)
        (told,) = told_by(server, queue_url)
        assert post(roles, told) == {"objects": 1, "stored": 1}
        roles.wait_until(lambda: covers(1), "no cover came")
        client.put_object(Bucket=BUCKET, Key="in/ours 1.mp4", Body=video)
        roles.wait_until(lambda: covers(2), "the same bytes sent again start no run")
        # Into the store behind our back; it also tells of our covers and of what we staged.
        store.put_object(Bucket=store_bucket, Key=f"{root}in/theirs+é.mp4", Body=video)
        store.put_object(Bucket=store_bucket, Key="elsewhere.mp4", Body=video)
        notifications = told_by(server, queue_url)
        assert len(notifications) >= 5
        for told in notifications * 2:  # a queue may give a message twice
            post(roles, told)
        roles.wait_until(lambda: covers(3), "no cover of the store's own upload came")
        for told in told_by(server, queue_url):
            post(roles, told)
        store.put_object(Bucket=store_bucket, Key=f"{root}in/last.mp4", Body=video)
        for told in told_by(server, queue_url):
            post(roles, told)
        roles.wait_until(lambda: covers(4), "the last cover did not come")
        assert runs() == ["in/last.mp4", "in/ours 1.mp4", "in/ours 1.mp4", "in/theirs+é.mp4"]

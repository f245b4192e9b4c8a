"""A Host with a name that no bucket can have names a bucket all the same: its calls go to no other one."""

from __future__ import annotations

import pytest

from smartcover.storage import ObjectInfo
from tests.edge_server import BUCKET, COS_HOST, REGION, RunningEdge, build, exchange

WORDS = ["my_videos-1250000000", "a" * 64, "a.b-1250000000"]


def stored(edge: RunningEdge, key: str) -> ObjectInfo:
    return edge.run(edge.store.head(BUCKET, key))


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("label", ["cos", "ci"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/misnamed.txt"), ("DELETE", "/misnamed-kept.txt"), ("GET", "/"), ("DELETE", "/"), ("GET", "/jobs")],
)
def test_a_call_for_an_impossible_bucket_is_refused_by_name(
    edge: RunningEdge, word: str, label: str, method: str, path: str
) -> None:
    exchange(edge.port, build("PUT", "/misnamed-kept.txt", body=b"x"))
    body = b"x" if method == "PUT" else None
    host = f"{word}.{label}.{REGION}.myqcloud.com"
    reply = exchange(edge.port, build(method, path, host=host, body=body))
    assert (reply.status, reply.code) == (400, "InvalidBucketName")
    assert word in reply.node("Message")
    assert stored(edge, "misnamed-kept.txt").size_bytes == 1
    assert exchange(edge.port, build("HEAD", "/misnamed.txt"), method="HEAD").status == 404


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_own_pages_answer_whatever_the_host_is_called(edge: RunningEdge, path: str) -> None:
    for host in ("smart_cover.ci.example.com", f"a.b.cos.{REGION}.myqcloud.com"):
        assert exchange(edge.port, build("GET", path, host=host, signed=False)).status == 200


@pytest.mark.parametrize("host", ["smart.cover.ci.example.com", "covers.example.com"])
def test_a_name_of_ones_own_is_still_the_default_bucket(edge: RunningEdge, host: str) -> None:
    assert exchange(edge.port, build("PUT", "/own-name.txt", host=host, body=b"x")).status == 200
    assert stored(edge, "own-name.txt").size_bytes == 1


@pytest.mark.parametrize("word", WORDS)
def test_a_copy_out_of_an_impossible_bucket_is_refused_by_name(edge: RunningEdge, word: str) -> None:
    exchange(edge.port, build("PUT", "/source.txt", body=b"x"))
    source = COS_HOST.replace(BUCKET, word) + f"/{BUCKET}/source.txt"
    reply = exchange(edge.port, build("PUT", "/copied.txt", headers={"x-cos-copy-source": source}))
    assert (reply.status, reply.code) == (400, "InvalidBucketName")
    assert word in reply.node("Message")

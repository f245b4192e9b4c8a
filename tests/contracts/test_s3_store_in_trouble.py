"""An S3 store that is slow, refuses or breaks off: bounded, retried, and never a wrong byte. Videos by few requests."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from smartcover.engine import CoverOptions, Limits, pick_covers
from smartcover.errors import ObjectMissing, StorageUnavailable, StoreBucketMissing, VideoTooLarge
from smartcover.storage import S3Store
from tests.contracts.bucket_store_suite import MEBIBYTE, B, content, put
from tests.engine_clips import numbered, write_clip
from tests.moto_server import client_of, fresh, options_of, running_moto
from tests.objects_database import Pool
from tests.store_proxy import Asked, Fault, Proxy, proxy_to

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_moto() as address:
        yield address


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    fresh(server, "everything")
    with proxy_to(server) as made:
        yield made


@pytest.fixture
async def store(proxy: Proxy, object_pool: Pool) -> AsyncIterator[S3Store]:
    made = S3Store("s3://everything/p", options_of(proxy.url), object_pool, whole_put_bytes=MEBIBYTE)
    await made.create_bucket(B, "r")
    proxy.asked.clear()
    yield made


def now_and_then(fault: Fault, times: int) -> object:
    """Let the first `times` requests fail."""
    return lambda number, asked: fault if number < times else None


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=503), Fault(cut_after=0)])
async def test_a_store_that_stumbles_is_asked_again(store: S3Store, proxy: Proxy, fault: Fault) -> None:
    proxy.fault_of = now_and_then(fault, 2)  # type: ignore[assignment]
    await put(store, "k", b"data")
    assert await content(store, "k") == b"data"


async def test_a_store_that_fails_or_refuses_our_keys_does_not_pass_its_check(store: S3Store, proxy: Proxy) -> None:
    await store.check()
    assert len(proxy.asked) == 1
    for status in (500, 503, 403):
        proxy.fault_of = lambda number, asked, status=status: Fault(status=status)  # type: ignore[misc]
        with pytest.raises(StorageUnavailable):
            await store.check()


async def test_a_video_that_cannot_be_read_tells_which_fault_the_keys_have(store: S3Store, proxy: Proxy) -> None:
    """A HEAD is refused without a word, so the store is asked once more in a way that has an answer."""
    await put(store, "v", b"data")
    source = await store.video(B, "v")
    for code, word in (("ExpiredToken", "expired"), ("RequestTimeTooSkewed", "clock"), ("AccessDenied", "refuses")):
        proxy.fault_of = lambda number, asked, code=code: Fault(status=403, code=code)  # type: ignore[misc]
        for refused in (store.video(B, "v"), store.check()):
            with pytest.raises(StorageUnavailable, match=word):
                await refused
        with source.open() as opened, pytest.raises(StorageUnavailable, match=word) as failure:
            opened.read()
        assert code in (failure.value.detail or "")


async def test_a_bucket_that_the_store_lost_is_waited_for_and_is_no_missing_video(store: S3Store, proxy: Proxy) -> None:
    await put(store, "v", b"data")
    source = await store.video(B, "v")
    proxy.fault_of = lambda number, asked: Fault(status=404, code="NoSuchBucket")
    calls = (
        store.video(B, "v"),
        content(store, "v"),
        store.head(B, "list.csv"),
        store.check(),
        put(store, "k", b"data"),
        store.stage(B, "k", b"", headers={}),
    )
    for call in calls:
        with pytest.raises(StoreBucketMissing):
            await call
    with source.open() as opened, pytest.raises(StoreBucketMissing):
        opened.read()
    proxy.fault_of = lambda number, asked: None
    await store.delete(B, "v")
    for missing in (store.video(B, "v"), content(store, "v")):
        with pytest.raises(ObjectMissing):
            await missing


async def test_one_lost_bucket_of_several_is_the_trouble_of_its_own_jobs_alone(
    server: str, proxy: Proxy, object_pool: Pool
) -> None:
    fresh(server, "lost-1", "there-2")
    store = S3Store("s3://", options_of(proxy.url), object_pool, unfinished_age_seconds=0.0)
    for name in ("lost-1", "there-2"):
        await store.create_bucket(name, "r")
    staged = await store.stage("there-2", "k", b"cover", headers={})
    proxy.fault_of = lambda number, asked: (
        Fault(status=404, code="NoSuchBucket") if asked.path.startswith("/lost-1") else None
    )
    await store.check()
    assert (await store.sweep(datetime.now(UTC) + timedelta(days=1))).blobs == 1, "the sweep goes on behind it"
    with pytest.raises(StorageUnavailable):
        await store.publish(await store.place([staged]))
    with pytest.raises(StoreBucketMissing):
        await store.video("lost-1", "k")


async def test_a_store_that_keeps_failing_is_given_up_within_a_bound(store: S3Store, proxy: Proxy) -> None:
    await put(store, "k", b"data")
    source = await store.video(B, "k")
    proxy.fault_of = lambda number, asked: Fault(status=503)
    for call in (store.head(B, "k"), put(store, "k", b"other"), store.list(B), store.delete(B, "k")):
        began, asked = time.monotonic(), len(proxy.asked)
        with pytest.raises(StorageUnavailable) as failure:
            await call
        assert failure.value.retryable
        assert len(proxy.asked) - asked <= 5
        assert time.monotonic() - began < 60
    asked = len(proxy.asked)
    with source.open() as opened, pytest.raises(StorageUnavailable):
        opened.read()
    assert len(proxy.asked) - asked == 3


@pytest.mark.parametrize(
    "fault", [Fault(status=503), Fault(cut_after=0), Fault(cut_after=100), Fault(delay_seconds=1.0)]
)
async def test_a_video_is_read_rightly_from_a_store_that_stumbles(store: S3Store, proxy: Proxy, fault: Fault) -> None:
    data = random.Random(1).randbytes(200_000)
    await put(store, "v", data)
    source = await store.video(B, "v")
    first = len(proxy.asked)
    proxy.fault_of = lambda number, asked: fault if (number - first) % 3 == 0 else None
    with source.open() as opened:
        assert b"".join(iter(lambda: opened.read(50_000), b"")) == data
        assert opened.bytes_read == len(data)


async def test_an_object_whose_reading_breaks_off_is_read_on_from_there(store: S3Store, proxy: Proxy) -> None:
    data = random.Random(2).randbytes(100_000)
    await put(store, "k", data)
    proxy.fault_of = lambda number, asked: Fault(cut_after=60_000) if asked.method == "GET" and _ranged(asked) else None
    assert await content(store, "k") == data
    assert [asked.headers["range"] for asked in proxy.asked if asked.method == "GET" and _ranged(asked)] == [
        "bytes=0-99999",
        "bytes=60000-99999",
    ]


def _ranged(asked: Asked) -> bool:
    return "range" in asked.headers


async def test_a_store_whose_hosts_name_its_buckets_is_asked_without_them_in_the_path(
    server: str, object_pool: Pool
) -> None:
    """The bucket `127` of the host `0.0.1` is at 127.0.0.1, so that no name needs to be resolved."""
    fresh(server, "127")
    with proxy_to(server, bucket="127") as proxy:
        endpoint = proxy.url.replace("//127.", "//")
        options = dataclasses.replace(options_of(server), endpoint=endpoint, path_style=False)
        store = S3Store("s3://127/p", options, object_pool, whole_put_bytes=MEBIBYTE)
        await store.create_bucket(B, "r")
        large = random.Random(3).randbytes(6 * MEBIBYTE)  # goes up in parts
        await put(store, "a b", large)
        await store.copy(B, "a b", B, "copy", headers=None)
        await store.publish(await store.place([await store.stage(B, "cover", b"jpeg", headers={}, owner="job-1")]))
        client_of(server).put_object(Bucket="127", Key=f"p/{B}/x//y", Body=b"theirs")
        assert [info.key for info in (await store.list(B)).objects] == ["a b", "copy", "cover"]
        assert await content(store, "copy") == large
        with (await store.video(B, "a b")).open() as opened:
            assert opened.read() == large
        await store.delete(B, "copy")
        assert [info.key for info in (await store.list(B)).objects] == ["a b", "cover"]
        assert not any(asked.path.startswith("/127") for asked in proxy.asked)


# Videos


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Twenty minutes whose pictures are noise, so that the file is far larger than what is looked at."""
    noise = np.random.default_rng(1)
    pictures = [numbered(number) for number in range(1200)]
    for picture in pictures:
        picture[24:72] = noise.integers(0, 256, (48, 160, 3), dtype=np.uint8)
    path: Path = tmp_path_factory.mktemp("clips") / "long.mp4"
    return write_clip(path, pictures, rate=1, options={"preset": "ultrafast", "crf": "1"}).read_bytes()


LIMITS = Limits(candidates=12, between_pixels=160 * 96 * 10)


async def test_a_long_video_costs_few_requests_and_few_of_its_bytes(
    store: S3Store, proxy: Proxy, long_clip: bytes
) -> None:
    await put(store, "v", long_clip)
    source = await store.video(B, "v")
    proxy.asked.clear()
    with source.open() as opened:
        assert pick_covers(opened, CoverOptions(count=3), limits=LIMITS).covers
        read = opened.bytes_read
    assert all(_ranged(asked) for asked in proxy.asked), "never the whole object"
    assert read == sum(asked.sent_bytes for asked in proxy.asked), "what is counted is what came over the wire"
    assert read < len(long_clip) / 8
    assert len(proxy.asked) <= 40


async def test_where_the_read_budget_ends_covers_come_from_what_was_seen(
    proxy: Proxy, object_pool: Pool, long_clip: bytes
) -> None:
    budget = len(long_clip) // 50
    tight = S3Store("s3://everything/p", options_of(proxy.url), object_pool, read_budget_bytes=budget)
    await tight.create_bucket(B, "r")
    await put(tight, "v", long_clip)
    ample = S3Store("s3://everything/p", options_of(proxy.url), object_pool)
    with (await ample.video(B, "v")).open() as opened:
        pick_covers(opened, CoverOptions(count=1), limits=LIMITS)
        assert opened.bytes_read > budget
    source = await tight.video(B, "v")
    proxy.asked.clear()
    with source.open() as opened:
        assert pick_covers(opened, CoverOptions(count=1), limits=LIMITS).covers
        assert opened.bytes_read <= budget
    assert sum(asked.sent_bytes for asked in proxy.asked) <= budget


async def test_a_video_that_cannot_be_opened_within_the_read_budget_is_too_large(
    proxy: Proxy, object_pool: Pool, long_clip: bytes
) -> None:
    tight = S3Store("s3://everything/p", options_of(proxy.url), object_pool, read_budget_bytes=10_000)
    await tight.create_bucket(B, "r")
    await put(tight, "v", long_clip)
    with (await tight.video(B, "v")).open() as opened:
        with pytest.raises(VideoTooLarge, match="SMARTCOVER_S3_READ_BUDGET_BYTES"):
            pick_covers(opened, CoverOptions(count=1), limits=LIMITS)
        assert opened.bytes_read <= 10_000

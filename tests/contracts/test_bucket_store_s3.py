"""The bucket store contract over an S3 store: a moto server in a process of its own."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import AsyncIterator, Iterator

import pytest

from smartcover.errors import BadKey, ObjectMissing, StorageUnavailable
from smartcover.storage import BucketStore
from smartcover.storage.s3 import S3Store
from tests.contracts.bucket_store_suite import (
    LIMIT_BYTES,
    MEBIBYTE,
    WEIRD_KEYS,
    B,
    BucketStoreContract,
    content,
    names,
    put,
)
from tests.moto_server import client_of, fresh, options_of, running_moto
from tests.objects_database import Pool

STORE_BUCKETS = ("everything", B, "second-1250000000", "second-1")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_moto() as address:
        yield address


@pytest.fixture(params=["s3://", "s3://everything/some/prefix"])
async def store(request: pytest.FixtureRequest, server: str, object_pool: Pool) -> AsyncIterator[BucketStore]:
    fresh(server, *STORE_BUCKETS)
    options = options_of(server)
    made = S3Store(request.param, options, object_pool, max_object_bytes=LIMIT_BYTES, whole_put_bytes=MEBIBYTE)
    await made.create_bucket(B, "ap-chongqing")
    yield made


REACHABLE = [
    key
    for key in WEIRD_KEYS
    if not {"", ".", ".."} & set(key.split("/")) and not any(ord(letter) < 32 or letter == "\x7f" for letter in key)
]


class TestS3Store(BucketStoreContract):
    @pytest.mark.parametrize("key", REACHABLE)
    async def test_a_key_is_an_opaque_string(self, store: BucketStore, key: str) -> None:
        for other in REACHABLE:
            await put(store, other, b"other")
        await put(store, key, key.encode())
        assert (await store.head(B, key)).key == key
        assert await content(store, key) == key.encode()
        assert names(await store.list(B)) == sorted(REACHABLE, key=str.encode)
        await store.delete(B, key)
        with pytest.raises(ObjectMissing):
            await store.head(B, key)

    @pytest.mark.parametrize("key", [key for key in WEIRD_KEYS if key not in REACHABLE])
    async def test_a_key_that_the_client_cannot_name_is_refused_with_the_reason(
        self, store: BucketStore, key: str
    ) -> None:
        for call in (put(store, key), store.head(B, key), store.delete(B, key), store.video(B, key)):
            with pytest.raises(BadKey, match="cannot be kept in an S3 store: it "):
                await call

    async def test_a_video_can_be_read_in_another_process(self, store: BucketStore) -> None:
        await put(store, "v", b"video")
        source = pickle.loads(pickle.dumps(await store.video(B, "v")))
        assert "secret" not in repr(source)
        with source.open() as opened:
            assert opened.read() == b"video"
            assert opened.seek(1) == 1
            assert opened.read(2) == b"id"
        await put(store, "v", b"other")
        with source.open() as opened, pytest.raises(StorageUnavailable, match="replaced"):
            opened.read()

    async def test_what_was_taken_back_is_neither_placed_nor_published(self, store: BucketStore) -> None:
        placed, staged = [await store.stage(B, key, b"x", headers={}, owner="job-1") for key in ("a", "b")]
        (placed,) = await store.place([placed])
        await store.revoke(B, "job-1")
        with pytest.raises(StorageUnavailable, match="given up"):
            await store.place([staged])
        with pytest.raises(StorageUnavailable, match="given up"):
            await store.publish([placed])

    async def test_keys_of_others_that_cannot_be_kept_break_no_listing(self, store: BucketStore, server: str) -> None:
        shared = store.locate("everything", f"some/prefix/{B}/x") == (B, "x")
        name, root = ("everything", f"some/prefix/{B}/") if shared else (B, "")
        ours = ["a", "m/1", "m/x y+é&<>%", "z"]
        for key in ours:
            await put(store, key)
        if not shared:
            client_of(server).put_object(Bucket=name, Key="/leading", Body=b"theirs")
        for key in ("m//y", "x//y", "m/./q", "folder/", "l" * 900):
            client_of(server).put_object(Bucket=name, Key=root + key, Body=b"theirs")
        client_of(server).put_object(Bucket=name, Key=f"{root}n/theirs", Body=b"theirs")
        shown = sorted([*ours, "n/theirs"])
        assert [key for key in names(await store.list(B)) if len(key) <= 850] == shown
        page = await store.list(B, delimiter="/")
        assert [key for key in names(page) if len(key) <= 850] == ["a", "z"]
        assert page.common_prefixes == ("m/", "n/")
        assert names(await store.list(B, prefix="m/")) == ["m/1", "m/x y+é&<>%"]
        found: list[str] = []
        marker = ""
        for _ in range(10):
            page = await store.list(B, marker=marker, limit=2)
            found += names(page)
            if page.next_marker is None:
                break
            marker = page.next_marker
        assert [key for key in found if len(key) <= 850] == shown
        info = next(info for info in (await store.list(B, prefix="n/")).objects)
        assert (info.size_bytes, info.etag, info.crc64) == (6, hashlib.md5(b"theirs").hexdigest(), None)

    async def test_words_in_headers_are_the_same_for_us_and_for_others_who_use_the_store(
        self, store: BucketStore, server: str
    ) -> None:
        """A request's bytes are kept as Latin-1; in the store they are percent-encoded once."""
        words = "封面 é %41"
        sent = words.encode().decode("latin-1")
        await put(store, "ours", b"x", **{"x-cos-meta-name": sent})
        shared = store.locate("everything", f"some/prefix/{B}/x") == (B, "x")
        name, root = ("everything", f"some/prefix/{B}/") if shared else (B, "")
        client = client_of(server)
        written = client.head_object(Bucket=name, Key=f"{root}ours")["Metadata"]["name"]
        assert written == "%E5%B0%81%E9%9D%A2 %C3%A9 %2541"
        metadata = {"name": written, "bad": "a%0D%0Ab"}
        client.put_object(Bucket=name, Key=f"{root}theirs", Body=b"x", Metadata=metadata)
        assert (await store.head(B, "theirs")).headers["x-cos-meta-name"] == sent
        assert (await store.head(B, "theirs")).headers["x-cos-meta-bad"] == "a%0D%0Ab", "no header may hold it"

    async def test_a_listing_past_a_thousand_keys_of_others_goes_on(self, store: BucketStore, server: str) -> None:
        shared = store.locate("everything", f"some/prefix/{B}/x") == (B, "x")
        name, root = ("everything", f"some/prefix/{B}/") if shared else (B, "")
        theirs = client_of(server)
        for number in range(1100):
            theirs.put_object(Bucket=name, Key=f"{root}b/{number:04d}{'//' if number % 2 else ''}", Body=b"")
        await put(store, "c")
        page = await store.list(B)
        assert names(page) == [*(f"b/{number:04d}" for number in range(0, 1100, 2)), "c"]
        assert page.next_marker is None

    async def test_a_prefix_selects_and_a_delimiter_folds(self, store: BucketStore) -> None:
        """As of the suite, without the key `b//2`, which this store cannot hold."""
        for key in ["a", "a/1", "a/2", "a/b/3", "a0", "b/1", "c"]:
            await put(store, key)
        page = await store.list(B, delimiter="/")
        assert (names(page), page.common_prefixes, page.next_marker) == (["a", "a0", "c"], ("a/", "b/"), None)
        page = await store.list(B, prefix="a/", delimiter="/")
        assert (names(page), page.common_prefixes) == (["a/1", "a/2"], ("a/b/",))
        assert names(await store.list(B, prefix="a")) == ["a", "a/1", "a/2", "a/b/3", "a0"]
        page = await store.list(B, prefix="nothing/", delimiter="/")
        assert (names(page), page.common_prefixes, page.next_marker) == ([], (), None)

    async def test_what_the_store_speaks_of_is_found_among_our_buckets(self, store: BucketStore) -> None:
        shared = store.locate("everything", f"some/prefix/{B}/in/a.mp4") == (B, "in/a.mp4")
        if not shared:
            assert store.locate(B, "in/a.mp4") == (B, "in/a.mp4")
        root = f"some/prefix/{B}/" if shared else ""
        name = "everything" if shared else B
        for key in (".smartcover-staging/job/0", "a//b", "/a", "a/", "", "x" * 851):
            assert store.locate(name, root + key) is None
        if shared:
            assert store.locate("everything", f"other/{B}/a") is None
            assert store.locate("another", f"some/prefix/{B}/a") is None
            assert store.locate("everything", f"some/prefix/{B}") is None

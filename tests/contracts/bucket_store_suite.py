"""What every bucket store promises; each adaptor's test inherits `BucketStoreContract` and gives it a `store`."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from fastcrc import crc64

from smartcover.errors import (
    BadBucketName,
    BadKey,
    BadParameter,
    BodyTooLarge,
    BucketMissing,
    BucketNotEmpty,
    DigestMismatch,
    IncompleteBody,
    InvalidPart,
    ObjectMissing,
    RangeUnsatisfiable,
    StorageUnavailable,
    UploadMissing,
)
from smartcover.storage import BucketStore, ObjectPage, PartInfo, UploadInfo

B = "test-1250000000"
MEBIBYTE = 1 << 20

#: The store under test allows bodies up to this.
LIMIT_BYTES = 8 * MEBIBYTE

WEIRD_KEYS = [
    "a",
    "a/b",
    "a/",
    "/leading",
    "x//y",
    "./z",
    "../up",
    "..",
    "a/../../etc/passwd",
    "with space",
    "plus+plus",
    "per%cent%2F",
    "封面/视频 一.mp4",
    "emoji-🎬-👨‍👩‍👧",
    "quote'\"<&>;\\",
    "tab\tand\nnewline\x01\x7f",
    "a#1?x=y&z",
    "\ufeffmark",
    "\U0010ffff",
    "s" * 850,
]


async def body(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


async def put(store: BucketStore, key: str, data: bytes = b"x", **headers: str) -> None:
    await store.put(B, key, body(data), headers=headers)


async def content(store: BucketStore, key: str, *, first: int = 0, last: int | None = None) -> bytes:
    async with store.read(B, key, first=first, last=last) as (_, stream):
        return b"".join([block async for block in stream])


def names(page: ObjectPage) -> list[str]:
    return [info.key for info in page.objects]


async def all_pages(store: BucketStore, *, limit: int, prefix: str = "", delimiter: str = "") -> list[str]:
    """Walk a listing by its markers; gives keys and folded prefixes in the order seen."""
    seen: list[str] = []
    marker = ""
    for _ in range(10_000):
        page = await store.list(B, prefix=prefix, delimiter=delimiter, marker=marker, limit=limit)
        entries = sorted([*names(page), *page.common_prefixes])
        assert len(entries) <= limit
        seen += entries
        if page.next_marker is None:
            return seen
        assert page.next_marker == entries[-1]
        marker = page.next_marker
    raise AssertionError("the listing never ends")


class BucketStoreContract:
    """Inherit this and define a fixture `store` whose limit for one body is LIMIT_BYTES and whose bucket is empty."""

    # Buckets

    async def test_a_store_that_is_there_passes_its_check(self, store: BucketStore) -> None:
        await store.check()

    async def test_a_bucket_made_twice_is_returned_as_it_is(self, store: BucketStore) -> None:
        first = await store.create_bucket("second-1250000000", "ap-chongqing")
        again = await store.create_bucket("second-1250000000", "elsewhere")
        assert again == first == await store.bucket("second-1250000000")
        assert first.region == "ap-chongqing"
        assert first.created_at.tzinfo is not None
        assert [info.name for info in await store.buckets()] == ["second-1250000000", B]

    @pytest.mark.parametrize("name", ["", "Upper", "under_score", "a" * 64, "a/b", "..\0", "中文", "a b", "a\n"])
    async def test_a_bad_bucket_name_is_refused(self, store: BucketStore, name: str) -> None:
        with pytest.raises(BadBucketName):
            await store.create_bucket(name, "local")
        with pytest.raises(BadBucketName):
            await store.bucket(name)

    async def test_a_missing_bucket_is_said_to_be_missing_by_every_call(self, store: BucketStore) -> None:
        gone = "gone-1"
        calls = [
            store.bucket(gone),
            store.delete_bucket(gone),
            store.put(gone, "k", body(b"x"), headers={}),
            store.head(gone, "k"),
            store.copy(gone, "k", B, "k2", headers=None),
            store.delete(gone, "k"),
            store.list(gone),
            store.start_upload(gone, "k", headers={}),
            store.put_part(gone, "k", "0" * 32, 1, body(b"x")),
            store.parts(gone, "k", "0" * 32),
            store.uploads(gone),
            store.complete_upload(gone, "k", "0" * 32, [(1, "e")]),
            store.abort_upload(gone, "k", "0" * 32),
            store.video(gone, "k"),
            store.stage(gone, "k", b"x", headers={}),
        ]
        for call in calls:
            with pytest.raises(BucketMissing):
                await call
        with pytest.raises(BucketMissing):
            async with store.read(gone, "k"):
                pass
        await put(store, "k")
        with pytest.raises(BucketMissing):
            await store.copy(B, "k", gone, "k", headers=None)

    async def test_a_missing_bucket_is_found_out_before_the_body_is_read(self, store: BucketStore) -> None:
        read = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal read
            while True:
                read += 1
                yield b"x"

        with pytest.raises(BucketMissing):
            await store.put("gone-1", "k", endless(), headers={})
        with pytest.raises(UploadMissing):
            await store.put_part(B, "k", "0" * 32, 1, endless())
        assert read == 0

    async def test_only_an_empty_bucket_can_be_deleted(self, store: BucketStore) -> None:
        await put(store, "k")
        with pytest.raises(BucketNotEmpty):
            await store.delete_bucket(B)
        await store.delete(B, "k")
        upload = await store.start_upload(B, "k", headers={})
        with pytest.raises(BucketNotEmpty):
            await store.delete_bucket(B)
        await store.abort_upload(B, "k", upload.upload_id)
        await store.delete_bucket(B)
        with pytest.raises(BucketMissing):
            await store.bucket(B)

    async def test_a_bucket_whose_last_upload_was_completed_and_deleted_can_go(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        part = await store.put_part(B, "k", upload.upload_id, 1, body(b"x"))
        await store.complete_upload(B, "k", upload.upload_id, [(1, part.etag)])
        await store.delete(B, "k")
        await store.delete_bucket(B)
        assert list(await store.buckets()) == []

    # Objects

    async def test_an_object_is_read_back_with_its_digests_and_headers(self, store: BucketStore) -> None:
        headers = {"Content-Type": "video/mp4", "x-cos-meta-name": "封面", "cache-control": "no-cache"}
        info = await store.put(B, "in/clip.mp4", body(b"hel", b"", b"lo"), headers=headers)
        assert info == await store.head(B, "in/clip.mp4")
        assert (info.bucket, info.key, info.size_bytes) == (B, "in/clip.mp4", 5)
        assert info.etag == "5d41402abc4b2a76b9719d911017c592"
        assert info.crc64 == 11177612005948864433  # of `hello`, as the cloud gives it
        assert info.last_modified.tzinfo is not None
        assert info.headers == {"content-type": "video/mp4", "x-cos-meta-name": "封面", "cache-control": "no-cache"}
        assert list(info.headers) == ["content-type", "x-cos-meta-name", "cache-control"]
        async with store.read(B, "in/clip.mp4") as (read_info, stream):
            assert read_info == info
            assert b"".join([block async for block in stream]) == b"hello"

    async def test_an_own_header_without_a_value_is_kept(self, store: BucketStore) -> None:
        await put(store, "k", b"x", **{"x-cos-meta-a": "", "x-cos-meta-b": "1"})
        assert (await store.head(B, "k")).headers == {"x-cos-meta-a": "", "x-cos-meta-b": "1"}

    async def test_an_empty_object_is_an_object(self, store: BucketStore) -> None:
        info = await store.put(B, "empty", body(), headers={}, size_bytes=0)
        assert (info.size_bytes, info.etag, info.crc64) == (0, md5(b""), 0)
        assert await content(store, "empty") == b""
        with pytest.raises(RangeUnsatisfiable):
            await content(store, "empty", first=0, last=0)

    async def test_a_body_of_many_blocks_comes_back_whole(self, store: BucketStore) -> None:
        data = bytes(range(256)) * (3 * MEBIBYTE // 256) + b"tail"
        chunks = [data[at : at + 65_537] for at in range(0, len(data), 65_537)]
        info = await store.put(B, "large", body(*chunks), headers={}, size_bytes=len(data))
        assert (info.size_bytes, info.etag, info.crc64) == (len(data), md5(data), crc64.xz(data))
        assert await content(store, "large") == data

    @pytest.mark.parametrize("key", WEIRD_KEYS)
    async def test_a_key_is_an_opaque_string(self, store: BucketStore, key: str) -> None:
        for other in WEIRD_KEYS:
            await put(store, other, b"other")
        await put(store, key, key.encode())
        assert (await store.head(B, key)).key == key
        assert await content(store, key) == key.encode()
        assert names(await store.list(B)) == sorted(WEIRD_KEYS, key=str.encode)
        await store.delete(B, key)
        with pytest.raises(ObjectMissing):
            await store.head(B, key)
        assert len(names(await store.list(B))) == len(WEIRD_KEYS) - 1

    @pytest.mark.parametrize("key", ["", "a\0b", "\udc80", "k" * 851, "中" * 284])
    async def test_a_key_that_cannot_be_kept_is_refused(self, store: BucketStore, key: str) -> None:
        with pytest.raises(BadKey):
            await store.put(B, key, body(b"x"), headers={})
        with pytest.raises(BadKey):
            await store.head(B, key)
        with pytest.raises(BadKey):
            await store.start_upload(B, key, headers={})
        with pytest.raises(BadKey):
            await store.stage(B, key, b"x", headers={})
        with pytest.raises(BadKey):
            await store.delete(B, key)

    @pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * 20_000])
    async def test_headers_that_cannot_be_kept_are_refused(self, store: BucketStore, value: str) -> None:
        with pytest.raises(BadParameter):
            await store.put(B, "k", body(b"x"), headers={"x-cos-meta-a": value})
        assert names(await store.list(B)) == []

    async def test_a_put_replaces_the_whole_object(self, store: BucketStore) -> None:
        await put(store, "k", b"first", **{"content-type": "a/b", "x-cos-meta-one": "1"})
        await put(store, "k", b"second", **{"content-type": "c/d"})
        info = await store.head(B, "k")
        assert info.headers == {"content-type": "c/d"}
        assert await content(store, "k") == b"second"
        assert names(await store.list(B)) == ["k"]

    async def test_a_body_with_another_digest_leaves_the_object_as_it_was(self, store: BucketStore) -> None:
        await put(store, "k", b"before")
        good = hashlib.md5(b"after").digest()
        with pytest.raises(DigestMismatch):
            await store.put(B, "k", body(b"after!"), headers={}, content_md5=good)
        assert await content(store, "k") == b"before"
        await store.put(B, "k", body(b"after"), headers={}, content_md5=good)
        assert await content(store, "k") == b"after"

    async def test_a_body_that_ends_early_leaves_the_object_as_it_was(self, store: BucketStore) -> None:
        await put(store, "k", b"before")
        with pytest.raises(IncompleteBody, match=r"3 bytes.*10"):
            await store.put(B, "k", body(b"abc"), headers={}, size_bytes=10)
        assert await content(store, "k") == b"before"

    async def test_a_body_over_the_limit_is_refused_however_it_is_announced(self, store: BucketStore) -> None:
        with pytest.raises(BodyTooLarge):
            await store.put(B, "k", body(b"abc"), headers={}, size_bytes=LIMIT_BYTES + 1)
        with pytest.raises(BodyTooLarge):
            await store.put(B, "k", body(*[b"x" * MEBIBYTE] * 8, b"x"), headers={})
        with pytest.raises(BodyTooLarge):
            await store.put(B, "k", body(b"abcd"), headers={}, size_bytes=3)
        assert names(await store.list(B)) == []
        assert (await store.put(B, "k", body(*[b"x" * MEBIBYTE] * 8), headers={})).size_bytes == LIMIT_BYTES

    async def test_a_client_that_goes_away_leaves_nothing(self, store: BucketStore) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x" * (2 * MEBIBYTE)
            raise ConnectionResetError("the client went away")

        with pytest.raises(ConnectionResetError):  # not ours to translate
            await store.put(B, "k", broken(), headers={})
        with pytest.raises(ObjectMissing):
            await store.head(B, "k")

    async def test_an_object_is_not_visible_before_its_body_ended(self, store: BucketStore) -> None:
        half, rest = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"x" * (2 * MEBIBYTE)
            half.set()
            await rest.wait()
            yield b"y"

        await put(store, "k", b"before")
        task = asyncio.create_task(store.put(B, "k", slow(), headers={}))
        await half.wait()
        assert await content(store, "k") == b"before"
        rest.set()
        await task
        assert (await store.head(B, "k")).size_bytes == 2 * MEBIBYTE + 1

    async def test_a_cancelled_put_leaves_nothing(self, store: BucketStore) -> None:
        half = asyncio.Event()

        async def stuck() -> AsyncIterator[bytes]:
            yield b"x" * (2 * MEBIBYTE)
            half.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(store.put(B, "k", stuck(), headers={}))
        await half.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ObjectMissing):
            await store.head(B, "k")

    @pytest.mark.parametrize(
        ("first", "last", "expected"),
        [
            (0, None, b"0123456789"),
            (0, 0, b"0"),
            (3, 5, b"345"),
            (9, 9, b"9"),
            (5, None, b"56789"),
            (5, 100, b"56789"),
            (0, 9, b"0123456789"),
        ],
    )
    async def test_a_range_gives_exactly_its_bytes(
        self, store: BucketStore, first: int, last: int | None, expected: bytes
    ) -> None:
        await put(store, "digits", b"0123456789")
        assert await content(store, "digits", first=first, last=last) == expected
        async with store.read(B, "digits", first=first, last=last) as (info, _):
            assert info.size_bytes == 10

    @pytest.mark.parametrize(("first", "last"), [(10, None), (10, 12), (-1, None), (5, 4)])
    async def test_a_range_outside_is_unsatisfiable(self, store: BucketStore, first: int, last: int | None) -> None:
        await put(store, "digits", b"0123456789")
        with pytest.raises(RangeUnsatisfiable, match="10 bytes"):
            await content(store, "digits", first=first, last=last)

    async def test_a_range_may_cross_blocks(self, store: BucketStore) -> None:
        data = bytes(range(251)) * 12_000
        await put(store, "large", data)
        assert (
            await content(store, "large", first=MEBIBYTE - 3, last=2 * MEBIBYTE + 7)
            == (data[MEBIBYTE - 3 : 2 * MEBIBYTE + 8])
        )

    async def test_a_reader_keeps_its_version_when_the_object_is_replaced_or_deleted(self, store: BucketStore) -> None:
        await put(store, "k", b"a" * (3 * MEBIBYTE))
        async with store.read(B, "k") as (info, stream):
            first = await anext(stream)
            await put(store, "k", b"b")
            await store.delete(B, "k")
            await store.sweep(info.last_modified + timedelta(days=400))
            rest = b"".join([block async for block in stream])
        assert first + rest == b"a" * (3 * MEBIBYTE)

    async def test_a_failure_of_the_reader_is_not_the_stores(self, store: BucketStore) -> None:
        await put(store, "k")
        with pytest.raises(OSError, match="mine"):
            async with store.read(B, "k"):
                raise OSError("mine")

    async def test_a_missing_object_is_said_to_be_missing(self, store: BucketStore) -> None:
        for call in (
            store.head(B, "none"),
            store.copy(B, "none", B, "k", headers=None),
            store.video(B, "none"),
        ):
            with pytest.raises(ObjectMissing):
                await call
        with pytest.raises(ObjectMissing):
            async with store.read(B, "none"):
                pass
        await store.delete(B, "none")

    async def test_a_copy_lives_by_itself(self, store: BucketStore) -> None:
        await store.create_bucket("second-1", "local")
        await put(store, "k", b"data", **{"x-cos-meta-a": "1"})
        copied = await store.copy(B, "k", "second-1", "c", headers=None)
        assert copied.headers == {"x-cos-meta-a": "1"}
        assert (copied.etag, copied.crc64, copied.size_bytes) == (md5(b"data"), crc64.xz(b"data"), 4)
        await put(store, "k", b"new")
        await store.delete(B, "k")
        await store.sweep(copied.last_modified + timedelta(days=400))
        async with store.read("second-1", "c") as (_, stream):
            assert b"".join([block async for block in stream]) == b"data"

    async def test_a_copy_may_get_new_headers_also_onto_itself(self, store: BucketStore) -> None:
        await put(store, "k", b"data", **{"x-cos-meta-a": "1"})
        info = await store.copy(B, "k", B, "k", headers={"x-cos-meta-b": "2"})
        assert info.headers == {"x-cos-meta-b": "2"}
        assert await content(store, "k") == b"data"

    async def test_a_video_can_be_read_in_another_process(self, store: BucketStore) -> None:
        await put(store, "v", b"video")
        source = pickle.loads(pickle.dumps(await store.video(B, "v")))
        await put(store, "v", b"other")
        await store.sweep()  # within the grace period
        with source.open() as opened:
            assert opened.read() == b"video"
            assert opened.seek(1) == 1
            assert opened.read(2) == b"id"
            assert opened.bytes_read >= 5

    # Listing

    async def test_a_listing_is_in_binary_order_of_utf8(self, store: BucketStore) -> None:
        keys = ["b", "B", "a/b", "a-b", "a", "é", "e\u0301", "￿", "😀", "中", "a b", "Z"]
        for key in keys:
            await put(store, key)
        assert names(await store.list(B)) == sorted(keys, key=str.encode)

    async def test_a_prefix_selects_and_a_delimiter_folds(self, store: BucketStore) -> None:
        for key in ["a", "a/1", "a/2", "a/b/3", "a0", "b/1", "b//2", "c"]:
            await put(store, key)
        page = await store.list(B, delimiter="/")
        assert (names(page), page.common_prefixes, page.next_marker) == (["a", "a0", "c"], ("a/", "b/"), None)
        page = await store.list(B, prefix="a/", delimiter="/")
        assert (names(page), page.common_prefixes) == (["a/1", "a/2"], ("a/b/",))
        page = await store.list(B, prefix="b/", delimiter="/")
        assert (names(page), page.common_prefixes) == (["b/1"], ("b//",))
        page = await store.list(B, prefix="a")
        assert names(page) == ["a", "a/1", "a/2", "a/b/3", "a0"]
        page = await store.list(B, prefix="nothing/", delimiter="/")
        assert (names(page), page.common_prefixes, page.next_marker) == ([], (), None)

    async def test_a_delimiter_may_be_any_text(self, store: BucketStore) -> None:
        for key in ["a中b", "a中c", "ax", "a\ud7ffy", "a--b", "a-b", "a--", "a\U0010ffff!b"]:
            await put(store, key)
        assert (await store.list(B, delimiter="中")).common_prefixes == ("a中",)
        assert (await store.list(B, delimiter="--")).common_prefixes == ("a--",)
        assert (await store.list(B, delimiter="\ud7ff")).common_prefixes == ("a\ud7ff",)
        assert (await store.list(B, delimiter="\U0010ffff!")).common_prefixes == ("a\U0010ffff!",)
        with pytest.raises(BadParameter, match="U\\+10FFFF"):  # nothing sorts after it, so it cannot be jumped over
            await store.list(B, delimiter="\U0010ffff")

    async def test_pages_join_to_the_whole_listing(self, store: BucketStore) -> None:
        keys = [f"{folder}/{number}" for folder in "abc" for number in range(7)] + ["a", "b", "zz"]
        for key in keys:
            await put(store, key)
        for limit in (1, 2, 3, 5, 1000):
            assert await all_pages(store, limit=limit) == sorted(keys)
            assert await all_pages(store, limit=limit, delimiter="/") == ["a", "a/", "b", "b/", "c/", "zz"]
            assert await all_pages(store, limit=limit, prefix="b/") == [f"b/{number}" for number in range(7)]

    async def test_a_marker_need_not_exist(self, store: BucketStore) -> None:
        for key in ["a", "c/1", "c/2", "e"]:
            await put(store, key)
        assert names(await store.list(B, marker="b")) == ["c/1", "c/2", "e"]
        assert names(await store.list(B, marker="c/1")) == ["c/2", "e"]
        assert names(await store.list(B, marker="z")) == []
        page = await store.list(B, marker="c/1", delimiter="/")
        assert (names(page), page.common_prefixes) == (["e"], ())
        page = await store.list(B, marker="c", delimiter="/")
        assert (names(page), page.common_prefixes) == (["e"], ("c/",))
        assert names(await store.list(B, prefix="c/", marker="a")) == ["c/1", "c/2"]
        assert names(await store.list(B, prefix="a", marker="c")) == []

    async def test_a_page_holds_at_most_a_thousand_entries(self, store: BucketStore) -> None:
        for number in range(3):
            await put(store, str(number))
        assert (await store.list(B, limit=0)) == ObjectPage((), (), None)
        assert names(await store.list(B, limit=10**9)) == ["0", "1", "2"]
        assert names(await store.list(B, limit=-5)) == []

    async def test_a_listing_with_text_that_no_key_can_hold_is_refused(self, store: BucketStore) -> None:
        for call in (
            store.list(B, prefix="\0"),
            store.list(B, prefix="\ud800"),
            store.list(B, marker="a\0"),
            store.list(B, delimiter="\0"),
            store.uploads(B, prefix="\0"),
            store.uploads(B, key_marker="\0"),
            store.uploads(B, delimiter="\0"),
            store.uploads(B, key_marker="a", upload_id_marker="\0"),
        ):
            with pytest.raises(BadKey):
                await call

    # Multipart uploads

    async def test_parts_join_in_order_to_one_object(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "big", headers={"content-type": "video/mp4", "X-Cos-Meta-A": "1"})
        chunks = {1: b"a" * (MEBIBYTE + 17), 5: b"bb", 7: b"", 10_000: b"c" * 70_000}
        parts: dict[int, PartInfo] = {}
        for number in (7, 10_000, 1, 5):
            parts[number] = await store.put_part(B, "big", upload.upload_id, number, body(chunks[number]))
            assert parts[number].etag == md5(chunks[number])
            assert parts[number].crc64 == crc64.xz(chunks[number])
        with pytest.raises(ObjectMissing):
            await store.head(B, "big")
        wanted = [(number, parts[number].etag) for number in sorted(parts)]
        info = await store.complete_upload(B, "big", upload.upload_id, wanted)
        whole = b"".join(chunks[number] for number in sorted(chunks))
        digest = hashlib.md5(b"".join(hashlib.md5(chunks[number]).digest() for number in sorted(chunks))).hexdigest()
        assert (info.etag, info.size_bytes, info.crc64) == (f"{digest}-4", len(whole), crc64.xz(whole))
        assert info.headers == {"content-type": "video/mp4", "x-cos-meta-a": "1"}
        assert info == await store.head(B, "big")
        assert await content(store, "big") == whole
        assert (await store.uploads(B)).uploads == ()

    async def test_one_part_is_enough(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        part = await store.put_part(B, "k", upload.upload_id, 3, body(b"only"))
        info = await store.complete_upload(B, "k", upload.upload_id, [(3, part.etag)])
        assert info.etag == f"{hashlib.md5(hashlib.md5(b'only').digest()).hexdigest()}-1"
        await store.sweep(info.last_modified + timedelta(days=400))
        assert await content(store, "k") == b"only"

    async def test_parts_not_listed_are_left_out(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        one = await store.put_part(B, "k", upload.upload_id, 1, body(b"one"))
        await store.put_part(B, "k", upload.upload_id, 2, body(b"two"))
        three = await store.put_part(B, "k", upload.upload_id, 3, body(b"three"))
        await store.complete_upload(B, "k", upload.upload_id, [(1, f'"{one.etag.upper()}"'), (3, three.etag)])
        assert await content(store, "k") == b"onethree"

    async def test_a_part_sent_again_replaces_the_first(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        old = await store.put_part(B, "k", upload.upload_id, 1, body(b"old"))
        new = await store.put_part(B, "k", upload.upload_id, 1, body(b"newer"))
        assert (await store.parts(B, "k", upload.upload_id)).parts == (new,)
        with pytest.raises(InvalidPart):
            await store.complete_upload(B, "k", upload.upload_id, [(1, old.etag)])
        await store.complete_upload(B, "k", upload.upload_id, [(1, new.etag)])
        assert await content(store, "k") == b"newer"

    @pytest.mark.parametrize(
        "wanted",
        [
            [],
            [(2, md5(b"one"))],
            [(1, md5(b"other"))],
            [(1, "")],
            [(1, md5(b"one")), (1, md5(b"one"))],
            [(4, md5(b"four")), (1, md5(b"one"))],
            [(0, md5(b"one"))],
            [(-1, md5(b"one"))],
        ],
    )
    async def test_a_list_of_parts_that_does_not_fit_changes_nothing(
        self, store: BucketStore, wanted: list[tuple[int, str]]
    ) -> None:
        upload = await store.start_upload(B, "k", headers={})
        await store.put_part(B, "k", upload.upload_id, 1, body(b"one"))
        await store.put_part(B, "k", upload.upload_id, 4, body(b"four"))
        with pytest.raises(InvalidPart):
            await store.complete_upload(B, "k", upload.upload_id, wanted)
        assert len((await store.parts(B, "k", upload.upload_id)).parts) == 2
        with pytest.raises(ObjectMissing):
            await store.head(B, "k")

    async def test_completing_twice_answers_as_the_first_time(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={"x-cos-meta-a": "1"})
        part = await store.put_part(B, "k", upload.upload_id, 1, body(b"one"))
        first = await store.complete_upload(B, "k", upload.upload_id, [(1, part.etag)])
        await put(store, "k", b"replaced since")
        assert await store.complete_upload(B, "k", upload.upload_id, [(1, part.etag)]) == first
        assert await content(store, "k") == b"replaced since"
        with pytest.raises(UploadMissing):
            await store.complete_upload(B, "k", upload.upload_id, [(1, md5(b"other"))])

    async def test_two_completions_at_once_give_one_answer(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        parts = [await store.put_part(B, "k", upload.upload_id, number, body(b"x")) for number in (1, 2)]
        wanted = [(part.number, part.etag) for part in parts]
        answers = await asyncio.gather(*[store.complete_upload(B, "k", upload.upload_id, wanted) for _ in range(4)])
        assert all(answer == answers[0] for answer in answers)
        assert await content(store, "k") == b"xx"

    async def test_a_completed_or_aborted_upload_is_missing(self, store: BucketStore) -> None:
        done = await store.start_upload(B, "k", headers={})
        part = await store.put_part(B, "k", done.upload_id, 1, body(b"x"))
        await store.complete_upload(B, "k", done.upload_id, [(1, part.etag)])
        aborted = await store.start_upload(B, "k", headers={})
        await store.put_part(B, "k", aborted.upload_id, 1, body(b"x"))
        await store.abort_upload(B, "k", aborted.upload_id)
        for upload_id in (done.upload_id, aborted.upload_id, "0" * 32, "", "not an id", "\0", "'--", "中" * 9):
            with pytest.raises(UploadMissing):
                await store.put_part(B, "k", upload_id, 2, body(b"x"))
            with pytest.raises(UploadMissing):
                await store.parts(B, "k", upload_id)
            with pytest.raises(UploadMissing):
                await store.abort_upload(B, "k", upload_id)
        with pytest.raises(UploadMissing):
            await store.complete_upload(B, "k", aborted.upload_id, [(1, part.etag)])

    async def test_an_upload_belongs_to_its_key(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        part = await store.put_part(B, "k", upload.upload_id, 1, body(b"x"))
        for call in (
            store.put_part(B, "other", upload.upload_id, 1, body(b"y")),
            store.parts(B, "other", upload.upload_id),
            store.complete_upload(B, "other", upload.upload_id, [(1, part.etag)]),
            store.abort_upload(B, "other", upload.upload_id),
        ):
            with pytest.raises(UploadMissing):
                await call

    async def test_an_upload_aborted_while_a_part_arrives_keeps_nothing(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        begun, rest = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"x"
            begun.set()
            await rest.wait()

        task = asyncio.create_task(store.put_part(B, "k", upload.upload_id, 1, slow()))
        await begun.wait()
        await store.abort_upload(B, "k", upload.upload_id)
        rest.set()
        with pytest.raises(UploadMissing):
            await task

    @pytest.mark.parametrize("number", [0, -1, 10_001, 2**40])
    async def test_a_part_number_out_of_range_is_refused(self, store: BucketStore, number: int) -> None:
        upload = await store.start_upload(B, "k", headers={})
        with pytest.raises(BadParameter, match="10000"):
            await store.put_part(B, "k", upload.upload_id, number, body(b"x"))

    async def test_a_part_is_checked_like_an_object(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        with pytest.raises(DigestMismatch):
            await store.put_part(B, "k", upload.upload_id, 1, body(b"x"), content_md5=b"\0" * 16)
        with pytest.raises(IncompleteBody):
            await store.put_part(B, "k", upload.upload_id, 1, body(b"x"), size_bytes=2)
        with pytest.raises(BodyTooLarge):
            await store.put_part(B, "k", upload.upload_id, 1, body(b"x"), size_bytes=LIMIT_BYTES + 1)
        assert (await store.parts(B, "k", upload.upload_id)).parts == ()

    async def test_parts_are_listed_by_pages(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        for number in (2, 3, 5, 9_999):
            await store.put_part(B, "k", upload.upload_id, number, body(b"x" * number))
        page = await store.parts(B, "k", upload.upload_id, limit=3)
        assert page.upload == upload
        assert [(part.number, part.size_bytes) for part in page.parts] == [(2, 2), (3, 3), (5, 5)]
        assert page.next_part_number_marker == 5
        page = await store.parts(B, "k", upload.upload_id, after=5, limit=3)
        assert ([part.number for part in page.parts], page.next_part_number_marker) == ([9_999], None)
        assert (await store.parts(B, "k", upload.upload_id, after=10**12)).parts == ()

    async def test_uploads_of_one_key_are_listed_oldest_first(self, store: BucketStore) -> None:
        made = [await store.start_upload(B, "k", headers={}) for _ in range(20)]
        assert list((await store.uploads(B)).uploads) == made

    async def test_open_uploads_are_listed_by_pages(self, store: BucketStore) -> None:
        keys = ["a", "b/1", "b/1", "b/2", "c"]
        made = [await store.start_upload(B, key, headers={}) for key in keys]
        expected = sorted(made, key=lambda upload: (upload.key, upload.upload_id))
        assert list((await store.uploads(B)).uploads) == expected
        seen: list[UploadInfo] = []
        key_marker = id_marker = ""
        while True:
            page = await store.uploads(B, key_marker=key_marker, upload_id_marker=id_marker, limit=1)
            seen += page.uploads
            if page.next_key_marker is None:
                break
            assert page.next_upload_id_marker is not None
            key_marker, id_marker = page.next_key_marker, page.next_upload_id_marker
        assert seen == expected
        assert [upload.key for upload in (await store.uploads(B, prefix="b/")).uploads] == ["b/1", "b/1", "b/2"]
        assert [upload.key for upload in (await store.uploads(B, key_marker="b/1")).uploads] == ["b/2", "c"]
        assert [upload.key for upload in (await store.uploads(B, prefix="b", key_marker="a")).uploads] == [
            "b/1",
            "b/1",
            "b/2",
        ]

    @pytest.mark.parametrize("limit", [1, 2, 3, 1000])
    @pytest.mark.parametrize(("prefix", "delimiter"), [("", "/"), ("b", "/"), ("b/", "/"), ("", "/2"), ("", "b/")])
    async def test_open_uploads_are_folded_by_a_delimiter_page_by_page(
        self, store: BucketStore, prefix: str, delimiter: str, limit: int
    ) -> None:
        keys = ["a", "b", "b", "b/1", "b/1", "b/2/x", "b/2/y", "b0", "c/1", "c/2", "d"]
        made = [await store.start_upload(B, key, headers={}) for key in keys]
        expected: list[str] = []
        for upload in sorted(made, key=lambda upload: (upload.key, upload.upload_id)):
            if upload.key.startswith(prefix):
                at = upload.key.find(delimiter, len(prefix))
                entry = upload.upload_id if at < 0 else upload.key[: at + len(delimiter)]
                expected += [entry] if expected[-1:] != [entry] else []
        seen: list[str] = []
        key_marker = id_marker = ""
        while True:
            page = await store.uploads(
                B,
                prefix=prefix,
                delimiter=delimiter,
                key_marker=key_marker,
                upload_id_marker=id_marker,
                limit=limit,
            )
            entries = [(upload.key, upload.upload_id) for upload in page.uploads]
            entries += [(folded, folded) for folded in page.common_prefixes]
            assert len(entries) <= limit
            seen += [entry for _, entry in sorted(entries)]
            if page.next_key_marker is None:
                break
            key_marker, id_marker = page.next_key_marker, page.next_upload_id_marker or ""
        assert seen == expected

    async def test_a_folded_prefix_is_jumped_over_however_many_uploads_it_holds(self, store: BucketStore) -> None:
        for number in range(7):
            await store.start_upload(B, f"a/{number}", headers={})
        await store.start_upload(B, "b", headers={})
        page = await store.uploads(B, delimiter="/", limit=1)
        assert (page.uploads, page.common_prefixes) == ((), ("a/",))
        assert (page.next_key_marker, page.next_upload_id_marker) == ("a/", None)
        for marker in ("a/", "a/3"):
            page = await store.uploads(B, delimiter="/", key_marker=marker, limit=1)
            assert ([upload.key for upload in page.uploads], page.common_prefixes) == (["b"], ())
            assert page.next_key_marker is None

    # Staged objects

    async def test_staged_objects_are_invisible_until_all_are_published(self, store: BucketStore) -> None:
        await put(store, "cover-0", b"old")
        staged = [
            await store.stage(B, f"cover-{number}", b"new%d" % number, headers={"content-type": "image/jpeg"})
            for number in (1, 0)
        ]
        assert [(one.key, one.size_bytes, one.etag) for one in staged] == [
            ("cover-1", 4, md5(b"new1")),
            ("cover-0", 4, md5(b"new0")),
        ]
        assert names(await store.list(B)) == ["cover-0"]
        assert await content(store, "cover-0") == b"old"
        published = await store.publish(staged)
        assert [info.key for info in published] == ["cover-1", "cover-0"]
        assert published[0] == await store.head(B, "cover-1")
        assert published[0].crc64 == crc64.xz(b"new1") == staged[0].crc64
        assert published[0].headers == {"content-type": "image/jpeg"}
        assert await content(store, "cover-0") == b"new0"

    async def test_publishing_twice_answers_the_same(self, store: BucketStore) -> None:
        staged = [await store.stage(B, "k", b"x", headers={})]
        assert await store.publish(staged) == await store.publish(staged)
        assert await store.publish([]) == []

    async def test_of_two_staged_objects_with_one_key_the_later_stays(self, store: BucketStore) -> None:
        staged = [await store.stage(B, "k", data, headers={}) for data in (b"first", b"second")]
        await store.publish(staged)
        assert await content(store, "k") == b"second"

    async def test_a_discarded_object_cannot_be_published_and_takes_no_other_with_it(self, store: BucketStore) -> None:
        kept, dropped = [await store.stage(B, key, b"x", headers={}) for key in ("a", "b")]
        await store.discard([dropped])
        with pytest.raises(StorageUnavailable):
            await store.publish([kept, dropped])
        assert names(await store.list(B)) == []
        await store.publish([kept])
        await store.discard([kept, dropped])  # too late and harmless
        assert await content(store, "a") == b"x"

    async def test_what_was_placed_is_published_under_its_keys(self, store: BucketStore) -> None:
        staged = [await store.stage(B, key, key.encode(), headers={}, owner="job-1") for key in ("a", "b")]
        placed = await store.place(staged)
        assert await store.publish(placed) == await store.publish(placed)
        await store.discard(placed)  # what staging left; the objects stay
        assert names(await store.list(B)) == ["a", "b"]
        assert (await store.head(B, "a")).etag == md5(b"a")
        assert await content(store, "b") == b"b"

    async def test_taking_back_from_one_owner_takes_nothing_from_another(self, store: BucketStore) -> None:
        staged = await store.stage(B, "k", b"x", headers={}, owner="job-10")
        for owner in ("job-1", "", "nobody"):
            await store.revoke(B, owner)
        await store.publish(await store.place([staged]))
        await store.revoke(B, "job-10")
        assert await content(store, "k") == b"x"

    @pytest.mark.parametrize("owner", ["../b", "a/b", "é", "x" * 65])
    async def test_an_owner_that_would_lead_elsewhere_is_refused(self, store: BucketStore, owner: str) -> None:
        with pytest.raises(BadParameter):
            await store.stage(B, "k", b"x", headers={}, owner=owner)
        with pytest.raises(BadParameter):
            await store.revoke(B, owner)

    async def test_a_staged_object_over_the_limit_is_refused(self, store: BucketStore) -> None:
        with pytest.raises(BodyTooLarge):
            await store.stage(B, "k", b"x" * (LIMIT_BYTES + 1), headers={})

    # Sweeping

    async def test_a_sweep_removes_old_unpublished_objects_and_uploads_only(self, store: BucketStore) -> None:
        now = (await store.bucket(B)).created_at
        await put(store, "k", b"kept")
        staged = await store.stage(B, "s", b"x", headers={})
        upload = await store.start_upload(B, "u", headers={})
        await store.put_part(B, "u", upload.upload_id, 1, body(b"part"))
        await store.sweep()
        assert (await store.uploads(B)).uploads == (upload,)
        swept = await store.sweep(now + timedelta(days=2))
        assert (swept.blobs, swept.uploads) == (1, 0)
        with pytest.raises(StorageUnavailable):
            await store.publish([staged])
        assert (await store.sweep(now + timedelta(days=40))).uploads == 1
        assert (await store.uploads(B)).uploads == ()
        assert await content(store, "k") == b"kept"

    async def test_a_completion_is_remembered_for_a_day(self, store: BucketStore) -> None:
        upload = await store.start_upload(B, "k", headers={})
        part = await store.put_part(B, "k", upload.upload_id, 1, body(b"x"))
        info = await store.complete_upload(B, "k", upload.upload_id, [(1, part.etag)])
        await store.sweep(info.last_modified + timedelta(hours=23))
        assert await store.complete_upload(B, "k", upload.upload_id, [(1, part.etag)]) == info
        await store.sweep(info.last_modified + timedelta(hours=25))
        with pytest.raises(UploadMissing):
            await store.complete_upload(B, "k", upload.upload_id, [(1, part.etag)])
        assert await content(store, "k") == b"x"

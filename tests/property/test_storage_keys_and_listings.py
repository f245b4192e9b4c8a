"""For any keys at all: what goes in comes out, and a listing is what a naive model says it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

import asyncpg
import pytest
from fastcrc import crc64
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smartcover.storage import BucketStore, LocalStore, MemoryStore
from smartcover.storage.crc64 import combine
from smartcover.storage.rules import after_delimiter, first_key_after
from tests.objects_database import Pool, object_dsn

__all__ = ["object_dsn"]

B = "test-1"

characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
keys = st.text(characters, min_size=1, max_size=40)
#: Few letters, so that prefixes, delimiters and markers meet; those beside the delimiter and the largest one too.
crowded = st.text(st.sampled_from("a/.0\x01\U0010ffff\ud7ff中"), min_size=1, max_size=6)
fragments = st.text(st.sampled_from("a/.0\x01\U0010ffff\ud7ff中"), max_size=3)


def model(stored: set[str], prefix: str, delimiter: str) -> list[tuple[str, bool]]:
    """Give the entries of a listing, folded ones with True, by the plainest means."""
    entries = set()
    for key in stored:
        if key.startswith(prefix):
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                entries.add((prefix + rest.split(delimiter)[0] + delimiter, True))
            else:
                entries.add((key, False))
    return sorted(entries, key=lambda entry: entry[0].encode())


async def listed(
    store: BucketStore, prefix: str, delimiter: str, marker: str, limit: int
) -> tuple[list[tuple[str, bool]], str | None]:
    page = await store.list(B, prefix=prefix, delimiter=delimiter, marker=marker, limit=limit)
    entries = [(info.key, False) for info in page.objects] + [(name, True) for name in page.common_prefixes]
    return sorted(entries, key=lambda entry: entry[0].encode()), page.next_marker


async def one(data: bytes) -> AsyncIterator[bytes]:
    yield data


Scenario = Callable[[BucketStore], Coroutine[None, None, None]]


def run(scenario: Scenario) -> None:
    """Run a scenario with a store whose bucket B is empty."""

    async def fresh() -> None:
        store = MemoryStore()
        await store.create_bucket(B, "local")
        await scenario(store)

    asyncio.run(fresh())


async def check_round_trip(store: BucketStore, stored: dict[str, bytes]) -> None:
    for key, data in stored.items():
        await store.put(B, key, one(data), headers={"x-cos-meta-key": key})
    for key, data in stored.items():
        async with store.read(B, key) as (info, stream):
            assert b"".join([block async for block in stream]) == data
        assert info.key == key
        assert info.crc64 == crc64.xz(data)
        assert info.headers == {"x-cos-meta-key": key}
    seen, _ = await listed(store, "", "", "", 1000)
    assert [key for key, _ in seen] == sorted(stored, key=str.encode)
    for key in stored:
        await store.delete(B, key)
    assert await listed(store, "", "", "", 1000) == ([], None)


async def check_listing(
    store: BucketStore, stored: set[str], prefix: str, delimiter: str, marker: str, limit: int
) -> None:
    for key in stored:
        await store.put(B, key, one(b""), headers={})
    whole = model(stored, prefix, delimiter)
    rest = [entry for entry in whole if entry[0].encode() > marker.encode()]
    expected_marker = rest[limit - 1][0] if len(rest) > limit else None
    assert await listed(store, prefix, delimiter, marker, limit) == (rest[:limit], expected_marker)
    walked: list[tuple[str, bool]] = []
    at: str | None = ""
    while at is not None:
        page, at = await listed(store, prefix, delimiter, at, limit)
        walked += page
    assert walked == whole


contents = st.dictionaries(keys, st.binary(max_size=50), max_size=8)
delimiters = fragments.filter(lambda text: not text or text.strip("\U0010ffff") != "")
listings = st.tuples(
    st.sets(crowded, max_size=25), fragments, delimiters, st.one_of(fragments, crowded), st.integers(1, 6)
)


@given(contents)
def test_any_keys_come_back_from_memory(stored: dict[str, bytes]) -> None:
    run(lambda store: check_round_trip(store, stored))


@given(listings)
@settings(max_examples=300)
def test_a_listing_in_memory_is_what_the_model_says(listing: tuple[set[str], str, str, str, int]) -> None:
    run(lambda store: check_listing(store, *listing))


class OnDisk:
    """A local store with an event loop that lives as long as its connections."""

    def __init__(self, runner: asyncio.Runner, store: LocalStore) -> None:
        self._runner = runner
        self._store = store

    def run(self, scenario: Scenario) -> None:
        """Run a scenario with the store, whose bucket B is empty before and after."""

        async def emptied() -> None:
            try:
                await scenario(self._store)
            finally:
                while page := (await self._store.list(B)).objects:
                    for info in page:
                        await self._store.delete(B, info.key)

        self._runner.run(emptied())


@pytest.fixture(scope="module")
def on_disk(object_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnDisk]:
    with asyncio.Runner() as runner:

        async def start() -> tuple[Pool, LocalStore]:
            pool = await asyncpg.create_pool(object_dsn, min_size=1, max_size=2)
            store = LocalStore(tmp_path_factory.mktemp("blobs"), pool, reserve_bytes=0)
            await store.create_bucket(B, "local")
            return pool, store

        pool, store = runner.run(start())
        yield OnDisk(runner, store)
        runner.run(pool.close())


@given(contents)
@settings(max_examples=30)
def test_any_keys_come_back_from_the_disk(on_disk: OnDisk, stored: dict[str, bytes]) -> None:
    on_disk.run(lambda store: check_round_trip(store, stored))


@given(listings)
@settings(max_examples=100)
def test_a_listing_from_the_database_is_what_the_model_says(
    on_disk: OnDisk, listing: tuple[set[str], str, str, str, int]
) -> None:
    on_disk.run(lambda store: check_listing(store, *listing))


@given(st.binary(max_size=300), st.binary(max_size=300))
@example(b"", b"")
@example(b"\0" * 300, b"\0" * 300)
def test_checksums_of_two_parts_give_the_checksum_of_both(first: bytes, second: bytes) -> None:
    assert combine(crc64.xz(first), crc64.xz(second), len(second)) == crc64.xz(first + second)


@given(crowded.filter(lambda text: text.strip("\U0010ffff") != ""), st.text(characters))
def test_nothing_lies_between_a_delimiters_strings_and_what_follows_them(delimiter: str, other: str) -> None:
    above = after_delimiter(delimiter).encode()
    assert (delimiter + other).encode() < above
    if not other.startswith(delimiter) and other > delimiter:
        assert other.encode() >= above


@given(fragments, delimiters, crowded, crowded)
def test_a_page_begins_where_the_first_entry_above_the_marker_can_be(
    prefix: str, delimiter: str, marker: str, key: str
) -> None:
    [entry] = model({prefix + key}, prefix, delimiter)
    begins = first_key_after(marker, prefix, delimiter)
    assert ((prefix + key).encode() >= begins.encode()) == (entry[0].encode() > marker.encode())

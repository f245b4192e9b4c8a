"""Names, ranges and lists of parts, judged without any store."""

from __future__ import annotations

import pytest

from smartcover.errors import BadBucketName, BadKey, BadParameter, InvalidPart, RangeUnsatisfiable
from smartcover.storage.rules import (
    after_delimiter,
    check_bucket_name,
    check_headers,
    check_key,
    check_parts,
    first_key_after,
    joined_etag,
    page_limit,
    parts_fingerprint,
    resolve_range,
)

MD5_A = "0cc175b9c0f1b6a831c399e269772661"
MD5_B = "92eb5ffee6ae2fec3ad71c777531578f"


@pytest.mark.parametrize("name", ["a", "test-1250000000", "my.bucket-1", "0", "-", "a" * 63])
def test_a_cloud_name_and_plainer_ones_are_buckets(name: str) -> None:
    check_bucket_name(name)


@pytest.mark.parametrize("name", ["", "A", "a_b", "a/b", "a" * 64, "a\n", "é", "１"])
def test_other_names_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(BadBucketName, match="1 to 63"):
        check_bucket_name(name)


def test_a_long_bucket_name_is_not_echoed_whole() -> None:
    with pytest.raises(BadBucketName) as caught:
        check_bucket_name("X" * 100_000)
    assert len(caught.value.public) < 300


def test_the_limit_of_a_key_counts_bytes_and_not_characters() -> None:
    check_key("中" * 283)
    with pytest.raises(BadKey, match="852 bytes"):
        check_key("中" * 284)


def test_header_names_are_lower_case_and_their_order_is_kept() -> None:
    assert list(check_headers({"X-Cos-Meta-B": "1", "Content-Type": "a/b"})) == ["x-cos-meta-b", "content-type"]


def test_headers_have_a_budget() -> None:
    check_headers({"x": "y" * 16_383})
    with pytest.raises(BadParameter, match="16384"):
        check_headers({"x": "y" * 16_384})


@pytest.mark.parametrize(
    ("size_bytes", "first", "last", "expected"),
    [
        (10, 0, None, range(10)),
        (10, 9, None, range(9, 10)),
        (10, 0, 10**18, range(10)),
        (10, 2, 2, range(2, 3)),
        (0, 0, None, range(0)),
    ],
)
def test_a_range_is_cut_to_the_object(size_bytes: int, first: int, last: int | None, expected: range) -> None:
    assert resolve_range(size_bytes, first, last) == expected


@pytest.mark.parametrize(
    ("size_bytes", "first", "last"), [(10, 10, None), (10, -1, 5), (10, 5, 3), (0, 0, 0), (0, 1, None)]
)
def test_a_range_without_a_byte_is_refused(size_bytes: int, first: int, last: int | None) -> None:
    with pytest.raises(RangeUnsatisfiable):
        resolve_range(size_bytes, first, last)


def test_a_page_is_held_between_nothing_and_a_thousand() -> None:
    assert [page_limit(limit) for limit in (-1, 0, 7, 1000, 1001, 10**12)] == [0, 0, 7, 1000, 1000, 1000]


@pytest.mark.parametrize(
    ("delimiter", "expected"),
    [("/", "0"), ("--", "-."), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("中", "丮")],
)
def test_what_follows_a_delimiter_skips_what_utf8_lacks(delimiter: str, expected: str) -> None:
    assert after_delimiter(delimiter) == expected


def test_a_delimiter_after_which_nothing_sorts_is_refused() -> None:
    with pytest.raises(BadParameter, match="10FFFF"):
        after_delimiter("\U0010ffff\U0010ffff")


@pytest.mark.parametrize(
    ("marker", "prefix", "delimiter", "expected"),
    [
        ("", "", "", ""),
        ("", "p/", "/", "p/"),
        ("a", "p/", "/", "p/"),
        ("k", "", "", "k\x01"),
        ("p/", "p/", "/", "p/\x01"),
        ("p/a/", "p/", "/", "p/a0"),
        ("p/a/b", "p/", "/", "p/a0"),
        ("p/a", "p/", "/", "p/a\x01"),
        ("q/a", "p/", "/", "q/a\x01"),
    ],
)
def test_a_marker_says_where_a_page_begins(marker: str, prefix: str, delimiter: str, expected: str) -> None:
    assert first_key_after(marker, prefix, delimiter) == expected


def test_parts_are_compared_without_quotes_and_case() -> None:
    check_parts([(1, f'"{MD5_A.upper()}"'), (3, MD5_B)], {1: MD5_A, 2: MD5_A, 3: MD5_B})


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ([], "empty"),
        ([(2, MD5_A)], "Part 2 was not uploaded"),
        ([(1, MD5_B)], "another ETag"),
        ([(3, MD5_B), (1, MD5_A)], "ascending"),
        ([(1, MD5_A), (1, MD5_A)], "ascending"),
    ],
)
def test_a_wrong_list_of_parts_says_what_is_wrong(wanted: list[tuple[int, str]], why: str) -> None:
    with pytest.raises(InvalidPart, match=why):
        check_parts(wanted, {1: MD5_A, 3: MD5_B})


def test_the_etag_of_joined_parts_is_the_md5_of_their_md5s() -> None:
    # printf '0cc1…92eb…' | xxd -r -p | md5sum
    assert joined_etag([MD5_A, MD5_B]) == "96e024ba2074fe77e8e965ba43a704be-2"


def test_a_fingerprint_tells_lists_of_parts_apart() -> None:
    one = parts_fingerprint([(1, MD5_A), (2, MD5_B)])
    assert one == parts_fingerprint([(1, f'"{MD5_A}"'), (2, MD5_B.upper())])
    assert one != parts_fingerprint([(1, MD5_A)])
    assert one != parts_fingerprint([(1, MD5_B), (2, MD5_A)])

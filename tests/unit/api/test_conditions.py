"""Conditional requests and ranges, after RFC 9110."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.api.call import Headers
from smartcover.api.conditions import Facts, failed_condition, read_date, wanted_range
from smartcover.errors import RangeUnsatisfiable

FACTS = Facts("abc", datetime(2026, 1, 5, 10, 0, 0, tzinfo=UTC), 100)
BEFORE, SAME, AFTER = (f"Mon, 05 Jan 2026 {hour}:00:00 GMT" for hour in ("09", "10", "11"))


def headers(**sent: str) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in sent.items()])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, None),
        ({"if_match": '"abc"'}, None),
        ({"if_match": "abc"}, None),
        ({"if_match": "*"}, None),
        ({"if_match": '"x", "abc"'}, None),
        ({"if_match": '"x"'}, 412),
        ({"if_none_match": '"abc"'}, 304),
        ({"if_none_match": 'W/"abc"'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"x"'}, None),
        ({"if_modified_since": BEFORE}, None),
        ({"if_modified_since": SAME}, 304),
        ({"if_modified_since": AFTER}, 304),
        ({"if_unmodified_since": BEFORE}, 412),
        ({"if_unmodified_since": SAME}, None),
        ({"if_match": '"abc"', "if_unmodified_since": BEFORE}, None),
        ({"if_none_match": '"x"', "if_modified_since": AFTER}, None),
        ({"if_modified_since": "yesterday"}, None),
        ({"if_unmodified_since": "Mon, 99 Jan 2026 99:99:99 GMT"}, None),
    ],
)
def test_conditions_are_evaluated_in_the_order_of_the_rfc(sent: dict[str, str], status: int | None) -> None:
    assert failed_condition(headers(**sent), FACTS) == status


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=10-19", (10, 19)),
        ("bytes=10-", (10, 99)),
        ("bytes=90-1000", (90, 99)),
        ("bytes=-10", (90, 99)),
        ("bytes=-1000", (0, 99)),
        ("BYTES=1-2", (1, 2)),
        ("bytes=5-2", None),
        ("bytes=0-1,5-6", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("lines=1-2", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_a_range_is_read_or_ignored(text: str, wanted: tuple[int, int] | None) -> None:
    assert wanted_range(headers(range=text), FACTS) == wanted


@pytest.mark.parametrize("text", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_outside_the_object_is_refused(text: str) -> None:
    with pytest.raises(RangeUnsatisfiable):
        wanted_range(headers(range=text), FACTS)


@pytest.mark.parametrize(
    ("if_range", "applies"), [('"abc"', True), ('"x"', False), (SAME, True), (BEFORE, False), ("nonsense", False)]
)
def test_a_range_applies_only_to_the_version_that_if_range_names(if_range: str, applies: bool) -> None:
    assert (wanted_range(headers(range="bytes=0-0", if_range=if_range), FACTS) is not None) is applies


@given(st.text(max_size=80))
def test_any_text_is_a_date_or_none(text: str) -> None:
    moment = read_date(text)
    assert moment is None or moment.tzinfo is not None

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from smartcover.errors import BadParameter
from smartcover.protocol import CHINA_STANDARD_TIME, format_time, format_utc, parse_time, parse_zone

MOMENT = datetime(2022, 6, 30, 7, 29, 42, 987654, tzinfo=UTC)


@pytest.mark.documented
def test_times_are_written_with_an_offset_without_colon() -> None:
    assert format_time(MOMENT) == "2022-06-30T15:29:42+0800"
    assert format_time(MOMENT, parse_zone("-03:30")) == "2022-06-30T03:59:42-0330"
    assert format_time(MOMENT, UTC) == "2022-06-30T07:29:42+0000"


@pytest.mark.documented
def test_an_unknown_time_is_a_dash() -> None:
    assert format_time(None) == "-"


def test_a_naive_time_is_refused() -> None:
    naive = MOMENT.replace(tzinfo=None)
    with pytest.raises(ValueError, match="naive"):
        format_time(naive)
    with pytest.raises(ValueError, match="naive"):
        format_utc(naive)


def test_the_object_api_writes_utc() -> None:
    assert format_utc(MOMENT) == "2022-06-30T07:29:42.987Z"
    assert format_utc(MOMENT, milliseconds=False) == "2022-06-30T07:29:42Z"


@pytest.mark.parametrize(
    "text",
    [
        "2022-06-30T15:29:42+0800",
        "2022-06-30T15:29:42+08:00",
        "2022-06-30 15:29:42+0800",
        "2022-06-30T07:29:42z",
        "2022-06-30T07:29:42Z",
        "2022-06-30T07:29:42.000Z",
        " 2022-06-30T07:29:42Z ",
        "2022-06-30T15:29:42 +0800",
    ],
)
def test_the_spellings_that_clients_use_are_one_instant(text: str) -> None:
    assert parse_time(text) == datetime(2022, 6, 30, 7, 29, 42, tzinfo=UTC)


def test_the_offset_sent_is_kept() -> None:
    assert parse_time("2022-06-30T15:29:42+0800").utcoffset() == CHINA_STANDARD_TIME.utcoffset(None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "2022-06-30",
        "2022-06-30T15:29:42",
        "2022-13-30T15:29:42Z",
        "2022-02-30T15:29:42Z",
        "2022-06-30T25:29:42Z",
        "2022-06-30T15:29:42+9900",
        "0001-01-01T00:00:00+0800",
        "9999-12-31T23:59:59-0800",
        "２０22-06-30T15:29:42Z",
        "x" * 10_000,
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadParameter, match=r"is not (a time|an offset)") as caught:
        parse_time(text)
    assert len(caught.value.public) < 200


@pytest.mark.parametrize(("text", "hours"), [("+0800", 8), ("-08:00", -8), ("Z", 0)])
def test_a_zone_is_read_from_its_offset(text: str, hours: int) -> None:
    assert parse_zone(text) == timezone(timedelta(hours=hours))

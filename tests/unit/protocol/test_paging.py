"""Tokens of lists lead back to where they came from, and what is no token is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import BadParameter
from smartcover.protocol import Page, read_token, write_token

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.builds(
    lambda micros, hours: (EPOCH + timedelta(microseconds=micros)).astimezone(timezone(timedelta(hours=hours))),
    st.integers(0, 10**16),
    st.integers(-12, 14),
)


@given(MOMENTS, st.integers(0, (1 << 63) - 1))
def test_a_token_reads_back_as_what_it_was_written_from(moment: datetime, seq: int) -> None:
    token = write_token(moment, seq)
    assert token.isascii()
    assert token.isdecimal(), "the vendor's tokens are digits"
    assert read_token(token) == (moment, seq)


@given(st.text(max_size=60))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    try:
        moment, seq = read_token(text)
    except BadParameter:
        return
    assert moment.tzinfo is not None
    assert 0 <= seq < 1 << 63


@pytest.mark.parametrize("text", ["", "1", "9" * 37, "9" * 36, "x" * 30, "-" + "1" * 30, "１" * 30])
def test_what_no_list_gave_out_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(BadParameter, match="leave it out"):
        read_token(text)


def test_a_page_tells_its_counts_as_texts() -> None:
    assert Page(total=3, number=2, size=10).tree() == {"TotalCount": "3", "PageNumber": "2", "PageSize": "10"}

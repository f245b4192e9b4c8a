"""What the lines of a URL file name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.service.batch_sources import key_of_url


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://b-1.cos.r.myqcloud.com/in/a%20b+%E4%B8%AD.mp4", "in/a b+中.mp4"),
        ("http://B-1.cos.r.myqcloud.com:8080/a.mp4?x=1", "a.mp4"),
        ("http://127.0.0.1:8460/b-1/a.mp4", "a.mp4"),
        ("http://127.0.0.1:8460/a.mp4", "a.mp4"),
        ("https://other-2.cos.r.myqcloud.com/a.mp4", None),
        ("https://b-1.cos-internal.r.tencentcos.cn/a.mp4", "a.mp4"),
        ("https://other-2.cos-internal.r.tencentcos.cn/a.mp4", None),
        ("http://[bad/a.mp4", None),
        ("ftp://b-1.cos.r/a.mp4", None),
        ("in/a.mp4", None),
        ("https://b-1.cos.r.myqcloud.com/", None),
    ],
)
def test_the_key_of_an_access_url(url: str, key: str | None) -> None:
    assert key_of_url(url, "b-1") == key


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_none(text: str) -> None:
    key_of_url(text, "b-1")

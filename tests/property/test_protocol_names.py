"""Names: expansion never fails, covers of one job never share a name, and every accepted key can be written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartcover.protocol import expand_name, has_number, key_fault, parse_xml, to_xml

PIECES = st.sampled_from(
    [
        "out/",
        "c-",
        "${number}",
        "${Number}",
        "${ext}",
        "${jobid}",
        "${InputPath}",
        "${InputName}",
        "${x}",
        "{Ext}",
        "$",
        "//",
    ]
)
PATTERNS = st.lists(PIECES | st.text(max_size=3), min_size=1, max_size=6).map("".join)


def expand(pattern: str, number: int, input_key: str = "in/clip.mp4") -> str:
    return expand_name(pattern, number=number, ext="jpg", job_id="j1", input_key=input_key)


@given(PATTERNS, st.text(max_size=20))
def test_covers_of_one_job_never_share_a_name(pattern: str, input_key: str) -> None:
    names = {expand(pattern, number, input_key) for number in range(10)}
    assert len(names) == (10 if has_number(pattern) else 1)


@given(st.text(st.characters(), max_size=300))
def test_every_accepted_key_survives_xml(key: str) -> None:
    if key_fault(key) is None:
        assert parse_xml(to_xml({"Key": key})) == {"Key": key}
        assert 1 <= len(key.encode()) <= 850

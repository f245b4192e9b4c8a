"""The official Python SDK's own reader understands what we write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

qcloud_comm = pytest.importorskip("qcloud_cos.cos_comm")

OURS = Path(__file__).resolve().parents[2] / "golden" / "ours"


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = qcloud_comm.xml_to_dict((OURS / name).read_bytes())
    return document


@pytest.mark.observed
def test_every_document_can_be_read() -> None:
    names = sorted(path.name for path in OURS.glob("*.xml"))
    assert len(names) >= 15
    for name in names:
        assert isinstance(read(name), dict), name


@pytest.mark.observed
def test_a_listing_is_read_with_its_names_decoded() -> None:
    listing = qcloud_comm.format_dict(read("object-list-bucket.xml"), ["Contents", "CommonPrefixes"])
    qcloud_comm.decode_result(
        listing, ["Prefix", "Marker", "NextMarker"], [["Contents", "Key"], ["CommonPrefixes", "Prefix"]]
    )
    assert listing["Contents"][0]["Key"] == "a b/猫+\x01.mp4"
    assert listing["NextMarker"] == "a b/猫+\x01.mp4"
    assert listing["CommonPrefixes"] == [{"Prefix": "a b/c&d/"}]
    assert listing["IsTruncated"] == "true"


@pytest.mark.observed
def test_an_error_is_read_with_its_code() -> None:
    error = read("error.xml")
    assert (error["Code"], error["Resource"], error["RequestId"]) == ("InvalidArgument", "/jobs", "NjY=")


@pytest.mark.observed
def test_several_jobs_are_a_list_and_one_is_an_object() -> None:
    assert isinstance(read("answer-multi.xml")["JobsDetail"], list)
    submitted = read("answer-submitted.xml")["JobsDetail"]
    assert submitted["State"] == "Submitted"
    assert submitted["Operation"]["SmartCover"] == {"Format": "webp", "Count": "2"}

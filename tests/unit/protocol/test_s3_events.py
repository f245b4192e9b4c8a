"""Notifications of S3 and MinIO: what was created, once each, with the key as it really is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import BadParameter, MalformedBody, RequestError
from smartcover.protocol import parse_s3_events


def aws(**changes: Any) -> dict[str, Any]:
    """A record in the form of AWS, with parts of its object replaced."""
    entry = {"key": "in/my+clip+%E4%B8%AD%2B.mp4", "size": 1024, "eTag": "D41D8", "sequencer": "0A1B2C"} | changes
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-01-05T02:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
        "s3": {"bucket": {"name": "videos"}, "object": entry},
    }


def minio() -> dict[str, Any]:
    """A whole notification in the form of MinIO."""
    entry = {
        "key": "in%2Fa.mp4",
        "size": 7,
        "eTag": "abc",
        "contentType": "video/mp4",
        "userMetadata": {"content-type": "video/mp4", "X-Amz-Meta-Id": "42"},
        "versionId": "v1",
        "sequencer": "17A",
    }
    record = aws() | {"eventName": "s3:ObjectCreated:CompleteMultipartUpload"}
    record["s3"] = {"bucket": {"name": "videos"}, "object": entry}
    return {"EventName": record["eventName"], "Key": "videos/in/a.mp4", "Records": [record]}


def parse(*records: Any) -> Any:
    return parse_s3_events(json.dumps({"Records": list(records)}).encode())


def test_a_record_of_aws_is_read_with_its_key_decoded() -> None:
    (event,) = parse(aws())
    assert (event.bucket, event.key) == ("videos", "in/my clip 中+.mp4")
    assert (event.name, event.size_bytes, event.etag) == ("cos:ObjectCreated:Put", 1024, "d41d8")
    assert event.request_id == "C3D13FE58DE4C810"


def test_a_notification_of_minio_is_read_with_its_metadata() -> None:
    (event,) = parse_s3_events(json.dumps(minio()).encode())
    assert (event.key, event.name) == ("in/a.mp4", "cos:ObjectCreated:CompleteMultipartUpload")
    assert event.headers == {"content-type": "video/mp4", "x-cos-meta-id": "42"}


@pytest.mark.parametrize(
    "name", ["ObjectRemoved:Delete", "s3:ObjectCreated:PutTagging", "s3:ObjectAccessed:Get", "", 7]
)
def test_other_events_give_nothing(name: Any) -> None:
    assert parse(aws() | {"eventName": name}) == ()


def test_the_test_event_of_the_set_up_gives_nothing() -> None:
    assert parse_s3_events(b'{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"videos"}') == ()


def test_an_event_told_again_has_the_same_id_and_another_has_not() -> None:
    first = parse(aws())[0].event_id
    assert parse(aws())[0].event_id == first
    others = [
        aws(sequencer="0A1B2D"),
        aws(key="in/other"),
        aws(sequencer=None, versionId="v"),
        aws(sequencer=None),
        aws(sequencer=None) | {"eventTime": "2026-01-05T02:00:01.000Z"},
    ]
    ids = [parse(other)[0].event_id for other in others]
    assert len({first, *ids}) == len(others) + 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"nonsense", b'{"Records": 7}', b"[" * 100_000])
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_s3_events(body)


@pytest.mark.parametrize("changes", [{"key": ""}, {"key": None}, {"key": "%FF"}, {"key": "x" * 851}, {"key": "a%00"}])
def test_a_key_that_cannot_be_used_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadParameter):
        parse(aws(**changes))


def test_a_body_over_the_limit_is_refused() -> None:
    with pytest.raises(MalformedBody):
        parse_s3_events(json.dumps({"Records": [aws()]}).encode(), max_bytes=100)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["eventName", "s3", "eventTime", "responseElements"]), VALUES), VALUES)
def test_any_json_is_a_notification_or_a_refusal(record: dict[str, Any], entry: Any) -> None:
    for candidate in (record, aws() | record, aws() | {"s3": {"bucket": {"name": "b"}, "object": entry}}, entry):
        try:
            parse_s3_events(json.dumps({"Records": [candidate]}).encode())
        except RequestError:
            continue


@given(st.binary(max_size=200))
def test_any_bytes_are_a_notification_or_a_refusal(body: bytes) -> None:
    try:
        parse_s3_events(body)
    except RequestError:
        return

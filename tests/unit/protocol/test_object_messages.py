from __future__ import annotations

from datetime import UTC, datetime

import pytest

from smartcover.errors import BadParameter, MalformedBody, MissingBody
from smartcover.protocol import (
    CompletedPart,
    DeleteRequest,
    ObjectListing,
    ObjectSummary,
    list_bucket_result,
    parse_complete_multipart_upload,
    parse_delete,
    to_xml,
)

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ETAG = "5cc8d26e0b5b4730543fb18b9523678a"


@pytest.mark.observed
@pytest.mark.parametrize(
    "part",
    [
        f"<PartNumber>1</PartNumber><ETag>&quot;{ETAG}&quot;</ETag>",
        f"<ETag>&#34;{ETAG}&#34;</ETag><PartNumber>1</PartNumber>",
        f'<PartNumber>1</PartNumber><ETag>"{ETAG}"</ETag>',
        f"<PartNumber> 1 </PartNumber>\n<ETag>{ETAG}</ETag><Size>5</Size>",
    ],
)
def test_parts_are_read_in_each_sdks_spelling(part: str) -> None:
    body = f"<CompleteMultipartUpload><Part>{part}</Part></CompleteMultipartUpload>"
    assert parse_complete_multipart_upload(body.encode()) == (CompletedPart(number=1, etag=ETAG),)


def test_parts_keep_the_order_sent() -> None:
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{ETAG}</ETag></Part>" for n in (3, 1, 2))
    found = parse_complete_multipart_upload(f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())
    assert [part.number for part in found] == [3, 1, 2]


@pytest.mark.documented
def test_an_upload_of_ten_thousand_parts_can_be_completed() -> None:
    parts = "".join(
        f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;{ETAG}&quot;</ETag></Part>" for n in range(1, 10_001)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
    assert len(parse_complete_multipart_upload(body.encode())) == 10_000
    with pytest.raises(BadParameter, match="10001 parts; the limit is 10000"):
        extra = f"<Part><PartNumber>1</PartNumber><ETag>{ETAG}</ETag></Part></Complete"
        parse_complete_multipart_upload(body.replace("</Complete", extra).encode())


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (f"<ETag>{ETAG}</ETag>", "PartNumber is missing"),
        (f"<PartNumber>0</PartNumber><ETag>{ETAG}</ETag>", "PartNumber is '0'; give a whole number from 1 to 10000"),
        (f"<PartNumber>10001</PartNumber><ETag>{ETAG}</ETag>", "PartNumber"),
        ("<PartNumber>1</PartNumber>", "ETag is missing"),
        ("<PartNumber>1</PartNumber><ETag>''; drop</ETag>", "give the ETag that the upload answered"),
        ("x", "give child nodes"),
    ],
)
def test_a_wrong_part_is_named(part: str, message: str) -> None:
    with pytest.raises(BadParameter, match=message):
        parse_complete_multipart_upload(
            f"<CompleteMultipartUpload><Part>{part}</Part></CompleteMultipartUpload>".encode()
        )


def test_keys_to_delete_are_read() -> None:
    entries = "<Object><Key>a &amp; b</Key><VersionId/></Object><Object><Key>猫</Key></Object>"
    body = f"<Delete><Quiet>true</Quiet>{entries}</Delete>"
    assert parse_delete(body.encode()) == DeleteRequest(keys=("a & b", "猫"), quiet=True)
    assert parse_delete(b"<Delete><Object><Key>a</Key></Object></Delete>") == DeleteRequest(keys=("a",))


def test_a_delete_has_limits() -> None:
    entries = "<Object><Key>a</Key></Object>" * 1001
    with pytest.raises(BadParameter, match="1001 keys; the limit is 1000"):
        parse_delete(f"<Delete>{entries}</Delete>".encode())
    with pytest.raises(BadParameter, match=r"Delete\.Object\[1\]\.Key is missing"):
        parse_delete(b"<Delete><Object><Key>a</Key></Object><Object/></Delete>")


@pytest.mark.parametrize("parser", [parse_complete_multipart_upload, parse_delete])
def test_other_bodies_are_refused(parser: object) -> None:
    assert callable(parser)
    with pytest.raises(MissingBody):
        parser(b"")
    for body in (b"x", b"<Other/>", b"<Delete/>", b"<CompleteMultipartUpload/>"):
        with pytest.raises(MalformedBody):
            parser(body)


@pytest.mark.ours
def test_a_listing_survives_a_key_that_xml_cannot_carry() -> None:
    # Such keys are refused on upload; one that an S3 store brings along must not break the listing of the others.
    summary = ObjectSummary("a\x01\ud800b", 1, ETAG, NOON)
    plain = to_xml(list_bucket_result(ObjectListing(bucket="b-1", objects=[summary])))
    assert "<Key>a\ufffd\ufffdb</Key>".encode() in plain
    encoded = to_xml(list_bucket_result(ObjectListing(bucket="b-1", objects=[summary], encoding_type="url")))
    assert b"<Key>a%01%3Fb</Key>" in encoded

"""Flows of objects: what SDKs do with videos and covers."""

from __future__ import annotations

import hashlib
from typing import Final

from smartcover.conformance.bench import Bench, Flow, equal, expect, ok, refused
from smartcover.protocol import to_xml

_NAME: Final = "视频 a+b(1)'.txt"
#: CRC-64/ECMA-182, reflected (XZ), of `hello`, as the Go SDK compares it after an upload.
_CRC_OF_HELLO: Final = "11177612005948864433"


def round_trip(bench: Bench) -> None:
    key = bench.put(_NAME, b"hello", x_cos_meta_note="n 1")
    whole = ok(bench.client.cos("GET", key))
    equal("the object", whole.body, b"hello")
    equal("ETag", whole.headers.get("etag"), f'"{hashlib.md5(b"hello", usedforsecurity=False).hexdigest()}"')
    equal("x-cos-meta-note", whole.headers.get("x-cos-meta-note"), "n 1")
    part = ok(bench.client.cos("GET", key, headers={"Range": "bytes=1-3"}), 206)
    equal("the range", part.body, b"ell")
    head = ok(bench.client.cos("HEAD", key))
    equal("Content-Length", head.headers.get("content-length"), "5")
    equal("the status of DELETE", bench.client.cos("DELETE", key).status, 204)
    equal("the status of HEAD afterwards", bench.client.cos("HEAD", key).status, 404)
    refused(bench.client.cos("GET", key), 404, "NoSuchKey")


def checksum(bench: Bench) -> None:
    key = bench.put("crc", b"hello")
    answer = ok(bench.client.cos("PUT", key, body=b"hello"))
    equal("x-cos-hash-crc64ecma", answer.headers.get("x-cos-hash-crc64ecma"), _CRC_OF_HELLO)


def listing(bench: Bench) -> None:
    keys = [bench.put(name, b"x") for name in ("list/a b", "list/中", "list/sub/c")]
    query = {"prefix": f"{bench.place}list/", "delimiter": "/", "max-keys": "10"}
    answer = ok(bench.client.cos("GET", query=query))
    equal("the keys", answer.texts("ListBucketResult/Contents/Key"), sorted(keys[:2], key=str.encode))
    equal("the folders", answer.texts("ListBucketResult/CommonPrefixes/Prefix"), [f"{bench.place}list/sub/"])
    equal("IsTruncated", answer.text("ListBucketResult/IsTruncated"), "false")


def multipart(bench: Bench) -> None:
    key = f"{bench.place}parts"
    bench.delete_afterwards(key)
    begun = ok(bench.client.cos("POST", key, query={"uploads": ""}))
    upload = {"uploadId": begun.text("InitiateMultipartUploadResult/UploadId")}
    bench.afterwards(lambda: bench.client.cos("DELETE", key, query=upload))
    parts = [b"a" * (1 << 20), b"b"]
    etags = [
        ok(bench.client.cos("PUT", key, query={"partNumber": str(number), **upload}, body=part)).headers.get("etag", "")
        for number, part in enumerate(parts, 1)
    ]
    listed = ok(bench.client.cos("GET", key, query=upload))
    equal("the parts", listed.texts("ListPartsResult/Part/PartNumber"), ["1", "2"])
    named = [{"PartNumber": str(number), "ETag": etag} for number, etag in enumerate(etags, 1)]
    body = to_xml({"CompleteMultipartUpload": {"Part": [dict(part) for part in named]}})
    done = ok(bench.client.cos("POST", key, query=upload, body=body))
    expect(done.text("CompleteMultipartUploadResult/ETag").strip('"').endswith("-2"), "the ETag does not end in -2")
    equal("the object", ok(bench.client.cos("GET", key)).body, b"".join(parts))


FLOWS: Final = (
    Flow(
        "an object goes round",
        "documented",
        ("PUT /<key>", "GET /<key>", "HEAD /<key>", "DELETE /<key>"),
        round_trip,
    ),
    Flow("an upload is answered with its CRC-64", "observed", ("PUT /<key>",), checksum),
    Flow("objects are listed by prefix and folder", "documented", ("GET /",), listing),
    Flow(
        "an object goes up in parts",
        "documented",
        (
            "POST /<key>?uploads",
            "PUT /<key>?partNumber&uploadId",
            "GET /<key>?uploadId",
            "POST /<key>?uploadId",
            "DELETE /<key>?uploadId",
        ),
        multipart,
    ),
)

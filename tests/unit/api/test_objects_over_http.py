"""Objects, buckets and uploads over a real socket: the headers and documents that clients check."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator

import pytest

from smartcover.api import EdgeConfig
from tests.edge_server import BUCKET, CI_HOST, COS_HOST, REGION, Connection, RunningEdge, build, exchange, running_edge

HELLO_MD5 = hashlib.md5(b"hello").hexdigest()
HELLO_CRC64 = "11177612005948864433"


def put(edge: RunningEdge, key: str, body: bytes = b"hello", **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    assert exchange(edge.port, build("PUT", key, body=body, headers=named)).status == 200


def test_a_put_answers_with_what_clients_verify(edge: RunningEdge) -> None:
    reply = exchange(edge.port, build("PUT", "/verify", body=b"hello"))
    assert reply.headers["etag"] == f'"{HELLO_MD5}"'
    assert reply.headers["x-cos-hash-crc64ecma"] == HELLO_CRC64
    assert reply.body == b""


def test_a_get_answers_with_the_object_and_its_headers(edge: RunningEdge) -> None:
    put(edge, "/get", x_cos_meta_a="v 1/2", Content_Type="text/plain", Cache_Control="no-cache")
    reply = exchange(edge.port, build("GET", "/get"))
    assert (reply.status, reply.body) == (200, b"hello")
    assert reply.headers["content-type"] == "text/plain"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-cos-meta-a"] == "v 1/2"
    assert reply.headers["accept-ranges"] == "bytes"
    assert reply.headers["last-modified"].endswith(" GMT")
    assert reply.headers["x-cos-hash-crc64ecma"] == HELLO_CRC64


def test_an_object_without_a_type_is_bytes(edge: RunningEdge) -> None:
    put(edge, "/typeless")
    assert exchange(edge.port, build("GET", "/typeless")).headers["content-type"] == "application/octet-stream"


def test_metadata_outside_ascii_comes_back_as_it_was_sent(edge: RunningEdge) -> None:
    request = build("PUT", "/meta", headers={"x-cos-meta-name": "PLACEHOLDER"}, body=b"x")
    put_reply = exchange(edge.port, request.replace(b"PLACEHOLDER", "中文".encode()))
    assert put_reply.status == 200
    reply = exchange(edge.port, build("GET", "/meta"))
    assert reply.headers["x-cos-meta-name"].encode("latin-1").decode() == "中文"


def test_metadata_that_another_program_wrote_into_the_store_is_shown_as_utf_8(edge: RunningEdge) -> None:
    async def once() -> AsyncIterator[bytes]:
        yield b"x"

    edge.run(edge.store.put(BUCKET, "foreign", once(), headers={"x-cos-meta-name": "中文"}))
    reply = exchange(edge.port, build("GET", "/foreign"))
    assert reply.headers["x-cos-meta-name"].encode("latin-1").decode() == "中文"


def test_a_preflight_is_answered_as_by_a_bucket_without_rules(edge: RunningEdge) -> None:
    asked = {"Origin": "http://site.example", "Access-Control-Request-Method": "PUT"}
    reply = exchange(edge.port, build("OPTIONS", "/page", headers=asked, signed=False))
    assert (reply.status, reply.code) == (403, "AccessDenied")
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_the_query_may_say_other_headers(edge: RunningEdge) -> None:
    put(edge, "/override")
    query = "response-content-type=image%2Fpng&response-content-disposition=attachment%3B%20filename%3Da.png"
    reply = exchange(edge.port, build("GET", f"/override?{query}"))
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["content-disposition"] == "attachment; filename=a.png"


def test_a_header_cannot_be_smuggled_in_by_the_query(edge: RunningEdge) -> None:
    put(edge, "/smuggle")
    reply = exchange(edge.port, build("GET", "/smuggle?response-content-type=a%0d%0aSet-Cookie:%20x"))
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_a_range_is_answered_with_its_place(edge: RunningEdge) -> None:
    put(edge, "/range")
    reply = exchange(edge.port, build("GET", "/range", headers={"Range": "bytes=1-2"}))
    assert (reply.status, reply.body, reply.headers["content-range"]) == (206, b"el", "bytes 1-2/5")


def test_a_range_outside_is_refused_with_the_size(edge: RunningEdge) -> None:
    put(edge, "/outside")
    reply = exchange(edge.port, build("GET", "/outside", headers={"Range": "bytes=5-"}))
    assert (reply.status, reply.code, reply.headers["content-range"]) == (416, "InvalidRange", "bytes */5")


def test_a_head_has_the_length_and_no_body(edge: RunningEdge) -> None:
    put(edge, "/head")
    with Connection(edge.port) as connection:
        connection.send(build("HEAD", "/head"))
        assert connection.reply(method="HEAD").headers["content-length"] == "5"
        connection.send(build("GET", "/head"))
        assert connection.reply().body == b"hello"


def test_conditions_are_kept(edge: RunningEdge) -> None:
    put(edge, "/if")
    with Connection(edge.port) as connection:
        connection.send(build("GET", "/if", headers={"If-None-Match": f'"{HELLO_MD5}"'}))
        not_modified = connection.reply()
        assert (not_modified.status, not_modified.headers["etag"]) == (304, f'"{HELLO_MD5}"')
        connection.send(build("GET", "/if", headers={"If-Match": '"x"'}))
        assert connection.reply().code == "PreconditionFailed"


def test_an_empty_object_can_be_kept(edge: RunningEdge) -> None:
    put(edge, "/empty", b"")
    reply = exchange(edge.port, build("GET", "/empty"))
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "0")


def test_a_chunked_body_is_stored(edge: RunningEdge) -> None:
    chunks = b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    request = build("PUT", "/chunked", headers={"Transfer-Encoding": "chunked"}) + chunks
    assert exchange(edge.port, request).headers["etag"] == f'"{HELLO_MD5}"'


def test_a_wrong_digest_stores_nothing(edge: RunningEdge) -> None:
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert exchange(edge.port, build("PUT", "/digest", body=b"hello", headers={"Content-MD5": wrong})).status == 400
    assert exchange(edge.port, build("GET", "/digest")).code == "NoSuchKey"


UNKEPT = ["x-cos-forbid-overwrite", "x-cos-server-side-encryption-customer-key", "Pic-Operations"]


@pytest.mark.parametrize("name", UNKEPT)
@pytest.mark.parametrize(
    ("method", "target", "more"),
    [
        ("PUT", "/promise", {}),
        ("PUT", "/promise", {"x-cos-copy-source": f"{COS_HOST}/promise-source"}),
        ("POST", "/promise?uploads", {}),
        ("POST", "/promise?uploadId=u1", {}),
    ],
)
def test_a_promise_that_cannot_be_kept_is_refused(
    edge: RunningEdge, name: str, method: str, target: str, more: dict[str, str]
) -> None:
    put(edge, "/promise-source")
    reply = exchange(edge.port, build(method, target, body=b"x", headers={**more, name: "true"}))
    assert (reply.status, reply.code) == (400, "NotSupported")
    assert name.lower() in reply.node("Message")
    assert exchange(edge.port, build("HEAD", "/promise"), method="HEAD").status == 404


def test_a_picture_is_not_processed_where_it_lies(edge: RunningEdge) -> None:
    put(edge, "/picture.jpg")
    reply = exchange(edge.port, build("POST", "/picture.jpg?image_process", headers={"Pic-Operations": "{}"}))
    assert (reply.status, reply.code) == (400, "NotSupported")


def test_an_own_header_without_a_value_comes_back_so(edge: RunningEdge) -> None:
    put(edge, "/meta/empty", x_cos_meta_a="", x_cos_meta_b="1", cache_control="")
    for method in ("GET", "HEAD"):
        headers = exchange(edge.port, build(method, "/meta/empty"), method=method).headers
        assert (headers["x-cos-meta-a"], headers["x-cos-meta-b"], headers.get("cache-control")) == ("", "1", None)


def test_an_escaped_slash_is_the_same_key(edge: RunningEdge) -> None:
    put(edge, "/dir%2Fa%20b%2B%E4%B8%AD(1)'.txt")
    assert exchange(edge.port, build("GET", "/dir/a%20b+%E4%B8%AD%281%29%27.txt")).status == 200


def test_an_escaped_slash_behind_a_reserved_word_is_an_object(edge: RunningEdge) -> None:
    put(edge, "/jobs%2Fx")
    assert exchange(edge.port, build("GET", "/jobs%2Fx")).body == b"hello"


def test_dots_in_a_key_lead_nowhere(edge: RunningEdge) -> None:
    put(edge, "/../../etc/passwd")
    reply = exchange(edge.port, build("GET", "/%2e%2e/%2e%2e/etc/passwd"))
    assert reply.body == b"hello"


def test_a_deleted_object_is_gone_and_may_be_deleted_again(edge: RunningEdge) -> None:
    put(edge, "/gone")
    for _ in range(2):
        assert exchange(edge.port, build("DELETE", "/gone")).status == 204
    assert exchange(edge.port, build("GET", "/gone")).status == 404


def test_many_objects_are_deleted_at_once(edge: RunningEdge) -> None:
    put(edge, "/many/1")
    body = b"<Delete><Object><Key>many/1</Key></Object><Object><Key>many/2</Key></Object></Delete>"
    reply = exchange(edge.port, build("POST", "/?delete", body=body))
    assert reply.body.count(b"<Deleted>") == 2
    assert exchange(edge.port, build("GET", "/many/1")).status == 404


@pytest.mark.parametrize("source", [f"{COS_HOST}/copy/from%20here", f"/{BUCKET}/copy/from%20here"])
def test_an_object_is_copied_with_its_headers(edge: RunningEdge, source: str) -> None:
    put(edge, "/copy/from%20here", x_cos_meta_a="1")
    reply = exchange(edge.port, build("PUT", "/copy/to", headers={"x-cos-copy-source": source}))
    assert reply.status == 200
    assert reply.node("ETag") == f'"{HELLO_MD5}"'
    assert exchange(edge.port, build("GET", "/copy/to")).headers["x-cos-meta-a"] == "1"


def test_a_copy_may_replace_the_headers(edge: RunningEdge) -> None:
    put(edge, "/replace/from", x_cos_meta_a="1")
    sent = {
        "x-cos-copy-source": f"{COS_HOST}/replace/from",
        "x-cos-metadata-directive": "Replaced",
        "x-cos-meta-b": "2",
    }
    assert exchange(edge.port, build("PUT", "/replace/to", headers=sent)).status == 200
    headers = exchange(edge.port, build("GET", "/replace/to")).headers
    assert (headers.get("x-cos-meta-a"), headers["x-cos-meta-b"]) == (None, "2")


def test_a_copy_keeps_its_conditions(edge: RunningEdge) -> None:
    put(edge, "/condition/from")
    sent = {"x-cos-copy-source": f"{COS_HOST}/condition/from", "x-cos-copy-source-if-match": '"x"'}
    assert exchange(edge.port, build("PUT", "/condition/to", headers=sent)).code == "PreconditionFailed"


def test_a_listing_folds_pages_and_escapes(edge: RunningEdge) -> None:
    for key in ("/list/a%26b", "/list/d/1", "/list/d/2", "/list/e"):
        put(edge, key)
    query = "prefix=list/&delimiter=/&max-keys=2&encoding-type=url"
    page = exchange(edge.port, build("GET", f"/?{query}"))
    assert page.node("IsTruncated") == "true"
    assert b"<Key>list/a%26b</Key>" in page.body
    assert b"<CommonPrefixes><Prefix>list/d/</Prefix></CommonPrefixes>" in page.body
    rest = exchange(edge.port, build("GET", f"/?{query}&marker={page.node('NextMarker')}"))
    assert (rest.node("IsTruncated"), rest.node("Key")) == ("false", "list/e")


def test_a_page_of_no_keys_is_not_truncated(edge: RunningEdge) -> None:
    assert exchange(edge.port, build("GET", "/?max-keys=0")).node("IsTruncated") == "false"


def test_uploads_under_way_are_folded_by_a_delimiter(edge: RunningEdge) -> None:
    for key in ("fold/a/1", "fold/a/2", "fold/b%20c/1", "fold/z"):
        exchange(edge.port, build("POST", f"/{key}?uploads"))
    page = exchange(edge.port, build("GET", "/?uploads&prefix=fold/&delimiter=/&max-uploads=2&encoding-type=url"))
    assert (page.node("Delimiter"), page.node("IsTruncated")) == ("/", "true")
    assert b"<NextUploadIdMarker/>" in page.body
    assert re.findall(rb"<CommonPrefixes><Prefix>([^<]*)<", page.body) == [b"fold/a/", b"fold/b%20c/"]
    assert b"<Upload>" not in page.body
    marker = page.node("NextKeyMarker")
    rest = exchange(
        edge.port, build("GET", f"/?uploads&prefix=fold/&delimiter=/&key-marker={marker}&upload-id-marker=")
    )
    assert (rest.node("IsTruncated"), rest.node("Key")) == ("false", "fold/z")
    assert b"<CommonPrefixes>" not in rest.body


def test_a_multipart_upload_is_joined_in_order(edge: RunningEdge) -> None:
    upload_id = exchange(edge.port, build("POST", "/parts?uploads", headers={"x-cos-meta-a": "1"})).node("UploadId")
    etags = [
        exchange(edge.port, build("PUT", f"/parts?partNumber={n}&uploadId={upload_id}", body=body)).headers["etag"]
        for n, body in ((1, b"hel"), (2, b"lo"))
    ]
    listing = exchange(edge.port, build("GET", f"/parts?uploadId={upload_id}&max-parts=1"))
    assert (listing.node("IsTruncated"), listing.node("NextPartNumberMarker")) == ("true", "1")
    assert upload_id.encode() in exchange(edge.port, build("GET", "/?uploads=&prefix=parts")).body
    parts = "".join(
        f"<Part><ETag>{etag.replace(chr(34), '&#34;')}</ETag><PartNumber>{number}</PartNumber></Part>"
        for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    done = exchange(edge.port, build("POST", f"/parts?uploadId={upload_id}", body=body))
    assert (done.status, done.headers["x-cos-hash-crc64ecma"]) == (200, HELLO_CRC64)
    assert done.node("ETag").endswith('-2"')
    reply = exchange(edge.port, build("GET", "/parts"))
    assert (reply.body, reply.headers["x-cos-meta-a"]) == (b"hello", "1")


def test_a_part_can_be_copied_out_of_an_object(edge: RunningEdge) -> None:
    put(edge, "/part/source")
    upload_id = exchange(edge.port, build("POST", "/part/copy?uploads")).node("UploadId")
    sent = {"x-cos-copy-source": f"{COS_HOST}/part/source", "x-cos-copy-source-range": "bytes=1-2"}
    reply = exchange(edge.port, build("PUT", f"/part/copy?partNumber=1&uploadId={upload_id}", headers=sent))
    assert reply.node("ETag") == f'"{hashlib.md5(b"el").hexdigest()}"'


def test_an_aborted_upload_is_gone(edge: RunningEdge) -> None:
    upload_id = exchange(edge.port, build("POST", "/abort?uploads")).node("UploadId")
    assert exchange(edge.port, build("DELETE", f"/abort?uploadId={upload_id}")).status == 204
    assert exchange(edge.port, build("GET", f"/abort?uploadId={upload_id}")).code == "NoSuchUpload"


def test_a_bucket_is_made_described_and_deleted(edge: RunningEdge) -> None:
    host = "fresh-1.cos.ap-guangzhou.myqcloud.com"
    with Connection(edge.port) as connection:
        for method, target, status in (
            ("HEAD", "/", 404),
            ("PUT", "/", 200),
            ("PUT", "/", 200),
            ("HEAD", "/", 200),
            ("GET", "/?location", 200),
            ("GET", "/?versioning", 200),
            ("DELETE", "/", 204),
            ("HEAD", "/", 404),
        ):
            body = b"" if method == "PUT" else None
            connection.send(build(method, target, host=host, body=body))
            reply = connection.reply(method=method)
            assert reply.status == status, (method, target)
            if target == "/?location":
                assert reply.node("LocationConstraint") == "ap-guangzhou"
    assert edge.run(edge.ledger.queues.page("fresh-1")).total == 1


def test_a_bucket_with_objects_is_not_deleted(edge: RunningEdge) -> None:
    put(edge, "/keep")
    assert exchange(edge.port, build("DELETE", "/")).code == "BucketNotEmpty"


def test_the_service_host_lists_the_buckets(edge: RunningEdge) -> None:
    reply = exchange(edge.port, build("GET", "/", host="service.cos.myqcloud.com"))
    assert reply.node("Name") == BUCKET


def test_servers_name_themselves_as_the_cloud_does(edge: RunningEdge) -> None:
    assert exchange(edge.port, build("GET", "/jobs/j1", host=CI_HOST)).headers["server"] == "tencent-ci"
    assert exchange(edge.port, build("GET", "/")).headers["server"] == "tencent-cos"


def test_date_and_server_are_sent_once(edge: RunningEdge) -> None:
    with Connection(edge.port) as connection:
        connection.send(build("GET", "/nothing") + build("GET", "/nothing"))
        for _ in range(2):
            names = connection.reply().names
            assert (names.count("Date"), names.count("Server")) == (1, 1)


def test_request_ids_look_like_the_clouds(edge: RunningEdge) -> None:
    request_id = exchange(edge.port, build("GET", "/")).headers["x-ci-request-id"]
    words = base64.b64decode(request_id).decode().split("_")
    assert len(words) == 4
    assert all(int(word, 16) >= 0 for word in words)


def test_probes_answer_only_what_is_no_object_call(edge: RunningEdge) -> None:
    assert exchange(edge.port, build("GET", "/healthz", host="127.0.0.1", signed=False)).body == b"ok\n"
    ready = exchange(edge.port, build("GET", "/readyz", host="127.0.0.1", signed=False))
    assert json.loads(ready.body) == {"ready": True, "database": "ok", "storage": "ok"}
    put(edge, "/healthz")
    assert exchange(edge.port, build("GET", "/healthz", host="127.0.0.1")).body == b"hello"
    assert exchange(edge.port, build("GET", "/healthz", signed=False)).status == 403


def test_every_path_of_the_bucket_in_the_path_is_signed_without_it() -> None:
    with running_edge(EdgeConfig(region=REGION)) as edge:
        host = f"127.0.0.1:{edge.port}"
        request = build("PUT", f"/{BUCKET}/a", host=host, body=b"hello", bucket_in_path=BUCKET)
        assert exchange(edge.port, request).status == 200
        request = build("PUT", "/made-1", host=host, body=b"", bucket_in_path="made-1")
        assert exchange(edge.port, request).status == 200
        request = build("GET", "/made-1/", host=host, bucket_in_path="made-1")
        assert exchange(edge.port, request).node("Name") == "made-1"
        assert exchange(edge.port, build("GET", f"/{BUCKET}/a", host=host)).body == b"hello"


def test_a_client_that_leaves_ends_the_reading(edge: RunningEdge) -> None:
    put(edge, "/large", b"x" * (8 << 20))
    for _ in range(3):
        with Connection(edge.port) as connection:
            connection.send(build("GET", "/large"))
    assert exchange(edge.port, build("HEAD", "/large"), method="HEAD").status == 200

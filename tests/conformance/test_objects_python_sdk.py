"""The official Python SDK, unmodified, keeps objects here as it does in the cloud."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastcrc import crc64

from tests.conformance.conftest import MODES, Server, close
from tests.edge_server import BUCKET, REGION

qcloud_cos = pytest.importorskip("qcloud_cos")

MEBIBYTE = 1 << 20

#: Names that have broken clients and servers before; the SDK itself strips one leading slash.
WEIRD_KEYS = [
    "with space.mp4",
    "plus+plus.mp4",
    "per%cent%2F%20.mp4",
    "封面/视频 一.mp4",
    "emoji-🎬.mp4",
    "quote'\"<&>;=.mp4",
    "x//y",
    "a/../b",
    "a/./b",
    "./dot",
    "hash#query?x=y&z",
    "trailing/",
    "tilde~(!)*@:$,",
    "jobs-like/inside",
    "e\u0301",
]


@pytest.fixture
def client(server: Server, mode: str) -> Iterator[Any]:
    made = qcloud_cos.CosS3Client(server.config(mode), retry=0)
    yield made
    close(made)


@pytest.fixture
def plain(server: Server) -> Iterator[Any]:
    """A client in one mode, for what does not depend on how the bucket is named."""
    made = qcloud_cos.CosS3Client(server.config("proxy"), retry=0)
    yield made
    close(made)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own."""
    return "t/" + hashlib.sha1(request.node.nodeid.encode()).hexdigest() + "/clip 一.mp4"


def read(client: Any, key: str, **more: Any) -> bytes:
    stream = client.get_object(BUCKET, key, KeySimplifyCheck=False, **more)["Body"].get_raw_stream()
    with stream:
        data: bytes = stream.read()
    return data


def keys_of(client: Any, prefix: str) -> list[str]:
    return [entry["Key"] for entry in client.list_objects(BUCKET, Prefix=prefix).get("Contents", [])]


def refused(error: pytest.ExceptionInfo[Any]) -> tuple[int, str]:
    """Give status and code, having seen that the whole error document was understood."""
    problem = error.value
    assert problem.get_error_msg() not in ("", "Unknown")
    assert problem.get_resource_location() not in ("", "Unknown")
    assert problem.get_request_id() not in ("", "Unknown")
    return problem.get_status_code(), problem.get_error_code()


class TestEveryWayToPointTheSdkHere:
    @pytest.mark.documented
    @pytest.mark.call("PUT /<key>", "GET /<key>", "HEAD /<key>", "DELETE /<key>", sdk="python")
    def test_an_object_goes_round(self, client: Any, key: str) -> None:
        data = os.urandom(70_000)
        put = client.put_object(
            BUCKET, data, key, EnableMD5=True, ContentType="video/mp4", Metadata={"x-cos-meta-a": "1"}
        )
        assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
        assert put["x-cos-hash-crc64ecma"] == str(crc64.xz(data))
        assert put["x-cos-request-id"]
        head = client.head_object(BUCKET, key)
        assert head["Content-Length"] == "70000"
        assert head["Content-Type"] == "video/mp4"
        assert head["x-cos-meta-a"] == "1"
        assert head["ETag"] == put["ETag"]
        assert head["Last-Modified"].endswith("GMT")
        assert read(client, key) == data
        assert read(client, key, Range="bytes=5-1004") == data[5:1005]
        assert read(client, key, Range="bytes=-10") == data[-10:]
        assert keys_of(client, key) == [key]
        assert client.object_exists(BUCKET, key)
        client.delete_object(BUCKET, key)
        client.delete_object(BUCKET, key)
        assert not client.object_exists(BUCKET, key)
        assert keys_of(client, key) == []

    @pytest.mark.observed
    @pytest.mark.call(
        "GET /?uploads", "POST /<key>?uploads", "PUT /<key>?partNumber&uploadId", "POST /<key>?uploadId", sdk="python"
    )
    def test_a_large_file_goes_up_in_parts_and_comes_down_in_ranges(
        self, client: Any, key: str, tmp_path: Path
    ) -> None:
        data = os.urandom(3 * MEBIBYTE + 12_345)
        source, target = tmp_path / "up", tmp_path / "down"
        source.write_bytes(data)
        seen: list[int] = []
        done = client.upload_file(
            BUCKET, key, str(source), PartSize=1, MAXThread=3, EnableMD5=True,
            progress_callback=lambda consumed, total: seen.append(consumed),
        )  # fmt: skip
        assert done["ETag"].strip('"').endswith("-4")
        assert done["x-cos-hash-crc64ecma"] == str(crc64.xz(data))
        assert max(seen) == len(data)
        assert client.list_multipart_uploads(BUCKET, Prefix=key).get("Upload") is None
        client.download_file(
            BUCKET, key, str(target), PartSize=1, MAXThread=3, EnableCRC=True, DumpRecordDir=str(tmp_path)
        )
        assert target.read_bytes() == data

    @pytest.mark.observed
    @pytest.mark.call("GET /?uploads", sdk="python")
    def test_uploads_under_way_are_listed_as_folders(self, client: Any, key: str) -> None:
        begun = [client.create_multipart_upload(BUCKET, f"{key}/{name}") for name in ("a/1", "a/2", "b")]
        page = client.list_multipart_uploads(BUCKET, Prefix=f"{key}/", Delimiter="/")
        assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == [f"{key}/a/"]
        assert [entry["UploadId"] for entry in page["Upload"]] == [begun[2]["UploadId"]]
        for upload in begun:
            client.abort_multipart_upload(BUCKET, upload["Key"], upload["UploadId"])

    @pytest.mark.documented
    @pytest.mark.call("HEAD /", sdk="python")
    def test_the_bucket_is_there(self, client: Any) -> None:
        assert client.head_bucket(BUCKET)["x-cos-request-id"]
        assert client.bucket_exists(BUCKET)

    @pytest.mark.documented
    @pytest.mark.parametrize("mode", ["domain", "domain with bucket"])  # elsewhere it names a host of the cloud
    @pytest.mark.call("GET /<key> presigned", sdk="python")
    def test_a_presigned_address_works_without_the_sdk(self, client: Any, key: str) -> None:
        client.put_object(BUCKET, b"presigned", key)
        address = client.get_presigned_url(BUCKET, key, "GET", Expired=60)
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.read() == b"presigned"
        address = client.get_presigned_url(BUCKET, key, "PUT", Expired=60)
        request = urllib.request.Request(address, data=b"put by address", method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        assert read(client, key) == b"put by address"

    @pytest.mark.documented
    @pytest.mark.call("PUT /<key> (copy)", sdk="python")
    def test_a_copy_is_made_in_the_store(self, client: Any, key: str) -> None:
        client.put_object(BUCKET, b"copied", key, Metadata={"x-cos-meta-a": "1"})
        source = {"Bucket": BUCKET, "Key": key, "Region": REGION}
        copied = client.copy_object(BUCKET, key + " copy", source)
        assert copied["ETag"] == f'"{hashlib.md5(b"copied").hexdigest()}"'
        assert read(client, key + " copy") == b"copied"
        assert client.head_object(BUCKET, key + " copy")["x-cos-meta-a"] == "1"
        client.copy_object(BUCKET, key, source, CopyStatus="Replaced", Metadata={"x-cos-meta-b": "2"})
        head = client.head_object(BUCKET, key)
        assert (head.get("x-cos-meta-a"), head["x-cos-meta-b"]) == (None, "2")

    @pytest.mark.documented
    @pytest.mark.parametrize("weird", WEIRD_KEYS)
    def test_a_weird_name_is_only_a_name(self, client: Any, weird: str) -> None:
        data = weird.encode()
        client.put_object(BUCKET, data, weird)
        assert read(client, weird) == data
        assert client.head_object(BUCKET, weird)["Content-Length"] == str(len(data))
        assert weird in keys_of(client, weird)
        client.delete_object(BUCKET, weird)
        assert weird not in keys_of(client, weird)


class TestErrors:
    @pytest.mark.documented
    def test_a_missing_object_is_a_404_with_the_clouds_code(self, plain: Any) -> None:
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.get_object(BUCKET, "missing")
        assert refused(error) == (404, "NoSuchKey")
        assert error.value.get_trace_id() == error.value.get_request_id()
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.head_object(BUCKET, "missing")
        assert error.value.get_status_code() == 404
        assert error.value.get_trace_id() == error.value.get_request_id()
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.copy_object(BUCKET, "k", {"Bucket": BUCKET, "Key": "missing", "Region": REGION})
        assert error.value.get_status_code() == 404

    @pytest.mark.documented
    def test_a_missing_bucket_is_a_404(self, plain: Any) -> None:
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.put_object("gone-1250000000", b"x", "k")
        assert refused(error) == (404, "NoSuchBucket")
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.list_objects("gone-1250000000")
        assert refused(error) == (404, "NoSuchBucket")
        assert not plain.bucket_exists("gone-1250000000")

    @pytest.mark.documented
    def test_a_range_outside_is_a_416(self, plain: Any, key: str) -> None:
        plain.put_object(BUCKET, b"0123456789", key)
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.get_object(BUCKET, key, Range="bytes=10-20")
        assert refused(error) == (416, "InvalidRange")

    @pytest.mark.documented
    def test_a_body_that_is_not_the_announced_one_is_refused_and_the_connection_goes_on(
        self, plain: Any, key: str
    ) -> None:
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.put_object(BUCKET, b"abc", key, ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
        assert refused(error) == (400, "BadDigest")
        plain.put_object(BUCKET, b"abc", key)
        assert read(plain, key) == b"abc"

    @pytest.mark.documented
    def test_a_wrong_key_pair_is_refused(self, server: Server, key: str) -> None:
        for more, code in (
            ({"SecretKey": "wrong"}, "SignatureDoesNotMatch"),
            ({"SecretId": "AKIDNOBODY"}, "InvalidAccessKeyId"),
        ):
            client = qcloud_cos.CosS3Client(server.config("proxy", **more), retry=0)
            try:
                with pytest.raises(qcloud_cos.CosServiceError) as error:
                    client.put_object(BUCKET, b"x" * 100_000, key)
                assert refused(error) == (403, code)
            finally:
                close(client)

    @pytest.mark.documented
    def test_a_control_character_in_a_name_is_refused(self, plain: Any) -> None:
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.put_object(BUCKET, b"x", "tab\there")
        assert refused(error) == (400, "InvalidArgument")

    @pytest.mark.ours
    def test_a_name_that_the_job_api_owns_cannot_be_an_object(self, plain: Any) -> None:
        # The SDK sends jobs to the object host in some of its modes, so the path alone decides.
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.put_object(BUCKET, b"x", "jobs/inside")
        assert error.value.get_status_code() < 500

    @pytest.mark.ours
    def test_appending_is_said_to_be_unsupported(self, plain: Any, key: str) -> None:
        # An append would make an object's digests and its readers' versions change under them.
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.append_object(BUCKET, key, 0, b"more")
        status, code = refused(error)
        assert 400 <= status < 500 or status == 501
        assert code in ("NotSupported", "NotImplemented", "MethodNotAllowed")

    @pytest.mark.documented
    @pytest.mark.parametrize("wrong", ["upload", "part", "etag"])
    def test_a_multipart_mistake_has_the_clouds_code(self, plain: Any, key: str, wrong: str) -> None:
        upload_id = plain.create_multipart_upload(BUCKET, key)["UploadId"]
        etag = plain.upload_part(BUCKET, key, b"part", 1, upload_id)["ETag"]
        part = {"PartNumber": 2 if wrong == "part" else 1, "ETag": '"' + "0" * 32 + '"' if wrong == "etag" else etag}
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.complete_multipart_upload(
                BUCKET, key, "0" * 32 if wrong == "upload" else upload_id, MultipartUpload={"Part": [part]}
            )
        assert refused(error) == ((404, "NoSuchUpload") if wrong == "upload" else (400, "InvalidPart"))


class TestMultipart:
    @pytest.mark.observed
    def test_parts_are_joined_and_a_repeated_completion_answers_the_same(self, plain: Any, key: str) -> None:
        upload_id = plain.create_multipart_upload(BUCKET, key, ContentType="video/mp4")["UploadId"]
        chunks = [os.urandom(MEBIBYTE), b"tail"]
        parts = []
        for number, chunk in enumerate(chunks, start=1):
            answer = plain.upload_part(BUCKET, key, chunk, number, upload_id, EnableMD5=True)
            assert answer["ETag"] == f'"{hashlib.md5(chunk).hexdigest()}"'
            assert answer["x-cos-hash-crc64ecma"] == str(crc64.xz(chunk))
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        listed = plain.list_parts(BUCKET, key, upload_id)
        assert [(part["PartNumber"], part["Size"]) for part in listed["Part"]] == [("1", str(MEBIBYTE)), ("2", "4")]
        first = plain.complete_multipart_upload(BUCKET, key, upload_id, MultipartUpload={"Part": parts})
        again = plain.complete_multipart_upload(BUCKET, key, upload_id, MultipartUpload={"Part": parts})
        assert first["ETag"] == again["ETag"]
        assert first["Key"] == key
        assert first["Bucket"] == BUCKET
        assert first["x-cos-hash-crc64ecma"] == str(crc64.xz(b"".join(chunks)))
        assert read(plain, key) == b"".join(chunks)
        assert plain.head_object(BUCKET, key)["Content-Type"] == "video/mp4"

    @pytest.mark.documented
    @pytest.mark.call("DELETE /<key>?uploadId", sdk="python")
    def test_an_aborted_upload_is_gone(self, plain: Any, key: str) -> None:
        upload_id = plain.create_multipart_upload(BUCKET, key)["UploadId"]
        assert [entry["UploadId"] for entry in plain.list_multipart_uploads(BUCKET, Prefix=key)["Upload"]] == [
            upload_id
        ]
        plain.abort_multipart_upload(BUCKET, key, upload_id)
        assert plain.list_multipart_uploads(BUCKET, Prefix=key).get("Upload") is None
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.upload_part(BUCKET, key, b"x", 1, upload_id)
        assert refused(error) == (404, "NoSuchUpload")

    @pytest.mark.observed
    @pytest.mark.call("GET /<key>?uploadId", sdk="python")
    def test_an_interrupted_file_is_resumed_without_sending_its_parts_again(
        self, plain: Any, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = os.urandom(3 * MEBIBYTE)
        source = tmp_path / "video"
        source.write_bytes(data)
        stale = plain.create_multipart_upload(BUCKET, key)["UploadId"]
        upload_id = plain.create_multipart_upload(BUCKET, key)["UploadId"]
        for number in (1, 3):
            plain.upload_part(BUCKET, key, data[(number - 1) * MEBIBYTE : number * MEBIBYTE], number, upload_id)
        sent: list[int] = []
        lock = threading.Lock()
        original = qcloud_cos.CosS3Client.upload_part

        def watched(self: Any, bucket: str, key: str, body: bytes, number: int, *rest: Any, **more: Any) -> Any:
            with lock:
                sent.append(number)
            return original(self, bucket, key, body, number, *rest, **more)

        monkeypatch.setattr(qcloud_cos.CosS3Client, "upload_part", watched)
        plain.upload_file(BUCKET, key, str(source), PartSize=1)
        assert sent == [2]
        assert read(plain, key) == data
        left = plain.list_multipart_uploads(BUCKET, Prefix=key)["Upload"]
        assert [entry["UploadId"] for entry in left] == [stale]

    @pytest.mark.documented
    @pytest.mark.call("PUT /<key>?partNumber&uploadId (copy)", sdk="python")
    def test_a_part_may_be_copied_from_an_object(self, plain: Any, key: str) -> None:
        plain.put_object(BUCKET, b"0123456789", key + ".source")
        upload_id = plain.create_multipart_upload(BUCKET, key)["UploadId"]
        source = {"Bucket": BUCKET, "Key": key + ".source", "Region": REGION}
        parts = []
        for number, span in ((1, "bytes=0-3"), (2, "bytes=7-9")):
            answer = plain.upload_part_copy(BUCKET, key, number, upload_id, source, CopySourceRange=span)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        plain.complete_multipart_upload(BUCKET, key, upload_id, MultipartUpload={"Part": parts})
        assert read(plain, key) == b"0123789"


class TestListing:
    @pytest.mark.documented
    @pytest.mark.call("GET /", sdk="python")
    def test_folders_and_pages(self, plain: Any, key: str) -> None:
        root = key.rpartition("/")[0] + "/"
        names = [root + name for name in ("a b", "dir 一/1", "dir 一/2", "dir+/3", "z")]
        for name in names:
            plain.put_object(BUCKET, b"x", name)
        assert keys_of(plain, root) == sorted(names, key=str.encode)
        page = plain.list_objects(BUCKET, Prefix=root, Delimiter="/")
        assert [entry["Key"] for entry in page["Contents"]] == [root + "a b", root + "z"]
        assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == [root + "dir 一/", root + "dir+/"]
        assert page["IsTruncated"] == "false"
        entry = page["Contents"][0]
        assert (entry["Size"], entry["ETag"]) == ("1", f'"{hashlib.md5(b"x").hexdigest()}"')
        seen: list[str] = []
        marker = ""
        for _ in range(10):
            page = plain.list_objects(BUCKET, Prefix=root, Delimiter="/", Marker=marker, MaxKeys=1)
            seen += [entry["Key"] for entry in page.get("Contents", [])]
            seen += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            if page["IsTruncated"] == "false":
                break
            marker = page["NextMarker"]
        assert seen == [root + "a b", root + "dir 一/", root + "dir+/", root + "z"]

    @pytest.mark.documented
    @pytest.mark.call("POST /?delete", sdk="python")
    def test_many_objects_are_deleted_at_once(self, plain: Any, key: str) -> None:
        names = [key, key + " +", key + "&<>"]
        for name in names:
            plain.put_object(BUCKET, b"x", name)
        listed = {"Object": [{"Key": name} for name in (*names, key + ".missing")]}
        answer = plain.delete_objects(BUCKET, Delete=listed)
        assert [entry["Key"] for entry in answer["Deleted"]] == [*names, key + ".missing"]
        assert keys_of(plain, key) == []
        plain.put_object(BUCKET, b"x", key)
        assert plain.delete_objects(BUCKET, Delete={"Quiet": "true", "Object": [{"Key": key}]}).get("Deleted") is None
        assert keys_of(plain, key) == []


class TestBuckets:
    @pytest.mark.documented
    @pytest.mark.call("PUT /", "DELETE /", sdk="python")
    def test_a_bucket_is_made_and_deleted_when_it_is_empty(self, plain: Any) -> None:
        name = "made-1250000000"
        plain.create_bucket(name)
        assert plain.bucket_exists(name)
        plain.put_object(name, b"x", "k")
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.delete_bucket(name)
        assert refused(error) == (409, "BucketNotEmpty")
        plain.delete_object(name, "k")
        plain.delete_bucket(name)
        assert not plain.bucket_exists(name)

    @pytest.mark.documented
    @pytest.mark.call("GET / (buckets)", sdk="python")
    def test_all_buckets_are_listed(self, plain: Any) -> None:
        names = [entry["Name"] for entry in plain.list_buckets()["Buckets"]["Bucket"]]
        assert BUCKET in names


class TestBodies:
    @pytest.mark.observed
    def test_a_body_without_a_length_is_sent_in_chunks(self, plain: Any, key: str) -> None:
        def pieces() -> Iterator[bytes]:
            for _ in range(50):
                yield b"x" * 30_000

        plain.put_object(BUCKET, pieces(), key)
        assert plain.head_object(BUCKET, key)["Content-Length"] == str(50 * 30_000)

    @pytest.mark.documented
    def test_an_empty_object_and_a_stream_are_bodies_too(self, plain: Any, key: str) -> None:
        plain.put_object(BUCKET, b"", key)
        assert read(plain, key) == b""
        plain.put_object(BUCKET, io.BytesIO(b"stream"), key)
        assert read(plain, key) == b"stream"

    @pytest.mark.documented
    def test_the_answers_headers_can_be_chosen_by_the_reader(self, plain: Any, key: str) -> None:
        plain.put_object(BUCKET, b"x", key, ContentType="video/mp4", CacheControl="no-store")
        answer = plain.get_object(
            BUCKET, key, ResponseContentType="text/plain", ResponseContentDisposition="attachment"
        )
        with answer["Body"].get_raw_stream():
            assert answer["Content-Type"] == "text/plain"
            assert answer["Content-Disposition"] == "attachment"
            assert answer["Cache-Control"] == "no-store"

    @pytest.mark.documented
    def test_a_reader_says_which_version_it_wants(self, plain: Any, key: str) -> None:
        etag = plain.put_object(BUCKET, b"x", key)["ETag"]
        assert read(plain, key, IfMatch=etag) == b"x"
        with pytest.raises(qcloud_cos.CosServiceError) as error:
            plain.get_object(BUCKET, key, IfMatch='"other"')
        assert refused(error) == (412, "PreconditionFailed")


@pytest.mark.ours
@pytest.mark.parametrize("key", ["jobs/j1/cover-0.jpg", "template/视频.mp4", "queue/a.mp4"])
def test_covers_and_videos_may_lie_below_the_words_of_ci(plain: Any, key: str) -> None:
    plain.put_object(BUCKET, b"x", key)
    assert read(plain, key) == b"x"
    plain.delete_object(BUCKET, key)
    assert not plain.object_exists(BUCKET, key)


@pytest.mark.observed
@pytest.mark.call("PUT /<key>", "GET /", "PUT /<key> (copy)", sdk="python")
def test_the_newer_hosts_of_the_sdk_name_their_bucket_too(server: Server, plain: Any, key: str) -> None:
    """`EnableOldDomain=False` sends object calls to `B.cos-internal.R.tencentcos.cn`, not to the default bucket."""
    client = qcloud_cos.CosS3Client(server.config("proxy", EnableOldDomain=False), retry=0)
    other = "inner-1250000000"
    client.create_bucket(other)
    client.put_object(other, b"x", key)
    assert [entry["Key"] for entry in plain.list_objects(other)["Contents"]] == [key]
    assert [entry["Key"] for entry in client.list_objects(other)["Contents"]] == [key]
    client.copy_object(BUCKET, f"{key}.copy", {"Bucket": other, "Key": key, "Region": REGION})
    assert read(plain, f"{key}.copy") == b"x"
    close(client)


def test_every_mode_of_the_sdks_configuration_is_tried() -> None:
    assert set(MODES) == {"domain", "domain with bucket", "ip", "ip with endpoint", "ip with domain", "proxy"}

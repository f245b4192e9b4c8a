"""
The documents of the object API: listings, multipart uploads and batch deletes.

No namespace stands on any root: the Python SDK strips only the five it knows. With `encoding_type="url"` keys,
prefixes and markers are percent-encoded, which the SDKs undo; it is also the only way for a key to carry a character
that XML cannot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from smartcover.errors import BadParameter, MalformedBody, MissingBody
from smartcover.protocol.fields import Fields, shown
from smartcover.protocol.times import format_utc
from smartcover.protocol.xml_codec import Tree, parse_xml

MAX_PARTS: Final = 10_000
MAX_DELETED_KEYS: Final = 1000
MAX_LIST_BODY_BYTES: Final = 4 << 20
"""Room for 10,000 parts, and for 1000 of the longest keys with every character escaped."""

_MAX_LIST_NODES: Final = 4 * MAX_PARTS
_ETAG: Final = re.compile(r"[0-9A-Za-z-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """An object in a listing; `etag` is without quotes."""

    key: str
    size_bytes: int
    etag: str
    last_modified: datetime
    owner_id: str = ""
    storage_class: str = "STANDARD"


@dataclass(frozen=True, slots=True)
class ObjectListing:
    """One page of a bucket's objects. `next_marker` is None unless the page is truncated."""

    bucket: str
    objects: Sequence[ObjectSummary] = ()
    common_prefixes: Sequence[str] = ()
    prefix: str = ""
    marker: str = ""
    delimiter: str = ""
    max_keys: int = 1000
    next_marker: str | None = None
    encoding_type: str | None = None


@dataclass(frozen=True, slots=True)
class UploadSummary:
    """A multipart upload that is under way."""

    key: str
    upload_id: str
    initiated: datetime
    owner_id: str = ""


@dataclass(frozen=True, slots=True)
class UploadListing:
    """One page of a bucket's uploads. The next markers are None unless the page is truncated."""

    bucket: str
    uploads: Sequence[UploadSummary] = ()
    common_prefixes: Sequence[str] = ()
    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    upload_id_marker: str = ""
    max_uploads: int = 1000
    next_key_marker: str | None = None
    next_upload_id_marker: str | None = None
    encoding_type: str | None = None


@dataclass(frozen=True, slots=True)
class PartSummary:
    """A part that was uploaded; `etag` is without quotes."""

    number: int
    etag: str
    size_bytes: int
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class PartListing:
    """One page of an upload's parts. `next_part_number_marker` is None unless the page is truncated."""

    bucket: str
    key: str
    upload_id: str
    parts: Sequence[PartSummary] = ()
    part_number_marker: int = 0
    max_parts: int = 1000
    next_part_number_marker: int | None = None
    owner_id: str = ""
    encoding_type: str | None = None


@dataclass(frozen=True, slots=True)
class BucketSummary:
    """A bucket in the list of all buckets."""

    name: str
    region: str
    created: datetime


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """A part as a client names it to complete an upload; `etag` is as sent but for its quotes."""

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """The keys of a batch delete; with `quiet` only failures are answered."""

    keys: tuple[str, ...]
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class DeleteFailure:
    """A key that a batch delete could not remove."""

    key: str
    code: str
    message: str


def list_bucket_result(listing: ObjectListing) -> dict[str, Tree]:
    """Build the answer to `GET /` of a bucket."""
    name = _Names(listing.encoding_type)
    tree: dict[str, Tree] = {
        "Name": listing.bucket,
        "Prefix": name.write(listing.prefix),
        "Marker": name.write(listing.marker),
        "MaxKeys": str(listing.max_keys),
        "IsTruncated": _flag(listing.next_marker is not None),
    }
    if listing.delimiter:
        tree["Delimiter"] = name.write(listing.delimiter)
    if listing.next_marker is not None:
        tree["NextMarker"] = name.write(listing.next_marker)
    tree |= name.declaration()
    tree["Contents"] = [
        {
            "Key": name.write(entry.key),
            "LastModified": format_utc(entry.last_modified),
            "ETag": _quoted(entry.etag),
            "Size": str(entry.size_bytes),
            "StorageClass": entry.storage_class,
            "Owner": _owner(entry.owner_id),
        }
        for entry in listing.objects
    ]
    tree["CommonPrefixes"] = [{"Prefix": name.write(prefix)} for prefix in listing.common_prefixes]
    return {"ListBucketResult": tree}


def list_multipart_uploads_result(listing: UploadListing) -> dict[str, Tree]:
    """Build the answer to `GET /?uploads`."""
    name = _Names(listing.encoding_type)
    tree: dict[str, Tree] = {
        "Bucket": listing.bucket,
        **name.declaration(),
        "KeyMarker": name.write(listing.key_marker),
        "UploadIdMarker": listing.upload_id_marker,
        "MaxUploads": str(listing.max_uploads),
        "IsTruncated": _flag(listing.next_key_marker is not None),
        "Prefix": name.write(listing.prefix),
    }
    if listing.delimiter:
        tree["Delimiter"] = name.write(listing.delimiter)
    if listing.next_key_marker is not None:
        tree["NextKeyMarker"] = name.write(listing.next_key_marker)
        tree["NextUploadIdMarker"] = listing.next_upload_id_marker or ""
    tree["Upload"] = [
        {
            "Key": name.write(upload.key),
            "UploadId": upload.upload_id,
            "StorageClass": "STANDARD",
            "Initiator": _owner(upload.owner_id),
            "Owner": _owner(upload.owner_id),
            "Initiated": format_utc(upload.initiated),
        }
        for upload in listing.uploads
    ]
    tree["CommonPrefixes"] = [{"Prefix": name.write(prefix)} for prefix in listing.common_prefixes]
    return {"ListMultipartUploadsResult": tree}


def list_parts_result(listing: PartListing) -> dict[str, Tree]:
    """Build the answer to `GET /<key>?uploadId=`."""
    name = _Names(listing.encoding_type)
    tree: dict[str, Tree] = {
        "Bucket": listing.bucket,
        **name.declaration(),
        "Key": name.write(listing.key),
        "UploadId": listing.upload_id,
        "Owner": _owner(listing.owner_id),
        "Initiator": _owner(listing.owner_id),
        "StorageClass": "STANDARD",
        "PartNumberMarker": str(listing.part_number_marker),
        "MaxParts": str(listing.max_parts),
        "IsTruncated": _flag(listing.next_part_number_marker is not None),
    }
    if listing.next_part_number_marker is not None:
        tree["NextPartNumberMarker"] = str(listing.next_part_number_marker)
    tree["Part"] = [
        {
            "PartNumber": str(part.number),
            "LastModified": format_utc(part.last_modified),
            "ETag": _quoted(part.etag),
            "Size": str(part.size_bytes),
        }
        for part in listing.parts
    ]
    return {"ListPartsResult": tree}


def initiate_multipart_upload_result(bucket: str, key: str, upload_id: str) -> dict[str, Tree]:
    """Build the answer to `POST /<key>?uploads`."""
    return {"InitiateMultipartUploadResult": {"Bucket": bucket, "Key": key, "UploadId": upload_id}}


def complete_multipart_upload_result(location: str, bucket: str, key: str, etag: str) -> dict[str, Tree]:
    """Build the answer to `POST /<key>?uploadId=`; `etag` is without quotes."""
    tree: Tree = {"Location": location, "Bucket": bucket, "Key": key, "ETag": _quoted(etag)}
    return {"CompleteMultipartUploadResult": tree}


def copy_object_result(etag: str, last_modified: datetime, crc64: int) -> dict[str, Tree]:
    """Build the answer to a copy; `etag` is without quotes, `crc64` that of the new object."""
    return {"CopyObjectResult": _copied(etag, last_modified, crc64)}


def copy_part_result(etag: str, last_modified: datetime, crc64: int) -> dict[str, Tree]:
    """Build the answer to a copy into a part, whose root the Node and Go SDKs look for."""
    return {"CopyPartResult": _copied(etag, last_modified, crc64)}


def _copied(etag: str, last_modified: datetime, crc64: int) -> Tree:
    return {"ETag": _quoted(etag), "CRC64": str(crc64), "LastModified": format_utc(last_modified)}


def delete_result(
    deleted: Sequence[str], failures: Sequence[DeleteFailure] = (), *, quiet: bool = False
) -> dict[str, Tree]:
    """Build the answer to `POST /?delete`; a quiet one names failures only."""
    done: list[Tree] = [] if quiet else [{"Key": key} for key in deleted]
    failed: list[Tree] = [{"Key": entry.key, "Code": entry.code, "Message": entry.message} for entry in failures]
    return {"DeleteResult": {"Deleted": done, "Error": failed}}


def list_all_my_buckets_result(owner_id: str, buckets: Sequence[BucketSummary]) -> dict[str, Tree]:
    """Build the answer to `GET /` of the service host."""
    entries: list[Tree] = [
        {
            "Name": bucket.name,
            "Location": bucket.region,
            # The list of buckets writes whole seconds, unlike every other document here.
            "CreationDate": format_utc(bucket.created, milliseconds=False),
            "BucketType": "cos",
        }
        for bucket in buckets
    ]
    return {
        "ListAllMyBucketsResult": {
            "Owner": _owner(owner_id),
            "Buckets": {"Bucket": entries},
            "IsTruncated": "false",
        }
    }


def parse_complete_multipart_upload(body: bytes, *, max_bytes: int = MAX_LIST_BODY_BYTES) -> tuple[CompletedPart, ...]:
    """
    Read the parts to put together, in the order sent.

    Quotes around an ETag do not count, raw or as entities; PartNumber and ETag may stand in either order. Whether the
    order ascends and the parts exist is for the store to say.

    Raises:
        MissingBody, MalformedBody: If there is no such document.
        BadParameter: If a part has no number from 1 to 10000 or no ETag, or there are too many.
    """
    upload = _document(body, "CompleteMultipartUpload", max_bytes)
    parts = upload.children("Part")
    if not parts:
        raise MalformedBody("CompleteMultipartUpload holds no Part; name every part that was uploaded")
    if len(parts) > MAX_PARTS:
        raise BadParameter(f"CompleteMultipartUpload names {len(parts)} parts; the limit is {MAX_PARTS}")
    return tuple(_completed_part(part) for part in parts)


def parse_delete(body: bytes, *, max_bytes: int = MAX_LIST_BODY_BYTES) -> DeleteRequest:
    """
    Read the keys of a batch delete.

    Raises:
        MissingBody, MalformedBody: If there is no such document.
        BadParameter: If an Object has no Key, or there are more than 1000.
    """
    delete = _document(body, "Delete", max_bytes)
    entries = delete.children("Object")
    if not entries:
        raise MalformedBody("Delete holds no Object; name at least one key")
    if len(entries) > MAX_DELETED_KEYS:
        raise BadParameter(f"Delete names {len(entries)} keys; the limit is {MAX_DELETED_KEYS}")
    quiet = delete.choice("Quiet", ("true", "false")) == "true"
    return DeleteRequest(keys=tuple(entry.required_text("Key") for entry in entries), quiet=quiet)


class _Names:
    """Writes keys and prefixes in the encoding that the client asked for."""

    def __init__(self, encoding_type: str | None) -> None:
        self._url = (encoding_type or "").lower() == "url"

    def write(self, name: str) -> str:
        # The slash stays: not every SDK decodes Delimiter.
        return quote(name, safe="/", errors="replace") if self._url else name

    def declaration(self) -> dict[str, Tree]:
        return {"EncodingType": "url"} if self._url else {}


def _document(body: bytes, root: str, max_bytes: int) -> Fields:
    if not body.strip():
        raise MissingBody
    [(name, tree)] = parse_xml(body, max_bytes=max_bytes, max_nodes=_MAX_LIST_NODES).items()
    if name != root:
        raise MalformedBody(f"The root node is {shown(name)}; it must be {root}")
    return Fields(tree if isinstance(tree, dict) else {}, root)


def _completed_part(part: Fields) -> CompletedPart:
    number = part.integer("PartNumber", 1, MAX_PARTS)
    if number is None:
        raise BadParameter(f"{part.path_of('PartNumber')} is missing; give 1 to {MAX_PARTS}")
    etag = part.required_text("ETag").strip().strip('"')
    if _ETAG.fullmatch(etag) is None:
        raise BadParameter(f"{part.path_of('ETag')} is {shown(etag)}; give the ETag that the upload answered")
    return CompletedPart(number=number, etag=etag)


def _quoted(etag: str) -> str:
    return f'"{etag}"'


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _owner(owner_id: str) -> Tree:
    return {"ID": owner_id, "DisplayName": owner_id}


def post_response(location: str, bucket: str, key: str, etag: str) -> dict[str, Tree]:
    """Build the answer to an upload by form that asked for status 201; the ETag is given without quotes."""
    return {"PostResponse": {"Location": location, "Bucket": bucket, "Key": key, "ETag": f'"{etag}"'}}

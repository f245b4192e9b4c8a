"""Objects: the port, the adaptors for a local disk and for S3-compatible stores, and the fake."""

from __future__ import annotations

from smartcover.storage.bucket import (
    BucketInfo,
    BucketStore,
    FileReader,
    LocalVideo,
    ObjectInfo,
    ObjectPage,
    PartInfo,
    PartPage,
    StagedObject,
    Swept,
    UploadEvent,
    UploadInfo,
    UploadPage,
    VideoReader,
    VideoSource,
    find_input,
)
from smartcover.storage.local import LocalStore, require_known_folder
from smartcover.storage.local_audit import FolderAudit, audit_folder, remove_unowned
from smartcover.storage.memory import MemoryStore
from smartcover.storage.rules import check_bucket_name
from smartcover.storage.s3 import S3Store
from smartcover.storage.s3_place import S3Options
from smartcover.storage.s3_profile import SharedKeys

__all__ = [
    "BucketInfo",
    "BucketStore",
    "FileReader",
    "FolderAudit",
    "LocalStore",
    "LocalVideo",
    "MemoryStore",
    "ObjectInfo",
    "ObjectPage",
    "PartInfo",
    "PartPage",
    "S3Options",
    "S3Store",
    "SharedKeys",
    "StagedObject",
    "Swept",
    "UploadEvent",
    "UploadInfo",
    "UploadPage",
    "VideoReader",
    "VideoSource",
    "audit_folder",
    "check_bucket_name",
    "find_input",
    "remove_unowned",
    "require_known_folder",
]

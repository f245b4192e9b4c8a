"""Objects: the port, the local adaptor and its fake."""

from __future__ import annotations

from smartcover.storage.bucket import (
    BucketInfo,
    BucketStore,
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
    VideoSource,
)
from smartcover.storage.local import LocalStore
from smartcover.storage.memory import MemoryStore

__all__ = [
    "BucketInfo",
    "BucketStore",
    "LocalStore",
    "LocalVideo",
    "MemoryStore",
    "ObjectInfo",
    "ObjectPage",
    "PartInfo",
    "PartPage",
    "StagedObject",
    "Swept",
    "UploadEvent",
    "UploadInfo",
    "UploadPage",
    "VideoSource",
]

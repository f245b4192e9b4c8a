"""Bytes and requests that a pick takes from a far store, against plain seeking to as many keyframes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av

from smartcover.engine import pick_covers

_PLAIN_BLOCK_BYTES = 256 * 1024
_KEYFRAMES = 60


class CountingReader:
    """A file as a store whose every read is one request."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.requests = 0
        self.bytes = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.requests += 1
        self.bytes += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@dataclass(frozen=True, slots=True)
class Reading:
    requests: int
    megabytes: float
    share: float

    @classmethod
    def of(cls, reader: CountingReader, path: Path) -> Reading:
        return cls(reader.requests, reader.bytes / 1e6, reader.bytes / path.stat().st_size)


def read_by_pick(path: Path) -> Reading:
    """Choose three covers from a store that cannot prefetch."""
    reader = CountingReader(path)
    pick_covers(reader)
    return Reading.of(reader, path)


def read_by_plain_seeking(path: Path) -> Reading:
    """Seek to 60 even times with PyAV and read the keyframe found there: the least that other tools do."""
    reader = CountingReader(path)
    with av.open(reader, mode="r", buffer_size=_PLAIN_BLOCK_BYTES) as container:
        stream = container.streams.video[0]
        duration = container.duration or 0
        for number in range(_KEYFRAMES):
            container.seek(duration * (2 * number + 1) // (2 * _KEYFRAMES))
            next((packet for packet in container.demux(stream) if packet.is_keyframe), None)
    return Reading.of(reader, path)

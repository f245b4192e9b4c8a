"""
Messages between the decoder's child and the worker: a length, then bytes.

The reader never waits for the rest of a message without looking at the clock: a child that stops in the middle of a
word, broken or taken over, must not hold a worker's thread.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable

_LENGTH = struct.Struct("!Q")
_LOOK_MILLISECONDS = 100
_BLOCK_BYTES = 1 << 20


def send(descriptor: int, message: bytes) -> None:
    """Write one message to a pipe."""
    rest = memoryview(_LENGTH.pack(len(message)) + message)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int, *, most_bytes: int, go_on: Callable[[], None]) -> bytes:
    """
    Read one message from a pipe.

    Args:
        go_on: Called while nothing comes and after each piece, about ten times a second; ends the wait by raising.

    Raises:
        EOFError: If the writer is gone.
        ValueError: If the message is longer than `most_bytes`.
    """
    (length,) = _LENGTH.unpack(_read(descriptor, _LENGTH.size, go_on))
    if length > most_bytes:
        raise ValueError(f"a message of {length} bytes was announced, and {most_bytes} are allowed")
    return _read(descriptor, length, go_on)


def _read(descriptor: int, count: int, go_on: Callable[[], None]) -> bytes:
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    pieces = bytearray()
    while len(pieces) < count:
        go_on()
        if not ready.poll(_LOOK_MILLISECONDS):
            continue
        piece = os.read(descriptor, min(_BLOCK_BYTES, count - len(pieces)))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)

"""
What the decoder's child may say, checked word by word.

A hostile video may have taken the child over: nothing it says is believed to be well formed, and nothing it names is
used before it is known to be one of a few words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

ImageFormat = Literal["jpg", "png", "webp"]

_Text = Annotated[str, Field(max_length=2000)]
_Pixels = Annotated[int, Field(ge=1, le=1 << 16)]


class _Words(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _finite(numbers: Mapping[str, float]) -> Mapping[str, float]:
    """Keep what JSON can hold on its way into the ledger; a signal that cannot be told is left out."""
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


_Numbers = Annotated[
    Mapping[_Text, Annotated[float, Field(allow_inf_nan=True)]], Field(max_length=1000), AfterValidator(_finite)
]


class _Message(_Words):
    """A message of its own; each says how many bytes of the video were read from the store so far."""

    bytes_read: Annotated[int, Field(ge=0, le=1 << 62)] = 0


class Progress(_Message):
    """How far the engine has come: the step's name and the share of all done."""

    step: _Text
    share: Annotated[float, AfterValidator(lambda share: min(1.0, max(0.0, share)))]


class Failure(_Message):
    """Why there is no cover: the name of one of our errors, words for the client, and words for the log, if any."""

    error: _Text
    public: Annotated[str, Field(max_length=100_000)]
    detail: Annotated[str, Field(max_length=100_000)] | None = None


class Cover(_Words):
    """A cover, whose image follows as a message of its own."""

    format: ImageFormat
    width_px: _Pixels
    height_px: _Pixels
    seconds: float
    score: float
    signals: _Numbers
    reasons: tuple[_Text, ...]


class Picks(_Message):
    """The covers found, best first."""

    duration_seconds: float | None
    fallback: _Text | None
    unseen: _Text | None
    timings: _Numbers
    covers: tuple[Cover, ...]


class _Found(_Words):
    picks: Picks


_ANY: TypeAdapter[Any] = TypeAdapter(Progress | Failure | _Found)


def read(message: bytes) -> Progress | Failure | Picks:
    """
    Read one message of the child.

    Raises:
        ValueError: If it is anything but what the child says when it is sound.
    """
    said: Progress | Failure | _Found = _ANY.validate_json(message)
    return said.picks if isinstance(said, _Found) else said

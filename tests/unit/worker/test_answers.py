"""What the engine's child says is read, or refused as a whole."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import (
    EngineCrashed,
    NotAVideo,
    ObjectMissing,
    SmartCoverError,
    StorageUnavailable,
    StoreBucketMissing,
)
from smartcover.worker import answers, frames, isolate


def never_ends() -> None:
    """A reader that has all the time it wants."""


COVER: dict[str, Any] = {
    "format": "png",
    "width_px": 640,
    "height_px": 360,
    "seconds": 1.5,
    "score": 0.75,
    "signals": {"luma": 0.5},
    "reasons": ["sharp"],
}
PICKS: dict[str, Any] = {"duration_seconds": 1.0, "fallback": None, "unseen": None, "timings": {}, "covers": [COVER]}


def test_a_sound_answer_is_read() -> None:
    picks: dict[str, Any] = {**PICKS, "duration_seconds": None, "fallback": "blurry", "timings": {"total": 1}}
    read = answers.read(json.dumps({"picks": picks}).encode())
    assert isinstance(read, answers.Picks)
    assert (read.fallback, read.timings, read.covers[0].score) == ("blurry", {"total": 1.0}, 0.75)


def test_a_share_outside_its_range_is_brought_back_into_it() -> None:
    assert answers.read(b'{"step": "look", "share": 1.0000001}') == answers.Progress(step="look", share=1.0)


@pytest.mark.parametrize(
    "changes",
    [{"format": "exe"}, {"width_px": 0}, {"width_px": "640"}, {"seconds": None}, {"score": True}, {"more": 1}],
)
def test_a_cover_with_a_wrong_word_is_refused(changes: dict[str, Any]) -> None:
    picks: dict[str, Any] = {**PICKS, "covers": [{**COVER, **changes}]}
    with pytest.raises(ValueError, match="validation error"):
        answers.read(json.dumps({"picks": picks}).encode())


@given(
    st.one_of(st.binary(), st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps).map(str.encode))
)
def test_whatever_comes_is_read_or_refused(message: bytes) -> None:
    with contextlib.suppress(ValueError):
        answers.read(message)


@given(st.lists(st.binary(max_size=4096), max_size=8))
def test_messages_come_out_as_they_went_in(messages: list[bytes]) -> None:
    reader, writer = os.pipe()
    try:
        for message in messages:
            frames.send(writer, message)
        assert [frames.receive(reader, most_bytes=4096, go_on=never_ends) for _ in messages] == messages
    finally:
        os.close(reader)
        os.close(writer)


def test_a_longer_message_than_allowed_is_refused_before_it_is_read() -> None:
    reader, writer = os.pipe()
    try:
        frames.send(writer, b"12345")
        with pytest.raises(ValueError, match="5 bytes"):
            frames.receive(reader, most_bytes=4, go_on=never_ends)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_writer_that_goes_away_in_the_middle_is_an_end() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"\0\0")
    os.close(writer)
    with pytest.raises(EOFError):
        frames.receive(reader, most_bytes=4, go_on=never_ends)
    os.close(reader)


@pytest.mark.parametrize("kind", [NotAVideo, ObjectMissing, StorageUnavailable, StoreBucketMissing])
def test_what_a_video_or_its_store_did_is_told_as_it_is(kind: type[SmartCoverError]) -> None:
    told = isolate._error(answers.Failure(error=kind.__name__, public="why", detail="for the log"))
    assert (type(told), told.public, told.detail) == (kind, "why", "for the log")


@pytest.mark.parametrize("name", ["LeaseLost", "BadParameter", "Final", "nothing"])
def test_no_other_word_of_the_child_is_believed(name: str) -> None:
    assert type(isolate._error(answers.Failure(error=name, public="why"))) is EngineCrashed

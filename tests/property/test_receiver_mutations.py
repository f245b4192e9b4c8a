"""The document's cases with changed bytes: a value or an error of ours, ten thousand times; and fast."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from smartcover.errors import MalformedCallback
from smartcover.receiver import TaskFinish, WorkflowFinish, parse, receive, testing

CASES = sorted((Path(__file__).resolve().parents[1] / "golden" / "data").iterdir())
FRAGMENTS = [
    *(bytes([value]) for value in (0, 9, 10, 32, 34, 38, 39, 45, 60, 62, 91, 93, 123, 125, 127, 128, 255)),
    *(b"<![CDATA[", b"]]>", b"<!DOCTYPE a>", b"&lt;", b"&#0;", b"&x;", b"<?xml version='1.0' encoding='utf-16'?>"),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\\ud800", b"1e999", b"-1", b"NaN", b"null", b"[[[[", b"true", b"9" * 5000),
    *(b"<JobsDetail/>", b'"JobsDetail":[]', b"WorkflowFinish", b"2022-13-45T99:99:99+9999", b"${number}"),
]


def mutated(body: bytes, rng: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(rng.randint(1, 6)):
        start = rng.randrange(len(changed) + 1)
        kind = rng.randrange(5)
        if kind == 0 and changed:
            changed[min(start, len(changed) - 1)] = rng.randrange(256)
        elif kind == 1:
            del changed[start : start + rng.choice((1, 2, 8, 64, 512))]
        elif kind == 2:
            changed[start:start] = rng.choice(FRAGMENTS)
        elif kind == 3:
            changed[start:start] = changed[start : start + rng.choice((1, 10, 100))]
        else:
            changed[start : start + rng.randrange(8)] = rng.choice(FRAGMENTS)
    return bytes(changed)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_ten_thousand_changed_bodies_are_read_or_refused_with_a_reason(case: Path) -> None:
    body, rng = case.read_bytes(), random.Random(case.name)
    read = refused = 0
    for _ in range(10_000):
        changed = mutated(body, rng)
        try:
            found = receive(changed, {"content-type": "application/xml"}).callback
        except MalformedCallback as error:
            assert error.public
            refused += 1
        else:
            assert isinstance(found, TaskFinish | WorkflowFinish)
            assert str(found)
            read += 1
    assert read > 100, "changes that leave a callback whole must be among them"
    assert refused > 1000, "changes that break it too"


def test_ten_thousand_callbacks_of_the_documents_size_are_read_in_seconds() -> None:
    bodies = [case.read_bytes() for case in CASES] + [testing.workflow_finish().body]
    started = time.process_time()
    for number in range(10_000):
        parse(bodies[number % len(bodies)])
    assert time.process_time() - started < 10.0

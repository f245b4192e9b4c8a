"""Log lines carry ids and no secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from smartcover.app.logs import configure_logs, shorten
from smartcover.settings import read_settings


@pytest.fixture
def logs() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, structlog.get_config())
    yield
    root.handlers[:], level, config = before
    root.setLevel(level)
    structlog.configure(**config)


@pytest.mark.parametrize(
    ("told", "kept", "gone"),
    [
        (
            "GET https://s3.example/b/k.mp4?X-Amz-Signature=abc&X=1 failed",
            "GET https://s3.example/b/k.mp4?… failed",
            "abc",
        ),
        ("postgresql://smartcover:s3cret@db/x is away", "postgresql://smartcover:…@db/x is away", "s3cret"),
        ("q-ak=AKID&q-signature=0123abcdef", "q-ak=AKID&q-signature=…", "0123abcdef"),
        ("Authorization: Bearer eyJhbGciOi.J9", "Authorization: Bearer …", "eyJ"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_…", "MfKQ"),
    ],
)
def test_what_opens_doors_is_cut_out(told: str, kept: str, gone: str) -> None:
    assert shorten(told) == kept
    assert gone not in shorten(told)


def test_lines_without_secrets_stay_as_they_are() -> None:
    told = '{"event": "job started", "object": "in/a?b.mp4", "url": "https://r.example:8443/cb"}'
    assert shorten(told) == told


def test_every_line_carries_the_ids_bound_around_it_those_of_libraries_too(
    logs: None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(read_settings(log_format="json"))  # here, where standard error is captured
    with structlog.contextvars.bound_contextvars(job_id="j1"):
        structlog.get_logger("ours").info("one", url="https://a.example/x?token=t0p")
        logging.getLogger("theirs").warning("two")
        try:
            raise ValueError("https://a.example/x?token=t0p")
        except ValueError:
            logging.getLogger("theirs").exception("three")
    logging.getLogger("theirs").warning("four")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line.get("job_id")) for line in lines] == [
        ("one", "j1"),
        ("two", "j1"),
        ("three", "j1"),
        ("four", None),
    ]
    assert "ValueError" in lines[2]["exception"]
    assert "t0p" not in json.dumps(lines)

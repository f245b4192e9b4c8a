"""Callbacks are told from forged, changed and replayed ones, with texts that help."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import BadSignature, ReceiverError, StaleCallback
from smartcover.receiver import testing, verify

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).resolve().parents[2] / "vectors" / "webhook-signatures.json").read_text())["cases"]


def sample() -> testing.Sample:
    return testing.task_finish(secret=SECRET, now=NOW, delivery_id="d1")


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["about"])
def test_the_published_signatures_are_accepted(case: dict[str, object]) -> None:
    headers = case["headers"]
    assert isinstance(headers, dict)
    moment = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    for secret in case["secrets"]:  # type: ignore[attr-defined]
        found = verify(str(case["body"]).encode(), headers, [OTHER, secret], now=moment)
        assert found == headers["webhook-id"]


def test_any_of_several_secrets_may_fit_and_the_case_of_header_names_does_not_matter() -> None:
    made = sample()
    headers = {name.upper(): value for name, value in made.headers.items()}
    assert verify(made.body, headers, [OTHER, SECRET], now=NOW) == "d1"
    assert verify(made.body, headers, SECRET, now=NOW) == "d1"


def test_a_changed_body_is_refused_and_the_text_asks_about_re_serialising() -> None:
    made = sample()
    with pytest.raises(BadSignature, match="re-serialised"):
        verify(made.body + b"\n", made.headers, SECRET, now=NOW)
    with pytest.raises(BadSignature, match="another one"):
        verify(made.body, made.headers, OTHER, now=NOW)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    made = sample()
    headers = {key: value for key, value in made.headers.items() if key != name}
    with pytest.raises(BadSignature, match=name):
        verify(made.body, headers, SECRET, now=NOW)


def test_an_old_callback_and_one_from_the_future_are_stale() -> None:
    made = sample()
    assert verify(made.body, made.headers, SECRET, now=NOW + timedelta(seconds=299))
    with pytest.raises(StaleCallback, match="400 s old; the tolerance is 300 s"):
        verify(made.body, made.headers, SECRET, now=NOW + timedelta(seconds=400))
    with pytest.raises(StaleCallback, match="ahead"):
        verify(made.body, made.headers, SECRET, now=NOW - timedelta(seconds=400))
    assert verify(made.body, made.headers, SECRET, now=NOW + timedelta(seconds=400), tolerance_seconds=500)


def test_a_timestamp_that_was_moved_does_not_verify() -> None:
    made = sample()
    later = made.headers | {"webhook-timestamp": str(int(NOW.timestamp()) + 400)}
    with pytest.raises(BadSignature):
        verify(made.body, later, SECRET, now=NOW + timedelta(seconds=400))


@pytest.mark.parametrize("secrets", [[], "whsec_%%%", ["no base64!"]])
def test_a_receiver_without_a_usable_secret_is_told_so(secrets: str | list[str]) -> None:
    made = sample()
    with pytest.raises(ValueError, match="secret"):
        verify(made.body, made.headers, secrets, now=NOW)


@given(st.binary(max_size=50), st.dictionaries(st.sampled_from(sorted(sample().headers)), st.text(max_size=30)))
def test_whatever_the_headers_hold_the_answer_is_an_error_of_ours(body: bytes, changes: dict[str, str]) -> None:
    headers = sample().headers | changes
    with pytest.raises(ReceiverError):
        verify(body, headers, SECRET, now=NOW)

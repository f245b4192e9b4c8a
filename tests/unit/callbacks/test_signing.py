"""Signatures, held to vectors that any language can check and to an independent library."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from smartcover.callbacks import read_secrets, signature_headers
from smartcover.errors import SettingsError

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "webhook-signatures.json").read_text(encoding="utf-8")
)["cases"]
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["about"]))
def test_the_headers_are_those_of_the_vectors(vector: dict[str, Any]) -> None:
    headers = vector["headers"]
    made = signature_headers(
        vector["body"].encode(),
        delivery_id=headers["webhook-id"],
        now=datetime.fromtimestamp(int(headers["webhook-timestamp"]) + 0.9, UTC),
        keys=read_secrets(",".join(vector["secrets"])),
    )
    assert made == headers


def test_the_vectors_hold_the_example_that_others_publish() -> None:
    assert VECTORS[0]["headers"]["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_only_the_id_is_sent() -> None:
    assert signature_headers(b"x", delivery_id="d1", now=datetime.now(UTC), keys=()) == {"webhook-id": "d1"}


@pytest.mark.parametrize("known", [0, 1])
def test_while_secrets_rotate_a_receiver_that_knows_either_accepts(known: int) -> None:
    secrets = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SECRET)
    made = signature_headers(b"<R/>", delivery_id="d1", now=datetime.now(UTC), keys=read_secrets(" ".join(secrets)))
    Webhook(secrets[known]).verify(b"<R/>", made, json_parse=False)


@pytest.mark.parametrize("text", [None, "", "  ", ","])
def test_no_secret_is_no_key(text: str | None) -> None:
    assert read_secrets(text) == ()


def test_a_secret_may_lack_its_prefix_and_padding() -> None:
    assert read_secrets(SECRET.removeprefix("whsec_").rstrip("=")) == read_secrets(SECRET)


@pytest.mark.parametrize("text", ["whsec_!!!notbase64!!!", "whsec_c2hvcnQ=", "whsec_", f"{SECRET},whsec_x"])
def test_a_secret_that_is_none_is_a_wrong_setting_and_is_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError, match=r"SMARTCOVER_CALLBACK_SECRET: secret [12]") as refused:
        read_secrets(text)
    assert text not in str(refused.value)

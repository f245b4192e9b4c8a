"""A form's policy is held or refused, whatever it says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import SmartCoverError
from smartcover.protocol import AllowedUpload, check_form

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=6,
)
KINDS = st.sampled_from(["eq", "starts-with", "content-length-range"])
CONDITIONS = st.lists(st.lists(KINDS | VALUES, min_size=3, max_size=3) | VALUES, max_size=4)


def held(text: bytes, **fields: str) -> AllowedUpload | None:
    """Sign a policy rightly and check it; None when it is refused."""
    sign_key = hmac.new(b"SECRET", b"0;100", hashlib.sha1).hexdigest()
    signature = hmac.new(sign_key.encode(), hashlib.sha1(text).hexdigest().encode(), hashlib.sha1).hexdigest()
    form = {"q-ak": "AK", "q-key-time": "0;100", "q-signature": signature, "policy": base64.b64encode(text).decode()}
    try:
        return check_form(form | fields, "b-1", lambda _: ["SECRET"], 50, 0)
    except SmartCoverError:
        return None


@given(CONDITIONS | VALUES, st.just("2100-01-01T00:00:00.000Z") | VALUES)
def test_any_signed_json_is_held_or_refused(conditions: Any, expiration: Any) -> None:
    held(json.dumps({"expiration": expiration, "conditions": conditions}).encode(), key="k")


@given(st.binary(max_size=80))
def test_any_signed_bytes_are_held_or_refused(text: bytes) -> None:
    held(text, key="k")


@given(st.dictionaries(st.sampled_from(["policy", "q-ak", "q-key-time", "q-signature", "key"]), st.text(max_size=30)))
def test_no_unsigned_form_is_let_in(fields: dict[str, str]) -> None:
    try:
        check_form(fields, "b-1", lambda _: ["SECRET"], 50, 0)
    except SmartCoverError:
        return
    raise AssertionError(fields)


@given(st.text(max_size=10), st.text(max_size=10))
def test_a_key_outside_its_prefix_is_never_let_in(prefix: str, key: str) -> None:
    policy = {"expiration": "2100-01-01T00:00:00Z", "conditions": [["starts-with", "$key", prefix]]}
    allowed = held(json.dumps(policy).encode(), key=key)
    assert (allowed is not None) == key.startswith(prefix)

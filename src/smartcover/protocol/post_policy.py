"""
The policy of an upload by HTML form: who signed it, until when it holds, and what the form may say.

A form carries no Authorization header; its fields do, and the signature is over the policy's text. So whoever signs
decides in the policy's conditions what a browser may upload: only those conditions bind it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from smartcover.errors import (
    AccessDenied,
    BadParameter,
    ClockSkewed,
    RequestExpired,
    SignatureMismatch,
    SignatureMissing,
    UnknownKey,
)
from smartcover.protocol.fields import shown
from smartcover.protocol.times import parse_time

MAX_POLICY_CHARACTERS: Final = 64 * 1024
MAX_CONDITIONS: Final = 200
_WINDOW: Final = re.compile(r"(\d{1,12});(\d{1,12})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AllowedUpload:
    """What a form may upload: a file of so many bytes, both included. `secret_id` signed it."""

    secret_id: str
    min_bytes: int = 0
    max_bytes: int | None = None


def check_form(
    fields: Mapping[str, str],
    bucket: str,
    secret_of: Callable[[str], Sequence[str] | None],
    now_seconds: int,
    skew_seconds: int,
) -> AllowedUpload:
    """
    Check a form's signature and hold the form against its policy.

    Args:
        fields: By lower-case name; `key` is the key as it will be, with the file's name put in.
        secret_of: Gives the secret keys of a SecretId, None for an unknown one.

    Raises:
        SignatureMissing: If the form is not signed.
        UnknownKey, ClockSkewed, RequestExpired, SignatureMismatch: As for any request.
        BadParameter: If the policy cannot be read.
        AccessDenied: If the form says what the policy does not allow.
    """
    for name in ("policy", "q-ak", "q-key-time", "q-signature"):
        if not fields.get(name):
            raise SignatureMissing(f"The form has no field {name}; an upload by form is signed with a policy")
    if fields.get("q-sign-algorithm", "sha1") != "sha1":
        raise SignatureMismatch(f"q-sign-algorithm is {shown(fields['q-sign-algorithm'])}; only sha1 is known")
    secrets = secret_of(fields["q-ak"])
    if secrets is None:
        raise UnknownKey
    window = _WINDOW.fullmatch(fields["q-key-time"])
    if window is None:
        raise SignatureMismatch(f"q-key-time is {shown(fields['q-key-time'])}; give two times in seconds, as 1;2")
    text = _decoded(fields["policy"])
    if not any(_signature(secret, fields["q-key-time"], text, fields["q-signature"]) for secret in secrets):
        raise SignatureMismatch("The signature does not match the policy of the form")
    if now_seconds < int(window[1]) - skew_seconds:
        raise ClockSkewed
    if now_seconds > int(window[2]) + skew_seconds:
        raise RequestExpired
    policy = _policy(text)
    if parse_time(str(policy.get("expiration"))).timestamp() < now_seconds:
        raise RequestExpired
    # The document's policy names the time as q-sign-time, its form as q-key-time.
    said = {"q-sign-time": fields["q-key-time"], "q-sign-algorithm": "sha1", **fields, "bucket": bucket}
    return _held(policy["conditions"], said, fields["q-ak"])


def _decoded(field: str) -> bytes:
    if len(field) > MAX_POLICY_CHARACTERS:
        raise BadParameter(f"policy is {len(field)} characters long; give at most {MAX_POLICY_CHARACTERS}")
    try:
        return base64.b64decode("".join(field.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadParameter("policy is not base64; encode the policy's JSON") from error


def _signature(secret: str, key_time: str, text: bytes, sent: str) -> bool:
    sign_key = hmac.new(secret.encode(), key_time.encode(), hashlib.sha1).hexdigest()
    digest = hashlib.sha1(text, usedforsecurity=False).hexdigest()
    right = hmac.new(sign_key.encode(), digest.encode(), hashlib.sha1).hexdigest()
    return hmac.compare_digest(right.encode(), sent.lower().encode("utf-8", "replace"))


def _policy(text: bytes) -> dict[str, Any]:
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadParameter("policy is not JSON once decoded") from error
    conditions = policy.get("conditions") if isinstance(policy, dict) else None
    if not isinstance(conditions, list) or len(conditions) > MAX_CONDITIONS:
        raise BadParameter(f"policy has no conditions, or more than {MAX_CONDITIONS}; list them under conditions")
    return dict(policy)


def _held(conditions: Sequence[Any], fields: Mapping[str, str], secret_id: str) -> AllowedUpload:
    low, high = 0, None
    for condition in conditions:
        if isinstance(condition, dict) and len(condition) == 1:
            [(name, value)] = condition.items()
            kind, wanted = "eq", value
        elif isinstance(condition, list) and len(condition) == 3:
            kind, name, wanted = condition
        else:
            raise BadParameter(f"policy has the condition {shown(str(condition))}, which has none of the known forms")
        if kind == "content-length-range":
            low, high = _range(low, high, name, wanted)
            continue
        field = str(name).removeprefix("$").lower()
        value = fields.get(field, "")
        fits = value == wanted if kind == "eq" else kind == "starts-with" and value.startswith(str(wanted))
        if not fits:
            raise AccessDenied(f"The form's field {field[:80]} does not fit the condition {kind} of its policy")
    return AllowedUpload(secret_id, low, high)


def _range(low: int, high: int | None, least: Any, most: Any) -> tuple[int, int]:
    if isinstance(least, bool) or isinstance(most, bool) or not isinstance(least, int) or not isinstance(most, int):
        raise BadParameter("policy has a content-length-range without two whole numbers")
    return max(low, least), most if high is None else min(high, most)

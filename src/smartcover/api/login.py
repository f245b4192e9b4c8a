"""Logging in by HTTP Basic: SecretId as user, SecretKey as password."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Annotated, Final

from fastapi import Depends, Request

from smartcover.api.config import KeyRing
from smartcover.service import Access

#: Where a request's scope holds what its key pair may do.
SCOPE_KEY: Final = "smartcover.access"


def read_login(header: bytes) -> tuple[str, str] | None:
    """Take SecretId and SecretKey out of an Authorization header; None if it is no HTTP Basic."""
    scheme, _, word = header.partition(b" ")
    if scheme.lower() != b"basic" or len(word) > 4096:
        return None
    try:
        secret_id, _, secret_key = base64.b64decode(word.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return secret_id, secret_key


def check_login(keys: KeyRing, secret_id: str, secret_key: str) -> Access | None:
    """
    Give what the key pair may do, or None if it is none.

    Raises:
        LedgerUnavailable: If it cannot be known whether the key pair is still in force.
    """
    known = keys.secret_of(secret_id) or ()
    # Every secret is compared, and one is compared when there is none, so that time tells nothing.
    matches = [hmac.compare_digest(secret_key.encode(), secret.encode()) for secret in (*known, secret_id or "-")]
    return keys.access_of(secret_id) if any(matches[: len(known)]) else None


def _access_of(request: Request) -> Access:
    access: Access = request.scope[SCOPE_KEY]
    return access


#: What the key pair of an admin call may do.
Login = Annotated[Access, Depends(_access_of)]

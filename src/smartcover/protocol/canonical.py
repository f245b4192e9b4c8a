"""
The strings that the request signature is made over.

Identical in the four official SDKs:

    SignKey      = hex(HMAC-SHA1(SecretKey, KeyTime))
    FormatString = lower(method) LF path LF params LF headers LF
    StringToSign = "sha1" LF SignTime LF hex(SHA1(FormatString)) LF
    Signature    = hex(HMAC-SHA1(SignKey, StringToSign))

The path is percent-decoded; names and values of params and headers are percent-encoded except `A-Za-z0-9-_.~`. A
value can thus hold no line feed, so two requests with one FormatString are one request. Everything here is bytes:
the wire is, and a header or key need not be UTF-8.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

Pair = tuple[bytes, bytes]
"""A name and its value, both decoded."""

_UNRESERVED: Final = "-_.~"


def encode(raw: bytes) -> str:
    """Percent-encode as the signature does: all but `A-Za-z0-9-_.~`, upper-case hex."""
    return quote_from_bytes(raw, safe=_UNRESERVED)


def decode_path(raw_path: bytes) -> bytes:
    """Percent-decode a path as it stood in the request line; a `+` stays a plus."""
    return unquote_to_bytes(raw_path)


def split_query(raw_query: bytes, *, max_pairs: int) -> list[Pair] | None:
    """
    Split and decode a query string; a `+` is a space and a name without `=` has an empty value.

    Only `&` separates: the times of the presigned form hold a raw `;`. None when there are too many pairs.
    """
    if raw_query.count(b"&") >= max_pairs:
        return None
    pairs: list[Pair] = []
    for item in raw_query.split(b"&"):
        if item:
            name, _, value = item.partition(b"=")
            pairs.append((_decode_form(name), _decode_form(value)))
    return pairs


def join_pairs(pairs: Iterable[Pair], *, lower_hex_names: bool = False) -> str:
    """
    Write names and values in canonical form, sorted by encoded name and then by value.

    `lower_hex_names` writes the escapes inside names in lower case, as the Python SDK does (it lowers a name after
    it has encoded it); the others lower first. It matters only for names with characters outside the unreserved set.
    """
    encoded = []
    for name, value in pairs:
        name_text = encode(name.lower())
        encoded.append((name_text.lower() if lower_hex_names else name_text, value))
    return "&".join(f"{name}={encode(value)}" for name, value in sorted(encoded))


def format_string(method: str, path: bytes, params: str, headers: str) -> bytes:
    """Put the four canonical parts together; `path` is decoded and starts with a slash."""
    return b"\n".join((method.lower().encode("latin-1", "replace"), path, params.encode(), headers.encode(), b""))


def signature_of(secret_key: str, key_time: str, sign_time: str, formatted: bytes) -> str:
    """Compute the 40 hex digits for one FormatString."""
    sign_key = hmac.new(secret_key.encode(), key_time.encode(), hashlib.sha1).hexdigest()
    digest = hashlib.sha1(formatted, usedforsecurity=False).hexdigest()
    to_sign = f"sha1\n{sign_time}\n{digest}\n"
    return hmac.new(sign_key.encode(), to_sign.encode(), hashlib.sha1).hexdigest()


def _decode_form(raw: bytes) -> bytes:
    return unquote_to_bytes(raw.replace(b"+", b" "))

"""The one place where the failures of an S3 store, and of its client, become our errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, PreconditionError, UnauthenticatedError

from smartcover.errors import BadKey, ObjectMissing, StorageUnavailable, StoreBucketMissing

KEYS_REFUSED: Final = "The object store refuses the server's own keys; the operator must look."
_KEYS_EXPIRED: Final = "The server's own keys of the object store have expired; the operator must look."
_CLOCK_WRONG: Final = "The object store finds the server's clock wrong; the operator must look."
_REGION_WRONG: Final = "The object store is of another region than SMARTCOVER_S3_REGION names; the operator must look."

#: Codes of S3 that say more than their status, which differs from store to store.
_MEANINGS: Final = {
    "AccessDenied": KEYS_REFUSED,
    "AuthorizationHeaderMalformed": _REGION_WRONG,
    "ExpiredToken": _KEYS_EXPIRED,
    "InvalidAccessKeyId": KEYS_REFUSED,
    "InvalidToken": KEYS_REFUSED,
    "PermanentRedirect": _REGION_WRONG,
    "RequestTimeTooSkewed": _CLOCK_WRONG,
    "SignatureDoesNotMatch": KEYS_REFUSED,
    "TokenRefreshRequired": _KEYS_EXPIRED,
}
#: Of an error's body, what its code is looked for in.
MOST_ERROR_BYTES: Final = 4 << 10
_CODE: Final = re.compile(r"<Code>(\w{1,60})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,300})</Message>")
_REDIRECT: Final = "redirect without LOCATION"

#: Where the client's text turns to its inner workings, and what is said there of a connection that failed.
_INNER: Final = "Debug source:"
_OF_A_CONNECTION: Final = re.compile(r'(?:error|message): "([^"]{1,200})"|(InvalidCertificate\(\s*\w+)|\b(TimedOut)\b')


@contextmanager
def s3_failures(doing: str) -> Iterator[None]:
    """
    Turn what the store's client raises inside into a `StorageError`; its own words, in one line, go to the log only.

    Raises:
        ObjectMissing: If the store knows no such object.
        StoreBucketMissing: If the store's own bucket is missing.
        BadKey: If the client cannot name the path.
        StorageUnavailable: For everything else: connection, time-out, refused keys, a changed object.
    """
    try:
        yield
    except PreconditionError as error:
        raise StorageUnavailable("The object was replaced while it was read; try again.", detail=doing) from error
    except ValueError as error:
        raise BadKey(f"The store's client cannot name this key: {str(error)[:200]}", detail=doing) from error
    except TimeoutError as error:
        raise StorageUnavailable(detail=f"{doing}: no answer in time") from error
    except (BaseError, OSError) as error:
        detail = f"{doing}: {in_one_line(error)}"
        code = code_of(str(error))
        if code == "NoSuchBucket":
            raise StoreBucketMissing(detail=detail) from error
        if isinstance(error, NotFoundError | FileNotFoundError):
            raise ObjectMissing(detail=detail) from error
        refused = isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError)
        region = _REGION_WRONG if _REDIRECT in str(error) else None
        public = meaning_of(code) or region or (KEYS_REFUSED if refused else None)
        raise StorageUnavailable(public, detail=detail) from error


def code_of(answer: str) -> str:
    """Give the code of an error of S3, "" if the text holds none."""
    found = _CODE.search(answer)
    return "" if found is None else found[1]


def code_of_body(body: bytes) -> str:
    """Give the code of an error whose body is given as it came, "" if its start holds none."""
    return code_of(body[:MOST_ERROR_BYTES].decode("utf-8", "replace"))


def meaning_of(code: str) -> str | None:
    """Tell what a code means for whoever meets it; None when it says no more than that the store fails."""
    return _MEANINGS.get(code)


def in_one_line(error: BaseException) -> str:
    """
    Say what went wrong in one line, the cause first.

    The client writes over many lines, and why a connection failed stands only in the last of them.
    """
    outer, _, inner = str(error).partition(_INNER)
    body = outer.find("<?xml")
    if code := code_of(outer):
        message = _MESSAGE.search(outer)
        why = f"{code}: {message[1]}" if message else code
        outer = outer[: body if body >= 0 else outer.find("<")]
    else:
        why = "; ".join(
            "".join(found[0].split()).replace("(", " ") if found[2] else found[1] or found[3]
            for found in _OF_A_CONNECTION.finditer(inner)
        )
    said = f"{type(error).__name__}: {' '.join(outer.split()).rstrip(': ')}"
    return f"{why} ({said})" if why else said

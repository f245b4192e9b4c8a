"""What an S3 store answers becomes one line for the log, its cause first, and words that name the fault for others."""

from __future__ import annotations

from typing import Any, cast

import pytest
from obstore.exceptions import GenericError, NotFoundError, PermissionDeniedError

from smartcover.errors import ObjectMissing, StorageError, StorageUnavailable, StoreBucketMissing
from smartcover.storage.s3_failures import s3_failures

_REFUSED = """Error performing PUT http://store/b/k in 5ms - Server returned non-2xx status code: {status}: \
<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>{code}</Code><Message>Words of the store.</Message><RequestId>R</RequestId></Error>

Debug source:
PermissionDenied {{
    path: "k",
}}"""
_CUT_OFF = """Generic S3 error: Error performing HEAD http://store/b/k in 424ms, after 3 retries  - HTTP error: \
error sending request

Debug source:
Generic {
    source: hyper_util::client::legacy::Error(
        Connect,
        %s
    ),
}"""
_DNS = """ConnectError(
            "dns error",
            Custom {
                kind: Uncategorized,
                error: "failed to lookup address information: Name or service not known",
            },
        ),"""
_CERTIFICATE = """Custom {
            kind: InvalidData,
            error: InvalidCertificate(
                UnknownIssuer,
            ),
        },"""


def told(error: BaseException) -> StorageError:
    with pytest.raises(StorageError) as caught, s3_failures("write an object"):
        raise error
    return caught.value


@pytest.mark.parametrize("kind", [GenericError, PermissionDeniedError])
@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        ("403 Forbidden", "ExpiredToken", "expired"),
        ("400 Bad Request", "ExpiredToken", "expired"),
        ("403 Forbidden", "RequestTimeTooSkewed", "clock"),
        ("403 Forbidden", "AccessDenied", "refuses the server's own keys"),
        ("400 Bad Request", "AuthorizationHeaderMalformed", "SMARTCOVER_S3_REGION"),
    ],
)
def test_a_refusal_is_told_by_its_code_whatever_its_status(kind: Any, status: str, code: str, word: str) -> None:
    error = told(cast("Exception", kind(_REFUSED.format(status=status, code=code))))
    assert isinstance(error, StorageUnavailable)
    assert word in error.public
    assert error.detail == (
        f"write an object: {code}: Words of the store. ({kind.__name__}: Error performing PUT http://store/b/k in 5ms "
        f"- Server returned non-2xx status code: {status})"
    )


@pytest.mark.parametrize(
    ("inner", "cause"),
    [
        (_DNS, "failed to lookup address information: Name or service not known"),
        ('Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }', "Connection refused"),
        (_CERTIFICATE, "InvalidCertificate UnknownIssuer"),
    ],
)
def test_why_there_is_no_connection_stands_first_in_one_line(inner: str, cause: str) -> None:
    error = told(GenericError(_CUT_OFF % inner))
    assert isinstance(error, StorageUnavailable)
    assert error.detail is not None
    assert error.detail.startswith(f"write an object: {cause} (GenericError: Generic S3 error: ")
    assert "\n" not in error.detail
    assert "store" in error.public
    assert "http" not in error.public


def test_a_bucket_that_the_store_lost_is_no_missing_object() -> None:
    lost = told(NotFoundError(_REFUSED.format(status="404 Not Found", code="NoSuchBucket")))
    assert isinstance(lost, StoreBucketMissing)
    assert lost.retryable
    assert lost.code == "NoSuchBucket"
    gone = told(NotFoundError(_REFUSED.format(status="404 Not Found", code="NoSuchKey")))
    assert isinstance(gone, ObjectMissing)
    assert not gone.retryable

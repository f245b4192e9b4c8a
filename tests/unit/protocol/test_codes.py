from __future__ import annotations

from collections.abc import Iterator

import pytest

from smartcover.errors import SmartCoverError
from smartcover.protocol import CODES, http_status


def error_classes(root: type[SmartCoverError] = SmartCoverError) -> Iterator[type[SmartCoverError]]:
    yield root
    for child in root.__subclasses__():
        yield from error_classes(child)


ERRORS = [error for error in error_classes() if error.__module__.startswith("smartcover.")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_of_the_tree_has_a_status(error: type[SmartCoverError]) -> None:
    assert error.code in CODES, f"{error.__name__} says {error.code}; add it to protocol/codes.py"
    assert 400 <= http_status(error.code) < 600


@pytest.mark.documented
@pytest.mark.parametrize(
    ("status", "codes"),
    [
        (
            400,
            "InvalidArgument MalformedXML InvalidURI BadDigest InvalidDigest IncompleteBody EntityTooSmall "
            "EntityTooLarge InvalidPart InvalidPartOrder InvalidBucketName KeyTooLong MissingRequestBodyError "
            "MissingHost RequestTimeOut NoSuchVersion",
        ),
        (
            403,
            "AccessDenied SignatureDoesNotMatch InvalidAccessKeyId RequestTimeTooSkewed ExpiredToken InvalidSecurity",
        ),
        (404, "NoSuchBucket NoSuchKey NoSuchUpload NoSuchJob"),
        (405, "MethodNotAllowed"),
        (409, "BucketAlreadyExists BucketNotEmpty InvalidBucketState OperationAborted"),
        (411, "MissingContentLength"),
        (412, "PreconditionFailed"),
        (416, "InvalidRange"),
        (500, "InternalError"),
        (501, "NotImplemented"),
        (503, "ServiceUnavailable SlowDown"),
    ],
)
def test_the_clouds_codes_have_the_clouds_statuses(status: int, codes: str) -> None:
    assert {code: http_status(code) for code in codes.split()} == dict.fromkeys(codes.split(), status)


def test_only_our_own_fault_is_a_500() -> None:
    assert [entry.code for entry in CODES.values() if entry.http_status == 500] == ["InternalError"]


def test_a_failed_job_has_a_code_for_each_way_to_fail() -> None:
    for code in ["InputUnreadable", "NoVideoStream", "InputTooLarge", "ProcessTimeout", "ProcessFailed", "NoSuchKey"]:
        assert CODES[code].for_job


def test_a_word_that_is_no_code_is_a_mistake_of_ours() -> None:
    with pytest.raises(LookupError, match="Oops"):
        http_status("Oops")

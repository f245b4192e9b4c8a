"""
The error codes of the wire, each with its HTTP status and a default text.

One table for two uses: answers to requests (the `Code` of an `Error` document) and failed jobs (the `Code` of a
`JobsDetail`, which travels in a 200 or in a callback and never decides a status by itself). Names follow the
cloud's common list where it has one; the job codes are ours, because the cloud documents none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """
    One word of the wire.

    `for_job` tells that a failed job may carry it; such a code keeps an HTTP status because the same error may
    also end a request (an input that is missing, for one).
    """

    code: str
    http_status: int
    meaning: str
    for_job: bool = False


_TABLE: Final = (
    ErrorCode("InvalidArgument", 400, "A parameter of the request is missing or wrong.", for_job=True),
    ErrorCode("MalformedXML", 400, "The body is not well-formed XML of the documented form."),
    ErrorCode("InvalidURI", 400, "The request target cannot be read."),
    ErrorCode("BadDigest", 400, "The Content-MD5 sent does not match the body received."),
    ErrorCode("InvalidDigest", 400, "The Content-MD5 header is not the base64 of an MD5."),
    ErrorCode("IncompleteBody", 400, "The body ended before the Content-Length sent."),
    ErrorCode("EntityTooSmall", 400, "A part of the multipart upload is smaller than the minimum."),
    ErrorCode("EntityTooLarge", 400, "The body is larger than the limit allows."),
    ErrorCode("InvalidPart", 400, "A part of the multipart upload is missing or has another ETag."),
    ErrorCode("InvalidPartOrder", 400, "The parts are not listed in ascending order."),
    ErrorCode("InvalidBucketName", 400, "The bucket name is not valid."),
    ErrorCode("KeyTooLong", 400, "The object key is too long."),
    ErrorCode("MissingRequestBodyError", 400, "The request needs a body."),
    ErrorCode("MissingHost", 400, "The request needs a Host header."),
    ErrorCode("RequestTimeOut", 400, "The body did not arrive in time."),
    ErrorCode("NoSuchVersion", 400, "The specified version does not exist."),
    # Not 501: every SDK retries a 5xx, and asking again for what is not there helps nobody.
    ErrorCode("NotSupported", 400, "This call is not part of smartcover."),
    ErrorCode("AccessDenied", 403, "Access denied.", for_job=True),
    ErrorCode("SignatureDoesNotMatch", 403, "The signature does not match the request."),
    ErrorCode("InvalidAccessKeyId", 403, "The SecretId of the signature is not known here."),
    ErrorCode("RequestTimeTooSkewed", 403, "The signature is not valid yet; check the clock of the client."),
    ErrorCode("ExpiredToken", 403, "The security token has expired."),
    ErrorCode("InvalidSecurity", 403, "The security token is not valid."),
    ErrorCode("NoSuchBucket", 404, "The specified bucket does not exist.", for_job=True),
    ErrorCode("NoSuchKey", 404, "The specified key does not exist.", for_job=True),
    ErrorCode("NoSuchUpload", 404, "The specified multipart upload does not exist."),
    ErrorCode("NoSuchJob", 404, "The job does not exist in this bucket."),
    ErrorCode("MethodNotAllowed", 405, "The method is not allowed on this resource."),
    ErrorCode("BucketAlreadyExists", 409, "The bucket exists already."),
    ErrorCode("BucketNotEmpty", 409, "The bucket still holds objects; delete them first."),
    ErrorCode("InvalidBucketState", 409, "The bucket's state does not allow this."),
    ErrorCode("OperationAborted", 409, "Another change came first; read again and decide again."),
    # Not 503: the SDKs would send the submit again at once, four times over, to a queue that is full already.
    ErrorCode("QueueFull", 409, "The queue holds as many waiting jobs as it may."),
    ErrorCode("MissingContentLength", 411, "The request needs a Content-Length."),
    ErrorCode("PreconditionFailed", 412, "A condition of the request does not hold."),
    ErrorCode("InvalidRange", 416, "The range lies outside the object."),
    ErrorCode("InternalError", 500, "Something went wrong in smartcover.", for_job=True),
    ErrorCode("NotImplemented", 501, "The call is known but not implemented."),
    ErrorCode("ServiceUnavailable", 503, "The service or its store cannot do it now; try again.", for_job=True),
    ErrorCode("SlowDown", 503, "Too many requests; slow down."),
    ErrorCode("InputUnreadable", 400, "The video cannot be read.", for_job=True),
    ErrorCode("NoVideoStream", 400, "The file holds no video stream.", for_job=True),
    ErrorCode("ContentUnsafe", 400, "Every frame was held back by the safety check.", for_job=True),
    ErrorCode("InputTooLarge", 400, "The video is larger than the limits allow.", for_job=True),
    ErrorCode("ProcessTimeout", 400, "The video took longer to process than the limit allows.", for_job=True),
    ErrorCode("ProcessFailed", 400, "The engine failed: a crash, too little memory, or a fault of ours.", for_job=True),
)

CODES: Final[dict[str, ErrorCode]] = {entry.code: entry for entry in _TABLE}

SUCCESS: Final = "Success"
"""The `Code` of a job that has not failed; it is not an error and so not in the table."""


def http_status(code: str) -> int:
    """
    Tell the HTTP status of an error code.

    Only `InternalError` is a 500; a word outside the table is a mistake in this program and not in the request,
    so it is raised rather than answered.

    Raises:
        LookupError: If the code is not in the table.
    """
    try:
        return CODES[code].http_status
    except KeyError:
        raise LookupError(f"{code!r} is not an error code; add it to protocol/codes.py") from None

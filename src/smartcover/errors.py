"""
Every error that smartcover raises on purpose.

    SmartCoverError
      VideoError        NotAVideo, NoVideoStream, NoFrames, NoSafeFrame, VideoTooLarge, DecodeTimedOut, EngineCrashed,
                        EngineKilled
      StorageError      ObjectMissing, BucketMissing, StoreBucketMissing, BucketNotEmpty, BucketTaken, UploadMissing,
                        AccessDenied, DigestMismatch, IncompleteBody, RangeUnsatisfiable, PreconditionFailed,
                        InvalidPart, PartsOutOfOrder, StorageUnavailable, RegisterUnavailable
      RequestError      BadParameter, MalformedBody, MissingBody, BodyTooLarge, BadKey, KeyTooLong, BadBucketName,
                        MissingLength, BadUri, MissingHost, InvalidDigest, RequestTimedOut,
                        SignatureMismatch, SignatureMissing, UnknownKey, RequestExpired, ClockSkewed, NotBound,
                        UnknownJob, UnknownTemplate, UnknownQueue, UnknownWorkflow, UnknownRun, UnknownBatch,
                        MethodNotAllowed, Unsupported
      LedgerError       Conflict, AlreadyFinished, QueueFull, WorkflowActive, LeaseLost, LedgerUnavailable
      ReceiverError     MalformedCallback, BadSignature, StaleCallback
      ConformanceError  Mismatch, NotTried, ServerUnreachable
      SettingsError

The first line of each class's docstring is its default public text. `code` is the word on the wire (the HTTP status
of each code is in protocol/codes.py; a job's failure carries the code in its callback). `public` text goes to
clients and must hold no secret and no internal address; `detail` goes to logs. `retryable` says whether the same
call may succeed later with nothing changed by the caller.
"""

from __future__ import annotations

from typing import ClassVar


class SmartCoverError(Exception):
    """Something went wrong in smartcover."""

    code: ClassVar[str] = "InternalError"
    retryable: ClassVar[bool] = False

    def __init__(self, public: str | None = None, *, detail: str | None = None) -> None:
        self.public = public or (type(self).__doc__ or "").strip().splitlines()[0]
        self.detail = detail
        super().__init__(self.public)


class VideoError(SmartCoverError):
    """The video cannot be used."""

    code = "InputUnreadable"


class NotAVideo(VideoError):
    """The file is not a video that can be read."""


class NoVideoStream(VideoError):
    """The file holds no video stream."""

    code = "NoVideoStream"


class NoFrames(VideoError):
    """No frame of the video can be decoded."""


class NoSafeFrame(VideoError):
    """Every frame that could be a cover was held back by the safety check."""

    code = "ContentUnsafe"


class VideoTooLarge(VideoError):
    """The video is larger than the limits allow."""

    code = "InputTooLarge"


class DecodeTimedOut(VideoError):
    """The video took longer to decode than the limit allows."""

    code = "ProcessTimeout"


class EngineCrashed(VideoError):
    """The decoder ended without an answer, by a crash or for want of memory."""

    code = "ProcessFailed"


class EngineKilled(EngineCrashed):
    """The decoder was killed from outside, as the kernel does when the machine has no memory left."""


class StorageError(SmartCoverError):
    """The object store refused."""


class ObjectMissing(StorageError):
    """The specified key does not exist."""

    code = "NoSuchKey"


class BucketMissing(StorageError):
    """The specified bucket does not exist."""

    code = "NoSuchBucket"


class StoreBucketMissing(BucketMissing):
    """The bucket is not in the object store any more; the operator must look."""

    retryable = True


class BucketNotEmpty(StorageError):
    """The bucket still holds objects; delete them first."""

    code = "BucketNotEmpty"


class BucketTaken(StorageError):
    """The bucket exists already."""

    code = "BucketAlreadyExists"


class UploadMissing(StorageError):
    """The specified multipart upload does not exist."""

    code = "NoSuchUpload"


class AccessDenied(StorageError):
    """Access denied."""

    code = "AccessDenied"


class DigestMismatch(StorageError):
    """The Content-MD5 sent does not match the body received."""

    code = "BadDigest"


class IncompleteBody(StorageError):
    """The body ended before the Content-Length sent."""

    code = "IncompleteBody"


class RangeUnsatisfiable(StorageError):
    """The range lies outside the object."""

    code = "InvalidRange"


class PreconditionFailed(StorageError):
    """A condition of the request does not hold."""

    code = "PreconditionFailed"


class InvalidPart(StorageError):
    """A part of the multipart upload is missing or has another ETag."""

    code = "InvalidPart"


class PartsOutOfOrder(StorageError):
    """The parts are not listed in ascending order."""

    code = "InvalidPartOrder"


class StorageUnavailable(StorageError):
    """The object store cannot be reached; try again."""

    code = "ServiceUnavailable"
    retryable = True


class RegisterUnavailable(StorageUnavailable):
    """The database, which knows of the objects, does not answer; try again."""


class RequestError(SmartCoverError):
    """The request cannot be carried out as it is."""

    code = "InvalidArgument"


class BadParameter(RequestError):
    """A parameter of the request is wrong."""


class SizeOutOfRange(BadParameter):
    """The size asked for cannot be had of the shape of the video."""


class MalformedBody(RequestError):
    """The body is not well-formed XML of the documented form."""

    code = "MalformedXML"


class MissingBody(RequestError):
    """The request needs a body."""

    code = "MissingRequestBodyError"


class BodyTooLarge(RequestError):
    """The body is larger than the limit allows."""

    code = "EntityTooLarge"


class BadKey(RequestError):
    """The object key cannot be used."""


class KeyTooLong(BadKey):
    """The object key is too long."""

    code = "KeyTooLong"


class BadBucketName(RequestError):
    """The bucket name is not valid."""

    code = "InvalidBucketName"


class MissingLength(RequestError):
    """The request needs a Content-Length."""

    code = "MissingContentLength"


class BadUri(RequestError):
    """The request target cannot be read."""

    code = "InvalidURI"


class MissingHost(RequestError):
    """The request needs a Host header."""

    code = "MissingHost"


class InvalidDigest(RequestError):
    """The Content-MD5 header is not the base64 of an MD5."""

    code = "InvalidDigest"


class RequestTimedOut(RequestError):
    """The body did not arrive in time."""

    code = "RequestTimeOut"


class SignatureMismatch(RequestError):
    """The signature does not match the request."""

    code = "SignatureDoesNotMatch"


class SignatureMissing(RequestError):
    """The request is not signed."""

    code = "AccessDenied"


class UnknownKey(RequestError):
    """The SecretId of the signature is not known here."""

    code = "InvalidAccessKeyId"


class RequestExpired(RequestError):
    """Request has expired"""

    code = "AccessDenied"


class ClockSkewed(RequestError):
    """The signature is not valid yet; check the clock of the client."""

    code = "RequestTimeTooSkewed"


class NotBound(RequestError):
    """The bucket is not bound to media processing."""

    code = "AccessDenied"


class UnknownJob(RequestError):
    """The job does not exist in this bucket."""

    code = "NoSuchJob"


class UnknownTemplate(RequestError):
    """The template does not exist in this bucket."""


class UnknownQueue(RequestError):
    """The queue does not exist in this bucket."""


class UnknownWorkflow(RequestError):
    """The workflow does not exist in this bucket."""


class UnknownRun(RequestError):
    """The workflow run does not exist in this bucket."""


class UnknownBatch(RequestError):
    """The batch does not exist in this bucket."""

    code = "NoSuchJob"


class MethodNotAllowed(RequestError):
    """The method is not allowed on this resource."""

    code = "MethodNotAllowed"


class Unsupported(RequestError):
    """This call is not part of smartcover."""

    code = "NotSupported"


class LedgerError(SmartCoverError):
    """The durable state refused."""


class Conflict(LedgerError):
    """Another change came first; read again and decide again."""

    code = "OperationAborted"
    retryable = True


class AlreadyFinished(LedgerError):
    """The job is already in its final state."""

    code = "InvalidArgument"


class QueueFull(LedgerError):
    """The queue holds as many waiting jobs as it may; submit again when some have started."""

    code = "QueueFull"
    retryable = True


class WorkflowActive(LedgerError):
    """The workflow is active; pause it first."""

    code = "InvalidArgument"


class LeaseLost(LedgerError):
    """The job is no longer this worker's: another attempt holds it, or it was cancelled."""


class LedgerUnavailable(LedgerError):
    """The database does not answer: it is away or overloaded; try again."""

    code = "ServiceUnavailable"
    retryable = True


class ReceiverError(SmartCoverError):
    """The callback cannot be accepted."""


class MalformedCallback(ReceiverError):
    """The body is not a callback of the documented form."""


class BadSignature(ReceiverError):
    """The callback's signature does not match its body."""


class StaleCallback(ReceiverError):
    """The callback's timestamp lies outside the tolerance."""


class ConformanceError(SmartCoverError):
    """A conformance flow did not come to its end."""


class Mismatch(ConformanceError):
    """The server's answer is not what the flow expects."""


class NotTried(ConformanceError):
    """The flow needs something that is not here."""


class ServerUnreachable(ConformanceError):
    """The server under test cannot be reached."""

    retryable = True


class SettingsError(SmartCoverError):
    """A setting is wrong."""

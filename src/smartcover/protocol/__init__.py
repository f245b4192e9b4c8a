"""
The words of the wire: requests, answers, callbacks, error codes, names and the request signature.

Pure: no clock, no environment, no input or output. Bytes and values come in, values and bytes go out.
"""

from __future__ import annotations

from smartcover.protocol.answers import (
    JSON_CONTENT_TYPE,
    XML_CONTENT_TYPE,
    callback_body,
    error_document,
    jobs_response,
    task_finish,
)
from smartcover.protocol.codes import CODES, ErrorCode, http_status
from smartcover.protocol.fields import Fields
from smartcover.protocol.job_request import check_placeholders, check_url, parse_job_request
from smartcover.protocol.json_codec import parse_json, to_json
from smartcover.protocol.messages import (
    STATES,
    TAG,
    CallbackFormat,
    CallbackRequest,
    CallbackType,
    CosHeader,
    JobInput,
    JobRequest,
    JobsDetail,
    Md5Info,
    MessageQueueTarget,
    OperationDetail,
    OperationRequest,
    Output,
    SmartCoverParams,
    WorkflowRef,
)
from smartcover.protocol.names import MAX_KEY_BYTES, expand_name, has_number, is_id, key_fault, new_id
from smartcover.protocol.signature import (
    Credentials,
    RequestFacts,
    SignedRequest,
    VerifiedIdentity,
    parse_authorization,
    sign,
    verify,
)
from smartcover.protocol.times import CHINA_STANDARD_TIME, format_time, format_utc, parse_time, parse_zone
from smartcover.protocol.xml_codec import Tree, parse_xml, to_xml

__all__ = [
    "CHINA_STANDARD_TIME",
    "CODES",
    "JSON_CONTENT_TYPE",
    "MAX_KEY_BYTES",
    "STATES",
    "TAG",
    "XML_CONTENT_TYPE",
    "CallbackFormat",
    "CallbackRequest",
    "CallbackType",
    "CosHeader",
    "Credentials",
    "ErrorCode",
    "Fields",
    "JobInput",
    "JobRequest",
    "JobsDetail",
    "Md5Info",
    "MessageQueueTarget",
    "OperationDetail",
    "OperationRequest",
    "Output",
    "RequestFacts",
    "SignedRequest",
    "SmartCoverParams",
    "Tree",
    "VerifiedIdentity",
    "WorkflowRef",
    "callback_body",
    "check_placeholders",
    "check_url",
    "error_document",
    "expand_name",
    "format_time",
    "format_utc",
    "has_number",
    "http_status",
    "is_id",
    "jobs_response",
    "key_fault",
    "new_id",
    "parse_authorization",
    "parse_job_request",
    "parse_json",
    "parse_time",
    "parse_xml",
    "parse_zone",
    "sign",
    "task_finish",
    "to_json",
    "to_xml",
    "verify",
]

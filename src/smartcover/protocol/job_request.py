"""
Reading the body of `POST /jobs`.

Everything the documents promise about a submit is checked here, before anything is stored. Order of nodes is free,
nodes we do not know are ignored, empty nodes count as absent. What only the service can know (whether a queue or
template exists, whether a callback address is allowed) is left to it.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from smartcover.errors import BadParameter
from smartcover.protocol.fields import Fields, shown
from smartcover.protocol.messages import (
    CALLBACK_FORMATS,
    CALLBACK_TYPES,
    JOB_LEVELS,
    MAX_OPERATIONS,
    MAX_USER_DATA_CHARACTERS,
    TAG,
    CallbackRequest,
    JobRequest,
    MessageQueueTarget,
    OperationRequest,
    Output,
    SmartCoverParams,
)
from smartcover.protocol.names import expand_name, has_number, key_fault
from smartcover.protocol.xml_codec import MAX_BODY_BYTES, parse_request

MAX_URL_CHARACTERS: Final = 2048
MAX_WORD_CHARACTERS: Final = 128

NO_CALLBACK: Final = "no"
"""The literal in `CallBack` that suppresses the queue's callback too."""

_URL_CHARACTERS: Final = re.compile(r"[^\s\x00-\x20\x7f\\]+")
_WIDEST_ID: Final = "x" * 33


def parse_job_request(body: bytes, *, max_bytes: int = MAX_BODY_BYTES) -> JobRequest:
    """
    Read a submit.

    Raises:
        MissingBody: If the body is empty.
        MalformedBody: If it is not XML with the root `Request`, or too large.
        BadParameter: If a field is missing or outside its documented range.
    """
    request = Fields(parse_request(body, max_bytes=max_bytes), "Request")
    object_key = _key(request.required_child("Input"), "Object")
    operations = request.children("Operation")
    if not operations:
        raise BadParameter("Request.Operation is missing; give one to six")
    if len(operations) > MAX_OPERATIONS:
        raise BadParameter(f"Request.Operation is given {len(operations)} times; give at most {MAX_OPERATIONS}")
    tag = _tag(request)
    return JobRequest(
        object_key=object_key,
        operations=tuple(_operation(fields, tag, object_key) for fields in operations),
        queue_id=read_word(request, "QueueId"),
        callback=read_callback(request),
        multi=tag is None or len(operations) > 1,
    )


def read_callback(fields: Fields) -> CallbackRequest:
    """
    Read the `CallBack*` nodes, which stand in the Request of a job and in the Operation of a batch.

    Raises:
        BadParameter: If the URL is not http or https, or a message queue is asked for and not named.
    """
    url = fields.text("CallBack")
    url = url.strip() if url else None
    suppressed = url == NO_CALLBACK
    if url and not suppressed:
        check_url(url, fields.path_of("CallBack"))
    kind = fields.choice("CallBackType", CALLBACK_TYPES)
    body_format = fields.choice("CallBackFormat", CALLBACK_FORMATS)
    return CallbackRequest(
        url=None if suppressed else url or None,
        suppressed=suppressed,
        format=body_format,
        type=kind,
        mq=_message_queue(fields) if kind == "TDMQ" and not suppressed else None,
    )


def check_url(url: str, path: str) -> None:
    """
    Refuse what is not an http or https URL with a host.

    Whether the host may be called is for the sender of callbacks to judge.

    Raises:
        BadParameter: Naming `path`, the node that held the URL.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise BadParameter(f"{path} is {len(url)} characters long; give at most {MAX_URL_CHARACTERS}")
    try:
        parts = urlsplit(url)
        usable = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a broken IPv6 literal or port
        usable = False
    if not usable or _URL_CHARACTERS.fullmatch(url) is None:
        raise BadParameter(f"{path} is {shown(url)}; give an http:// or https:// URL, or {NO_CALLBACK} for none")


def check_placeholders(count: int, pattern: str, path: str) -> None:
    """
    Refuse a pattern that would write several covers to one key.

    Raises:
        BadParameter: If `count` is over 1 and the pattern has no number placeholder.
    """
    if count > 1 and not has_number(pattern):
        raise BadParameter(
            f"{path} is {shown(pattern)} and {count} covers may result; put ${{number}} into it, or ask for Count 1"
        )


def _operation(fields: Fields, request_tag: str | None, object_key: str) -> OperationRequest:
    tag = _tag(fields) or request_tag
    if tag is None:
        raise BadParameter(f"{fields.path_of('Tag')} is missing; give {TAG}")
    template_id = read_word(fields, "TemplateId")
    cover_fields = fields.child("SmartCover")
    params = None if cover_fields is None else SmartCoverParams.read(cover_fields)
    output = read_output(fields, input_key=object_key)
    if template_id is None:
        count = (params or SmartCoverParams()).count
        check_placeholders(count, output.object, fields.path_of("Output.Object"))
    level = fields.integer("JobLevel", JOB_LEVELS[0], JOB_LEVELS[-1])
    return OperationRequest(
        tag=tag,
        smart_cover=params,
        output=output,
        user_data=fields.printable_ascii("UserData", MAX_USER_DATA_CHARACTERS),
        job_level=level or 0,
        job_level_sent=level is not None,
        template_id=template_id,
    )


def read_output(fields: Fields, *, input_key: str | None = None) -> Output:
    """
    Read the `Output` node of an operation.

    Raises:
        BadParameter: If a field is missing, or the pattern cannot become a key: it is tried with the widest ids.
    """
    output = fields.required_child("Output")
    region = read_word(output, "Region")
    bucket = read_word(output, "Bucket")
    for name, value in (("Region", region), ("Bucket", bucket)):
        if value is None:
            raise BadParameter(f"{output.path_of(name)} is missing or empty; it is required")
    pattern = output.required_text("Object")
    widest = expand_name(
        pattern,
        number=0,
        ext="webp",
        job_id=_WIDEST_ID,
        run_id=_WIDEST_ID,
        input_key=input_key,
        batch_id=_WIDEST_ID,
    )
    fault = key_fault(pattern) or key_fault(widest)
    if fault is not None:
        raise BadParameter(f"{output.path_of('Object')} cannot name an object: {fault}")
    return Output(region=region or "", bucket=bucket or "", object=pattern)


def _tag(fields: Fields) -> str | None:
    tag = fields.text("Tag")
    if tag is not None and tag.strip() != TAG:
        raise BadParameter(f"{fields.path_of('Tag')} is {shown(tag)}; only {TAG} is done here")
    return None if tag is None else TAG


def _key(fields: Fields, name: str) -> str:
    key = fields.required_text(name)
    fault = key_fault(key)
    if fault is not None:
        raise BadParameter(f"{fields.path_of(name)} cannot name an object: {fault}")
    return key


def read_word(fields: Fields, name: str) -> str | None:
    """Read a short text without control characters; white space around it does not count."""
    value = fields.text(name)
    value = value.strip() if value else None
    if not value:
        return None
    if len(value) > MAX_WORD_CHARACTERS or not value.isprintable():
        raise BadParameter(
            f"{fields.path_of(name)} is {shown(value)}; give at most {MAX_WORD_CHARACTERS} printable characters"
        )
    return value


def _message_queue(fields: Fields) -> MessageQueueTarget:
    config = fields.child("CallBackMqConfig")
    if config is None:
        raise BadParameter(
            f"{fields.path_of('CallBackMqConfig')} is missing; CallBackType TDMQ needs MqRegion, MqMode and MqName"
        )
    return read_message_queue(config)


def read_message_queue(config: Fields) -> MessageQueueTarget:
    """
    Read the nodes that name a message queue.

    Raises:
        BadParameter: If region or name is missing, or the mode is neither Queue nor Topic.
    """
    region, name = read_word(config, "MqRegion"), read_word(config, "MqName")
    if region is None or name is None:
        missing = "MqRegion" if region is None else "MqName"
        raise BadParameter(f"{config.path_of(missing)} is missing or empty; it is required")
    topic = config.choice("MqMode", ("Queue", "Topic")) == "Topic"
    return MessageQueueTarget(region=region, mode="Topic" if topic else "Queue", name=name)

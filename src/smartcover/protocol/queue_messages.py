"""Queues and bucket bindings on the wire: what a client sets, and what the calls answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Final, Literal

from smartcover.errors import BadParameter
from smartcover.protocol.fields import Fields, shown
from smartcover.protocol.job_request import check_url, read_word
from smartcover.protocol.messages import CALLBACK_FORMATS, CALLBACK_TYPES, CallbackFormat, CallbackType, Message, Moment
from smartcover.protocol.paging import Page
from smartcover.protocol.times import CHINA_STANDARD_TIME, format_time
from smartcover.protocol.xml_codec import MAX_BODY_BYTES, Tree, parse_request

MAX_QUEUE_NAME_BYTES: Final = 128
QUEUE_STATES: Final[tuple[Literal["Active", "Paused"], ...]] = ("Active", "Paused")
QUEUE_CATEGORY: Final = "Transcoding"
QUEUE_CATEGORIES: Final = ("CateAll", QUEUE_CATEGORY, "SpeedTranscoding")
#: Words of `Event`; the last is the name that older pages give TaskFinish.
QUEUE_EVENTS: Final = ("TaskFinish", "WorkflowFinish", "TransCodingFinish")

_KAFKA_NODES: Final = ("Region", "InstanceId", "Topic")


class QueueNotify(Message):
    """
    `NotifyConfig` of a queue. Empty texts are what was not given; `type` is None then.

    `events` are the words of `Event` in the order sent, each in the documents' spelling.
    """

    on: bool = False
    url: str = ""
    type: CallbackType | None = None
    events: tuple[str, ...] = ()
    format: CallbackFormat = "XML"
    mq_mode: str = ""
    mq_region: str = ""
    mq_name: str = ""
    kafka: tuple[tuple[str, str], ...] = ()


class QueueRequest(Message):
    """What a client sets of a queue: all of it, nothing of the old stays."""

    name: str
    state: Literal["Active", "Paused"]
    notify: QueueNotify


class QueueDetail(Message):
    """A queue as the outside sees it."""

    queue_id: str
    bucket_id: str
    name: str
    state: str
    max_size: int
    max_concurrent: int
    notify: QueueNotify
    create_time: Moment
    update_time: Moment


class MediaBucketDetail(Message):
    """A bucket that takes part in media processing."""

    bucket_id: str
    region: str
    create_time: Moment


def parse_queue(body: bytes, *, max_bytes: int = MAX_BODY_BYTES) -> QueueRequest:
    """
    Read the body of an update. The id in it is ignored, the path decides.

    Raises:
        MissingBody: If the body is empty.
        MalformedBody: If it is not XML with the root `Request`, or too large.
        BadParameter: If a node is missing or out of range; the text names it.
    """
    request = Fields(parse_request(body, max_bytes=max_bytes), "Request")
    name = request.required_text("Name").strip()
    size_bytes = len(name.encode())
    if not name or size_bytes > MAX_QUEUE_NAME_BYTES or not name.isprintable():
        raise BadParameter(
            f"{request.path_of('Name')} is {shown(name)} of {size_bytes} bytes; give 1 to {MAX_QUEUE_NAME_BYTES} bytes "
            "of printable text"
        )
    state = request.choice("State", QUEUE_STATES)
    if state is None:
        raise BadParameter(f"{request.path_of('State')} is missing or empty; give one of {', '.join(QUEUE_STATES)}")
    return QueueRequest(name=name, state=state, notify=_read_notify(request.required_child("NotifyConfig")))


def queue_response(request_id: str, detail: QueueDetail, *, zone: tzinfo = CHINA_STANDARD_TIME) -> dict[str, Tree]:
    """Build the answer to an update."""
    return {"Response": {"RequestId": request_id, "Queue": _queue(detail, zone)}}


def queue_list(
    request_id: str,
    details: Sequence[QueueDetail],
    *,
    page: Page,
    unknown_ids: Sequence[str] = (),
    zone: tzinfo = CHINA_STANDARD_TIME,
) -> dict[str, Tree]:
    """Build the answer to a list; unknown ids stand in nodes that are spelled `QueueID`, as in the vendor's pages."""
    response: dict[str, Tree] = {"RequestId": request_id, **page.tree()}
    response["QueueList"] = [_queue(detail, zone) for detail in details]
    if unknown_ids:
        response["NonExistPIDs"] = {"QueueID": list(unknown_ids)}
    return {"Response": response}


def media_bucket_list(
    request_id: str, details: Sequence[MediaBucketDetail], *, page: Page, zone: tzinfo = CHINA_STANDARD_TIME
) -> dict[str, Tree]:
    """Build the list of buckets that take part in media processing."""
    buckets: list[Tree] = [
        {
            "BucketId": detail.bucket_id,
            "Name": detail.bucket_id,
            "Region": detail.region,
            "CreateTime": format_time(detail.create_time, zone),
        }
        for detail in details
    ]
    return {"Response": {"RequestId": request_id, **page.tree(), "MediaBucketList": buckets}}


def media_bucket_bound(
    request_id: str, detail: MediaBucketDetail, *, zone: tzinfo = CHINA_STANDARD_TIME
) -> dict[str, Tree]:
    """Build the answer to a binding."""
    bucket: Tree = {
        "BucketId": detail.bucket_id,
        "Region": detail.region,
        "CreateTime": format_time(detail.create_time, zone),
    }
    return {"Response": {"RequestId": request_id, "MediaBucket": bucket}}


def media_bucket_unbound(request_id: str, bucket: str) -> dict[str, Tree]:
    """Build the answer to the end of a binding."""
    return {"Response": {"RequestId": request_id, "BucketName": bucket}}


def _read_notify(fields: Fields) -> QueueNotify:
    on = fields.choice("State", ("On", "Off")) == "On"
    kind = fields.choice("Type", CALLBACK_TYPES)
    url = (fields.text("Url") or "").strip()
    if url:
        check_url(url, fields.path_of("Url"))
    kafka = fields.child("KafkaConfig")
    notify = QueueNotify(
        on=on,
        url=url,
        type=kind,
        events=_read_events(fields),
        format=fields.choice("ResultFormat", CALLBACK_FORMATS) or "XML",
        mq_mode=fields.choice("MqMode", ("Queue", "Topic")) or "",
        mq_region=read_word(fields, "MqRegion") or "",
        mq_name=read_word(fields, "MqName") or "",
        kafka=()
        if kafka is None
        else tuple((node, text) for node in _KAFKA_NODES if (text := read_word(kafka, node)) is not None),
    )
    if on:
        _require_all(fields, notify)
    return notify


def _require_all(fields: Fields, notify: QueueNotify) -> None:
    """With State On, Type, Event and the receiver are required."""
    places: tuple[tuple[str, str], ...] = (("MqRegion", notify.mq_region), ("MqName", notify.mq_name))
    if notify.type != "TDMQ":
        places = (("Url", notify.url),)
    for name, given in (("Type", notify.type), ("Event", notify.events), *places):
        if not given:
            raise BadParameter(f"{fields.path_of(name)} is missing or empty; it is required when State is On")


def _read_events(fields: Fields) -> tuple[str, ...]:
    known = {word.lower(): word for word in QUEUE_EVENTS}
    words = [word.strip() for word in (fields.text("Event") or "").split(",") if word.strip()]
    for word in words:
        if word.lower() not in known:
            raise BadParameter(
                f"{fields.path_of('Event')} holds {shown(word)}; give {', '.join(QUEUE_EVENTS)}, joined by commas"
            )
    return tuple(dict.fromkeys(known[word.lower()] for word in words))


def _queue(detail: QueueDetail, zone: tzinfo) -> Tree:
    notify = detail.notify
    config: dict[str, Tree] = {
        "Url": notify.url,
        "State": "On" if notify.on else "Off",
        "Type": notify.type or "",
        "Event": ",".join(notify.events),
        "ResultFormat": notify.format,
        "MqMode": notify.mq_mode,
        "MqRegion": notify.mq_region,
        "MqName": notify.mq_name,
    }
    if notify.kafka:
        config["KafkaConfig"] = dict(notify.kafka)
    return {
        "BucketId": detail.bucket_id,
        "QueueId": detail.queue_id,
        "Name": detail.name,
        "State": detail.state,
        "MaxSize": str(detail.max_size),
        "MaxConcurrent": str(detail.max_concurrent),
        "Category": QUEUE_CATEGORY,
        "UpdateTime": format_time(detail.update_time, zone),
        "CreateTime": format_time(detail.create_time, zone),
        "NotifyConfig": config,
    }

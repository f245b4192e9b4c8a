"""Bodies of templates, queues and bindings: read in any documented form, and written as the documents show."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import SmartCoverError
from smartcover.protocol import (
    MediaBucketDetail,
    Page,
    QueueDetail,
    QueueNotify,
    SmartCoverParams,
    TemplateDetail,
    media_bucket_bound,
    media_bucket_list,
    media_bucket_unbound,
    parse_queue,
    parse_template,
    queue_list,
    queue_response,
    template_deleted,
    template_list,
    template_response,
    to_xml,
)

MOMENT = datetime(2026, 1, 5, 2, 0, tzinfo=UTC)
SHOWN = "2026-01-05T10:00:00+0800"
TEMPLATE = TemplateDetail(
    template_id="t1",
    bucket_id="b-1",
    tag="SmartCover",
    name="cards",
    smart_cover=SmartCoverParams(sent=(("Count", "3"), ("Format", "jpg"))),
    create_time=MOMENT,
    update_time=MOMENT,
)
QUEUE = QueueDetail(
    queue_id="p1",
    bucket_id="b-1",
    name="queue-1",
    state="Active",
    max_size=10_000,
    max_concurrent=10,
    notify=QueueNotify(),
    create_time=MOMENT,
    update_time=MOMENT,
)
TEMPLATE_NODES = (
    "<Tag>SmartCover</Tag><Name>cards</Name><TemplateId>t1</TemplateId><BucketId>b-1</BucketId><Category>Custom</Category>"
    "<SmartCover><Format>jpg</Format><Count>3</Count></SmartCover>"
    f"<CreateTime>{SHOWN}</CreateTime><UpdateTime>{SHOWN}</UpdateTime>"
)
QUEUE_NODES = (
    "<BucketId>b-1</BucketId><QueueId>p1</QueueId><Name>queue-1</Name><State>Active</State><MaxSize>10000</MaxSize>"
    "<MaxConcurrent>10</MaxConcurrent><Category>Transcoding</Category>"
    f"<UpdateTime>{SHOWN}</UpdateTime><CreateTime>{SHOWN}</CreateTime>"
    "<NotifyConfig><Url/><State>Off</State><Type/><Event/><ResultFormat>XML</ResultFormat>"
    "<MqMode/><MqRegion/><MqName/></NotifyConfig>"
)
COUNTS = "<TotalCount>1</TotalCount><PageNumber>1</PageNumber><PageSize>10</PageSize>"
PAGE = Page(total=1, number=1, size=10)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (template_response("r", TEMPLATE), f"<RequestId>r</RequestId><Template>{TEMPLATE_NODES}</Template>"),
        (
            template_list("r", [TEMPLATE], page=PAGE),
            f"<RequestId>r</RequestId>{COUNTS}<TemplateList>{TEMPLATE_NODES}</TemplateList>",
        ),
        (
            template_list("r", [], page=None, unknown_ids=["t2", "t3"]),
            "<RequestId>r</RequestId><NonExistTIDs><TemplateId>t2</TemplateId><TemplateId>t3</TemplateId></NonExistTIDs>",
        ),
        (template_deleted("r", "t1"), "<RequestId>r</RequestId><TemplateId>t1</TemplateId>"),
        (queue_response("r", QUEUE), f"<RequestId>r</RequestId><Queue>{QUEUE_NODES}</Queue>"),
        (
            queue_list("r", [QUEUE], page=PAGE, unknown_ids=["p2"]),
            f"<RequestId>r</RequestId>{COUNTS}<QueueList>{QUEUE_NODES}</QueueList>"
            "<NonExistPIDs><QueueID>p2</QueueID></NonExistPIDs>",
        ),
        (
            media_bucket_list("r", [MediaBucketDetail(bucket_id="b-1", region="ap-x", create_time=MOMENT)], page=PAGE),
            f"<RequestId>r</RequestId>{COUNTS}<MediaBucketList><BucketId>b-1</BucketId><Name>b-1</Name>"
            f"<Region>ap-x</Region><CreateTime>{SHOWN}</CreateTime></MediaBucketList>",
        ),
        (
            media_bucket_bound("r", MediaBucketDetail(bucket_id="b-1", region="ap-x", create_time=MOMENT)),
            "<RequestId>r</RequestId><MediaBucket><BucketId>b-1</BucketId><Region>ap-x</Region>"
            f"<CreateTime>{SHOWN}</CreateTime></MediaBucket>",
        ),
        (media_bucket_unbound("r", "b-1"), "<RequestId>r</RequestId><BucketName>b-1</BucketName>"),
    ],
)
def test_answers_have_the_nodes_of_the_documents_in_their_order(tree: dict[str, object], text: str) -> None:
    assert to_xml(tree).decode() == f"<Response>{text}</Response>"  # type: ignore[arg-type]


def test_a_template_is_read_in_any_order_with_empty_nodes_as_absent() -> None:
    body = (
        "<Request><SmartCover><Width></Width><Count>5</Count></SmartCover><Name> 模板_-*1 </Name><Tag>SmartCover</Tag>"
        "</Request>"
    )
    request = parse_template(body.encode())
    assert (request.name, request.tag) == ("模板_-*1", "SmartCover")
    assert request.smart_cover.sent == (("Count", "5"),)


def test_a_queue_is_read_whole() -> None:
    body = (
        "<Request><Name>夜间 q</Name><QueueID>ignored</QueueID><State>paused</State><NotifyConfig><State>on</State>"
        "<Event>taskfinish, WorkflowFinish,TransCodingFinish,</Event><Type>url</Type><Url> http://h/cb </Url>"
        "<ResultFormat>json</ResultFormat><MqMode>topic</MqMode><MqRegion>sh</MqRegion><MqName>q</MqName>"
        "<KafkaConfig><Region>ap-x</Region><InstanceId></InstanceId><Topic>t</Topic></KafkaConfig></NotifyConfig></Request>"
    )
    request = parse_queue(body.encode())
    assert (request.name, request.state) == ("夜间 q", "Paused")
    assert request.notify == QueueNotify(
        on=True,
        url="http://h/cb",
        type="Url",
        events=("TaskFinish", "WorkflowFinish", "TransCodingFinish"),
        format="JSON",
        mq_mode="Topic",
        mq_region="sh",
        mq_name="q",
        kafka=(("Region", "ap-x"), ("Topic", "t")),
    )


def test_what_is_off_needs_no_receiver() -> None:
    for notify in ("<NotifyConfig/>", "<NotifyConfig><State>Off</State></NotifyConfig>"):
        body = f"<Request><Name>q</Name><State>Active</State>{notify}</Request>"
        assert parse_queue(body.encode()).notify == QueueNotify()


@given(
    st.recursive(
        st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="<&"), max_size=8),
        lambda inner: st.lists(
            st.tuples(
                st.sampled_from(
                    ["Tag", "Name", "SmartCover", "Count", "State", "NotifyConfig", "Event", "Url", "Type"]
                ),
                inner,
            ),
            max_size=4,
        ).map(lambda pairs: "".join(f"<{name}>{text}</{name}>" for name, text in pairs)),
        max_leaves=12,
    )
)
def test_any_body_is_read_or_refused_with_an_error_of_ours(inside: str) -> None:
    for parse in (parse_template, parse_queue):
        try:
            parse(f"<Request>{inside}</Request>".encode())
        except SmartCoverError as error:
            assert error.public

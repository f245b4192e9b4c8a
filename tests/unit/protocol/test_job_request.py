from __future__ import annotations

import pytest

from smartcover.errors import BadParameter, MalformedBody, MissingBody, SmartCoverError
from smartcover.protocol import JobRequest, SmartCoverParams, check_url, parse_job_request
from tests.shared import SHARED

OUTPUT = "<Output><Region>r</Region><Bucket>b-1</Bucket><Object>out/c-${number}.jpg</Object></Output>"
COVER = "<SmartCover><Format>png</Format><Width>1280</Width><Count>5</Count></SmartCover>"
INPUT = "<Input><Object>in/clip.mp4</Object></Input>"


def single(
    operation: str = COVER + OUTPUT, *, rest: str = "", tag: str = "<Tag>SmartCover</Tag>", source: str = INPUT
) -> bytes:
    return f"<Request>{tag}{source}<Operation>{operation}</Operation>{rest}</Request>".encode()


def cover(**nodes: str) -> bytes:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in nodes.items())
    return single(f"<SmartCover>{inner}</SmartCover>{OUTPUT}")


def params(body: bytes) -> SmartCoverParams:
    return parse_job_request(body).operations[0].params


def test_a_single_job_is_read_whole() -> None:
    operation = COVER + OUTPUT + "<UserData>order-77</UserData><JobLevel>2</JobLevel>"
    rest = "<QueueId>p1</QueueId><CallBack>http://r.example/cb?x=1</CallBack><CallBackFormat>JSON</CallBackFormat>"
    request = parse_job_request(single(operation, rest=rest))
    assert request.object_key == "in/clip.mp4"
    assert request.queue_id == "p1"
    assert not request.multi
    assert request.callback.url == "http://r.example/cb?x=1"
    assert request.callback.format == "JSON"
    assert request.callback.type is None
    assert not request.callback.suppressed
    [found] = request.operations
    assert found.tag == "SmartCover"
    assert found.smart_cover is not None
    assert found.smart_cover.sent == (("Format", "png"), ("Width", "1280"), ("Count", "5"))
    assert (found.output.region, found.output.bucket, found.output.object) == ("r", "b-1", "out/c-${number}.jpg")
    assert (found.user_data, found.job_level, found.job_level_sent, found.template_id) == ("order-77", 2, True, None)


@pytest.mark.documented
def test_left_out_options_have_the_documented_defaults() -> None:
    request = parse_job_request(single(OUTPUT))
    [found] = request.operations
    assert found.smart_cover is None
    assert (found.params.format, found.params.count, found.params.delete_duplicates) == ("jpg", 3, False)
    assert (found.params.width, found.params.height) == (None, None)
    assert (found.job_level, found.job_level_sent, found.user_data) == (0, False, None)
    assert request.callback.model_dump(exclude_defaults=True) == {}
    assert request.queue_id is None


@pytest.mark.observed
def test_empty_nodes_count_as_absent() -> None:
    # The official demos send every node, empty where nothing is meant.
    operation = (
        "<SmartCover><Format/><Width></Width><Height/><Count/><DeleteDuplicates/></SmartCover>"
        + OUTPUT
        + "<UserData/><JobLevel/><TemplateId/>"
    )
    rest = "<QueueId/><CallBack/><CallBackFormat/><CallBackType/><CallBackMqConfig/>"
    request = parse_job_request(single(operation, rest=rest))
    [found] = request.operations
    assert found.smart_cover == SmartCoverParams()
    assert (found.params.count, found.template_id, found.user_data, found.job_level_sent) == (3, None, None, False)
    assert request.callback.model_dump(exclude_defaults=True) == {}
    assert request.queue_id is None


def test_blank_words_and_numbers_count_as_absent() -> None:
    # Some writers indent the text of an empty node, too.
    blank = "".join(f"<{name}>\n  </{name}>" for name in ("Format", "Width", "Count", "DeleteDuplicates"))
    operation = f"<SmartCover>{blank}</SmartCover>{OUTPUT}<JobLevel>\n  </JobLevel>"
    [found] = parse_job_request(single(operation, rest="<CallBackFormat>\n</CallBackFormat>")).operations
    assert found.smart_cover == SmartCoverParams()
    assert not found.job_level_sent


def test_texts_are_kept_exactly_for_the_echo_and_read_loosely() -> None:
    found = params(cover(Count=" 05 ", DeleteDuplicates="True", Format="JPG", Height="0960"))
    assert found.sent == (("Count", " 05 "), ("DeleteDuplicates", "True"), ("Format", "JPG"), ("Height", "0960"))
    assert (found.count, found.delete_duplicates, found.format, found.height) == (5, True, "jpg", 960)


def test_nodes_that_we_do_not_know_are_ignored() -> None:
    operation = COVER.replace("<Count>", "<Animal>cat</Animal><Count>") + OUTPUT + "<New><A/><A/></New>"
    body = single(operation, rest="<BucketName>b</BucketName><QueueType>x</QueueType><QueueType>y</QueueType>")
    assert params(body).sent == (("Format", "png"), ("Width", "1280"), ("Count", "5"))


@pytest.mark.documented
def test_the_multi_form_has_its_tag_in_each_operation() -> None:
    body = f"<Request>{INPUT}" + f"<Operation><Tag>SmartCover</Tag>{OUTPUT}</Operation>" * 6 + "</Request>"
    request = parse_job_request(body.encode())
    assert request.multi
    assert len(request.operations) == 6
    with pytest.raises(BadParameter, match="given 7 times; give at most 6"):
        parse_job_request(body.replace("</Request>", "<Operation/></Request>").encode())
    one = f"<Request>{INPUT}<Operation><Tag>SmartCover</Tag>{OUTPUT}</Operation></Request>"
    assert parse_job_request(one.encode()).multi


@pytest.mark.documented
def test_a_template_alone_is_enough() -> None:
    [found] = parse_job_request(single("<TemplateId>t1</TemplateId>" + OUTPUT)).operations
    assert found.template_id == "t1"
    assert found.smart_cover is None


@pytest.mark.ours
def test_several_covers_need_a_number_placeholder() -> None:
    # What the cloud does without one is not documented; here covers would overwrite each other.
    output = OUTPUT.replace("${number}", "x")
    with pytest.raises(BadParameter, match=r"Request.Operation.Output.Object .* 3 covers .* \$\{number\}"):
        parse_job_request(single(output))
    assert params(single("<SmartCover><Count>1</Count></SmartCover>" + output)).count == 1
    # With a template only the template knows how many.
    assert parse_job_request(single("<TemplateId>t1</TemplateId>" + output))


@pytest.mark.documented
@pytest.mark.parametrize(
    ("node", "good", "bad"),
    [
        ("Count", ["1", "10"], ["0", "11", "-1", "1.0", "x", "+1", "1e1", "٣", "9999999999"]),
        ("Width", ["128", "4096"], ["127", "4097", "0", "1280px"]),
        ("Height", ["128", "4096"], ["127", "4097", "0", "auto"]),
        ("Format", ["jpg", "png", "webp"], ["jpeg", "gif", "x"]),
        ("DeleteDuplicates", ["true", "false"], ["1", "yes"]),
    ],
)
def test_options_outside_their_range_are_refused(node: str, good: list[str], bad: list[str]) -> None:
    for text in good:
        assert params(cover(**{node: text})).text(node) == text
    for text in bad:
        with pytest.raises(BadParameter, match=rf"Request\.Operation\.SmartCover\.{node} is .*; give "):
            parse_job_request(cover(**{node: text}))


@pytest.mark.documented
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("<JobLevel>3</JobLevel>", r"JobLevel is '3'; give a whole number from 0 to 2"),
        ("<JobLevel>-1</JobLevel>", "JobLevel"),
        (f"<UserData>{'x' * 1025}</UserData>", "UserData is 1025 characters long; give at most 1024"),
        ("<UserData>猫</UserData>", "UserData .* printable ASCII"),
        ("<UserData>a\nb</UserData>", "UserData .* printable ASCII"),
        ("<UserData><A/></UserData>", "UserData holds child nodes"),
        ("<Tag>Transcode</Tag>", "Tag is 'Transcode'; only SmartCover"),
        ("<SmartCover>x</SmartCover>", "SmartCover is 'x'; give child nodes"),
        ("<SmartCover/><SmartCover/>", "SmartCover is given 2 times; give it once"),
        (f"<TemplateId>{'t' * 129}</TemplateId>", "TemplateId .* at most 128"),
    ],
)
def test_a_wrong_field_of_an_operation_is_named(extra: str, message: str) -> None:
    with pytest.raises(BadParameter, match=message) as caught:
        parse_job_request(single(OUTPUT + extra))
    assert "Request.Operation" in caught.value.public


def test_user_data_may_use_all_of_printable_ascii() -> None:
    text = "".join(map(chr, range(0x20, 0x7F))).replace("&", "&amp;").replace("<", "&lt;")
    body = single(OUTPUT + f"<UserData>{text}{'x' * (1024 - 95)}</UserData>")
    [found] = parse_job_request(body).operations
    assert found.user_data is not None
    assert len(found.user_data) == 1024


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (single(tag=""), r"Request\.Operation\.Tag is missing"),
        (single(tag="<Tag>Snapshot</Tag>"), r"Request\.Tag is 'Snapshot'"),
        (single(tag="<Tag>SmartCover</Tag><Tag>SmartCover</Tag>"), r"Request\.Tag is given 2 times"),
        (single(source=""), r"Request\.Input is missing"),
        (single(source="<Input/>"), r"Request\.Input\.Object is missing or empty"),
        (single(source="<Input><Url>http://x/</Url></Input>"), r"Request\.Input\.Object is missing"),
        (single(source=INPUT + INPUT), r"Request\.Input is given 2 times"),
        (single(source=f"<Input><Object>{'x' * 851}</Object></Input>"), r"Request\.Input\.Object .* 851 bytes"),
        (single(source="<Input><Object>a\tb</Object></Input>"), r"Request\.Input\.Object .* U\+0009"),
        (single(""), r"Request\.Operation\.Output is missing"),
        (single("<Output/>"), r"Request\.Operation\.Output\.Region is missing or empty"),
        (single(OUTPUT.replace("b-1", "")), r"Request\.Operation\.Output\.Bucket is missing"),
        (single(OUTPUT.replace("out/c-${number}.jpg", "")), r"Request\.Operation\.Output\.Object is missing"),
        (single(OUTPUT.replace("out/", "${jobid}" * 27)), r"Output\.Object cannot name an object: .* give at most 850"),
        (f"<Request><Tag>SmartCover</Tag>{INPUT}</Request>".encode(), r"Request\.Operation is missing"),
        (b"<Request/>", r"Request\.Input is missing"),
        (b"<Request>text</Request>", r"Request\.Input is missing"),
        (
            f"<Request>{INPUT}<Operation><Tag>SmartCover</Tag>{OUTPUT}</Operation>"
            f"<Operation><Tag>Transcode</Tag>{OUTPUT}</Operation></Request>".encode(),
            r"Request\.Operation\[1\]\.Tag is 'Transcode'",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named_by_its_path(body: bytes, message: str) -> None:
    with pytest.raises(BadParameter, match=message):
        parse_job_request(body)


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_is_missing(body: bytes) -> None:
    with pytest.raises(MissingBody):
        parse_job_request(body)


@pytest.mark.parametrize("body", [b"x", b"<Response/>", b"<Request>", b"{}", single().replace(b"/Tag", b"Tag")])
def test_a_body_that_is_no_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_job_request(body)


def test_a_body_over_the_limit_is_refused() -> None:
    with pytest.raises(MalformedBody, match="the limit is 100"):
        parse_job_request(single(), max_bytes=100)


@pytest.mark.documented
def test_the_literal_no_suppresses_the_callback() -> None:
    callback = parse_job_request(single(rest="<CallBack>no</CallBack>")).callback
    assert callback.suppressed
    assert callback.url is None


@pytest.mark.documented
def test_a_message_queue_needs_its_names() -> None:
    config = "<CallBackMqConfig><MqRegion>bj</MqRegion><MqMode>Topic</MqMode><MqName>done</MqName></CallBackMqConfig>"
    kind = "<CallBackType>TDMQ</CallBackType>"
    found = parse_job_request(single(rest=kind + config)).callback
    assert found.type == "TDMQ"
    assert found.mq is not None
    assert (found.mq.region, found.mq.mode, found.mq.name) == ("bj", "Topic", "done")
    default = parse_job_request(single(rest=kind + config.replace("<MqMode>Topic</MqMode>", ""))).callback
    assert default.mq is not None
    assert default.mq.mode == "Queue"
    with pytest.raises(BadParameter, match=r"Request\.CallBackMqConfig is missing"):
        parse_job_request(single(rest=kind))
    with pytest.raises(BadParameter, match=r"Request\.CallBackMqConfig\.MqName is missing"):
        parse_job_request(single(rest=kind + config.replace("done", "")))
    # Without TDMQ the node does not matter.
    assert parse_job_request(single(rest="<CallBackMqConfig><MqName/></CallBackMqConfig>")).callback.mq is None


@pytest.mark.parametrize(
    "nodes",
    [
        "<CallBackFormat>YAML</CallBackFormat>",
        "<CallBackType>Kafka</CallBackType>",
        "<CallBack>ftp://x/</CallBack>",
        "<CallBack>No</CallBack>",
    ],
)
def test_a_wrong_callback_is_refused(nodes: str) -> None:
    with pytest.raises(BadParameter, match=r"Request\.CallBack"):
        parse_job_request(single(rest=nodes))


@pytest.mark.parametrize(
    "url",
    [
        "http://r.example/cb",
        "https://r.example:8443/cb?a=b&c=%20#f",
        "HTTP://R.example",
        "http://127.0.0.1:9/cb",
        "http://[::1]:9/cb",
        "http://user:pass@r.example/",
        "http://例え.example/猫",
    ],
)
def test_urls_with_a_host_pass(url: str) -> None:
    check_url(url, "Request.CallBack")


@pytest.mark.parametrize(
    "url",
    [
        "r.example/cb",
        "//r.example/cb",
        "http://",
        "http:///cb",
        "http://:80/",
        "http://[::1/",
        "http://r.example:99999/",
        "http://r.example:x/",
        "http://r.example:0/",
        "http://r.example/a b",
        "http://r.example/\r\nX-Evil: 1",
        "http://r.example\\@evil/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://r.example/" + "x" * 2048,
        "http://r\u2100.example/",
    ],
)
def test_urls_that_nobody_can_call_are_refused(url: str) -> None:
    with pytest.raises(BadParameter, match=r"Request\.CallBack is "):
        check_url(url, "Request.CallBack")


@pytest.mark.observed
@pytest.mark.skipif(SHARED is None, reason="needs the recorded requests beside the checkout")
def test_what_the_official_sdks_submit_is_accepted() -> None:
    assert SHARED is not None
    seen = 0
    for path in sorted((SHARED / "spec" / "recorded").rglob("*.txt")):
        head, _, rest = path.read_bytes().partition(b"\n\n")
        target = head.split(b" ", 2)
        if target[0] != b"POST" or not target[1].endswith(b"/jobs"):
            continue
        body = rest.partition(b"\n\n# absolute-form")[0]
        if b"<Input>" not in body:  # a trial of the recorder with a Tag alone
            with pytest.raises(SmartCoverError):
                parse_job_request(body)
            continue
        request = parse_job_request(body)
        assert request.operations[0].output.bucket == "test-1250000000", path
        assert request.multi == (b"<Tag>" not in body.partition(b"<Input>")[0]), path
        assert JobRequest.model_validate_json(request.model_dump_json()) == request
        seen += 1
    assert seen >= 15

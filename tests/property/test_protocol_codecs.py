"""A parser gives a value or its own error for any bytes, and what was written reads back the same."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from smartcover.errors import BadParameter, MalformedBody, MissingBody
from smartcover.protocol import (
    Tree,
    parse_complete_multipart_upload,
    parse_delete,
    parse_job_request,
    parse_json,
    parse_time,
    parse_xml,
    to_json,
    to_xml,
)

JOB = (
    b"<Request><Tag>SmartCover</Tag><Input><Object>in/clip.mp4</Object></Input><Operation><SmartCover><Format>jpg"
    b"</Format><Width>1280</Width><Count>5</Count><DeleteDuplicates>true</DeleteDuplicates></SmartCover><Output>"
    b"<Region>r</Region><Bucket>b-1</Bucket><Object>c-${number}.jpg</Object></Output><UserData>u</UserData><JobLevel>0"
    b"</JobLevel></Operation><QueueId>p1</QueueId><CallBack>http://r.example/cb</CallBack></Request>"
)
PARTS = (
    b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;ab&quot;</ETag></Part>"
    b"</CompleteMultipartUpload>"
)
DELETE = b"<Delete><Quiet>true</Quiet><Object><Key>a&amp;b</Key></Object></Delete>"


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """The body with a few bytes replaced, dropped, inserted or repeated: near enough to get past the first check."""
    result = bytearray(body)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(result)))
        end = draw(st.integers(start, min(len(result), start + 12)))
        filler = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from([b"<", b">", b"</", b"/>", b"&x;", b"&#0;", b"<!DOCTYPE a>", b"<![CDATA[", b"\x00"]),
                st.just(bytes(result[start:end]) * 2),
            )
        )
        result[start:end] = filler
    return bytes(result)


def xmlish() -> st.SearchStrategy[bytes]:
    piece = st.sampled_from(
        [
            "<a>",
            "</a>",
            "<b/>",
            "<Request>",
            "</Request>",
            "<Operation>",
            "text",
            "&lt;",
            "&#x41;",
            "&#55296;",
            "&y;",
            "<!--",
            "-->",
            "<?x?>",
            "]]>",
            "\ufffe",
        ]
    )
    return st.lists(piece, max_size=12).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass"))


@given(st.one_of(st.binary(max_size=200), xmlish(), mutated(JOB)))
def test_any_bytes_are_a_tree_or_malformed(body: bytes) -> None:
    try:
        tree = parse_xml(body)
    except MalformedBody:
        return
    assert len(tree) == 1
    # What was accepted can always be written again and means the same.
    assert parse_xml(to_xml(tree)) == tree


@given(st.one_of(st.binary(max_size=200), mutated(JOB)))
def test_any_bytes_are_a_job_or_a_request_error(body: bytes) -> None:
    try:
        request = parse_job_request(body)
    except (MalformedBody, BadParameter, MissingBody) as error:
        assert error.public
        return
    for operation in request.operations:
        assert 1 <= operation.params.count <= 10
        assert operation.params.format in {"jpg", "png", "webp"}
        assert operation.job_level in {0, 1, 2}


@given(st.one_of(st.binary(max_size=100), mutated(PARTS), mutated(DELETE)))
def test_any_bytes_are_a_list_of_parts_or_keys_or_a_request_error(body: bytes) -> None:
    for parser in (parse_complete_multipart_upload, parse_delete):
        try:
            parser(body)
        except (MalformedBody, BadParameter, MissingBody) as error:
            assert error.public


@given(
    st.one_of(
        st.binary(max_size=100),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda s: st.lists(s) | st.dictionaries(st.text(), s),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_bytes_are_a_json_tree_or_malformed(body: bytes) -> None:
    try:
        tree = parse_json(body)
    except MalformedBody:
        return
    assert isinstance(tree, dict)
    assert parse_json(to_json({"Response": tree})) is not None


@given(
    st.one_of(
        st.text(max_size=40), st.from_regex(r"\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([zZ]|[+-]\d\d:?\d\d)\Z")
    )
)
def test_any_text_is_an_aware_time_or_a_bad_parameter(text: str) -> None:
    try:
        moment = parse_time(text)
    except BadParameter:
        return
    assert moment.utcoffset() is not None


NAMES = st.from_regex(re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", re.ASCII), fullmatch=True)
XML_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(
    lambda text: re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", text)
)


def trees(text: st.SearchStrategy[str]) -> st.SearchStrategy[Tree]:
    """Trees without empty containers, which XML cannot tell from empty text."""
    return st.recursive(
        text,
        lambda inner: st.dictionaries(NAMES, inner | st.lists(inner, min_size=2, max_size=3), min_size=1, max_size=4),
        max_leaves=12,
    )


@given(NAMES, trees(XML_TEXT))
def test_a_tree_survives_xml(root: str, tree: Tree) -> None:
    body = to_xml({root: tree})
    assert parse_xml(body) == {root: tree}
    assert ElementTree.fromstring(body).tag == root


@given(NAMES, trees(st.text(st.characters())))
def test_no_text_makes_writing_fail(root: str, tree: Tree) -> None:
    parse_xml(to_xml({root: tree}))
    if isinstance(tree, dict):
        json.loads(to_json({root: tree}))


@given(trees(st.text(st.characters(exclude_categories=["Cs"]), min_size=1)))
def test_a_tree_survives_json(tree: Tree) -> None:
    document: dict[str, Tree] = {"A": tree}
    assert parse_json(to_json({"Response": document})) == document

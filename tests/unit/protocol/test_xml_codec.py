from __future__ import annotations

import pytest

from smartcover.errors import MalformedBody
from smartcover.protocol import Tree, parse_xml, to_xml


@pytest.mark.parametrize(
    ("body", "tree"),
    [
        (b"<A/>", {"A": ""}),
        (b"<A>x</A>", {"A": "x"}),
        (b"<A> x </A>", {"A": " x "}),
        (b"<A>\n  <B>1</B>\n  <C/>\n</A>", {"A": {"B": "1", "C": ""}}),
        (b"<A><B>1</B><C/><B>2</B></A>", {"A": {"B": ["1", "2"], "C": ""}}),
        (b'\n\n<?xml version="1.0" encoding="utf-8"?>\n<A>x</A>', {"A": "x"}),
        (b"\xef\xbb\xbf<A>x</A>", {"A": "x"}),
        (b"<A>x<!-- no -->y<?pi?>z</A>", {"A": "xyz"}),
        (b"<A><![CDATA[<b>&amp;]]></A>", {"A": "<b>&amp;"}),
        (b"<A>&lt;&gt;&amp;&quot;&#34;&#x4e2d;</A>", {"A": '<>&""中'}),
        (b'<A xmlns="http://x" b="c"><B xmlns:y="z" y:q="1">1</B></A>', {"A": {"B": "1"}}),
        ("<A>中</A>".encode("gb18030").replace(b"<A>", b'<?xml version="1.0" encoding="gb18030"?><A>', 1), {"A": "中"}),
    ],
)
def test_documents_become_trees(body: bytes, tree: dict[str, Tree]) -> None:
    assert parse_xml(body) == tree


def test_a_node_that_may_be_repeated_is_a_list_also_when_it_stands_there_once() -> None:
    assert parse_xml(b"<Request><Operation><Tag>x</Tag></Operation></Request>") == {
        "Request": {"Operation": [{"Tag": "x"}]}
    }
    assert parse_xml(b"<OutputFile><ObjectName/></OutputFile>") == {"OutputFile": {"ObjectName": [""]}}
    # The name alone does not decide: here it is the one name of an MD5.
    assert parse_xml(b"<Md5Info><ObjectName>a</ObjectName></Md5Info>") == {"Md5Info": {"ObjectName": "a"}}


BILLION_LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]><A>&d;</A>"""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"x",
        b"{}",
        b"<A>",
        b"<A/><B/>",
        b"<A></B>",
        b"<CallBackFormat>JSON<CallBackFormat>",
        b"<A>\xff</A>",
        b"<A>\x01</A>",
        b"<A>&#1;</A>",
        b"<A>&x;</A>",
        b"<A>x<B/></A>",
        b"<A><B/>x</A>",
        b"\x00",
        "<A/>".encode("utf-16"),
        b'<?xml version="1.0" encoding="no-such"?><A/>',
        b"<!DOCTYPE A><A/>",
        b'<!DOCTYPE A [<!ENTITY x SYSTEM "file:///etc/passwd">]><A>&x;</A>',
        b'<!DOCTYPE A SYSTEM "http://127.0.0.1:9/x.dtd"><A/>',
        BILLION_LAUGHS,
        b'<?xml version="1.0" encoding="IBM037"?>' + '<!DOCTYPE A [<!ENTITY x "y">]><A>&x;</A>'.encode("cp037"),
        b"<A>" * 33 + b"</A>" * 33,
        b"<A>" * 5000 + b"</A>" * 5000,
    ],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody) as caught:
        parse_xml(body)
    assert len(caught.value.public) < 400


def test_a_doctype_hidden_by_the_encoding_is_refused() -> None:
    text = '<?xml version="1.0" encoding="IBM037"?><!DOCTYPE A [<!ENTITY x "y">]><A/>'
    with pytest.raises(MalformedBody):
        parse_xml(text.encode("cp037"))
    with pytest.raises(MalformedBody, match="DOCTYPE"):
        parse_xml(b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE A+AD4-<A/>')


def test_budgets_are_named_in_the_message() -> None:
    with pytest.raises(MalformedBody, match="11 bytes long; the limit is 10"):
        parse_xml(b"<A>1234</A>", max_bytes=10)
    with pytest.raises(MalformedBody, match="more than 3 nodes"):
        parse_xml(b"<A><B/><B/><B/></A>", max_nodes=3)
    with pytest.raises(MalformedBody, match="deeper than 2"):
        parse_xml(b"<A><B><C/></B></A>", max_depth=2)
    assert parse_xml(b"<A><B/><B/></A>", max_nodes=3, max_depth=2) == {"A": {"B": ["", ""]}}


def test_trees_become_compact_documents() -> None:
    tree: dict[str, Tree] = {"A": {"B": ["1", ""], "C": {}, "D": "<&>中", "E": []}}
    assert to_xml(tree) == "<A><B>1</B><B/><C/><D>&lt;&amp;&gt;中</D></A>".encode()


@pytest.mark.ours
def test_what_xml_cannot_carry_becomes_the_replacement_character() -> None:
    # No value may make an answer fail, and XML 1.0 has no way to write these, not even escaped.
    assert to_xml({"A": "a\x00b\x1f\ud800\uffff"}) == "<A>a\ufffdb\ufffd\ufffd\ufffd</A>".encode()
    assert to_xml({"A": "tab\t line\n return\r"}) == b"<A>tab\t line\n return&#13;</A>"


def test_a_tree_that_is_no_document_is_a_mistake_of_the_caller() -> None:
    for tree in ({}, {"A": "", "B": ""}, {"A": ["x"]}, {"A": {"B": [["x"]]}}, {"a b": ""}, {"A": {"": ""}}):
        with pytest.raises(ValueError, match=r".+"):
            to_xml(tree)  # type: ignore[arg-type]

from __future__ import annotations

import pytest

from smartcover.errors import MalformedBody
from smartcover.protocol import Tree, parse_json, to_json


@pytest.mark.documented
def test_empty_nodes_are_left_out_but_their_containers_stay() -> None:
    tree: dict[str, Tree] = {
        "Response": {
            "Message": "",
            "MediaInfo": {"Format": "", "Stream": {"Audio": "", "Video": ""}},
            "ObjectName": ["a"],
            "Count": "5",
            "None": [],
        }
    }
    assert to_json(tree) == b'{"MediaInfo":{"Stream":{}},"ObjectName":["a"],"Count":"5"}'


def test_text_is_utf8_and_not_escaped() -> None:
    assert to_json({"R": {"A": "猫\n\ud800\x01"}}) == '{"A":"猫\\n\ufffd\\u0001"}'.encode()


def test_what_is_no_document_is_a_mistake_of_the_caller() -> None:
    trees: list[dict[str, Tree]] = [{}, {"A": {}, "B": {}}, {"A": "x"}, {"A": ["x"]}]
    for tree in trees:
        with pytest.raises(ValueError, match=r".+"):
            to_json(tree)


def test_every_scalar_becomes_text() -> None:
    body = b'\xef\xbb\xbf {"a": 5, "b": 1.50, "c": true, "d": null, "e": ["x", 1], "f": {"g": false}, "h": 1e999}'
    assert parse_json(body) == {
        "a": "5",
        "b": "1.50",
        "c": "true",
        "d": "",
        "e": ["x", "1"],
        "f": {"g": "false"},
        "h": "1e999",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"x"',
        b"{",
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b'{"\\ud800": 1}',
        b"\xff",
        '{"a": 1}'.encode("utf-16"),
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 100_000,
        b'{"a": [' + b"1," * 30_000 + b"1]}",
    ],
)
def test_anything_else_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse_json(body)


def test_a_body_over_the_limit_is_refused() -> None:
    with pytest.raises(MalformedBody, match="the limit is 5"):
        parse_json(b'{"a":1}', max_bytes=5)


def test_a_number_of_a_million_digits_costs_nothing() -> None:
    body = b'{"a":' + b"9" * 1_000_000 + b"}"
    assert parse_json(body) == {"a": "9" * 1_000_000}

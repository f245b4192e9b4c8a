from __future__ import annotations

import pytest

from smartcover.errors import BadParameter
from smartcover.protocol import Fields, SmartCoverParams, Tree

TREE: dict[str, Tree] = {
    "Text": "x",
    "Many": ["a", "", "b"],
    "Deep": {"A": "1"},
    "Nested": [["x"]],
    "Rows": ["", {"A": "1"}],
}


def test_texts_of_a_repeated_node_come_in_order_without_the_empty_ones() -> None:
    fields = Fields(TREE, "Root")
    assert fields.texts("Many") == ("a", "b")
    assert fields.texts("Text") == ("x",)
    assert fields.texts("Absent") == ()
    with pytest.raises(BadParameter, match=r"Root\.Deep holds child nodes"):
        fields.texts("Deep")


def test_a_repeated_node_is_refused_where_one_is_meant() -> None:
    with pytest.raises(BadParameter, match=r"Root\.Many is given 3 times; give it once"):
        Fields(TREE, "Root").text("Many")
    with pytest.raises(BadParameter, match=r"Root\.Nested is a list of lists"):
        Fields(TREE, "Root").text("Nested")


def test_children_know_their_place() -> None:
    first, second = Fields(TREE, "Root").children("Rows")
    assert (first.path, first.names()) == ("Root.Rows[0]", ())
    assert (second.path, second.text("A")) == ("Root.Rows[1]", "1")
    [only] = Fields(TREE, "Root").children("Deep")
    assert only.path == "Root.Deep"


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(BadParameter) as caught:
        Fields({"A": "x" * 5000}, "Root").integer("A", 1, 2)
    assert len(caught.value.public) < 200


def test_options_that_were_never_checked_are_refused_when_read() -> None:
    with pytest.raises(BadParameter, match="Count is 'many'"):
        _ = SmartCoverParams(sent=(("Count", "many"),)).count

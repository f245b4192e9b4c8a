"""
The same trees as JSON, in the form of the vendor's JSON callbacks.

What that form is (its third example shows it): every scalar is a string; a repeated node is an array, also with one
entry; a node that is empty in XML is left out, while a node with children stays even if all of them go (`"Stream":{}`);
and the root node is not there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from smartcover.errors import MalformedBody
from smartcover.protocol.xml_codec import MAX_BODY_BYTES, MAX_DEPTH, MAX_NODES, Tree

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def to_json(document: Mapping[str, Tree]) -> bytes:
    """
    Write a document compactly as UTF-8, without its root node.

    Lone surrogates, which UTF-8 cannot hold, become U+FFFD as in XML.

    Raises:
        ValueError: If the document has not exactly one root, or its root has no child nodes.
    """
    if len(document) != 1:
        raise ValueError(f"a document has one root, this one has {len(document)}")
    [tree] = document.values()
    if not isinstance(tree, dict):
        raise ValueError("a JSON document needs child nodes")
    text = json.dumps(_without_empty(tree), ensure_ascii=False, separators=(",", ":"))
    return _SURROGATE.sub("\ufffd", text).encode("utf-8")


def parse_json(body: bytes, *, max_bytes: int = MAX_BODY_BYTES) -> dict[str, Tree]:
    """
    Read a JSON object into a tree without a root node.

    Numbers and booleans become their text and null becomes empty, so that one reader serves XML and JSON.

    Raises:
        MalformedBody: For any bytes that are not a JSON object in UTF-8 or exceed a budget.
    """
    if len(body) > max_bytes:
        raise MalformedBody(f"The body is {len(body)} bytes long; the limit is {max_bytes}")
    try:
        # Numbers stay text: Python would take a second over a number of a million digits.
        value = json.loads(body.decode("utf-8-sig"), parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise MalformedBody(f"The body is nested deeper than {MAX_DEPTH} nodes") from error
    except ValueError as error:
        raise MalformedBody(f"The body is not JSON in UTF-8: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise MalformedBody("The body is not a JSON object")
    reader = _Reader()
    return {reader.text(name): reader.read(entry, 2) for name, entry in value.items()}


class _Reader:
    """Turns JSON values into trees while counting them."""

    def __init__(self) -> None:
        self._nodes_left = MAX_NODES

    def read(self, value: object, depth: int) -> Tree:
        self._nodes_left -= 1
        if depth > MAX_DEPTH or self._nodes_left < 0:
            raise MalformedBody(f"The body is nested deeper than {MAX_DEPTH} or has more than {MAX_NODES} nodes")
        if isinstance(value, dict):
            return {self.text(name): self.read(entry, depth + 1) for name, entry in value.items()}
        if isinstance(value, list):
            return [self.read(entry, depth + 1) for entry in value]
        if isinstance(value, bool):
            return "true" if value else "false"
        return "" if value is None else self.text(str(value))

    def text(self, text: str) -> str:
        if _SURROGATE.search(text):
            raise MalformedBody("The body holds half of a surrogate pair, which is not text")
        return text


def _without_empty(tree: Tree) -> Tree:
    if isinstance(tree, dict):
        return {name: _without_empty(value) for name, value in tree.items() if value not in ("", [])}
    if isinstance(tree, list):
        return [_without_empty(entry) for entry in tree]
    return tree


def _refuse_constant(text: str) -> str:
    raise ValueError(f"{text} is not JSON")

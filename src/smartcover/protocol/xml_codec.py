"""
XML bodies as plain trees, and back.

A tree is a `str` (a text node, empty for an empty one), a `dict` (child nodes in order) or a `list` (a repeated node).
A document is a dict with one entry, its root: `{"Request": {"Tag": "SmartCover"}}`. Attributes, comments, processing
instructions and namespaces carry nothing in this protocol and are dropped on reading.

Whether a node that stands there once is a list cannot be seen in the body, so `LIST_NODES` says it; any other node
that is repeated becomes a list too, and it is for the reader of that field to refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias, Union

from lxml import etree

from smartcover.errors import MalformedBody, MissingBody

Tree: TypeAlias = Union[str, "list[Tree]", "dict[str, Tree]"]

MAX_BODY_BYTES: Final = 1 << 20
MAX_NODES: Final = 20_000
MAX_DEPTH: Final = 32

LIST_NODES: Final = frozenset(
    {
        ("Request", "Operation"),
        ("Response", "JobsDetail"),
        ("Input", "CosHeaders"),
        ("OutputFile", "ObjectName"),
        ("WorkflowExecution", "CosHeaders"),
        ("WorkflowExecution", "Tasks"),
        ("CompleteMultipartUpload", "Part"),
        ("Delete", "Object"),
    }
)
"""(parent, node) pairs that are lists also when the node stands there once."""

# XML 1.0, production Char, turned round.
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_XML_SPACE: Final = " \t\r\n"


def parse_xml(
    body: bytes, *, max_bytes: int = MAX_BODY_BYTES, max_nodes: int = MAX_NODES, max_depth: int = MAX_DEPTH
) -> dict[str, Tree]:
    """
    Read an XML document into a tree.

    Nothing outside the body is ever read: a DOCTYPE is refused, and with it every entity but the five of XML. Text
    is kept exactly; white space between child nodes is not text.

    Raises:
        MalformedBody: For any bytes that are not such a document or exceed a budget.
    """
    if len(body) > max_bytes:
        raise MalformedBody(f"The body is {len(body)} bytes long; the limit is {max_bytes}")
    body = body.lstrip(b" \t\r\n")  # hand-written bodies often start with an empty line, which XML forbids
    # NUL bytes mean UTF-16 or UTF-32, in which the next check would be blind.
    if b"\x00" in body:
        raise MalformedBody("The body holds NUL bytes; send UTF-8")
    if b"<!DOCTYPE" in body:
        raise MalformedBody("The body holds a DOCTYPE, which is not accepted; leave it out")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        attribute_defaults=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        strip_cdata=True,
        collect_ids=False,
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.LxmlError, ValueError, LookupError) as error:
        raise MalformedBody(f"The body is not well-formed XML: {_first_line(error)}") from error
    if root is None:
        raise MalformedBody("The body is not well-formed XML: it has no root node")
    # Other encodings can hide the word from the check above.
    if root.getroottree().docinfo.internalDTD is not None:
        raise MalformedBody("The body holds a DOCTYPE, which is not accepted; leave it out")
    return {_name(root): _Reader(max_nodes, max_depth).read(root)}


def parse_request(body: bytes, *, max_bytes: int = MAX_BODY_BYTES) -> dict[str, Tree]:
    """
    Read a document whose root is `Request` and give its child nodes.

    Raises:
        MissingBody: If the body is empty.
        MalformedBody: If it is no such document, or exceeds a budget.
    """
    if not body.strip():
        raise MissingBody
    [(root, tree)] = parse_xml(body, max_bytes=max_bytes).items()
    if root != "Request":
        raise MalformedBody(f"The root node is {root[:80]!r}; it must be Request")
    return tree if isinstance(tree, dict) else {}


def to_xml(document: Mapping[str, Tree]) -> bytes:
    """
    Write a document compactly: UTF-8, no declaration, no indentation, empty nodes as `<Message/>`.

    A character that XML 1.0 cannot carry (most control characters, lone surrogates) becomes U+FFFD, so that no value
    can make an answer fail. Keys with such characters are refused at the door, and listings offer `encoding-type=url`.

    Raises:
        ValueError: If the document has not exactly one root, or a node's name is not an XML name: a mistake of the
            caller and never of a client.
    """
    if len(document) != 1:
        raise ValueError(f"a document has one root, this one has {len(document)}")
    [(name, tree)] = document.items()
    if isinstance(tree, list):
        raise ValueError("a document's root cannot be repeated")
    root = etree.Element(name)
    _fill(root, tree)
    return etree.tostring(root, encoding="utf-8", xml_declaration=False)


class _Reader:
    """Turns elements into trees while counting them."""

    def __init__(self, max_nodes: int, max_depth: int) -> None:
        self._max_nodes = max_nodes
        self._nodes_left = max_nodes
        self._max_depth = max_depth

    def read(self, element: etree._Element, depth: int = 1) -> Tree:
        if depth > self._max_depth:
            raise MalformedBody(f"The body is nested deeper than {self._max_depth} nodes")
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise MalformedBody(f"The body has more than {self._max_nodes} nodes")
        if len(element) == 0:
            return element.text or ""
        parent = _name(element)
        stray = [element.text, *(child.tail for child in element)]
        if any(text and text.strip(_XML_SPACE) for text in stray):
            raise MalformedBody(f"The node {parent} holds text beside child nodes")
        tree: dict[str, Tree] = {}
        for child in element:
            name = _name(child)
            value = self.read(child, depth + 1)
            known = tree.get(name)
            if known is None:
                tree[name] = [value] if (parent, name) in LIST_NODES else value
            elif isinstance(known, list):
                known.append(value)
            else:
                tree[name] = [known, value]
        return tree


def _name(element: etree._Element) -> str:
    tag = element.tag
    if not isinstance(tag, str):  # an entity that was not resolved
        raise MalformedBody("The body holds an entity reference, which is not accepted; write the character itself")
    return tag.rpartition("}")[2]


def _fill(element: etree._Element, tree: Tree) -> None:
    if isinstance(tree, str):
        element.text = _NOT_XML.sub("\ufffd", tree) or None
        return
    if isinstance(tree, list):
        raise ValueError(f"the node {element.tag} holds a list of lists")
    for name, value in tree.items():
        for entry in value if isinstance(value, list) else [value]:
            _fill(etree.SubElement(element, name), entry)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

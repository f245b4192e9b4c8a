"""
Reading single fields out of a tree, with messages that help the person who sent it.

Every message names the node's path, the value, the limit and the way out. An empty node counts as absent: the official
demos send `<Width></Width>` for "not given". Of words and numbers a blank one does too, as indented documents have it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, TypeVar

from smartcover.errors import BadParameter
from smartcover.protocol.xml_codec import Tree

_DIGITS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_WITH_ZEROS: Final = re.compile(r"([0-9]{1,9})(?:\.0{1,20})?", re.ASCII)
_PRINTABLE_ASCII: Final = re.compile(r"[\x20-\x7e]*", re.ASCII)
_SHOWN_CHARACTERS: Final = 80
MAX_INTEGER: Final = 999_999_999
"""The largest number that any field can hold."""

Word = TypeVar("Word", bound=str)


class Fields:
    """The child nodes of one node, and the path to it for messages."""

    def __init__(self, tree: dict[str, Tree], path: str) -> None:
        self._tree = tree
        self.path = path

    @property
    def tree(self) -> dict[str, Tree]:
        """The child nodes as they were read."""
        return self._tree

    def path_of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def text(self, name: str) -> str | None:
        """
        Give a node's text exactly as sent, or None when it is absent or empty.

        Raises:
            BadParameter: If the node is repeated or holds child nodes.
        """
        value = self._single(name)
        if isinstance(value, dict):
            raise BadParameter(f"{self.path_of(name)} holds child nodes; give text")
        return value or None

    def required_text(self, name: str) -> str:
        """Give a node's text; BadParameter when it is absent or empty."""
        value = self.text(name)
        if value is None:
            raise BadParameter(f"{self.path_of(name)} is missing or empty; it is required")
        return value

    def choice(self, name: str, choices: Collection[Word]) -> Word | None:
        """Give one of the words, in the spelling of `choices`; case and surrounding space do not matter."""
        value = self._word(name)
        if value is None:
            return None
        for choice in choices:
            if value.lower() == choice.lower():
                return choice
        raise BadParameter(f"{self.path_of(name)} is {shown(value)}; give one of {', '.join(choices)}")

    def integer(self, name: str, low: int, high: int, *, with_zeros: bool = False) -> int | None:
        """
        Give a whole number between two limits, both included.

        Args:
            with_zeros: Read `5.0` as 5, as emitters write it that know floating-point numbers only.
        """
        value = self._word(name)
        if value is None:
            return None
        number = whole_number(value) if with_zeros or _DIGITS.fullmatch(value) is not None else None
        if number is None or not low <= number <= high:
            raise BadParameter(f"{self.path_of(name)} is {shown(value)}; give a whole number from {low} to {high}")
        return number

    def printable_ascii(self, name: str, max_characters: int) -> str | None:
        """Give a text of printable ASCII characters, spaces included."""
        value = self.text(name)
        if value is None:
            return None
        if len(value) > max_characters:
            raise BadParameter(f"{self.path_of(name)} is {len(value)} characters long; give at most {max_characters}")
        if _PRINTABLE_ASCII.fullmatch(value) is None:
            raise BadParameter(f"{self.path_of(name)} is {shown(value)}; give printable ASCII characters only")
        return value

    def child(self, name: str) -> Fields | None:
        """Give a node with child nodes, or None when it is absent; an empty one has no children."""
        value = self._single(name)
        return None if value is None else _node(value, self.path_of(name))

    def required_child(self, name: str) -> Fields:
        """Give a node with child nodes; BadParameter when it is absent."""
        child = self.child(name)
        if child is None:
            raise BadParameter(f"{self.path_of(name)} is missing; it is required")
        return child

    def children(self, name: str) -> tuple[Fields, ...]:
        """Give every node of that name, each with its child nodes, in order."""
        value = self._tree.get(name, [])
        if not isinstance(value, list):
            value = [value]
        path = self.path_of(name)
        if len(value) == 1:
            return (_node(value[0], path),)
        return tuple(_node(entry, f"{path}[{index}]") for index, entry in enumerate(value))

    def texts(self, name: str) -> tuple[str, ...]:
        """Give the text of every node of that name that is not empty, in order."""
        value = self._tree.get(name, [])
        entries = value if isinstance(value, list) else [value]
        texts = []
        for entry in entries:
            if not isinstance(entry, str):
                raise BadParameter(f"{self.path_of(name)} holds child nodes; give text")
            if entry:
                texts.append(entry)
        return tuple(texts)

    def names(self) -> tuple[str, ...]:
        """Give the names of the child nodes in the order sent."""
        return tuple(self._tree)

    def _word(self, name: str) -> str | None:
        return (self.text(name) or "").strip() or None

    def _single(self, name: str) -> str | dict[str, Tree] | None:
        value = self._tree.get(name)
        if isinstance(value, list):
            if len(value) > 1:
                raise BadParameter(f"{self.path_of(name)} is given {len(value)} times; give it once")
            value = value[0] if value else None
        if isinstance(value, list):
            raise BadParameter(f"{self.path_of(name)} is a list of lists; give it once")
        return value


def whole_number(text: str) -> int | None:
    """Read a whole number of up to nine digits, also with zeros behind a point; None for all else."""
    match = _WITH_ZEROS.fullmatch(text.strip())
    return None if match is None else int(match[1])


def shown(value: str) -> str:
    """Quote a value for a message, shortened; what is not printable is escaped."""
    return repr(value) if len(value) <= _SHOWN_CHARACTERS else repr(value[:_SHOWN_CHARACTERS]) + "…"


def _node(value: Tree, path: str) -> Fields:
    if isinstance(value, list):
        raise BadParameter(f"{path} is a list of lists; give child nodes")
    if isinstance(value, str):
        if value.strip():
            raise BadParameter(f"{path} is {shown(value)}; give child nodes")
        value = {}
    return Fields(value, path)

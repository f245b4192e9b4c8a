"""Texts from outside, made fit to be read on a terminal."""

from __future__ import annotations

import contextlib
import json
from typing import Final

_MAX_SHOWN_CHARACTERS: Final = 20_000


def pretty(body: bytes) -> tuple[str, str]:
    """Indent an XML or JSON body for reading; gives the text and `xml`, `json` or `text`. Never raises."""
    from lxml import etree  # here, for those who print one line and start fast

    start = body.lstrip()[:1]
    if start == b"<":
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_blank_text=True)
        with contextlib.suppress(etree.XMLSyntaxError, ValueError):
            root = etree.fromstring(body, parser)
            etree.indent(root)
            return printable(etree.tostring(root, encoding="unicode")), "xml"
    elif start in (b"{", b"["):
        with contextlib.suppress(ValueError, RecursionError):
            return printable(json.dumps(json.loads(body), indent=2, ensure_ascii=False)), "json"
    return printable(body[:_MAX_SHOWN_CHARACTERS].decode("utf-8", "replace")), "text"


def printable(text: str) -> str:
    """Make a text from outside harmless to a terminal: no control characters, and not without end."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    if len(shown) <= _MAX_SHOWN_CHARACTERS:
        return shown
    return f"{shown[:_MAX_SHOWN_CHARACTERS]}\n… {len(shown) - _MAX_SHOWN_CHARACTERS} characters more"


def one_line(text: str) -> str:
    """Keep text from breaking a line or steering a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)

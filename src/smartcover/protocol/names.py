"""
Names: identifiers, object keys, and the patterns that become keys of covers.

The rules for keys are the object store's documented ones (1 to 850 bytes of UTF-8) with one addition of ours:
control characters are refused, because no XML 1.0 document can carry them, neither a callback nor a listing.
"""

from __future__ import annotations

import re
from typing import Final

MAX_KEY_BYTES: Final = 850
"""The object store's documented limit for a key, in bytes of UTF-8."""

ID_LETTERS: Final = {"j": "job", "p": "queue", "t": "template", "w": "workflow", "i": "workflow run", "b": "batch job"}

SERVICE_LABELS: Final = frozenset({"ci", "cos", "cos-internal", "pic"})
"""The labels of the cloud's Hosts behind a bucket's name; `cos-internal` is what its own machines are told to use."""

_HEX32: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PLACEHOLDER: Final = re.compile(r"\$\{([A-Za-z]+)\}", re.ASCII)
_SLASHES: Final = re.compile(r"/{2,}")
# What XML 1.0 cannot hold, and with it tab, line ends and DEL, unseen in a name and of no use there. The C1 controls
# stay allowed: names that went through a wrong decoding hold them, and XML can carry them.
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def new_id(letter: str, hex32: str) -> str:
    """
    Make an identifier from its kind and 32 random hex digits.

    Pure: the caller supplies the randomness (`uuid.uuid4().hex`, for one).

    Raises:
        ValueError: If the letter names no kind or the digits are not 32 lower-case hex digits.
    """
    if letter not in ID_LETTERS or _HEX32.fullmatch(hex32) is None:
        raise ValueError(f"no id can be made of {letter!r} and {hex32!r}")
    return letter + hex32


def is_id(text: str, letter: str) -> bool:
    """Tell whether the text is an identifier of that kind: its letter and 32 lower-case hex digits."""
    return text[:1] == letter and letter in ID_LETTERS and _HEX32.fullmatch(text[1:]) is not None


def key_fault(key: str) -> str | None:
    """
    Say what is wrong with an object key, in a sentence for the client; None when it can be used.

    The sentence names the value, the limit and the way out.
    """
    if not key:
        return f"The key is empty; give 1 to {MAX_KEY_BYTES} bytes"
    bad = _FORBIDDEN.search(key)
    if bad is not None:
        return (
            f"The key holds the character U+{ord(bad[0]):04X} at position {bad.start()}; leave control characters out"
        )
    size_bytes = len(key.encode("utf-8"))
    if size_bytes > MAX_KEY_BYTES:
        return f"The key is {size_bytes} bytes long in UTF-8; give at most {MAX_KEY_BYTES}"
    return None


def has_number(pattern: str) -> bool:
    """Tell whether the pattern holds the number placeholder, in any spelling of its letters."""
    return any(match[1].lower() == "number" for match in _PLACEHOLDER.finditer(pattern))


def expand_name(
    pattern: str,
    *,
    number: int | None,
    ext: str,
    job_id: str,
    run_id: str | None = None,
    input_key: str | None = None,
    batch_id: str | None = None,
) -> str:
    """
    Turn an `Output.Object` pattern into the key of one cover.

    Placeholders are matched without regard to case. One whose value is unknown (`${RunId}` outside a workflow)
    and one that is not ours stay as written, and so does `{Ext}` without the dollar. Expansion is one pass: a
    value that looks like a placeholder is not expanded again.

    `${InputPath}` has no slash at either end; in a pattern that uses it, double slashes become one. Slashes in front
    of the name are left out: no key of the cloud starts with one, and most SDKs take it off when they fetch.

    Args:
        number: Position of the cover, from 0; None leaves the number placeholder as written.
        ext: Extension of the output format, without the dot.
        input_key: Key of the source, for `${InputName}`, `${InputNameAndExt}` and `${InputPath}`.
    """
    values: dict[str, str | None] = {
        "number": None if number is None else str(number),
        "ext": ext,
        "jobid": job_id,
        "runid": run_id,
        "inventorytriggerjobid": batch_id,
    }
    if input_key is not None:
        path, _, file_name = input_key.rpartition("/")
        stem, dot, _ = file_name.rpartition(".")
        values["inputpath"] = path.strip("/")
        values["inputnameandext"] = file_name
        # A name that starts with its only dot has no extension.
        values["inputname"] = stem if dot and stem else file_name

    def value_of(match: re.Match[str]) -> str:
        value = values.get(match[1].lower())
        return match[0] if value is None else value

    name = _PLACEHOLDER.sub(value_of, pattern)
    if input_key is not None and any(m[1].lower() == "inputpath" for m in _PLACEHOLDER.finditer(pattern)):
        name = _SLASHES.sub("/", name)
    return name.lstrip("/")

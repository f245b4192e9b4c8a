"""What every adaptor checks and computes alike: names, ranges, limits of a page, the ETag of joined parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from smartcover.errors import BadBucketName, BadKey, BadParameter, InvalidPart, RangeUnsatisfiable

#: Longest key in bytes of UTF-8, as in COS.
MAX_KEY_BYTES = 850
MAX_PART_NUMBER = 10_000
#: Most entries of one page of a listing.
MAX_PAGE = 1000
#: Most bytes of one object's stored headers, names and values together.
MAX_HEADER_BYTES = 16 * 1024

_BUCKET_NAME = re.compile(r"[a-z0-9.-]{1,63}")
_OWNER = re.compile(r"[A-Za-z0-9-]{0,64}")
_HIGHEST = chr(0x10FFFF)


def check_bucket_name(name: str) -> None:
    """
    Accept 1 to 63 of a-z, 0-9, '-' and '.'; COS' own `name-APPID` form is not required.

    Raises:
        BadBucketName: Otherwise.
    """
    if not _BUCKET_NAME.fullmatch(name):
        raise BadBucketName(f"Bucket name {name[:80]!r} is not valid; use 1 to 63 of a-z, 0-9, '-' and '.'.")


def check_key(key: str) -> None:
    """
    Accept any text of 1 to 850 bytes of UTF-8 without NUL; nothing in it has a meaning, `..` and `//` included.

    Raises:
        BadKey: Otherwise.
    """
    size_bytes = len(check_text(key, "Object key"))
    if not 1 <= size_bytes <= MAX_KEY_BYTES:
        raise BadKey(f"The object key has {size_bytes} bytes; it must have 1 to {MAX_KEY_BYTES}.")


def check_text(text: str, what: str) -> bytes:
    """
    Give the UTF-8 of a text that a store can hold and compare.

    Raises:
        BadKey: If it holds NUL, which PostgreSQL cannot store, or half a surrogate pair.
    """
    if "\0" in text:
        raise BadKey(f"{what} holds a NUL character; leave it out.")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadKey(f"{what} is not valid Unicode (half a surrogate pair at {error.start}).") from error


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """
    Give the headers with lower-case names.

    Raises:
        BadParameter: If they are larger than 16 KiB or hold what cannot be stored.
    """
    kept = {name.lower(): value for name, value in headers.items()}
    try:
        size_bytes = sum(len(check_text(name, "Header") + check_text(value, "Header")) for name, value in kept.items())
    except BadKey as error:
        raise BadParameter(error.public) from error
    if size_bytes > MAX_HEADER_BYTES:
        raise BadParameter(f"The object's headers have {size_bytes} bytes; at most {MAX_HEADER_BYTES} are stored.")
    return kept


def check_owner(owner: str) -> None:
    """
    Accept the name of the work that staged an object, such as a job's id; it becomes part of a path.

    Raises:
        BadParameter: If it is anything but up to 64 letters, digits and '-'.
    """
    if not _OWNER.fullmatch(owner):
        raise BadParameter(f"The owner {owner[:80]!r} of a staged object is not up to 64 letters, digits and '-'.")


def check_part_number(number: int) -> None:
    """Accept 1 to 10000, or raise `BadParameter`."""
    if not 1 <= number <= MAX_PART_NUMBER:
        raise BadParameter(f"Part number {number} is out of range; give 1 to {MAX_PART_NUMBER}.")


def page_limit(limit: int) -> int:
    """Hold a page's limit between 0 and 1000."""
    return max(0, min(limit, MAX_PAGE))


def resolve_range(size_bytes: int, first: int, last: int | None) -> range:
    """
    Give the offsets to read, the end cut to the object's.

    Raises:
        RangeUnsatisfiable: If no byte of the object lies in it; an empty object may be read whole.
    """
    end = size_bytes if last is None else min(last + 1, size_bytes)
    if first == 0 and last is None:
        return range(size_bytes)
    if first < 0 or first >= end:
        shown = f"{first}-{'' if last is None else last}"
        raise RangeUnsatisfiable(f"The range {shown} lies outside the object, which has {size_bytes} bytes.")
    return range(first, end)


def after_delimiter(delimiter: str) -> str:
    """
    Give the smallest string above every string that starts with `delimiter`.

    Raises:
        BadParameter: If there is none, which takes a delimiter of U+10FFFF alone.
    """
    stem = check_text(delimiter, "Delimiter").decode().rstrip(_HIGHEST)
    if not stem:
        raise BadParameter("The delimiter may not be U+10FFFF; use a character such as '/'.")
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)  # UTF-8 has no surrogates


def first_key_after(marker: str, prefix: str, delimiter: str) -> str:
    """
    Give the least key of a page's first possible entry.

    An entry is a key or a folded prefix, and a page holds those above `marker`; so a marker at or below a folded
    prefix jumps over all that is folded into it.
    """
    if marker < prefix or not marker:
        return prefix
    if delimiter and marker.startswith(prefix):
        at = marker.find(delimiter, len(prefix))
        if at >= 0:
            return marker[:at] + after_delimiter(delimiter)
    return marker + "\x01"  # the least text above the marker: no key holds NUL


def check_parts(wanted: Sequence[tuple[int, str]], uploaded: Mapping[int, str]) -> None:
    """
    Compare the parts that a client wants joined with those uploaded (number to ETag).

    A small part is no error: COS' least size of 1 MiB would refuse what we can join well.

    Raises:
        InvalidPart: If the list is empty, out of order, or names a part that is missing or has another ETag.
    """
    if not wanted:
        raise InvalidPart("The list of parts is empty; name at least one part.")
    before = 0
    for number, etag in wanted:
        if number <= before:
            raise InvalidPart(f"Part {number} follows part {before}; list each part once, in ascending order.")
        before = number
        if number not in uploaded:
            raise InvalidPart(f"Part {number} was not uploaded.")
        if uploaded[number] != etag.strip('"').lower():
            raise InvalidPart(f"Part {number} has another ETag than {etag[:80]!r}; list the parts and try again.")


def joined_etag(etags: Sequence[str]) -> str:
    """Give the ETag of joined parts: the MD5 of their MD5s, a hyphen and their number."""
    whole = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in etags), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(etags)}"


def parts_fingerprint(wanted: Sequence[tuple[int, str]]) -> str:
    """Tell one list of parts from another, so that a repeated completion is known as such."""
    text = ",".join(f"{number}:{etag.strip(chr(34)).lower()}" for number, etag in wanted)
    return hashlib.sha256(text.encode()).hexdigest()
